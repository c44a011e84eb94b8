/**
 * The store on Redis (6.2 or newer) or Valkey: every decision is made by a script in the server, in the server's time.
 *
 * A store has two connections: one for commands, and one that listens; with `replicas`, a third. Requests made at the same moment
 * go out as one command. Requests wait in the server's queue, and a release grants the next one in the same script.
 *
 * @since 0.1.0
 */
import { LockDuration, LockError, LockOptions, LockStore } from "@hilok/core"
import * as Config from "effect/Config"
import * as ConfigError from "effect/ConfigError"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import type { Cluster, ClusterOptions, Redis, RedisOptions } from "ioredis"
import * as Client from "./internal/client.ts"
import * as Connection from "./internal/connection.ts"
import * as Keys from "./internal/keys.ts"
import * as Partitions from "./internal/partitions.ts"
import * as routing from "./internal/routing.ts"
import * as Source from "./internal/source.ts"

/**
 * What every store on Redis may set.
 *
 * - `namespace`: names the set of locks that clients share. Default: `"default"`. 1 to 200 characters, no braces, no control
 *   characters.
 * - `keyPrefix`: the first part of every key. Default: `"hilok"`. The same rules.
 * - `connectTimeout`: how long to wait for an answer of the server when the store is built. Default: 5 seconds.
 * - `commandTimeout`: how long a command may take. Default: 3 seconds; keep it below the ttl of the locks. (At most 1,024
 *   requests are on their way at once. The others follow as answers arrive; without answers they may take twice as long to fail.)
 * - `lazyListening`: open the listening connection in the background, a moment after the store was built, and send no
 *   script before one is needed: for a program that takes one lock and ends. If only that connection fails, this is
 *   logged, and tried again. Default: `false`.
 * - `replicas`: report a grant only when replicas of the server have it. Off by default. See `Replicas`.
 * - `partitions`: the number of hash tags over which the namespace is spread, so that the servers of a cluster share its load: 1 to 64,
 *   default 1. All clients of a namespace must have the same number; a client with another one is refused with `InvalidOptions`.
 *   The first segment of a path decides in which partition it lies; a subtree that begins at the root takes all of them, one after the
 *   other. docs/guarantees.md says what does not hold across partitions, such as one order for all. No use on a single server.
 *
 * @since 0.1.0
 * @category models
 */
export interface StoreOptions {
  readonly namespace?: string | undefined
  readonly keyPrefix?: string | undefined
  readonly connectTimeout?: LockDuration.Input | undefined
  readonly commandTimeout?: LockDuration.Input | undefined
  readonly lazyListening?: boolean | undefined
  readonly replicas?: Replicas | undefined
  readonly partitions?: number | undefined
}

/**
 * How many replicas must have a grant before it is reported, so that it survives when one of them takes over. The store waits for them
 * on a third connection (`WAIT`, which the user must be allowed to run); with `partitions`, on one for each partition. If
 * too few replicas have the grant in time, the lease is given back, and the request fails with `StoreError`.
 *
 * - `min`: how many, a whole number from 1 to 10.
 * - `timeout`: how long they may take. Default: 1 second. More than zero, and finite; keep it below the ttl of the locks.
 *
 * @since 0.2.0
 * @category models
 */
export interface Replicas {
  readonly min: number
  readonly timeout?: LockDuration.Input | undefined
}

/**
 * A node of a Redis Cluster: `"host:port"` (such as `"[::1]:7000"`), a URL as in `url`, or an object.
 *
 * @since 0.2.0
 * @category models
 */
export type ClusterNode =
  | string
  | Redacted.Redacted<string>
  | { readonly host: string; readonly port?: number | undefined }

