/**
 * From the options of a command line to those of a request.
 */
import { LockStore } from "@hilok/core"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Exit from "./exit.ts"

export interface Asked {
  readonly nonblock: boolean
  readonly wait: Duration.Duration | undefined
  readonly reason: string | undefined
}

/** Whether to wait, and for how long. */
export const patience = (
  asked: Asked
): Effect.Effect<{ readonly block: boolean; readonly timeout: Duration.Duration | undefined }, Exit.Stop> => {
  const { nonblock, wait } = asked
  if (nonblock && wait !== undefined && Duration.toMillis(wait) > 0) {
    return Effect.fail(Exit.usage("--nonblock does not wait, so it cannot be combined with --wait"))
  }
  const block = !nonblock && (wait === undefined || Duration.toMillis(wait) > 0)
  return Effect.succeed({ block, timeout: block ? wait : undefined })
}

const idPattern = /^[\w.:-]{1,64}$/

/** Could it be the id of a lease? */
export const isId = (text: string): boolean => idPattern.test(text)

/**
 * The leases that enclose this process, by `HILOK_WITHIN`, as far as they are live in this store: one that is not must
 * not let us pass those who wait.
 */
export const enclosing: Effect.Effect<ReadonlyArray<string>, Exit.Stop, LockStore.LockStore> = Effect.gen(function* () {
  const store = yield* LockStore.LockStore
  const named = (process.env.HILOK_WITHIN ?? "").split(",").filter(isId)
  return yield* Effect.filter(named, (id) =>
    Effect.map(store.lookup(id), (entry) => Option.isSome(entry) && entry.value.state === "held")
  )
}).pipe(Effect.mapError((error) => Exit.fromLockError(error)))
