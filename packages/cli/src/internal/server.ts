/**
 * The locks of the server that the options and the environment name.
 */
import { readFileSync } from "node:fs"
import { HierarchicalLock, LockDuration, type LockError, LockOptions, type LockStore } from "@hilok/core"
import { RedisServer, RedisStore } from "@hilok/redis"
import * as Config from "effect/Config"
import type * as ConfigError from "effect/ConfigError"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type { RedisOptions } from "ioredis"
import type { ServerOptions } from "./commands.ts"
import { type Failure, usage } from "./failure.ts"

/** A variable. An empty one is as good as none. */
const variable = (name: string): string | undefined => process.env[name] || undefined

/** Reads the configuration from the environment, without empty variables. */
const inEnvironment = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.suspend(() => {
    const found = Object.entries(process.env).flatMap(([name, value]) => (value ? [[name, value] as const] : []))
    return Effect.withConfigProvider(effect, ConfigProvider.fromMap(new Map(found), { pathDelim: "/" }))
  })

/** A variable that is a length of time. */
const time = (name: string) =>
  Effect.map(Config.option(LockDuration.config(name, { zero: false, infinite: false })), Option.getOrUndefined)

const partitions = Effect.map(Config.option(Config.integer("HILOK_PARTITIONS")), Option.getOrUndefined)

/** What the environment says of the service: its ttl, its separator, its label. */
export const lockOptions: Effect.Effect<LockOptions.Options, ConfigError.ConfigError> = inEnvironment(
  LockOptions.config
)

/** What stands between the segments of a path. */
export const separator = Effect.map(lockOptions, (options) => options.separator ?? LockOptions.defaults.separator)

const file = (option: string, path: string | undefined): Effect.Effect<string | undefined, Failure> =>
  path === undefined
    ? Effect.succeed(undefined)
    : Effect.try({
        try: () => readFileSync(path, "utf8"),
        catch: (error) => usage(`--${option}: ${error instanceof Error ? error.message : String(error)}`)
      })

/** What ioredis needs for TLS; nothing when it is not asked for. */
const tls = (options: ServerOptions): Effect.Effect<RedisOptions, Failure> =>
  Effect.gen(function* () {
    const ca = yield* file("cacert", options.cacert ?? variable("HILOK_CACERT"))
    const cert = yield* file("cert", options.cert ?? variable("HILOK_CERT"))
    const key = yield* file("key", options.key ?? variable("HILOK_KEY"))
    if ((cert === undefined) !== (key === undefined)) {
      return yield* Effect.fail(usage("--cert and --key belong together: one of them is missing"))
    }
    if (!options.tls && ca === undefined && cert === undefined) return {}
    return { tls: { ...(ca && { ca }), ...(cert && key && { cert, key }) } }
  })

const sentinels = (list: string): ReadonlyArray<{ readonly host: string; readonly port: number }> | undefined => {
  const found = list.split(",").map((one) => /^\s*(?:\[([^\]\s]+)\]|([^:[\]\s]+))(?::(\d{1,5}))?\s*$/.exec(one))
  return found.every((match) => match !== null)
    ? found.map((match) => ({ host: match[1] ?? match[2]!, port: Number(match[3] ?? 26_379) }))
    : undefined
}

/** Where the server is. */
interface Address {
  readonly options: Pick<RedisStore.Options, "url" | "redis" | "cluster">
  /** For people: without user and password. */
  readonly shown: string
}

const credentials = (prefix: "REDIS" | "REDIS_SENTINEL"): Pick<RedisOptions, "username" | "password"> => {
  const [username, password] = [variable(`${prefix}_USERNAME`), variable(`${prefix}_PASSWORD`)]
  return { ...(username && { username }), ...(password && { password }) }
}

const bySentinel = (
  list: string,
  master: string | undefined,
  secure: RedisOptions
): Effect.Effect<Address, Failure> => {
  const found = sentinels(list)
  if (found === undefined) {
    return Effect.fail(usage(`--sentinel: ${JSON.stringify(list)} must be host:port, several with commas`))
  }
  if (master === undefined) {
    return Effect.fail(usage("--sentinel needs --master: the name by which the Sentinels know the server"))
  }
  const sentinel = credentials("REDIS_SENTINEL")
  return Effect.succeed({
    shown: `${master}, by the Sentinels ${found.map(({ host, port }) => `${host}:${port}`).join(", ")}`,
    options: {
      redis: {
        sentinels: [...found],
        name: master,
        ...secure,
        ...(secure.tls && { enableTLSForSentinelMode: true, sentinelTLS: secure.tls }),
        ...credentials("REDIS"),
        ...(sentinel.username && { sentinelUsername: sentinel.username }),
        ...(sentinel.password && { sentinelPassword: sentinel.password })
      }
    }
  })
}

/** The store checks the nodes, and says what is wrong with which. */
const inCluster = (list: string, secure: RedisOptions): Address => {
  const nodes = list.split(",").map((node) => node.trim())
  const shown = nodes.map((node) => (/[@/]/.test(node) ? RedisServer.address(node) : node))
  return {
    shown: `the Cluster of ${shown.join(", ")}`,
    options: { cluster: { nodes, options: { redisOptions: { ...secure, ...credentials("REDIS") } } } }
  }
}