/**
 * Where the server is: a `url`, options of ioredis (`redis`: Sentinel with `sentinels` and `name`, TLS, …), or both. Default:
 * `redis://127.0.0.1:6379`. The URL takes precedence over `redis`, and `username` and `password` here over both. Or a
 * `cluster`, without the other two.
 *
 * - `url`: `redis://user:password@host:port/db`, `rediss://…` for TLS, or a unix socket: its path, or
 *   `unix://user:password@/path?db=0`. After a `?` there may be `db`, `username`, `password`, `family`, `connectionName` and
 *   `keyPrefix`. In a user or password, all characters but letters and digits are written as `%xx`.
 * - `redis`: `failoverDetector` is on unless it is set here. `lazyConnect`, `maxRetriesPerRequest`, `enableReadyCheck`,
 *   `disconnectTimeout`, and options that change answers (`stringNumbers`, `replyMapping`) have no effect.
 * - `cluster`: some of the `nodes` of a Redis Cluster, through which the others are found, and `options` of ioredis for it (`natMap`,
 *   `dnsLookup`, …; in `redisOptions` what each connection needs, such as `tls`). A user, a password and `rediss://` in the URL of one
 *   node apply to all. `enableReadyCheck`, `enableOfflineQueue` and `scaleReads` have no effect, and in `redisOptions` those that have
 *   none in `redis`. A namespace lies in one slot, so on one primary, unless it has `partitions`. There is only database 0.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options extends StoreOptions {
  readonly url?: string | Redacted.Redacted<string> | undefined
  readonly username?: string | undefined
  readonly password?: Redacted.Redacted<string> | undefined
  readonly redis?: RedisOptions | undefined
  readonly cluster?:
    | { readonly nodes: ReadonlyArray<ClusterNode>; readonly options?: ClusterOptions | undefined }
    | undefined
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
  commandTimeout: "3 seconds",
  replicasTimeout: "1 second",
  partitions: 1
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
          `it is ${JSON.stringify(value)}, but must be 1 to 200 characters, none of them {, } or a control character`
        )
      )

const number = (option: string, value: number, least: number, most: number) =>
  Number.isInteger(value) && value >= least && value <= most
    ? Either.right(value)
    : Either.left(
        refuse(
          option,
          `it is ${typeof value === "number" ? String(value) : JSON.stringify(value)}, but must be a whole number from ${least} to ${most}`
        )
      )

/** More than zero, and finite. */
const limits = { zero: false, infinite: false } as const

const patience = (
  option: string,
  value: LockDuration.Input
): Either.Either<Duration.Duration, LockError.InvalidOptions> =>
  Either.mapLeft(LockDuration.decode(value, limits), (problem) => refuse(option, problem))

const storeNames: Readonly<Record<keyof StoreOptions, true>> = {
  namespace: true,
  keyPrefix: true,
  connectTimeout: true,
  commandTimeout: true,
  lazyListening: true,
  replicas: true,
  partitions: true
}

const names: Readonly<Record<keyof Options, true>> = {
  url: true,
  username: true,
  password: true,
  redis: true,
  cluster: true,
  ...storeNames
}

const mostReplicas = 10

const checkReplicas = (
  options: Replicas | undefined
): Either.Either<Client.Settings["replicas"], LockError.InvalidOptions> =>
  Either.gen(function* () {
    if (options === undefined) return undefined
    yield* Either.mapLeft(LockOptions.checkNames(options, { min: true, timeout: true }), ({ option, reason }) =>
      refuse(option === "options" ? "replicas" : `replicas.${option}`, reason)
    )
    const min = yield* number("replicas.min", options.min, 1, mostReplicas)
    const limit = yield* patience("replicas.timeout", options.timeout ?? defaults.replicasTimeout)
    return { min, timeout: Math.ceil(Duration.toMillis(limit)) }
  })

interface Checked {
  readonly settings: Client.Settings
  /** The keys of each, where there are several. */
  readonly partitions: ReadonlyArray<Keys.Keys>
}

