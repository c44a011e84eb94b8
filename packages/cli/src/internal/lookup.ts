/**
 * Leases and waiting requests by their ids.
 */
import { type LockEntry, type LockError, LockStore } from "@hilok/core"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"

const idPattern = /^[\w.:-]{1,64}$/

/** `undefined` when the store has no such lease or request. */
export const lookup = (
  id: string
): Effect.Effect<LockEntry.LockEntry | undefined, LockError.StoreError, LockStore.LockStore> =>
  idPattern.test(id)
    ? Effect.flatMap(LockStore.LockStore, (store) => Effect.map(store.lookup(id), Option.getOrUndefined))
    : Effect.succeed(undefined)
