/**
 * The store on Redis (6.2 or newer) or Valkey: every decision is made by a script in the server, in the server's time.
 *
 * A store has two connections: one for commands, one that listens. What is asked for in the same moment goes out as
 * one command. Requests wait in the server's queue, and a release grants the next one in the same script.
 *
 * @since 0.1.0
 */
import { LockError, LockStore } from "@hilok/core"
import * as Config from "effect/Config"
import * as ConfigError from "effect/ConfigError"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import type { Redis, RedisOptions } from "ioredis"
import * as Client from "./internal/client.ts"
import * as Connection from "./internal/connection.ts"
import * as failure from "./internal/failure.ts"
import * as Keys from "./internal/keys.ts"
import * as Script from "./internal/script.ts"

/**
 * What every store on Redis may set.
 *
 * - `namespace`: the set of locks that clients share. Default `"default"`. Not empty, no braces, no control characters.
 * - `keyPrefix`: the first part of every key. Default `"hilok"`. The same rules.
 * - `connectTimeout`: how long to wait for a server that answers, when the store is built. Default 5 seconds.
 * - `commandTimeout`: how long a command may take. Default 3 seconds; keep it below the ttl of the locks. (Of more than
 *   1,024 requests at once, the rest go out as answers come, and if none come may take twice as long to fail.)
 *
 * @since 0.1.0
 * @category models
 */
export interface StoreOptions {
  readonly namespace?: string | undefined
  readonly keyPrefix?: string | undefined
  readonly connectTimeout?: Duration.DurationInput | undefined
  readonly commandTimeout?: Duration.DurationInput | undefined
}

/**
 * Where the server is: a `url` (`redis://user:password@host:port/db`, `rediss://…` for TLS, or the path of a unix
 * socket), options of ioredis (`redis`: Sentinel with `sentinels` and `name`, TLS, …), or both. Default
 * `redis://127.0.0.1:6379`. A `password` here goes before those.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options extends StoreOptions {
  readonly url?: string | Redacted.Redacted<string> | undefined
  readonly username?: string | undefined
  readonly password?: Redacted.Redacted<string> | undefined
  readonly redis?: RedisOptions | undefined
}

/**
 * The defaults of the options.
 *
 * @since 0.1.0
 * @category constants
 */
export const defaults = {
  namespace: "default",
  keyPrefix: "hilok",
  connectTimeout: "5 seconds",
  commandTimeout: "3 seconds"
} as const

type Failure = LockError.StoreError | LockError.InvalidOptions

const refuse = (option: string, reason: string) => new LockError.InvalidOptions({ option, reason })

const name = (option: string, value: string): Either.Either<string, LockError.InvalidOptions> =>
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  typeof value === "string" && /^[^{}\u0000-\u001f\u007f]{1,200}$/u.test(value)
    ? Either.right(value)
    : Either.left(
        refuse(
          option,
          `it is ${JSON.stringify(value)}, but must be 1 to 200 characters without { } and control characters`
        )
      )

const patience = (
  option: string,
  value: Duration.DurationInput
): Either.Either<Duration.Duration, LockError.InvalidOptions> =>
  Option.match(Duration.decodeUnknown(value), {
    onSome: (duration) =>
      Duration.toMillis(duration) > 0 && Duration.isFinite(duration)
        ? Either.right(duration)
        : Either.left(refuse(option, "it must be more than zero and finite")),
    onNone: () => Either.left(refuse(option, `it must be a duration such as "5 seconds" or a number of milliseconds`))
  })

const makeWith = (
  source: Connection.Source,
  options: StoreOptions
): Effect.Effect<LockStore.LockStore["Type"], Failure, Scope.Scope> =>
  Effect.gen(function* () {
    const namespace = yield* name("namespace", options.namespace ?? defaults.namespace)
    const keys = Keys.make(yield* name("keyPrefix", options.keyPrefix ?? defaults.keyPrefix), namespace)
    const connectTimeout = yield* patience("connectTimeout", options.connectTimeout ?? defaults.connectTimeout)
    const commandTimeout = yield* patience("commandTimeout", options.commandTimeout ?? defaults.commandTimeout)
    const connection = yield* Connection.open(source, connectTimeout)
    return yield* Client.make(connection, { namespace, keys, connectTimeout, commandTimeout })
  })

