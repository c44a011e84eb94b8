/**
 * Runs a child while a lock is held.
 */
import { basename } from "node:path"
import { HierarchicalLock, type Lease, Target } from "@hilok/core"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Scope from "effect/Scope"
import type { Target as Named } from "../Argv.ts"
import { type Asked, enclosing, patience } from "../internal/asking.ts"
import * as Exit from "../internal/exit.ts"
import type { Connection } from "../internal/options.ts"
import * as Output from "../internal/output.ts"
import { withSession } from "../internal/session.ts"
import type { Signals } from "../internal/signals.ts"
import * as time from "../internal/time.ts"
import * as Child from "./child.ts"

export interface Options extends Asked, Connection {
  readonly targets: ReadonlyArray<Named>
  readonly command: string
  readonly args: ReadonlyArray<string>
  readonly ttl: Duration.Duration | undefined
  readonly maxHold: Duration.Duration | undefined
  readonly killAfter: Duration.Duration | undefined
  readonly conflictExitCode: number | undefined
  readonly label: string | undefined
  readonly verbose: boolean
}

const environment = (lease: Lease.Lease, { targets }: Options, within: ReadonlyArray<string>) => ({
  HILOK_ID: lease.id,
  HILOK_TOKEN: String(lease.token),
  HILOK_PATHS: targets.map(({ path }) => path).join("\n"),
  HILOK_WITHIN: [...within, lease.id].join(",")
})

export const runLocked = (options: Options): Effect.Effect<void, Exit.Stop, Signals> =>
  // The child takes the signals over until all is released: how we end is settled by then.
  Effect.scopedWith((scope) =>
    Effect.gen(function* () {
      const waits = yield* patience(options)
      const label = options.label ?? basename(options.command)
      const locked = Effect.gen(function* () {
        const within = yield* enclosing
        const started = yield* Clock.currentTimeMillis
        const say = (text: string) => Effect.sync(() => (options.verbose ? Output.note(text) : undefined))
        const wanted = Target.format(options.targets)
        yield* say(`asking for ${wanted}`)
        const work = (lease: Lease.Lease) =>
          Effect.gen(function* () {
            const waited = (yield* Clock.currentTimeMillis) - started
            yield* say(`got ${wanted} after ${time.short(waited)}, token ${lease.token}, id ${lease.id}`)
            const { args, command } = options
            const killAfter = options.killAfter ?? Duration.seconds(5)
            const child = Child.run({ command, args, killAfter, environment: environment(lease, options, within) })
            return yield* Scope.extend(child, scope)
          })
        return yield* HierarchicalLock.withLocks(work, options.targets, {
          ...waits,
          within,
          reason: options.reason,
          maxHold: options.maxHold
        }).pipe(Effect.mapError((error) => asStop(error, options)))
      })
      const code = yield* withSession(options, { ttl: options.ttl, label }, locked)
      if (code !== 0) return yield* Exit.stop(code)
    })
  )

const asStop = (error: Parameters<typeof Exit.fromLockError>[0], { conflictExitCode }: Options): Exit.Stop =>
  Exit.fromLockError(error, conflictExitCode)
