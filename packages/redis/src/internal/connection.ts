/**
 * The two connections of a store: one for commands, one that listens.
 */
import { LockError } from "@hilok/core"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import { Redis, type RedisOptions } from "ioredis"
import * as failure from "./failure.ts"

/** A client is made by the store, or is the application's. */
export type Source =
  | { readonly _tag: "Own"; readonly url: string | undefined; readonly options: RedisOptions }
  | { readonly _tag: "Foreign"; readonly client: Redis }

export interface Connection {
  readonly client: Redis
  readonly subscriber: Redis
  /**
   * Gives the connection for commands up and makes a new one, as it is silent: the other end may be gone without a
   * word. The client of an application is left alone.
   */
  readonly renew: () => void
}

const operation = "connect"

/** Reconnects soon at first, then every second, for ever: what waits meanwhile has time limits of its own. */
const retryStrategy = (times: number): number => Math.min(times * 50, 1000)

const urlPattern = /^(?:rediss?:\/\/|\/)/

/** Says what is wrong with a URL, without showing it: it may hold a password. */
export const urlProblem = (url: string): string | undefined => {
  if (!urlPattern.test(url)) return `it must begin with "redis://", "rediss://" or, for a unix socket, with "/"`
  if (url.startsWith("/")) return undefined
  try {
    const { hostname, pathname } = new URL(url)
    if (hostname === "") return "it has no host"
    return /^\/?\d*$/.test(pathname) ? undefined : "behind the host there may only be the number of a database"
  } catch {
    return "it is not a URL"
  }
}

const refused = /^WRONGPASS|^NOAUTH|^ERR invalid password|^NOPERM/

/** Waits until the client is ready, or says why it is not. */
const ready = (client: Redis, patience: Duration.Duration): Effect.Effect<void, LockError.StoreError> =>
  Effect.suspend(() => {
    let last: unknown
    return Effect.async<void, LockError.StoreError>((resume) => {
      if (client.status === "ready") return resume(Effect.void)
      if (client.status === "end") {
        return resume(Effect.fail(failure.fromError(operation, new Error("Connection is closed"))))
      }
      const onReady = () => done(Effect.void)
      const onError = (error: unknown) => {
        last = error
        // Trying again cannot help.
        if (error instanceof Error && refused.test(error.message))
          done(Effect.fail(failure.fromError(operation, error)))
      }
      // A `retryStrategy` of the application's may give up.
      const onEnd = () => done(Effect.fail(failure.fromError(operation, last ?? new Error("Connection is closed"))))
      const done = (result: Effect.Effect<void, LockError.StoreError>) => {
        client.off("end", onEnd)
        client.off("ready", onReady)
        client.off("error", onError)
        resume(result)
      }
      client.on("end", onEnd)
      client.on("ready", onReady)
      client.on("error", onError)
      if (client.status === "wait") client.connect().catch(onError)
      return Effect.sync(() => done(Effect.void))
    }).pipe(
      Effect.timeoutFail({
        duration: patience,
        onTimeout: () =>
          last !== undefined
            ? failure.fromError(operation, last)
            : client.status === "connect"
              ? failure.notReady(operation, Duration.toMillis(patience))
              : failure.timedOut(operation, Duration.toMillis(patience))
      })
    )
  })

const ask = <A>(
  command: () => Promise<A>,
  operation: string,
  patience: Duration.Duration
): Effect.Effect<A, LockError.StoreError> =>
  Effect.tryPromise({ try: command, catch: (error) => failure.fromError(operation, error) }).pipe(
    Effect.timeoutFail({
      duration: patience,
      onTimeout: () => failure.timedOut(operation, Duration.toMillis(patience))
    })
  )

const field = (info: string, name: string): string | undefined => new RegExp(`^${name}:(.*?)\\r?$`, "m").exec(info)?.[1]

/** The oldest server whose commands the scripts know (`ZMSCORE` came with it). */
const oldest = [6, 2] as const

