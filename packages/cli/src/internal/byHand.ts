/**
 * `hilok acquire`, `refresh`, `release`: leases that a script keeps by their ids.
 */
import { HierarchicalLock, type LockError } from "@hilok/core"
import type * as ConfigError from "effect/ConfigError"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { exitCode, say } from "./failure.ts"
import { print } from "./output.ts"
import { acquireOptions, type RequestOptions } from "./request.ts"
import * as server from "./server.ts"

type Outcome = Effect.Effect<number, LockError.LockError | ConfigError.ConfigError>

/** Prints the id of the lease, or all of it. */
export const acquire = (options: RequestOptions & { readonly json: boolean }): Outcome =>
  Effect.uninterruptibleMask(
    (restore) =>
      Effect.gen(function* () {
        const { id, targets, token } = yield* restore(
          Effect.flatMap(acquireOptions(options), (asked) => HierarchicalLock.acquire(options.targets, asked))
        )
        yield* print([options.json ? JSON.stringify({ id, token, targets }) : id])
        return 0
      })
    // The lease is the script's, so it is the script's process that is named.
  ).pipe(Effect.provide(server.layer(options.server, process.ppid)))

export const refresh = (options: {
  readonly server: server.ServerOptions
  readonly ttl: Duration.Duration | undefined
  readonly json: boolean
  readonly id: string
}): Outcome =>
  HierarchicalLock.refresh(options.id, { ttl: options.ttl }).pipe(
    Effect.as(true),
    Effect.catchTag("LockLost", ({ message }) =>
      Effect.as(
        Effect.sync(() => say(message)),
        false
      )
    ),
    Effect.flatMap((held) => answer(options, held)),
    Effect.provide(server.layer(options.server))
  )

export const release = (options: {
  readonly server: server.ServerOptions
  readonly json: boolean
  readonly id: string
}): Outcome =>
  HierarchicalLock.release(options.id).pipe(
    Effect.tap((held) => Effect.sync(() => held || say(`The lease ${options.id} was not held any more`))),
    Effect.flatMap((held) => answer(options, held)),
    Effect.provide(server.layer(options.server))
  )

const answer = ({ id, json }: { readonly id: string; readonly json: boolean }, held: boolean): Effect.Effect<number> =>
  Effect.as(json ? print([JSON.stringify({ id, held })]) : Effect.void, held ? 0 : exitCode.lost)
