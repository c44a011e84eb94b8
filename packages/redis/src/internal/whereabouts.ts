/**
 * In which partitions something with an id is, and what there is of it: as this client knows, else as all partitions say.
 */
import type { LockEntry, LockError, LockStore, Target } from "@hilok/core"
import type { NonEmptyReadonlyArray } from "effect/Array"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as merging from "./merging.ts"
import type { Place, Places } from "./places.ts"

type Store = LockStore.LockStore["Type"]
type Parts = ReadonlyArray<Place["parts"][number]>

const each = { concurrency: "unbounded" } as const

/**
 * Asks several partitions, and waits for all of them, also when one fails: what is asked of the others is not to be done when the caller
 * has been told already.
 */
export const inEach = <A>(
  ats: ReadonlyArray<number>,
  ask: (at: number) => Effect.Effect<A, LockError.StoreError>
): Effect.Effect<ReadonlyArray<A>, LockError.StoreError> =>
  // Most are in one.
  ats.length === 1
    ? Effect.map(ask(ats[0]!), (answer) => [answer])
    : Effect.flatMap(
        Effect.forEach(ats, (at) => Effect.either(ask(at)), each),
        Effect.all
      )

const isLease = ([first, ...others]: ReadonlyArray<merging.Found>): boolean =>
  first !== undefined &&
  others.length + 1 === merging.partsOf(first.entry) &&
  [first, ...others].every(({ entry }) => entry.state === "held")

export class Whereabouts {
  /** The targets of the requests that are being taken: not all partitions know of them yet. */
  readonly targets = new Map<string, ReadonlyArray<Target.Target>>()
  private readonly stores: ReadonlyArray<Store>
  private readonly places: Places
  private readonly everywhere: ReadonlyArray<number>
  private readonly giveBack: (ats: ReadonlyArray<number>, id: string, owner: string) => void

  /** `giveBack` releases a lease in some partitions, in the background. */
  constructor(stores: ReadonlyArray<Store>, places: Places, giveBack: Whereabouts["giveBack"]) {
    this.stores = stores
    this.places = places
    this.everywhere = Array.from(stores.keys())
    this.giveBack = giveBack
  }

  /** Where it may be, lease or request: as this client knows, else anywhere. */
  anywhere(id: string): ReadonlyArray<number> {
    const single = this.places.singleOf(id)
    if (single !== undefined) return [single]
    return this.places.severalOf(id)?.parts.map(({ at }) => at) ?? this.everywhere
  }

  /** What of a lease lies where. Nothing when there is no such lease: it is not live, waits, or is being taken. */
  partsOf(id: string): Effect.Effect<Parts, LockError.StoreError> {
    return Effect.suspend((): Effect.Effect<Parts, LockError.StoreError> => {
      const single = this.places.singleOf(id)
      if (single !== undefined) return Effect.succeed([{ at: single, numbers: [] }])
      const place = this.places.severalOf(id)
      if (place !== undefined) return Effect.succeed(place.onLoss === undefined ? place.parts : [])
      return Effect.map(this.find(this.everywhere, id), (found) =>
        isLease(found) ? found.map(({ at, entry }) => ({ at, numbers: entry.share?.slice(1) ?? [] })) : []
      )
    })
  }

  /**
   * Does something to a lease in each partition that it lies in. Where one of them does not have it (any more), or has it for another
   * owner, the answer is empty: it is lost as a whole, and what its owner has of it yet is given back.
   */
  onLease<A>(
    id: string,
    owner: string | undefined,
    act: (store: Store) => Effect.Effect<Option.Option<A>, LockError.StoreError>
  ): Effect.Effect<ReadonlyArray<A>, LockError.StoreError> {
    const { places, stores } = this
    return Effect.flatMap(this.partsOf(id), (parts) =>
      Effect.map(
        inEach(
          parts.map(({ at }) => at),
          (at) => act(stores[at]!)
        ),
        (answers) => {
          const done = answers.flatMap(Option.toArray)
          if (done.length === parts.length) {
            // Its owner asks again.
            if (owner !== undefined && parts.length === 1) places.addSingle(id, parts[0]!.at)
            return done
          }
          const its = owner ?? places.severalOf(id)?.owner
          places.drop(id)
          const rest = parts.flatMap(({ at }, i) => (Option.isSome(answers[i]!) ? [at] : []))
          if (its !== undefined) this.giveBack(rest, id, its)
          return []
        }
      )
    )
  }

  // -- What there is to see

  private find(
    ats: ReadonlyArray<number>,
    id: string
  ): Effect.Effect<ReadonlyArray<merging.Found>, LockError.StoreError> {
    const one = (at: number) =>
      Effect.map(this.stores[at]!.lookup(id), (entry) => (Option.isSome(entry) ? [{ at, entry: entry.value }] : []))
    return Effect.map(inEach(ats, one), (found) => found.flat())
  }

  private merge(found: NonEmptyReadonlyArray<merging.Found>): LockEntry.LockEntry {
    return merging.merge(found, this.targets.get(found[0].entry.id))
  }

  lookup(id: string): Effect.Effect<Option.Option<LockEntry.LockEntry>, LockError.StoreError> {
    const found = Effect.suspend(() => this.find(this.anywhere(id), id))
    return Effect.map(found, ([first, ...more]) => {
      if (first === undefined) return Option.none()
      const entry = this.merge([first, ...more])
      // One that was held, and has lost a part, is over.
      const place = this.places.severalOf(id)
      const isOver = place !== undefined && place.onLoss === undefined && entry.state === "waiting"
      return isOver ? Option.none() : Option.some(entry)
    })
  }

  /** One entry of what some partitions have shown, and of what others have of it. */
  complete(found: NonEmptyReadonlyArray<merging.Found>): Effect.Effect<LockEntry.LockEntry, LockError.StoreError> {
    const [{ entry }] = found
    if (merging.partsOf(entry) <= found.length) return Effect.succeed(this.merge(found))
    const seen = new Set(found.map(({ at }) => at))
    const others = this.anywhere(entry.id).filter((at) => !seen.has(at))
    return Effect.map(this.find(others, entry.id), (more) => this.merge([...found, ...more]))
  }

  /** The same for what is not known to be shown by a certain partition. */
  completeOne(entry: merging.Shown): Effect.Effect<LockEntry.LockEntry, LockError.StoreError> {
    if (merging.partsOf(entry) === 1) return Effect.succeed(entry)
    return Effect.map(this.find(this.anywhere(entry.id), entry.id), ([first, ...more]) =>
      // It has gone meanwhile.
      first === undefined ? merging.merge([{ at: 0, entry }]) : this.merge([first, ...more])
    )
  }
}