const checkServer = (client: Redis, patience: Duration.Duration): Effect.Effect<void, LockError.StoreError> =>
  Effect.gen(function* () {
    const info = yield* ask(() => client.info(), operation, patience).pipe(
      // A user that may do all that the scripts do, but not this.
      Effect.catchIf(
        ({ reason }) => reason.includes("NOPERM"),
        (error) =>
          Effect.as(Effect.logWarning(`The server's version and settings were not checked: ${error.reason}`), "")
      )
    )
    if (info === "") return
    const fail = (reason: string) => new LockError.StoreError({ operation, reason })
    const version = field(info, "redis_version") ?? "unknown"
    const [major = 0, minor = 0] = version.split(".").map(Number)
    if (
      field(info, "valkey_version") === undefined &&
      (major < oldest[0] || (major === oldest[0] && !(minor >= oldest[1])))
    ) {
      return yield* fail(`the server is Redis ${version}; ${oldest.join(".")} or newer is needed, or Valkey`)
    }
    if (field(info, "role") === "slave") {
      return yield* fail("the server is a replica: locks are taken on the primary")
    }
    const policy = field(info, "maxmemory_policy")
    if (policy !== undefined && policy !== "noeviction") {
      yield* Effect.logWarning(
        `The server's maxmemory-policy is ${policy}: when memory is short it may evict locks that are held. ` +
          "Set it to noeviction, or keep locks on a server of their own"
      )
    }
  })

/** Connects, checks the server, and closes both connections with the scope. The second one is opened by `listen`. */
export const open = (
  source: Source,
  patience: Duration.Duration
): Effect.Effect<Connection, LockError.StoreError, Scope.Scope> =>
  Effect.gen(function* () {
    const runLog = (error: unknown) => void Effect.runFork(Effect.logDebug(failure.fromError(operation, error).message))
    const keep = (client: Redis, close: boolean) =>
      Effect.acquireRelease(
        // Without a listener, ioredis prints every error.
        Effect.sync(() => client.on("error", runLog)),
        () =>
          Effect.sync(() => {
            if (close) client.disconnect()
            // An error of a connection that is being closed still needs its listener.
            else client.off("error", runLog)
          })
      )
    const own = source._tag === "Own"
    const client = yield* keep(own ? create(source) : source.client, own)
    yield* ready(client, patience)
    yield* checkServer(client, patience)
    const subscriber = yield* keep(
      client.duplicate({
        lazyConnect: true,
        retryStrategy,
        maxRetriesPerRequest: null,
        enableOfflineQueue: true,
        // `listen` does it: nobody would handle the error of a subscription that the client makes by itself.
        autoResubscribe: false
      }),
      true
    )
    const renew = () => {
      if (own && (client.status === "ready" || client.status === "connect")) client.disconnect(true)
    }
    return { client, subscriber, renew }
  })

const create = ({ options, url }: Source & { readonly _tag: "Own" }): Redis => {
  const all: RedisOptions = {
    connectionName: "hilok",
    retryStrategy,
    maxRetriesPerRequest: null,
    // Asks an idle connection whether the other end is still there.
    keepAlive: 10_000,
    ...options,
    lazyConnect: true
  }
  return url === undefined ? new Redis(all) : new Redis(url, all)
}

/** Opens the connection that listens, and subscribes to a channel. `onConnect` is called whenever a connection that was lost is there again. */
export const listen = (
  { client, subscriber }: Connection,
  channel: string,
  patience: Duration.Duration,
  onMessage: (message: string) => void,
  onConnect: () => void
): Effect.Effect<void, LockError.StoreError, Scope.Scope> =>
  Effect.gen(function* () {
    const receive = (from: string, message: string) => {
      if (from === channel) onMessage(message)
    }
    const subscribed = () => {
      subscriber.subscribe(channel).then(onConnect, () => undefined)
    }
    yield* ready(subscriber, patience)
    yield* ask(() => subscriber.subscribe(channel), "subscribe", patience)
    yield* Effect.acquireRelease(
      Effect.sync(() => {
        subscriber.on("message", receive)
        subscriber.on("ready", subscribed)
        client.on("ready", onConnect)
      }),
      () =>
        Effect.sync(() => {
          subscriber.off("message", receive)
          subscriber.off("ready", subscribed)
          client.off("ready", onConnect)
        })
    )
  })

export const reveal = (secret: string | Redacted.Redacted<string>): string =>
  Redacted.isRedacted(secret) ? Redacted.value(secret) : secret