/**
 * Connects to a server, and closes the connections with the scope.
 *
 * Fails with `InvalidOptions` before it connects, and with `StoreError` when no server answers within `connectTimeout`,
 * when it refuses the password, is too old, or is a replica. Neither shows a password.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options?: Options): Effect.Effect<LockStore.LockStore["Type"], Failure, Scope.Scope> =>
  Effect.suspend(() => {
    const url = options?.url === undefined ? undefined : Connection.reveal(options.url)
    const problem = url === undefined ? undefined : Connection.urlProblem(url)
    if (problem !== undefined) return Effect.fail(refuse("url", problem))
    const { password, redis, username } = options ?? {}
    return makeWith(
      {
        _tag: "Own",
        url,
        options: {
          ...redis,
          ...(username === undefined ? {} : { username }),
          ...(password === undefined ? {} : { password: Connection.reveal(password) })
        }
      },
      options ?? {}
    )
  })

/**
 * The store as a layer. See `make`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options?: Options): Layer.Layer<LockStore.LockStore, Failure> =>
  Layer.scoped(LockStore.LockStore, make(options))

/**
 * The store on a client of the application, with whatever `keyPrefix` and `db` it has. The client is never closed here;
 * for listening, a second connection is made from it, which is.
 *
 * @since 0.1.0
 * @category layers
 */
export const fromClient = (client: Redis, options?: StoreOptions): Layer.Layer<LockStore.LockStore, Failure> =>
  Layer.scoped(LockStore.LockStore, makeWith({ _tag: "Foreign", client }, options ?? {}))

/**
 * How a server runs the store's scripts for this client: as a library of `functions` (Redis 7 and Valkey, if the user may load and
 * call them), or as one `script`, which takes the server longer and has the same answers. Loads the library if it is not there;
 * touches no key. Fails with `StoreError` when the client can run neither.
 *
 * @since 0.1.0
 * @category diagnostics
 */
export const loader = (client: Redis): Effect.Effect<"functions" | "script", LockError.StoreError> =>
  Effect.tryPromise({
    try: () => Script.loaderOf(client),
    catch: (error) => failure.fromError("find out how its scripts run", error)
  })

const variables = {
  url: "REDIS_URL",
  namespace: "HILOK_NAMESPACE",
  keyPrefix: "HILOK_KEY_PREFIX",
  connectTimeout: "HILOK_CONNECT_TIMEOUT",
  commandTimeout: "HILOK_COMMAND_TIMEOUT"
} as const

// An environment has only text: digits alone are milliseconds.
const duration = (variable: string, otherwise: Duration.DurationInput): Config.Config<Duration.Duration> =>
  Config.string(variable).pipe(
    Config.mapOrFail((value) =>
      Either.fromOption(Duration.decodeUnknown(/^\d+(\.\d+)?$/.test(value) ? Number(value) : value), () =>
        ConfigError.InvalidData(
          [variable],
          `it is ${JSON.stringify(value)}, but must be a duration such as "5 seconds" or a number of milliseconds`
        )
      )
    ),
    Config.withDefault(Duration.decode(otherwise))
  )

/**
 * The options from the environment: `REDIS_URL` (needed), `HILOK_NAMESPACE`, `HILOK_KEY_PREFIX`,
 * `HILOK_CONNECT_TIMEOUT`, `HILOK_COMMAND_TIMEOUT` (durations such as `5 seconds`, or milliseconds).
 *
 * @since 0.1.0
 * @category config
 */
export const config: Config.Config<Options> = Config.all({
  // `Config.redacted` would hide its message, too.
  url: Config.map(Config.string(variables.url), Redacted.make),
  namespace: Config.withDefault(Config.string(variables.namespace), defaults.namespace),
  keyPrefix: Config.withDefault(Config.string(variables.keyPrefix), defaults.keyPrefix),
  connectTimeout: duration(variables.connectTimeout, defaults.connectTimeout),
  commandTimeout: duration(variables.commandTimeout, defaults.commandTimeout)
})

/**
 * The store as a layer, with the options from the environment. A wrong value is a `ConfigError` that names the
 * variable. See `config`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerConfig: Layer.Layer<LockStore.LockStore, LockError.StoreError | ConfigError.ConfigError> =
  Layer.scoped(
    LockStore.LockStore,
    Effect.flatMap(config, (options) =>
      Effect.catchTag(make(options), "InvalidOptions", ({ option, reason }) =>
        Effect.fail(
          ConfigError.InvalidData([variables[option as keyof typeof variables]], `the value is not valid: ${reason}`)
        )
      )
    )
  )
