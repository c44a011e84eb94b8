/**
 * The leases that enclose what a fiber does.
 *
 * They travel in a `FiberRef`: a child fiber starts with those of its parent, and what children add is merged into the
 * parent when they are joined, so that `Effect.all` over scoped locks leaves all of them in force. What has ended is
 * left out whenever the list is read, and dropped whenever it is changed.
 *
 * A list outlives its leases, and V8 allocates some of the objects that Effect keeps it in directly in the old generation:
 * what they point to survives until the next full collection. So a list has no leases in it but their places, which are
 * emptied when these end.
 */
import * as Differ from "effect/Differ"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as FiberRef from "effect/FiberRef"
import { globalValue } from "effect/GlobalValue"
import * as Option from "effect/Option"
import { type AnyFiber, setFiberRef } from "./effectInternals.ts"
import type { HeldLease } from "./heldLease.ts"

/** Where a lease stands, for one of its holders. */
export class Place {
  lease: HeldLease | undefined
  /** The last fiber that came to be inside of it: the one that acquired it, or that joined a fiber which had. */
  fiber: AnyFiber
  /** The place of the one who held the lease before, in the same service. */
  readonly former: Place | undefined
  isLeft = false

  constructor(lease: HeldLease, fiber: AnyFiber) {
    this.lease = lease
    this.fiber = fiber
    this.former = lease.place
  }
}

type Places = ReadonlyArray<Place>

interface Patch {
  readonly added: Places
  readonly removed: Places
}

const none: Places = []

const without = (places: Places, others: Places): Places =>
  others.length === 0 ? places : places.filter((place) => !others.includes(place))

const live = (places: Places): Places =>
  places.length === 0 ? none : places.filter(({ lease }) => lease?.isLive === true)

const differ: Differ.Differ<Places, Patch> = Differ.make<Places, Patch>({
  empty: { added: none, removed: none },
  diff: (before, after) => ({ added: live(without(after, before)), removed: without(before, after) }),
  combine: (first, second) => ({
    added: [...without(first.added, second.removed), ...second.added],
    removed: [...first.removed, ...second.removed]
  }),
  patch: ({ added, removed }, places) => live([...without(without(places, removed), added), ...added])
})

/** The fiber that joins another one, and runs this, has what that one held to lose from now on. */
const join = (before: Places, after: Places): Places => {
  const fiber = Option.getOrUndefined(Fiber.getCurrentFiber())
  if (fiber !== undefined) for (const place of without(after, before)) place.fiber = fiber
  return after
}

const enclosing: FiberRef.FiberRef<Places> = globalValue("@hilok/core/places", () =>
  FiberRef.unsafeMakePatch(none, { differ, fork: differ.empty, join })
)

const nobody: ReadonlyArray<HeldLease> = []

/** The live leases of this service that enclose what the fiber does, outermost first. */
export const current = (
  fiber: { readonly getFiberRef: <A>(ref: FiberRef.FiberRef<A>) => A },
  service: object
): ReadonlyArray<HeldLease> => {
  const places = fiber.getFiberRef(enclosing)
  if (places.length === 0) return nobody
  return places.flatMap(({ lease }) => (lease?.isLive === true && lease.service === service ? lease : nobody))
}

/**
 * Puts what the fiber does from now on inside one more lease, until it leaves the place. To be called by the fiber itself.
 */
export const enter = (fiber: AnyFiber, lease: HeldLease): Place => {
  const place = new Place(lease, fiber)
  lease.place = place
  setFiberRef(fiber, enclosing, Array.of(...live(fiber.getFiberRef(enclosing)), place))
  return place
}

/**
 * The holder's part in the lease has ended, and its place is emptied. One who has handed it on to others leaves its place to
 * them: what was begun there stays inside the lease.
 */
export const leave = (lease: HeldLease, place: Place): void => {
  place.isLeft = true
  while (lease.place?.isLeft === true) {
    lease.place.lease = undefined
    lease.place = lease.place.former
  }
}

/** Runs an effect outside all leases. */
export const outside: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R> = Effect.locally(
  enclosing,
  none
)
