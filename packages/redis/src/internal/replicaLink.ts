/**
 * The connection on which a store waits for replicas: see replicas.ts.
 */
import type { LockError } from "@hilok/core"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Redis, RedisOptions } from "ioredis"
import type { Commands, Host } from "./commands.ts"
import * as Connection from "./connection.ts"
import * as failure from "./failure.ts"
import * as ioredis from "./ioredis.ts"
import { ask, persist } from "./serverCheck.ts"

/** How many replicas are to have a grant, and how long it may take (milliseconds). */
export interface Settings {
  readonly min: number
  readonly timeout: number
}

export interface Link {
  /** The scripts, on a connection that nobody else uses, to the server that has the locks. */
  readonly commands: Commands
  /** Waits for so many replicas, but only for so long (milliseconds), and answers how many have what was written before. */
  readonly wait: (min: number, limit: number) => Promise<number>
  /** Gives the connection up for a new one. */
  readonly renew: () => void
  /** The same for all connections of the store. */
  readonly leave: () => void
  readonly onClose: (handler: () => void) => void
}

export const waitingFor = "wait for replicas"

const options = {
  // WAIT may take longer than a command of the application's.
  commandTimeout: undefined,
  // A WAIT that is sent again on a new connection would hold up what is to be written there.
  autoResendUnfulfilledCommands: false
} as unknown as RedisOptions

/**
 * Opens the connection to the server that has the key, and closes it with the scope. Fails with `StoreError` when there is none within `patience`, and when the user
 * may not wait for replicas. Warns of a server that has too few of them.
 */
export const open = (
  { min, timeout }: Settings,
  connection: Connection.Connection,
  key: string,
  patience: Duration.Duration,
  host: Host,
  commandsOn: (client: Redis, renew: () => void) => Commands
): Effect.Effect<Link, LockError.StoreError, Scope.Scope> =>
  Effect.gen(function* () {
    const client = yield* Connection.openAnother(connection.client, key, options)
    let last: unknown
    ioredis.on(client, "error", (error: unknown) => {
      last = error
      host.fork(Effect.logDebug(failure.fromError(waitingFor, error).message))
    })
    const wait = (min: number, limit: number) => client.wait(min, limit)
    const limit = Math.min(timeout, Math.ceil(Duration.toMillis(patience) / 2))
    const counted = ask(() => wait(min, limit), waitingFor, patience)
    const count = yield* Effect.mapError(persist(counted, waitingFor, patience), (error) =>
      last !== undefined && error.kind === "timeout" ? failure.fromError(waitingFor, last) : error
    )
    if (count < min) {
      yield* Effect.logWarning(
        `The server has ${count === 1 ? "1 replica" : `${count} replicas`}, but replicas.min asks for ${min}: ` +
          "until it has as many, every request for a lock fails"
      )
    }
    const renew = () => Connection.reconnect(client)
    const leave = () => {
      renew()
      connection.renew("refused", key)
    }
    const onClose = (handler: () => void) => void ioredis.on(client, "close", handler)
    return { commands: commandsOn(client, renew), wait, renew, leave, onClose }
  })