const ways = ["url", "sentinel", "cluster"] as const

/** An option goes before a variable; any option that says where the server is before all variables that do. */
const address = (options: ServerOptions): Effect.Effect<Address, Failure> =>
  Effect.gen(function* () {
    const secure = yield* tls(options)
    const [one, other] = ways.filter((way) => options[way] !== undefined)
    if (other !== undefined) {
      return yield* Effect.fail(usage(`--${one} and --${other} are two ways to find the server: one of them is enough`))
    }
    const byVariable = (name: string) => (one === undefined ? variable(name) : undefined)
    const nodes = options.cluster ?? byVariable("REDIS_CLUSTER_NODES")
    const list = options.sentinel ?? byVariable("HILOK_SENTINEL")
    if (nodes !== undefined) {
      const also = ["REDIS_URL", "HILOK_SENTINEL"].find((name) => byVariable(name) !== undefined)
      if (also !== undefined) {
        const problem = `${also} and REDIS_CLUSTER_NODES are two ways to find the server: one of them is enough`
        return yield* Effect.fail(usage(problem))
      }
      return inCluster(nodes, secure)
    }
    if (list !== undefined) return yield* bySentinel(list, options.master ?? variable("HILOK_MASTER"), secure)
    if (options.master !== undefined) {
      return yield* Effect.fail(usage("--master needs --sentinel: the Sentinels that know the server by that name"))
    }
    const url = options.url ?? variable("REDIS_URL") ?? "redis://127.0.0.1:6379"
    // What the URL says of the user goes before the variables: the store sees to that.
    return { shown: RedisServer.address(url), options: { url, redis: { ...secure, ...credentials("REDIS") } } }
  })

/** The options of the store, which checks them, and the address for people. */
export const settings = (options: ServerOptions) =>
  Effect.gen(function* () {
    const { options: found, shown } = yield* address(options)
    const store: RedisStore.Options = {
      ...found,
      namespace: options.namespace ?? variable("HILOK_NAMESPACE"),
      keyPrefix: options.keyPrefix ?? variable("HILOK_KEY_PREFIX"),
      partitions: options.partitions ?? (yield* inEnvironment(partitions)),
      connectTimeout: yield* inEnvironment(time("HILOK_CONNECT_TIMEOUT")),
      commandTimeout: yield* inEnvironment(time("HILOK_COMMAND_TIMEOUT")),
      lazyListening: true
    }
    return { shown, store }
  })

/** How often a connection that is refused is tried again: a second, all in all. */
const retries = 5

/**
 * The store. A server that is not there is noticed soon, unlike one that does not answer. When `patience` says how long to
 * wait (milliseconds), that goes for both, neither less nor more. One that was there is looked for until the lease's deadline.
 */
const store = (options: ServerOptions, patience: number | undefined) =>
  Layer.unwrapEffect(
    Effect.gen(function* () {
      const { store: found } = yield* settings(options)
      const until = performance.now() + (patience ?? 0)
      let connected = false
      const retryStrategy = (times: number) =>
        connected || performance.now() < until || (patience === undefined && times <= retries)
          ? Math.min(times * 50, 1000)
          : null
      const { cluster, redis } = found
      const made = RedisStore.layer({
        ...found,
        connectTimeout: patience ?? found.connectTimeout,
        ...(cluster === undefined
          ? { redis: { ...redis, retryStrategy, sentinelRetryStrategy: retryStrategy } }
          : { cluster: { ...cluster, options: { ...cluster.options, clusterRetryStrategy: retryStrategy } } })
      })
      return Layer.tap(made, () =>
        Effect.sync(() => {
          connected = true
        })
      )
    })
  )

/** What all names of keys and channels begin with, up to the end of the namespace. */
const keyStart = (options: ServerOptions): string =>
  `${options.keyPrefix ?? variable("HILOK_KEY_PREFIX") ?? RedisStore.defaults.keyPrefix}:{${
    options.namespace ?? variable("HILOK_NAMESPACE") ?? RedisStore.defaults.namespace
  }`

/** The namespace and the prefix, for what is said and tried about keys. */
export const keyBase = (options: ServerOptions): string => `${keyStart(options)}}:`

/** The same of the first of several partitions; and what the names in all of them begin with. */
export const partitionBase = (options: ServerOptions, count: number): string => `${keyStart(options)}:0}/${count}:`
export const partitionStart = (options: ServerOptions): string => `${keyStart(options)}:`

export type Service = HierarchicalLock.HierarchicalLock | LockStore.LockStore

export type ServerError = Failure | LockError.StoreError | LockError.InvalidOptions | ConfigError.ConfigError

/**
 * The service and its store. The time limits, the separator and the label may come from the environment.
 *
 * - `pid`: the process that is named as the holder, if it is not this one.
 * - `patience`: how long a server that is away or does not answer is waited for (milliseconds), if that is known.
 */
export const layer = (
  options: ServerOptions,
  { patience, pid }: { readonly pid?: number; readonly patience?: number | undefined } = {}
): Layer.Layer<Service, ServerError> =>
  Layer.provideMerge(
    Layer.unwrapEffect(Effect.map(lockOptions, (found) => HierarchicalLock.layer({ ...found, pid }))),
    store(options, patience)
  )
