/**
 * What `run` and `acquire` ask for.
 */
import { LockError, LockOptions, type LockStore, type Target } from "@hilok/core"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { lookup } from "./lookup.ts"
import type { ServerOptions } from "./server.ts"

export interface RequestOptions {
  readonly server: ServerOptions
  readonly targets: ReadonlyArray<Target.Target>
  readonly nonblock: boolean
  readonly wait: Duration.Duration | undefined
  readonly ttl: Duration.Duration | undefined
  readonly reason: string | undefined
  readonly label: string | undefined
}

/**
 * The leases of the processes that this one was started by, from `HILOK_WITHIN`, which `hilok run` sets for its child.
 * Those that have ended, or are those of another server, are left out: who names a lease does not queue.
 */
const enclosing: Effect.Effect<
  ReadonlyArray<string>,
  LockError.StoreError | LockError.InvalidOptions,
  LockStore.LockStore
> = Effect.gen(function* () {
  const ids = Array.from(new Set((process.env.HILOK_WITHIN ?? "").split(",")))
  if (ids.length > LockOptions.mostWithin) {
    const reason = `it has ${ids.length} ids, but must have at most ${LockOptions.mostWithin}`
    return yield* new LockError.InvalidOptions({ option: "HILOK_WITHIN", reason })
  }
  const isHeld = (id: string) => Effect.map(lookup(id), (entry) => entry?.state === "held")
  return yield* Effect.filter(ids, isHeld, { concurrency: "unbounded" })
})

/** How long a server that does not answer is waited for: no longer than for the lock, when that has a limit. */
export const patience = ({ nonblock, wait }: RequestOptions): Duration.Duration =>
  nonblock || wait === undefined || Duration.toMillis(wait) === 0 ? Duration.infinity : wait

export const acquireOptions = (
  options: RequestOptions
): Effect.Effect<
  LockOptions.AcquireOptions & { readonly within: ReadonlyArray<string> },
  LockError.StoreError | LockError.InvalidOptions,
  LockStore.LockStore
> => {
  const waits = !options.nonblock && (options.wait === undefined || Duration.toMillis(options.wait) > 0)
  return Effect.map(enclosing, (within) => ({
    block: waits,
    timeout: waits ? options.wait : undefined,
    ttl: options.ttl,
    reason: options.reason,
    label: options.label,
    within
  }))
}
