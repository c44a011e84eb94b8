/**
 * A plain connection to the server, to ask it what the store does not.
 */
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import { Redis } from "ioredis"
import type { Connection } from "../internal/options.ts"

/** The server, or the way there, did not do what was asked. The message shows no password. */
export class Trouble extends Data.TaggedError("Trouble")<{ readonly message: string }> {}

const messageOf = (error: unknown): string => {
  if (error instanceof AggregateError && error.errors.length > 0) return messageOf(error.errors[0])
  return error instanceof Error ? error.message : String(error)
}

export const ask = <A>(command: () => Promise<A>, patience: Duration.Duration): Effect.Effect<A, Trouble> =>
  Effect.tryPromise({ try: command, catch: (error) => new Trouble({ message: messageOf(error) }) }).pipe(
    Effect.timeoutFail({
      duration: patience,
      onTimeout: () => new Trouble({ message: `no answer within ${Duration.toMillis(patience)} ms` })
    })
  )

export const patience = (connection: Connection): Duration.Duration => connection.connectTimeout ?? Duration.seconds(5)

/** Connects once: what fails now is what the doctor is asked for. */
export const connect = (connection: Connection): Effect.Effect<Redis, Trouble, Scope.Scope> =>
  Effect.gen(function* () {
    let last: unknown
    const url = connection.url === undefined ? "redis://127.0.0.1:6379" : Redacted.value(connection.url)
    const client = yield* Effect.acquireRelease(
      Effect.sync(() =>
        new Redis(url, {
          connectionName: "hilok-doctor",
          lazyConnect: true,
          retryStrategy: () => null,
          maxRetriesPerRequest: 0
        }).on("error", (error) => {
          last = error
        })
      ),
      (client) => Effect.sync(() => client.disconnect())
    )
    // When the connection fails, the reason is in the error event.
    yield* ask(() => client.connect(), patience(connection)).pipe(
      Effect.mapError((trouble) => (last === undefined ? trouble : new Trouble({ message: messageOf(last) })))
    )
    return client
  })
