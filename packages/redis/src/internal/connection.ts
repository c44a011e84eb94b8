/**
 * The two connections of a store: one for commands (to a Cluster: one for each of its nodes), one that listens.
 */
import { LockError } from "@hilok/core"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Runtime from "effect/Runtime"
import type * as Scope from "effect/Scope"
import { type Cluster, type ClusterOptions, Redis, type RedisOptions } from "ioredis"
import * as cluster from "./cluster.ts"
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
  | { readonly _tag: "Cluster"; readonly nodes: ReadonlyArray<cluster.Address>; readonly options: ClusterOptions }
  | { readonly _tag: "Foreign"; readonly client: cluster.Client }

export interface Connection {
  readonly client: cluster.Client
  readonly subscriber: Redis
  /** Connects the one that listens. */
  readonly openSubscriber: Effect.Effect<void, Failure>
  /**
   * Gives the connection for commands up and makes a new one. `silent`: the other end may be gone without a word; the
   * client of an application is left alone. `refused`: another server may be behind the address by now. Then the one that
   * listens goes, too; and the client of an application goes if it has a `retryStrategy`, by which it comes back. In a Cluster it is the
   * connection to the node that serves the key, unless it is the application's, and the nodes are asked who serves it now.
   */
  readonly renew: (why: "silent" | "refused", key: string) => void
}

type Failure = LockError.StoreError | LockError.InvalidOptions

const operation = "connect"

const isSelect = (error: unknown): boolean => ioredis.commandOf(error) === "select"

const causeOf = (client: cluster.Client, error: unknown): unknown =>
  cluster.isCluster(client) ? cluster.causeOf(client, error) : error

/** An error of a connection; of those to a Cluster it says which nodes were tried. */
const failed = (client: cluster.Client, error: unknown): LockError.StoreError => {
  const told = failure.fromError(operation, causeOf(client, error))
  return cluster.isCluster(client) ? failure.noNode(told, cluster.startupNodes(client)) : told
}

/** Waits until the client is ready, or says why it is not. */
const ready = (client: cluster.Client, database: string, patience: Duration.Duration): Effect.Effect<void, Failure> =>
  Effect.suspend(() => {
    let last: unknown
    return Effect.async<void, Failure>((resume) => {
      if (client.status === "ready") return resume(Effect.void)
      if (client.status === "end") return resume(Effect.fail(failed(client, new Error("Connection is closed"))))
      const onError = (error: unknown) => {
        last = error
        if (!(error instanceof Error)) return
        const problem = failed(client, error)
        // Trying again cannot help. (Without the right to select a database, nothing is wrong with its number.)
        if (isSelect(error) && failure.refusal(problem) === undefined && problem.kind !== "denied") {
          const number = ioredis.database(client as Redis)
          const reason = `the server does not let the client into database ${number} (${error.message})`
          done(Effect.fail(new LockError.InvalidOptions({ option: database, reason })))
        } else if (problem.kind === "denied" || failure.isNoCluster(problem)) done(Effect.fail(problem))
      }
      const handlers = [
        ioredis.on(client, "ready", () => done(Effect.void)),
        ioredis.on(client, "error", onError),
        // A `retryStrategy` of the application's may give up.
        ioredis.on(client, "end", () => done(Effect.fail(failed(client, last ?? new Error("Connection is closed")))))
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
            ? failed(client, last)
            : client.status === "connect"
              ? failure.notReady(operation, Duration.toMillis(patience))
              : failed(client, failure.timedOut(operation, Duration.toMillis(patience)))
      })
    )
  })

/** Makes a client, which does not connect yet. `InvalidOptions` when ioredis cannot make one. */
const create = (options: RedisOptions): Effect.Effect<Redis, LockError.InvalidOptions> =>
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
          retryStrategy: ioredis.retryStrategy,
          // Asks an idle connection whether the other end is still there.
          keepAlive: 10_000,
          // Else a client stays on the former primary after a failover, which goes on to grant locks.
          failoverDetector: true,
          ...ioredis.defined(options),
          ...ioredis.always
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

/** What the connections have that are not for commands, wherever they lead. */
const listening = {
  ...ioredis.always,
  enableOfflineQueue: true,
  // `listen` does it: nobody would handle the error of a subscription that the client makes by itself.
  autoResubscribe: false
} as const

