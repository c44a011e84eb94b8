/**
 * The locks of the server that the options and the environment name.
 */
import { HierarchicalLock, type LockError, LockOptions, type LockStore } from "@hilok/core"
import { RedisStore } from "@hilok/redis"
import * as Config from "effect/Config"
import type * as ConfigError from "effect/ConfigError"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as durations from "./durations.ts"

/** What the command line says; the environment has the rest. */
export interface ServerOptions {
  readonly url: Option.Option<string>
  readonly namespace: Option.Option<string>
  readonly keyPrefix: Option.Option<string>
}

/** Variables whose values are lengths of time, which may be written as they are in options. */
const times = ["TTL", "REFRESH_INTERVAL", "MAX_HOLD", "CONNECT_TIMEOUT", "COMMAND_TIMEOUT"].map(
  (name) => `HILOK_${name}`
)

/** The environment as the library reads it. Empty variables are as good as none. */
const environment = Effect.sync(() =>
  ConfigProvider.fromMap(
    new Map(
      Object.entries(process.env).flatMap(([name, value]) => {
        if (!value) return []
        const time = times.includes(name) ? durations.parse(value) : Either.left("")
        return [[name, Either.isRight(time) ? `${Duration.toMillis(time.right)} millis` : value] as const]
      })
    ),
    { pathDelim: "/" }
  )
)

const inEnvironment = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.flatMap(environment, (provider) => Effect.withConfigProvider(effect, provider))

const setting = (given: Option.Option<string>, variable: string) =>
  Option.match(given, {
    onNone: () => Effect.map(Config.option(Config.string(variable)), Option.getOrUndefined),
    onSome: Effect.succeed
  })

const time = (variable: string) => Effect.map(Config.option(Config.duration(variable)), Option.getOrUndefined)

/** Where the server is and which locks are meant. */
export const settings = (options: ServerOptions) =>
  inEnvironment(
    Effect.all({
      url: Effect.map(setting(options.url, "REDIS_URL"), (url) => url ?? "redis://127.0.0.1:6379"),
      namespace: setting(options.namespace, "HILOK_NAMESPACE"),
      keyPrefix: setting(options.keyPrefix, "HILOK_KEY_PREFIX"),
      connectTimeout: time("HILOK_CONNECT_TIMEOUT"),
      commandTimeout: time("HILOK_COMMAND_TIMEOUT")
    })
  )

/** How often a connection that is refused is tried again: a second, all in all. */
const retries = 5

/**
 * The store. A server that is not there is noticed soon, unlike one that does not answer; one that was there is looked
 * for until the lease's deadline.
 */
const store = (options: ServerOptions, patience: Duration.Duration) =>
  Layer.unwrapEffect(
    Effect.map(settings(options), (found) => {
      const connectTimeout = Duration.min(found.connectTimeout ?? RedisStore.defaults.connectTimeout, patience)
      let connected = false
      const retryStrategy = (times: number) => (connected || times <= retries ? Math.min(times * 50, 1000) : null)
      return Layer.tap(RedisStore.layer({ ...found, connectTimeout, redis: { retryStrategy } }), () =>
        Effect.sync(() => {
          connected = true
        })
      )
    })
  )

/** Fails when the options are wrong, before anything is connected. */
export const validate = (
  options: ServerOptions
): Effect.Effect<void, LockError.InvalidOptions | ConfigError.ConfigError> =>
  Effect.flatMap(settings(options), RedisStore.validate)

/**
 * The service and its store. The time limits, the separator and the label may come from the environment. `pid`: the
 * process that is named as the holder, if it is not this one. `patience`: how long a server that does not answer is waited for
 * at most.
 */
export const layer = (
  options: ServerOptions,
  pid?: number,
  patience: Duration.Duration = Duration.infinity
): Layer.Layer<
  HierarchicalLock.HierarchicalLock | LockStore.LockStore,
  LockError.StoreError | LockError.InvalidOptions | ConfigError.ConfigError
> =>
  Layer.provideMerge(
    Layer.unwrapEffect(
      Effect.map(inEnvironment(LockOptions.config), (found) => HierarchicalLock.layer({ ...found, pid }))
    ),
    store(options, patience)
  )

/** What stands between the segments of a path. */
export const separator = Effect.map(
  inEnvironment(LockOptions.config),
  (options) => options.separator ?? LockOptions.defaults.separator
)
