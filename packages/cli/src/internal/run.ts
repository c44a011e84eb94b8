/**
 * `hilok run`: a command under a lock.
 */
import { basename } from "node:path"
import { HierarchicalLock, type Lease, LockDuration, type LockError, LockOptions, Target } from "@hilok/core"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as child from "./child.ts"
import type { RunInput } from "./commands.ts"
import * as durations from "./durations.ts"
import { exitCode, say, usage } from "./failure.ts"
import * as request from "./request.ts"
import * as server from "./server.ts"
import { telling } from "./waiting.ts"

const environment = (
  lease: Lease.Lease,
  within: ReadonlyArray<string>,
  targets: RunInput["targets"]
): NodeJS.ProcessEnv => ({
  ...process.env,
  HILOK_ID: lease.id,
  HILOK_TOKEN: String(lease.token),
  HILOK_PATHS: targets.map(({ path }) => path).join("\n"),
  HILOK_WITHIN: [...within, lease.id].join(",")
})

const milliseconds = (millis: number): string => `${millis < 10 ? millis.toFixed(1) : Math.round(millis)} ms`

/** For how long a lease lives on at least, whenever this process ends or is stopped (milliseconds). */
const rest = (options: RunInput["values"], service: LockOptions.Options): number => {
  const millis = (time: LockDuration.Input) =>
    Either.getOrThrow(Either.map(LockDuration.decode(time), Duration.toMillis))
  const ttl = Math.min(
    options.ttl ?? millis(service.ttl ?? LockOptions.defaults.ttl),
    options.maxHold ?? Number.POSITIVE_INFINITY
  )
  const interval =
    service.refreshInterval === undefined ? ttl / LockOptions.defaults.refreshesPerTtl : millis(service.refreshInterval)
  return Math.max(0, ttl - interval)
}

/** How the lock was lost, in words. */
const lossOf = (lost: LockError.LockLost, targets: RunInput["targets"]): string =>
  lost.maxHold === undefined
    ? lost.message
    : `The lock on ${Target.format(targets)} was held for longer than --max-hold (${durations.format(lost.maxHold)})`

/** Looks until it is known whether the lease is live. */
const look = (lease: Lease.Lease): Effect.Effect<void, LockError.LockLost> =>
  Effect.catchTag(lease.check, "StoreError", () => Effect.delay(look(lease), "100 millis"))

/** Answers with the exit code. */
export const run = ({ rest: line, targets, values: options }: RunInput) =>
  Effect.gen(function* () {
    const [command, ...args] = line ?? []
    if (command === undefined) {
      return yield* Effect.fail(usage("The command is missing: hilok run [options] PATH… -- command args…"))
    }
    yield* request.check(options, targets)
    const service = yield* server.lockOptions
    const start = yield* Clock.currentTimeMillis
    const underLock = Effect.gen(function* () {
      const locks = yield* HierarchicalLock.HierarchicalLock
      const label = options.label ?? service.label ?? basename(command)
      const more = { maxHold: options.maxHold, label, onLost: "signal" } as const
      const [waited, { lease, within }] = yield* Effect.timed(
        telling(options, (onWait) =>
          request.ask(options, start, (asked) =>
            Effect.map(locks.locks(targets, { ...asked, ...more, onWait }), (lease) => ({ lease, ...asked }))
          )
        )
      )
      if (options.verbose) {
        say(
          `granted ${Target.format(targets)} after ${milliseconds(Duration.toMillis(waited))}, ` +
            `token ${lease.token}, id ${lease.id}`
        )
      }
      const running = yield* Effect.sync(() =>
        child.start({
          command,
          args,
          env: environment(lease, within, targets),
          id: lease.id,
          // The rest of the lease is for those whose refresh came late, and for KILL.
          watch: options.noWatch ? undefined : Math.min(options.killAfter, rest(options, service) / 2),
          pause: rest(options, service)
        })
      )
      const guarded = Effect.forever(
        running.awoken.pipe(Effect.zipRight(look(lease)), Effect.zipRight(Effect.sync(() => running.resume())))
      )
      // From here on a signal is for the child, so nothing interrupts.
      const result = yield* Effect.raceFirst(
        Effect.either(running.ended),
        Effect.flip(Effect.raceFirst(lease.lost, guarded))
      )
      if (result._tag === "LockLost") {
        say(`${lossOf(result, targets)}; ending the command`)
        yield* running.end(options.killAfter)
        return exitCode.lost
      }
      const held = yield* Effect.catchAll(locks.release(lease), (error) => {
        say(`${error.message}; the lock ends with its ttl`)
        return Effect.succeed(true)
      })
      if (!held) {
        say(`The lock on ${Target.format(targets)} was lost before the command ended (lease ${lease.id})`)
        return exitCode.lost
      }
      return yield* result
    })
    return yield* underLock.pipe(
      Effect.scoped,
      Effect.provide(server.layer(options, { patience: request.patience(options) })),
      request.orConflict(options)
    )
  })