const check = (
  options: StoreOptions,
  allowed: Readonly<Record<string, true>>
): Either.Either<Checked, LockError.InvalidOptions> =>
  Either.gen(function* () {
    yield* LockOptions.checkNames(options, allowed)
    const namespace = yield* name("namespace", options.namespace ?? defaults.namespace)
    const prefix = yield* name("keyPrefix", options.keyPrefix ?? defaults.keyPrefix)
    const keys = Keys.make(prefix, namespace)
    const connectTimeout = yield* patience("connectTimeout", options.connectTimeout ?? defaults.connectTimeout)
    const commandTimeout = yield* patience("commandTimeout", options.commandTimeout ?? defaults.commandTimeout)
    const lazyListening = options.lazyListening ?? false
    const replicas = yield* checkReplicas(options.replicas)

    const count = yield* number("partitions", options.partitions ?? defaults.partitions, 1, routing.most)
    const partitions = Array.from({ length: count }, (_, at) => Keys.makePartition(prefix, namespace, at, count))
    return { settings: { namespace, keys, connectTimeout, commandTimeout, lazyListening, replicas }, partitions }
  })

const makeWith = (
  source: Either.Either<Connection.Source, LockError.InvalidOptions>,
  options: StoreOptions,
  allowed: Readonly<Record<string, true>>
): Effect.Effect<LockStore.LockStore["Type"], Failure, Scope.Scope> =>
  Effect.gen(function* () {
    const { partitions, settings } = yield* check(options, allowed)
    const where = yield* source
    const connection = yield* Connection.open(where, settings.connectTimeout, settings.keys.keys[0])
    return yield* partitions.length === 1
      ? Client.make(connection, settings)
      : Partitions.make(connection, settings, partitions)
  })

/**
 * Checks options as far as is possible without a server.
 *
 * @since 0.1.0
 * @category constructors
 */
export const validate = (options?: Options): Effect.Effect<void, LockError.InvalidOptions> =>
  Effect.gen(function* () {
    yield* check(options ?? {}, names)
    yield* Connection.validate(yield* Source.make(options ?? {}))
  })

/**
 * Connects to a server or a Cluster, and closes the connections with the scope.
 *
 * Fails with `InvalidOptions` if an option is wrong, in most cases before it connects, or if the server does not have the
 * database. Fails with `StoreError` if no server answers within `connectTimeout`, or the server is still loading or busy with a
 * script by then; if it refuses the user, the password or a command, is too old, is a replica, or, without `cluster`, a node of a
 * Cluster that has other primaries, too. Neither error shows a password.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options?: Options): Effect.Effect<LockStore.LockStore["Type"], Failure, Scope.Scope> =>
  Effect.suspend(() => makeWith(Source.make(options ?? {}), options ?? {}, names))

/**
 * The store as a layer. See `make`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options?: Options): Layer.Layer<LockStore.LockStore, Failure> =>
  Layer.scoped(LockStore.LockStore, make(options))

/**
 * The store on a client of the application, a `Redis` or a `Cluster`, with the `keyPrefix` and `db` that it has. The client is never
 * closed here. The store makes a second connection from it, which listens, and with `replicas` a third; these are closed with the layer.
 *
 * When the server says that it is a replica or still loads its data, and the client has a `retryStrategy`, the client is told to
 * reconnect, because another server may be behind the same address by now. With Sentinel, set `failoverDetector` to true; if it is
 * not, there is a warning. A client that changes the answers of scripts (`stringNumbers`, transformers of replies) is
 * refused with `InvalidOptions`.
 *
 * @since 0.2.0
 * @category layers
 */
export const layerClient = (
  client: Redis | Cluster,
  options?: StoreOptions
): Layer.Layer<LockStore.LockStore, Failure> =>
  Layer.scoped(LockStore.LockStore, makeWith(Either.right({ _tag: "Foreign", client }), options ?? {}, storeNames))

const variables = {
  url: "REDIS_URL",
  cluster: "REDIS_CLUSTER_NODES",
  namespace: "HILOK_NAMESPACE",
  keyPrefix: "HILOK_KEY_PREFIX",
  connectTimeout: "HILOK_CONNECT_TIMEOUT",
  commandTimeout: "HILOK_COMMAND_TIMEOUT",
  "replicas.min": "HILOK_REPLICAS_MIN",
  "replicas.timeout": "HILOK_REPLICAS_TIMEOUT",
  partitions: "HILOK_PARTITIONS"
} as const

