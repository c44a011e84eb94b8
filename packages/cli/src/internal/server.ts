/**
 * The locks of the server that the options and the environment name.
 */
import { readFileSync } from "node:fs"
import { HierarchicalLock, type LockError, LockOptions, type LockStore } from "@hilok/core"
import { RedisStore } from "@hilok/redis"
import type * as ConfigError from "effect/ConfigError"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import type { RedisOptions } from "ioredis"
import type { ServerOptions } from "./commands.ts"
import * as durations from "./durations.ts"
import { type Failure, usage } from "./failure.ts"

/** A variable. An empty one is as good as none. */
const variable = (name: string): string | undefined => process.env[name] || undefined

const wrong = (name: string, value: string): Failure =>
  usage(`${name}: ${JSON.stringify(value)} is not a duration: write milliseconds, ${durations.allowed}`)

/** A variable that is a length of time, in milliseconds. */
const time = (name: string): Effect.Effect<number | undefined, Failure> =>
  Effect.suspend(() => {
    const value = variable(name)
    if (value === undefined) return Effect.succeed(undefined)
    const millis = durations.parse(value, "ms")
    return millis === undefined ? Effect.fail(wrong(name, value)) : Effect.succeed(millis)
  })

const times = ["HILOK_TTL", "HILOK_REFRESH_INTERVAL", "HILOK_MAX_HOLD"]

/** The environment as the library reads it: without empty variables, and with times as it writes them. */
const environment: Effect.Effect<ConfigProvider.ConfigProvider, Failure> = Effect.suspend(() => {
  const found = new Map<string, string>()
  for (const [name, value] of Object.entries(process.env)) {
    if (!value) continue
    const millis = times.includes(name) ? durations.parse(value, "ms") : undefined
    if (times.includes(name) && millis === undefined) return Effect.fail(wrong(name, value))
    found.set(name, millis === undefined ? value : `${millis} millis`)
  }
  return Effect.succeed(ConfigProvider.fromMap(found, { pathDelim: "/" }))
})

/** What the environment says of the service: its ttl, its separator, its label. */
export const lockOptions: Effect.Effect<LockOptions.Options, Failure | ConfigError.ConfigError> = Effect.flatMap(
  environment,
  (provider) => Effect.withConfigProvider(LockOptions.config, provider)
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

/** Where the server is, as a client of ioredis is told. */
export interface Address {
  /** `undefined`: the options have the Sentinels. */
  readonly url: string | undefined
  readonly redis: RedisOptions
  /** For people: without user and password. */
  readonly shown: string
}

/** The address of a URL for people: without user and password. */
const shown = (url: string): string => {
  try {
    const { host, pathname, protocol } = new URL(url)
    return `${protocol}//${host}${pathname}`
  } catch {
    return url
  }
}

const hasUser = (url: string): boolean => {
  try {
    const { password, username } = new URL(url)
    return username !== "" || password !== ""
  } catch {
    return false
  }
}

const credentials = (prefix: "REDIS" | "REDIS_SENTINEL") => ({
  username: variable(`${prefix}_USERNAME`),
  password: variable(`${prefix}_PASSWORD`)
})

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
  const { password, username } = credentials("REDIS")
  const sentinel = credentials("REDIS_SENTINEL")
  return Effect.succeed({
    url: undefined,
    shown: `${master}, by the Sentinels ${found.map(({ host, port }) => `${host}:${port}`).join(", ")}`,
    redis: {
      sentinels: [...found],
      name: master,
      ...secure,
      ...(secure.tls && { enableTLSForSentinelMode: true, sentinelTLS: secure.tls }),
      ...(username && { username }),
      ...(password && { password }),
      ...(sentinel.username && { sentinelUsername: sentinel.username }),
      ...(sentinel.password && { sentinelPassword: sentinel.password })
    }
  })
}

