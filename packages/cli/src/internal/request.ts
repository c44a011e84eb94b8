/**
 * What `run` and `acquire` ask for.
 */
import { LockError, type LockOptions, type LockStore } from "@hilok/core"
import * as Effect from "effect/Effect"
import type { RequestOptions } from "./commands.ts"
import type { Target } from "./description.ts"
import { type Failure, say, usage } from "./failure.ts"
import { lookup } from "./ids.ts"
import * as paths from "./paths.ts"
import * as server from "./server.ts"

/**
 * The leases of the processes that this one was started by, from `HILOK_WITHIN`, which `hilok run` sets for its child.
 * Those that have ended, or are those of another server, are left out: who names a lease does not queue.
 */
const enclosing: Effect.Effect<ReadonlyArray<string>, LockError.StoreError, LockStore.LockStore> = Effect.suspend(() =>
  Effect.filter((process.env.HILOK_WITHIN ?? "").split(","), (id) =>
    Effect.map(lookup(id), (entry) => entry?.state === "held")
  )
)

const isWaiting = ({ nonblock, wait }: RequestOptions): boolean => !nonblock && (wait === undefined || wait > 0)

export const acquireOptions = (
  options: RequestOptions
): Effect.Effect<
  LockOptions.AcquireOptions & { readonly within: ReadonlyArray<string> },
  LockError.StoreError,
  LockStore.LockStore
> =>
  Effect.map(enclosing, (within) => ({
    block: isWaiting(options),
    timeout: isWaiting(options) ? options.wait : undefined,
    ttl: options.ttl,
    reason: options.reason,
    label: options.label,
    within
  }))

/** How long to wait for a server that is away: as long as for the lock, when that has a limit. */
export const patience = (options: RequestOptions): number => (isWaiting(options) ? (options.wait ?? 0) : 0)

/** Fails, before anything is sent, when the options do not go together or a path is none. */
export const check = (
  { quiet, verbose }: RequestOptions,
  targets: ReadonlyArray<Target>
): Effect.Effect<void, Effect.Effect.Error<typeof server.separator>> =>
  quiet && verbose
    ? Effect.fail(usage("--quiet and --verbose exclude each other"))
    : Effect.flatMap(server.separator, (separator) =>
        Effect.forEach(targets, ({ path }) => paths.check(path, separator), { discard: true })
      )

type Refusal = LockError.WouldBlock | LockError.LockTimeout | LockError.Deadlock

/** A request that was refused, as the lock is not free, ends with an exit code of the user's choice. */
export const orConflict =
  ({ conflictExitCode, quiet }: RequestOptions) =>
  <E, R>(effect: Effect.Effect<number, E | Refusal, R>): Effect.Effect<number, Exclude<E, Refusal> | Failure, R> =>
    Effect.catchIf(
      effect,
      (error): error is E & Refusal =>
        error instanceof LockError.WouldBlock ||
        error instanceof LockError.LockTimeout ||
        error instanceof LockError.Deadlock,
      (error) =>
        Effect.sync(() => {
          // A wait that would never have ended is nobody's expectation.
          if (!quiet || error instanceof LockError.Deadlock) say(error.message)
          return conflictExitCode
        })
    ) as Effect.Effect<number, Exclude<E, Refusal> | Failure, R>
