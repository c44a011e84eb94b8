/**
 * `hilok acquire`, `refresh`, `release`: leases that a script keeps by their ids.
 */
import { HierarchicalLock } from "@hilok/core"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import { json } from "./clean.ts"
import type { AcquireInput, RefreshInput, ReleaseInput } from "./commands.ts"
import { exitCode, say } from "./failure.ts"
import * as ids from "./ids.ts"
import { print } from "./print.ts"
import * as request from "./request.ts"
import * as server from "./server.ts"
import { telling } from "./waiting.ts"

/** Prints the id of the lease, or all of it. */
export const acquire = ({ targets, values: options }: AcquireInput) =>
  Effect.gen(function* () {
    yield* request.check(options, targets)
    const since = yield* Clock.currentTimeMillis
    const asking = telling(options, (onWait) =>
      request.ask(options, since, (asked) => HierarchicalLock.acquire(targets, { ...asked, onWait }))
    )
    return yield* Effect.uninterruptibleMask((restore) =>
      Effect.gen(function* () {
        const lease = yield* restore(asking)
        const { id, token } = lease
        if (options.verbose) say(`granted, token ${token}, id ${id}`)
        yield* print([options.json ? json({ id, token, targets: lease.targets }) : id])
        return 0
      })
    ).pipe(
      // The lease is the script's, so it is the script's process that is named.
      Effect.provide(server.layer(options, { pid: process.ppid, patience: request.patience(options) })),
      request.orConflict(options)
    )
  })

export const refresh = ({ args, values: options }: RefreshInput) =>
  Effect.gen(function* () {
    const id = yield* ids.complete(args[0]!)
    const held = yield* HierarchicalLock.refresh(id, { ttl: options.ttl }).pipe(
      Effect.as(true),
      Effect.catchTag("LockLost", ({ message }) =>
        Effect.as(
          Effect.sync(() => say(message)),
          false
        )
      )
    )
    return yield* answer(options.json, id, held)
  }).pipe(Effect.provide(server.layer(options)))

export const release = ({ args, values: options }: ReleaseInput) =>
  Effect.gen(function* () {
    const id = yield* ids.complete(args[0]!)
    const held = yield* HierarchicalLock.release(id)
    if (!held) say(`The lease ${id} was not held any more`)
    return yield* answer(options.json, id, held)
  }).pipe(Effect.provide(server.layer(options)))

const answer = (asJson: boolean, id: string, held: boolean): Effect.Effect<number> =>
  Effect.as(asJson ? print([json({ id, held })]) : Effect.void, held ? 0 : exitCode.lost)
