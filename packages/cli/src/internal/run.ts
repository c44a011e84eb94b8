/**
 * `hilok run`: a command under a lock.
 */
import { basename } from "node:path"
import { HierarchicalLock, type LockError, type LockPath, Target } from "@hilok/core"
import * as Clock from "effect/Clock"
import type * as ConfigError from "effect/ConfigError"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as child from "./child.ts"
import { exitCode, type Failure, say } from "./failure.ts"
import { acquireOptions, patience, type RequestOptions } from "./request.ts"
import * as server from "./server.ts"

export interface RunOptions extends RequestOptions {
  readonly maxHold: Duration.Duration | undefined
  readonly killAfter: Duration.Duration
  readonly verbose: boolean
  readonly command: string
  readonly args: ReadonlyArray<string>
}

/** The path as it is written, so that it can be given to a command again. */
const written = (path: LockPath.Input): string => (typeof path === "string" ? path : path.join("/"))

const environment = (
  lease: { readonly id: string; readonly token: number },
  within: ReadonlyArray<string>,
  options: RunOptions
) => ({
  ...process.env,
  HILOK_ID: lease.id,
  HILOK_TOKEN: String(lease.token),
  HILOK_PATHS: options.targets.map(({ path }) => written(path)).join("\n"),
  HILOK_WITHIN: [...within, lease.id].join(",")
})

const milliseconds = (millis: number): string => `${millis < 10 ? millis.toFixed(1) : Math.round(millis)} ms`

const lossMessage = (lost: LockError.LockLost, held: number, { maxHold, targets }: RunOptions): string =>
  // The last refresh may have ended it a little earlier.
  lost.reason !== "broken" && maxHold !== undefined && held + 100 > Duration.toMillis(maxHold)
    ? `The lock on ${Target.format(targets)} was held for longer than --max-hold`
    : lost.message

/** Answers with the exit code. */
export const run = (
  options: RunOptions
): Effect.Effect<number, Failure | LockError.LockError | ConfigError.ConfigError> =>
  Effect.gen(function* () {
    const locks = yield* HierarchicalLock.HierarchicalLock
    const asked = yield* acquireOptions(options)
    const [waited, lease] = yield* Effect.timed(
      locks.locks(options.targets, {
        ...asked,
        maxHold: options.maxHold,
        label: options.label ?? (process.env.HILOK_LABEL || basename(options.command)),
        onLost: "signal"
      })
    )
    if (options.verbose) {
      say(
        `granted ${Target.format(options.targets)} after ${milliseconds(Duration.toMillis(waited))}, ` +
          `token ${lease.token}, id ${lease.id}`
      )
    }
    const since = yield* Clock.currentTimeMillis
    const running = yield* Effect.sync(() =>
      child.start(options.command, options.args, environment(lease, asked.within, options))
    )
    // From here on a signal is for the child, so nothing interrupts.
    const result = yield* Effect.raceFirst(Effect.either(running.ended), Effect.flip(lease.lost))
    if (result._tag === "LockLost") {
      const held = (yield* Clock.currentTimeMillis) - since
      say(`${lossMessage(result, held, options)}; ending the command`)
      yield* running.end(options.killAfter)
      return exitCode.lost
    }
    const held = yield* Effect.catchAll(locks.release(lease), (error) => {
      say(`${error.message}; the lock ends with its ttl`)
      return Effect.succeed(true)
    })
    if (!held) {
      say(`The lock on ${Target.format(options.targets)} was lost before the command ended (lease ${lease.id})`)
      return exitCode.lost
    }
    return yield* result
  }).pipe(Effect.scoped, Effect.provide(server.layer(options.server, undefined, patience(options))))