/** An option goes before a variable; a URL on the command line before Sentinels in the environment. */
export const address = (options: ServerOptions): Effect.Effect<Address, Failure> =>
  Effect.gen(function* () {
    const secure = yield* tls(options)
    const list = options.sentinel ?? (options.url === undefined ? variable("HILOK_SENTINEL") : undefined)
    if (options.sentinel !== undefined && options.url !== undefined) {
      return yield* Effect.fail(usage("--url and --sentinel are two ways to find the server: one of them is enough"))
    }
    if (list !== undefined) return yield* bySentinel(list, options.master ?? variable("HILOK_MASTER"), secure)
    if (options.master !== undefined) {
      return yield* Effect.fail(usage("--master needs --sentinel: who knows the server by that name"))
    }
    const url = options.url ?? variable("REDIS_URL") ?? "redis://127.0.0.1:6379"
    const { password, username } = hasUser(url) ? {} : credentials("REDIS")
    return {
      url,
      shown: shown(url),
      redis: { ...secure, ...(username && { username }), ...(password && { password }) }
    }
  })

/** How often a connection that is refused is tried again: a second, all in all. */
const retries = 5

const pause = (times: number): number => Math.min(times * 50, 1000)

/**
 * The store. A server that is not there is noticed soon, unlike one that does not answer, or one for which there is time to
 * wait (`patience`, milliseconds); one that was there is looked for until the lease's deadline.
 */
const store = (options: ServerOptions, patience: number) =>
  Layer.unwrapEffect(
    Effect.gen(function* () {
      const { redis, url } = yield* address(options)
      const connectTimeout = (yield* time("HILOK_CONNECT_TIMEOUT")) ?? 5_000
      const commandTimeout = yield* time("HILOK_COMMAND_TIMEOUT")
      const until = performance.now() + patience
      let connected = false
      const retryStrategy = (times: number) =>
        connected || times <= retries || performance.now() < until ? pause(times) : null
      const made = RedisStore.layer({
        url,
        namespace: options.namespace ?? variable("HILOK_NAMESPACE"),
        keyPrefix: options.keyPrefix ?? variable("HILOK_KEY_PREFIX"),
        connectTimeout: Math.max(connectTimeout, patience),
        commandTimeout,
        lazyListening: true,
        ...(redis.password && { password: Redacted.make(redis.password) }),
        redis: { ...redis, retryStrategy, sentinelRetryStrategy: retryStrategy }
      })
      return Layer.tap(made, () =>
        Effect.sync(() => {
          connected = true
        })
      )
    })
  )

/** Fails when the options are wrong: the store finds that out before it connects, for which it gets no time here. */
export const validate = (options: ServerOptions): Effect.Effect<void, LockError.InvalidOptions | Failure> =>
  address(options).pipe(
    Effect.flatMap(({ redis, url }) =>
      Effect.scoped(
        RedisStore.make({
          url,
          redis,
          namespace: options.namespace ?? variable("HILOK_NAMESPACE"),
          keyPrefix: options.keyPrefix ?? variable("HILOK_KEY_PREFIX"),
          connectTimeout: 1
        })
      )
    ),
    Effect.catchTag("StoreError", () => Effect.void),
    Effect.asVoid
  )

/** The namespace and the prefix, for what is said and tried about keys. */
export const keyBase = (options: ServerOptions): string =>
  `${options.keyPrefix ?? variable("HILOK_KEY_PREFIX") ?? RedisStore.defaults.keyPrefix}:{${
    options.namespace ?? variable("HILOK_NAMESPACE") ?? RedisStore.defaults.namespace
  }}:`

export type Service = HierarchicalLock.HierarchicalLock | LockStore.LockStore

export type ServerError = Failure | LockError.StoreError | LockError.InvalidOptions | ConfigError.ConfigError

/**
 * The service and its store. The time limits, the separator and the label may come from the environment.
 *
 * - `pid`: the process that is named as the holder, if it is not this one.
 * - `patience`: how long a server that is away is waited for, in milliseconds.
 */
export const layer = (
  options: ServerOptions,
  { patience = 0, pid }: { readonly pid?: number; readonly patience?: number } = {}
): Layer.Layer<Service, ServerError> =>
  Layer.provideMerge(
    Layer.unwrapEffect(Effect.map(lockOptions, (found) => HierarchicalLock.layer({ ...found, pid }))),
    store(options, patience)
  )
