/**
 * A settlement of delegations in several partitions: each gets what concerns it.
 */
import type { LockError, LockStore } from "@hilok/core"
import * as Effect from "effect/Effect"
import type { Places } from "./places.ts"
import * as routing from "./routing.ts"
import { partOf } from "./taking.ts"
import type { Whereabouts } from "./whereabouts.ts"

interface Context {
  readonly stores: ReadonlyArray<LockStore.LockStore["Type"]>
  readonly places: Places
  readonly count: number
  readonly whereabouts: Whereabouts
}

/** What one partition is told. `which`: the registrations of the whole that its own are parts of, by number. */
interface Portion {
  readonly registrations: Array<LockStore.Registration>
  readonly releases: Array<LockStore.Settlement["releases"][number]>
  readonly which: Array<number>
}

/**
 * A lease that is registered in one partition, and cannot be in another, as its delegation has ended there, is not registered: what was
 * done is undone.
 */
export const settlementOf = (
  { count, places, stores, whereabouts }: Context,
  { registrations, releases }: LockStore.Settlement
): Effect.Effect<ReadonlyArray<boolean>, LockError.StoreError> =>
  Effect.gen(function* () {
    const portions = new Map<number, Portion>()
    const portion = (at: number): Portion => {
      const known = portions.get(at) ?? { registrations: [], releases: [], which: [] }
      portions.set(at, known)
      return known
    }
    for (const [i, registration] of registrations.entries()) {
      const { request } = registration
      const parts = routing.split(request.targets, count)
      if (parts.length === 1) places.addSingle(request.id, parts[0].at)
      else places.add(request.id, parts, request.id)
      for (const part of parts) {
        const its = portion(part.at)
        its.registrations.push(
          parts.length === 1 ? registration : { ...registration, request: partOf(request, part, parts.length) }
        )
        its.which.push(i)
      }
    }
    for (const release of releases)
      for (const at of whereabouts.anywhere(release.id)) portion(at).releases.push(release)

    const known = registrations.map(() => true)
    yield* Effect.forEach(
      portions,
      ([at, { which, ...settlement }]) =>
        Effect.map(stores[at]!.delegations!.settle(settlement), (answers) => {
          for (const [j, answer] of answers.entries()) if (!answer) known[which[j]!] = false
        }),
      { concurrency: "unbounded", discard: true }
    )
    for (const { id } of releases) places.drop(id)
    yield* Effect.forEach(
      registrations.filter((_, i) => known[i] === false),
      ({ request: { id } }) => {
        const place = places.severalOf(id)
        places.drop(id)
        return Effect.forEach(place?.parts ?? [], ({ at }) => Effect.ignore(stores[at]!.release(id, id)))
      },
      { discard: true }
    )
    return known
  })