const duration = (variable: string, otherwise: Duration.DurationInput): Config.Config<Duration.Duration> =>
  Config.withDefault(LockDuration.config(variable, limits), Duration.decode(otherwise))

type Where = Pick<Options, "url" | "cluster">

/** One of the two variables. (`Config.redacted` would hide the message of an error, too.) */
const where: Config.Config<Where> = Config.mapOrFail(
  Config.all({
    url: Config.option(Config.string(variables.url)),
    nodes: Config.option(Config.string(variables.cluster))
  }),
  ({ nodes, url }): Either.Either<Where, ConfigError.ConfigError> => {
    if (Option.isNone(nodes)) {
      return Option.match(url, {
        onNone: () =>
          Either.left(
            ConfigError.MissingData([variables.url], `Expected ${variables.url}, or ${variables.cluster}, to exist`)
          ),
        onSome: (value) => Either.right({ url: Redacted.make(value) })
      })
    }
    const problem = `${variables.url} is set, too: both say where the locks are, and one of them is enough`
    return Option.isSome(url)
      ? Either.left(ConfigError.InvalidData([variables.cluster], problem))
      : Either.right({ cluster: { nodes: nodes.value.split(",").map((node) => Redacted.make(node)) } })
  }
)

const replicas: Config.Config<Replicas | undefined> = Config.mapOrFail(
  Config.all({
    min: Config.option(Config.number(variables["replicas.min"])),
    timeout: Config.option(LockDuration.config(variables["replicas.timeout"], limits))
  }),
  ({ min, timeout }) => {
    if (Option.isSome(min)) return Either.right({ min: min.value, timeout: Option.getOrUndefined(timeout) })
    if (Option.isNone(timeout)) return Either.right(undefined)
    const reason = `${variables["replicas.timeout"]} is set, so this has to be, too: how many replicas to wait for`
    return Either.left(ConfigError.MissingData([variables["replicas.min"]], reason))
  }
)

/**
 * The options from the environment. Either `REDIS_URL` or `REDIS_CLUSTER_NODES` (nodes of a Redis Cluster as `host:port` or URLs,
 * separated by commas) is required. Optional: `HILOK_NAMESPACE`, `HILOK_KEY_PREFIX`, `HILOK_CONNECT_TIMEOUT`, `HILOK_COMMAND_TIMEOUT`
 * (durations such as `5 seconds` or `5s`, or a number of milliseconds), `HILOK_REPLICAS_MIN` and, only with it,
 * `HILOK_REPLICAS_TIMEOUT` (`replicas`), `HILOK_PARTITIONS`.
 *
 * @since 0.1.0
 * @category config
 */
export const config: Config.Config<Options> = Config.map(
  Config.all({
    where,
    namespace: Config.withDefault(Config.string(variables.namespace), defaults.namespace),
    keyPrefix: Config.withDefault(Config.string(variables.keyPrefix), defaults.keyPrefix),
    connectTimeout: duration(variables.connectTimeout, defaults.connectTimeout),
    commandTimeout: duration(variables.commandTimeout, defaults.commandTimeout),
    replicas,
    partitions: Config.withDefault(Config.integer(variables.partitions), defaults.partitions)
  }),
  ({ where, ...rest }) => ({ ...where, ...rest })
)

/**
 * The store as a layer, with options from the configuration, by default from the environment (`config`). A wrong value
 * is a `ConfigError` that names the variable, or, with another configuration, the option.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerConfig = (
  options: Config.Config.Wrap<Options> = config
): Layer.Layer<LockStore.LockStore, LockError.StoreError | ConfigError.ConfigError> =>
  Layer.scoped(
    LockStore.LockStore,
    LockOptions.fromConfig<Options, LockStore.LockStore["Type"], Failure, Scope.Scope>(
      options,
      make,
      options === config ? variables : {}
    )
  )
