/**
 * The leases that enclose what a fiber does.
 *
 * They travel in a `FiberRef`: a child fiber starts with those of its parent, and what children add is merged into the
 * parent when they are joined, so that `Effect.all` over scoped locks leaves all of them in force. What has ended is
 * left out whenever the list is read, and dropped whenever it is changed.
 */
import * as Differ from "effect/Differ"
import * as Effect from "effect/Effect"
import * as FiberRef from "effect/FiberRef"
import { globalValue } from "effect/GlobalValue"
import type { AnyFiber } from "./context.ts"
import type { HeldLease } from "./heldLease.ts"

type Leases = ReadonlyArray<HeldLease>

interface Patch {
  readonly added: Leases
  readonly removed: Leases
}

const none: Leases = []

const without = (leases: Leases, others: Leases): Leases =>
  others.length === 0 ? leases : leases.filter((lease) => !others.includes(lease))

const live = (leases: Leases): Leases => (leases.length === 0 ? none : leases.filter(({ isLive }) => isLive))

const differ: Differ.Differ<Leases, Patch> = Differ.make<Leases, Patch>({
  empty: { added: none, removed: none },
  diff: (before, after) => ({ added: live(without(after, before)), removed: without(before, after) }),
  combine: (first, second) => ({
    added: [...without(first.added, second.removed), ...second.added],
    removed: [...first.removed, ...second.removed]
  }),
  patch: ({ added, removed }, leases) => live([...without(without(leases, removed), added), ...added])
})

const enclosing: FiberRef.FiberRef<Leases> = globalValue("@hilok/core/enclosing", () =>
  FiberRef.unsafeMakePatch(none, { differ, fork: differ.empty })
)

/** The live leases of this service that enclose what the fiber does, outermost first. */
export const current = (
  fiber: { readonly getFiberRef: <A>(ref: FiberRef.FiberRef<A>) => A },
  service: object
): Leases => {
  const leases = fiber.getFiberRef(enclosing)
  return leases.length === 0 ? none : leases.filter((lease) => lease.isLive && lease.service === service)
}

/** Puts what the fiber does from now on inside one more lease, until that ends. To be called by the fiber itself. */
export const enter = (fiber: AnyFiber, lease: HeldLease): void => {
  // The runtime has `setFiberRef`, though its type does not show it. `FiberRef.update` is the same in three steps.
  const { setFiberRef } = fiber as unknown as { readonly setFiberRef: (ref: typeof enclosing, value: Leases) => void }
  setFiberRef.call(fiber, enclosing, [...live(fiber.getFiberRef(enclosing)), lease])
}

/** Runs an effect outside all leases. */
export const outside: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R> = Effect.locally(
  enclosing,
  none
)
