/**
 * Leases that scripts keep by their ids.
 */
import { HierarchicalLock, LockError } from "@hilok/core"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { Target } from "../Argv.ts"
import { type Asked, enclosing, patience } from "../internal/asking.ts"
import * as Exit from "../internal/exit.ts"
import type { Connection } from "../internal/options.ts"
import * as Output from "../internal/output.ts"
import { type Session, withSession } from "../internal/session.ts"

interface Common extends Connection {
  readonly json: boolean
}

export interface AcquireOptions extends Asked, Common {
  readonly targets: ReadonlyArray<Target>
  readonly ttl: Duration.Duration | undefined
  readonly label: string | undefined
  readonly conflictExitCode: number | undefined
}

export const acquire = (options: AcquireOptions): Effect.Effect<void, Exit.Stop> =>
  Effect.gen(function* () {
    const waits = yield* patience(options)
    // This process ends at once: the one that matters to people is the script that started it.
    const holder = { ttl: options.ttl, label: options.label ?? "hilok acquire", pid: process.ppid }
    const asked = Effect.gen(function* () {
      const within = yield* enclosing
      const lease = HierarchicalLock.acquire(options.targets, { ...waits, within, reason: options.reason })
      // Once it is there its id must be told: else nobody can release it.
      yield* Effect.uninterruptibleMask((restore) =>
        Effect.map(restore(lease), ({ id, targets, token }) =>
          Output.line(options.json ? JSON.stringify({ id, token, targets }) : id)
        )
      ).pipe(Effect.mapError((error) => Exit.fromLockError(error, options.conflictExitCode)))
    })
    yield* withSession(options, holder, asked)
  })

/** Does it for each of them, and fails in the end when one was lost. */
const each = <E>(
  options: Common & { readonly ids: ReadonlyArray<string> },
  ttl: Duration.Duration | undefined,
  done: string,
  keep: (id: string) => Effect.Effect<boolean, E, Session>
): Effect.Effect<void, E | Exit.Stop> =>
  withSession(
    options,
    { ttl },
    Effect.gen(function* () {
      const lost: Array<string> = []
      for (const id of options.ids) {
        const isLive = yield* keep(id)
        if (!isLive) lost.push(id)
        if (options.json) Output.line(JSON.stringify({ id, [done]: isLive }))
      }
      if (lost.length > 0) {
        return yield* Exit.stop(Exit.code.lost, `not live any more, expired, broken or released: ${lost.join(", ")}`)
      }
    })
  )

export const refresh = (
  options: Common & { readonly ids: ReadonlyArray<string>; readonly ttl: Duration.Duration | undefined }
): Effect.Effect<void, Exit.Stop> =>
  each(options, options.ttl, "refreshed", (id) =>
    HierarchicalLock.refresh(id).pipe(
      Effect.as(true),
      Effect.catchIf(
        (error) => error instanceof LockError.LockLost,
        () => Effect.succeed(false)
      ),
      Effect.mapError((error) => Exit.fromLockError(error))
    )
  )

export const release = (options: Common & { readonly ids: ReadonlyArray<string> }): Effect.Effect<void, Exit.Stop> =>
  each(options, undefined, "released", (id) =>
    Effect.mapError(HierarchicalLock.release(id), (error) => Exit.fromLockError(error))
  )
