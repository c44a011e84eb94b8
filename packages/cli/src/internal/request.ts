/**
 * What `run` and `acquire` ask for.
 */
import { LockError, LockOptions, type LockStore } from "@hilok/core"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import type { RequestOptions } from "./commands.ts"
import type { Target } from "./description.ts"
import { type Failure, say, usage } from "./failure.ts"
import { lookup } from "./ids.ts"
import * as paths from "./paths.ts"
import * as server from "./server.ts"

/**
 * The leases of the processes that this one was started by, from `HILOK_WITHIN`, which `hilok run` sets for its child.
 * Those that have ended, or are those of another server, are left out: whoever names a lease does not queue.
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

const isWaiting = ({ nonblock, wait }: RequestOptions): boolean => !nonblock && (wait === undefined || wait > 0)

/** How long the lock, and the server as well, is waited for (milliseconds), if that is limited. */
export const patience = (options: RequestOptions): number | undefined => (isWaiting(options) ? options.wait : undefined)

export interface Asked extends LockOptions.AcquireOptions {
  readonly within: ReadonlyArray<string>
}

/** Is it a server that may answer soon: one that is busy, loads its data, or fails over? */
const isPassing = (error: unknown): boolean =>
  error instanceof LockError.StoreError &&
  (error.kind === "busy" || error.kind === "connection" || error.kind === "timeout")

/**
 * Asks for the lock as the options say. `since`: when the wait began (epoch), which the connection is part of. While there is
 * time left, it asks again when the server cannot answer for now.
 */
export const ask = <A, E, R>(
  options: RequestOptions,
  since: number,
  acquire: (asked: Asked) => Effect.Effect<A, E, R>
): Effect.Effect<A, E | LockError.LockError, R | LockStore.LockStore> => {
  const limit = patience(options)
  const left = Effect.map(Clock.currentTimeMillis, (now) => (limit === undefined ? undefined : since + limit - now))
  const once = Effect.gen(function* () {
    const within = yield* enclosing
    const timeout = yield* left
    return yield* acquire({
      block: isWaiting(options),
      timeout: timeout && Math.max(timeout, 1),
      ttl: options.ttl,
      reason: options.reason,
      label: options.label,
      within
    })
  })
  return once.pipe(
    Effect.retry({
      while: (error) => Effect.map(left, (millis) => isPassing(error) && millis !== undefined && millis > 0),
      schedule: Schedule.spaced("200 millis")
    }),
    // Of the time that was given, only the rest was left for the lock itself.
    Effect.mapError((error) =>
      error instanceof LockError.LockTimeout && limit !== undefined
        ? new LockError.LockTimeout({ targets: error.targets, timeout: limit, blocker: error.blocker })
        : error
    )
  )
}

/** Fails, before anything is sent, when the options do not go together or a path is none. */
export const check = (
  { quiet, verbose }: RequestOptions,
  targets: ReadonlyArray<Target>
): Effect.Effect<void, Failure | Effect.Effect.Error<typeof server.separator>> =>
  quiet && verbose
    ? Effect.fail(usage("--quiet and --verbose exclude each other"))
    : Effect.flatMap(server.separator, (separator) =>
        Effect.forEach(targets, ({ path }) => paths.check(path, separator), { discard: true })
      )

type Refusal = LockError.WouldBlock | LockError.LockTimeout | LockError.Deadlock

const isRefusal = (error: unknown): error is Refusal =>
  error instanceof LockError.WouldBlock || error instanceof LockError.LockTimeout || error instanceof LockError.Deadlock

/** A request that was refused, as the lock is not free, ends with an exit code of the user's choice. */
export const orConflict =
  ({ conflictExitCode, quiet }: RequestOptions) =>
  <E, R>(effect: Effect.Effect<number, E | Refusal, R>): Effect.Effect<number, Exclude<E, Refusal>, R> =>
    Effect.catchAll(effect, (error) =>
      isRefusal(error)
        ? Effect.sync(() => {
            // A wait that would never have ended is nobody's expectation.
            if (!quiet || error instanceof LockError.Deadlock) say(error.message)
            return conflictExitCode
          })
        : Effect.fail(error as Exclude<E, Refusal>)
    )
