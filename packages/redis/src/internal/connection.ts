/**
 * The two connections of a store: one for commands, one that listens.
 */
import { LockError } from "@hilok/core"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Runtime from "effect/Runtime"
import type * as Scope from "effect/Scope"
import { Redis, type RedisOptions } from "ioredis"
import * as failure from "./failure.ts"
import * as ioredis from "./ioredis.ts"
import * as serverCheck from "./serverCheck.ts"

/** A client is made by the store, or is the application's. */
export type Source =
  | {
      readonly _tag: "Own"
      readonly options: RedisOptions
      /** The option that says which database. */
      readonly database: string
    }
  | { readonly _tag: "Foreign"; readonly client: Redis }

export interface Connection {
  readonly client: Redis
  readonly subscriber: Redis
  /** Connects the one that listens. */
  readonly openSubscriber: Effect.Effect<void, Failure>
  /**
   * Gives the connection for commands up and makes a new one. `silent`: the other end may be gone without a word; the
   * client of an application is left alone. `refused`: another server may be behind the address by now. Then the one that
   * listens goes, too; and the client of an application goes if it has a `retryStrategy`, by which it comes back.
   */
  readonly renew: (why: "silent" | "refused") => void
}

type Failure = LockError.StoreError | LockError.InvalidOptions

const operation = "connect"

/** Reconnects soon at first, then every second, forever: what waits meanwhile has time limits of its own. */
const retryStrategy = (times: number): number => Math.min(times * 50, 1000)

const isSelect = (error: unknown): boolean => ioredis.commandOf(error) === "select"

/** Waits until the client is ready, or says why it is not. */
const ready = (client: Redis, database: string, patience: Duration.Duration): Effect.Effect<void, Failure> =>
  Effect.suspend(() => {
    let last: unknown
    return Effect.async<void, Failure>((resume) => {
      if (client.status === "ready") return resume(Effect.void)
      if (client.status === "end") {
        return resume(Effect.fail(failure.fromError(operation, new Error("Connection is closed"))))
      }
      const onError = (error: unknown) => {
        last = error
        if (!(error instanceof Error)) return
        const failed = failure.fromError(operation, error)
        // Trying again cannot help.
        if (isSelect(error) && failure.refusal(failed) === undefined) {
          const reason = `the server does not let the client into database ${client.options.db} (${error.message})`
          done(Effect.fail(new LockError.InvalidOptions({ option: database, reason })))
        } else if (failed.kind === "denied") done(Effect.fail(failed))
      }
      const handlers = [
        ioredis.on(client, "ready", () => done(Effect.void)),
        ioredis.on(client, "error", onError),
        // A `retryStrategy` of the application's may give up.
        ioredis.on(client, "end", () =>
          done(Effect.fail(failure.fromError(operation, last ?? new Error("Connection is closed"))))
        )
      ]
      const done = (result: Effect.Effect<void, Failure>) => {
        for (const off of handlers) off()
        resume(result)
      }
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

const isDefined = ([, value]: readonly [string, unknown]): boolean => value !== undefined

/** What the connections of a store have in common, whoever made the client. */
const always = {
  lazyConnect: true,
  // Commands have time limits of their own.
  maxRetriesPerRequest: null,
  // It prints, fails without INFO, and holds back what could be told that the server is loading.
  enableReadyCheck: false,
  // What is given up has nothing more to say.
  disconnectTimeout: 200,
  // These change what the client makes of answers. (The second one came with ioredis 6.)
  stringNumbers: false,
  replyMapping: "legacy"
} as const

/** Makes a client, which does not connect yet. `InvalidOptions` when ioredis cannot make one. */
export const create = (options: RedisOptions): Effect.Effect<Redis, LockError.InvalidOptions> =>
  Effect.gen(function* () {
    const { db } = options
    if (db !== undefined && !(Number.isInteger(Number(db)) && Number(db) >= 0)) {
      return yield* new LockError.InvalidOptions({
        option: "redis.db",
        reason: "it must be the number of a database, zero or more"
      })
    }
    const client = yield* Effect.try({
      try: () =>
        new Redis({
          connectionName: "hilok",
          retryStrategy,
          // Asks an idle connection whether the other end is still there.
          keepAlive: 10_000,
          // Else a client stays on the former primary after a failover, which goes on to grant locks.
          failoverDetector: true,
          ...Object.fromEntries(Object.entries(options).filter(isDefined)),
          ...always
        }),
      catch: (error) =>
        new LockError.InvalidOptions({
          option: "redis",
          reason: `ioredis refuses it: ${error instanceof Error ? error.message : String(error)}`
        })
    })
    const run = Runtime.runFork(yield* Effect.runtime<never>())
    return ioredis.hush(client, (text) => void run(Effect.logWarning(text)))
  })

/** For listening, or waiting: a client like that for commands. */
export const listener = (client: Redis, more?: RedisOptions): Redis =>
  ioredis.hush(
    client.duplicate({
      ...always,
      db: ioredis.database(client),
      retryStrategy,
      enableOfflineQueue: true,
      failoverDetector: true,
      // `listen` does it: nobody would handle the error of a subscription that the client makes by itself.
      autoResubscribe: false,
      ...more
    } as RedisOptions),
    () => undefined
  )

const reconnect = (client: Redis): void => {
  if (client.status === "ready" || client.status === "connect") client.disconnect(true)
}

/** Opens the connection for commands, checks the server, and closes what was opened with the scope. */
export const open = (source: Source, patience: Duration.Duration): Effect.Effect<Connection, Failure, Scope.Scope> =>
  Effect.gen(function* () {
    const own = source._tag === "Own"
    const run = Runtime.runFork(yield* Effect.runtime<never>())
    const keep = (client: Redis, isOurs: boolean) =>
      Effect.acquireRelease(
        // Without a listener, ioredis prints every error.
        Effect.sync(() =>
          ioredis.on(client, "error", (error: unknown) => {
            run(Effect.logDebug(failure.fromError(operation, error).message))
            // It would go on in a database that nobody asked for.
            if (isOurs && isSelect(error)) client.disconnect(true)
          })
        ),
        (off) =>
          Effect.sync(() => {
            if (isOurs) client.disconnect()
            // An error of a connection that is being closed still needs its listener.
            else off()
          })
      )
    const [client, database] = own
      ? [yield* create(source.options), source.database]
      : [source.client, "client.options.db"]
    yield* keep(client, own)
    yield* ready(client, database, patience)
    if (!own && client.options.sentinels && client.options.failoverDetector !== true) {
      yield* Effect.logWarning(
        "The application's client finds its server by Sentinel, without failoverDetector: after a failover it may go on " +
          "with the former primary for seconds, while others take the same locks on the new one. Set it to true"
      )
    }
    yield* serverCheck.check(client, own ? "redis" : "client", operation, patience)
    const subscriber = listener(client)
    yield* keep(subscriber, true)
    const renew = (why: "silent" | "refused") => {
      if (own || (why === "refused" && typeof client.options.retryStrategy === "function")) reconnect(client)
      if (why === "refused") reconnect(subscriber)
    }
    return { client, subscriber, openSubscriber: ready(subscriber, database, patience), renew }
  })
