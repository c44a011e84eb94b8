/**
 * Leases and requests by their ids, or the beginnings of them, as `hilok ls` shows them.
 */
import { HierarchicalLock, type LockEntry, LockStore } from "@hilok/core"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { isId } from "../internal/asking.ts"
import * as Exit from "../internal/exit.ts"
import type { Session } from "../internal/session.ts"

const shortest = 4

/** The live entry that is meant; `None` when there is none. */
export const find = (id: string): Effect.Effect<Option.Option<LockEntry.LockEntry>, Exit.Stop, Session> =>
  Effect.gen(function* () {
    if (!isId(id)) return Option.none()
    const store = yield* LockStore.LockStore
    const exact = yield* store.lookup(id)
    if (id.length < shortest && Option.isNone(exact)) return Option.none()
    const entries = yield* HierarchicalLock.inspect()
    // As they are shown with the separator that was asked for.
    const local = entries.filter((entry) => (Option.isSome(exact) ? entry.id === id : entry.id.startsWith(id)))
    if (local.length > 1) {
      return yield* Exit.stop(Exit.code.failed, `${local.length} ids begin with ${id}: give more of it`)
    }
    return Option.orElse(Option.fromNullable(local[0]), () => exact)
  }).pipe(Effect.mapError((error) => (error._tag === "Stop" ? error : Exit.fromLockError(error))))
