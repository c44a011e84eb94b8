/**
 * Leases and waiting requests by their ids, which people shorten.
 */
import { HierarchicalLock, type LockEntry, type LockError, LockStore } from "@hilok/core"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { exitCode, Failure } from "./failure.ts"

const idPattern = /^[\w.:-]{1,64}$/
/** What `hilok` makes: it is looked for as it is. */
const wholePattern = /^[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}$/

/** How short an id is shown, and how short it may be given. */
const shown = 8
const least = 4

/** `undefined` when the store has no lease or request with exactly this id. */
export const lookup = (
  id: string
): Effect.Effect<LockEntry.LockEntry | undefined, LockError.StoreError, LockStore.LockStore> =>
  idPattern.test(id)
    ? Effect.flatMap(LockStore.LockStore, (store) => Effect.map(store.lookup(id), Option.getOrUndefined))
    : Effect.succeed(undefined)

type Found = Effect.Effect<
  LockEntry.LockEntry | undefined,
  Failure | LockError.InvalidPath | LockError.StoreError,
  HierarchicalLock.HierarchicalLock | LockStore.LockStore
>

/** The one whose id begins so; a failure when there are several. */
export const byPrefix = (start: string): Found =>
  start.length < least || !idPattern.test(start)
    ? Effect.succeed(undefined)
    : Effect.flatMap(HierarchicalLock.inspect(), (entries) => {
        const found = entries.filter(({ id }) => id.startsWith(start))
        if (found.length <= 1) return Effect.succeed(found[0])
        const ids = found.slice(0, 5).map(({ id }) => id)
        const more = found.length > ids.length ? ", …" : ""
        const message = `The id ${start} is not unique: ${ids.join(", ")}${more}`
        return Effect.fail(new Failure({ message, code: exitCode.negative }))
      })

/** By the id or by its first characters. */
export const find = (id: string): Found =>
  Effect.flatMap(lookup(id), (entry) =>
    entry !== undefined || wholePattern.test(id) ? Effect.succeed(entry) : byPrefix(id)
  )

/** The whole id: that of the one that is found, else what was given. */
export const complete = (
  id: string
): Effect.Effect<string, Effect.Effect.Error<Found>, Effect.Effect.Context<Found>> =>
  wholePattern.test(id) ? Effect.succeed(id) : Effect.map(find(id), (entry) => entry?.id ?? id)

/** Ids as short as they may be, so that no two of these are the same. */
export const shorten = (ids: Iterable<string>): ((id: string) => string) => {
  const sorted = Array.from(new Set(ids)).sort()
  let length = shown
  for (let i = 1; i < sorted.length; i++) {
    while (length < 64 && sorted[i]!.slice(0, length) === sorted[i - 1]!.slice(0, length)) length++
  }
  return (id) => id.slice(0, length)
}