/** A client of a server like that for commands. */
const another = (client: Redis, more: RedisOptions): Redis =>
  client.duplicate({
    ...listening,
    db: ioredis.database(client),
    retryStrategy: ioredis.retryStrategy,
    failoverDetector: true,
    ...more
  } as RedisOptions)

/** The same in a Cluster: it leads to the primary that serves the key, and follows when that is another one. */
const follower = (client: Cluster, key: string, more: RedisOptions): Redis | undefined => {
  const node = cluster.nodeOf(client, key) ?? client.nodes()[0]
  const retryStrategy = (times: number): number => {
    cluster.refresh(client)
    cluster.aim(client, key, made, times)
    return ioredis.retryStrategy(times)
  }
  const made = node?.duplicate({ ...listening, retryStrategy, readOnly: false, ...more } as RedisOptions) as Redis
  return node === undefined ? undefined : made
}

/**
 * A connection for listening, or for waiting, which is closed with the scope. In a Cluster it leads to the primary that serves the key,
 * and goes along when that is another one.
 */
export const openAnother = (
  client: cluster.Client,
  key: string,
  more: RedisOptions = {}
): Effect.Effect<Redis, LockError.StoreError, Scope.Scope> =>
  Effect.gen(function* () {
    const made = cluster.isCluster(client) ? follower(client, key, more) : another(client, more)
    if (made === undefined) return yield* failed(client, new Error("None of startup nodes is available"))
    ioredis.hush(made, () => undefined)
    yield* Effect.addFinalizer(() => Effect.sync(() => made.disconnect()))
    yield* Effect.acquireRelease(
      Effect.sync(() => cluster.onMove(client, key, () => reconnect(made))),
      (off) => Effect.sync(off)
    )
    return made
  })

export const reconnect = (client: Redis): void => {
  if (client.status === "ready" || client.status === "connect") client.disconnect(true)
}

const make = (source: Source): Effect.Effect<cluster.Client, LockError.InvalidOptions> => {
  if (source._tag === "Own") return create(source.options)
  return source._tag === "Cluster" ? cluster.create(source.nodes, source.options) : Effect.succeed(source.client)
}

/** Checks options of ioredis as far as that is possible without a server. */
export const validate = (source: Source): Effect.Effect<void, LockError.InvalidOptions> => Effect.asVoid(make(source))

/**
 * Opens the connection for commands, checks the server, and closes what was opened with the scope. `key`: in a Cluster, what is to be
 * served by the node that is checked and listened to.
 */
export const open = (
  source: Source,
  patience: Duration.Duration,
  key: string
): Effect.Effect<Connection, Failure, Scope.Scope> =>
  Effect.gen(function* () {
    const own = source._tag !== "Foreign"
    const run = Runtime.runFork(yield* Effect.runtime<never>())
    const keep = (client: cluster.Client, isOurs: boolean) =>
      Effect.acquireRelease(
        // Without a listener, ioredis prints every error.
        Effect.sync(() =>
          ioredis.on(client, "error", (error: unknown) => {
            run(Effect.logDebug(failure.fromError(operation, causeOf(client, error)).message))
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
    const client = yield* make(source)
    const database = source._tag === "Own" ? source.database : "client.options.db"
    yield* keep(client, own)
    yield* ready(client, database, patience)
    const name = own ? "redis" : "client"
    if (cluster.isCluster(client)) {
      yield* serverCheck.check(client, key, own ? "cluster.options" : name, operation, patience)
      const subscriber = yield* openAnother(client, key)
      yield* keep(subscriber, true)
      const renew = (_: "silent" | "refused", key: string) => {
        if (own) cluster.nodeOf(client, key)?.disconnect()
        cluster.refresh(client)
      }
      return { client, subscriber, openSubscriber: ready(subscriber, database, patience), renew }
    }
    if (!own && client.options.sentinels && client.options.failoverDetector !== true) {
      yield* Effect.logWarning(
        "The application's client finds its server by Sentinel, without failoverDetector: after a failover it may go on " +
          "with the former primary for seconds, while others take the same locks on the new one. Set it to true"
      )
    }
    yield* serverCheck.check(client, key, name, operation, patience)
    const subscriber = yield* openAnother(client, key)
    yield* keep(subscriber, true)
    const renew = (why: "silent" | "refused") => {
      if (own || (why === "refused" && typeof client.options.retryStrategy === "function")) reconnect(client)
      if (why === "refused") reconnect(subscriber)
    }
    return { client, subscriber, openSubscriber: ready(subscriber, database, patience), renew }
  })
