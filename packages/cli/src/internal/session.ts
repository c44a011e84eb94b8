/**
 * The connection of a command: the lock service over the store on Redis. What is imported here takes a while to load,
 * so the commands import this when they run.
 */
import { HierarchicalLock, type LockOptions, type LockStore } from "@hilok/core"
import { RedisStore } from "@hilok/redis"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { fromLockError, type Stop } from "./exit.ts"
import type { Connection } from "./options.ts"

/** A command to the server must not take so long that there is no time left for a second one within the ttl. */
const commandTimeout = (ttl: Duration.DurationInput | undefined): Duration.Duration =>
  ttl === undefined
    ? Duration.seconds(3)
    : Duration.clamp(Duration.times(ttl, 1 / 3), { minimum: Duration.millis(100), maximum: Duration.seconds(3) })

export const storeOptions = (connection: Connection, ttl?: Duration.DurationInput): RedisStore.Options => ({
  ...(connection.url === undefined ? {} : { url: connection.url }),
  ...(connection.namespace === undefined ? {} : { namespace: connection.namespace }),
  ...(connection.keyPrefix === undefined ? {} : { keyPrefix: connection.keyPrefix }),
  ...(connection.connectTimeout === undefined ? {} : { connectTimeout: connection.connectTimeout }),
  commandTimeout: commandTimeout(ttl)
})

export type Session = HierarchicalLock.HierarchicalLock | LockStore.LockStore

export const layer = (
  connection: Connection,
  options: Omit<LockOptions.Options, "separator" | "spans"> = {}
): Layer.Layer<Session, Stop> =>
  HierarchicalLock.layer({ ...options, separator: connection.separator, spans: false }).pipe(
    Layer.provideMerge(RedisStore.layer(storeOptions(connection, options.ttl))),
    Layer.mapError((error) => fromLockError(error))
  )

/** Runs a command with a connection of its own. */
export const withSession = <A, E, R>(
  connection: Connection,
  options: Omit<LockOptions.Options, "separator" | "spans">,
  effect: Effect.Effect<A, E, R>
): Effect.Effect<A, E | Stop, Exclude<R, Session>> => Effect.provide(effect, layer(connection, options))
