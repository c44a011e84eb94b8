/**
 * Is a server fit for locks, and does its client pass on what it says? Asked when a store is built.
 */
import { LockError } from "@hilok/core"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import type { Cluster, Redis } from "ioredis"
import * as cluster from "./cluster.ts"
import * as failure from "./failure.ts"
import * as Script from "./script.ts"

type Failure = LockError.StoreError | LockError.InvalidOptions

/** Sends a command, and waits for the answer. */
export const ask = <A>(
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

/** Tries again while the server says that it can do nothing for now. When time is over, that is the error. */
export const persist = <A, E, R>(
  effect: Effect.Effect<A, E | LockError.StoreError, R>,
  operation: string,
  patience: Duration.Duration
): Effect.Effect<A, E | LockError.StoreError, R> =>
  Effect.suspend(() => {
    let last: LockError.StoreError | undefined
    const isForNow = (error: E | LockError.StoreError): boolean => {
      if (!(error instanceof LockError.StoreError) || failure.refusal(error) === undefined) return false
      last = error
      return true
    }
    return effect.pipe(
      Effect.retry({ while: isForNow, schedule: Schedule.spaced("50 millis") }),
      Effect.timeoutFail({
        duration: patience,
        onTimeout: () => last ?? failure.timedOut(operation, Duration.toMillis(patience))
      })
    )
  })

const field = (info: string, name: string): string | undefined => new RegExp(`^${name}:(.*?)\\r?$`, "m").exec(info)?.[1]

/** The oldest server whose commands the scripts know (`ZMSCORE` came with it). */
const oldest = [6, 2] as const

/** A user may do all that the scripts do and not this; and some rename the command away. */
const withoutInfo = /NOPERM|unknown command/i

/**
 * A client of one server sees a part of a Cluster, unless one primary serves all of it: that works as long as there is no other, and
 * none takes over.
 */
const checkAlone = (
  client: Redis,
  operation: string,
  patience: Duration.Duration
): Effect.Effect<void, LockError.StoreError> =>
  Effect.gen(function* () {
    const told = yield* ask(() => client.cluster("INFO"), operation, patience).pipe(
      Effect.catchIf(
        ({ reason }) => withoutInfo.test(reason),
        () => Effect.succeed("")
      )
    )
    if (field(String(told), "cluster_size") !== "1") return yield* failure.refused(operation, failure.inCluster)
    yield* Effect.logWarning(
      "The server is the only primary of a Redis Cluster. When another one takes over, or slots move, the client cannot follow: " +
        "name its nodes by the option cluster"
    )
  })

const checkInfo = (
  client: cluster.Client,
  key: string,
  operation: string,
  patience: Duration.Duration
): Effect.Effect<void, LockError.StoreError> =>
  Effect.gen(function* () {
    const server = cluster.serverOf(client, key)
    if (server === undefined) {
      cluster.refresh(client as Cluster)
      return yield* failure.fromError(operation, new Error("CLUSTERDOWN Hash slot not served"))
    }
    const told = yield* ask(() => server.info(), operation, patience).pipe(
      Effect.catchIf(
        ({ reason }) => withoutInfo.test(reason),
        (error) =>
          Effect.as(Effect.logWarning(`The server's version and settings were not checked: ${error.reason}`), "")
      )
    )
    const info = typeof told === "string" ? told : ""
    if (info === "") return
    if ((field(info, "loading") ?? "0") !== "0") {
      return yield* failure.fromError(operation, new Error("LOADING the server is not ready"))
    }
    const fail = (reason: string) => failure.refused(operation, reason)
    const version = field(info, "redis_version") ?? "unknown"
    const [major = 0, minor = 0] = version.split(".").map(Number)
    if (
      field(info, "valkey_version") === undefined &&
      (major < oldest[0] || (major === oldest[0] && !(minor >= oldest[1])))
    ) {
      return yield* fail(`the server is Redis ${version}; ${oldest.join(".")} or newer is needed, or Valkey`)
    }
    if (field(info, "role") === "slave") {
      if (cluster.isCluster(client)) {
        cluster.refresh(client)
        return yield* failure.fromError(operation, new Error("READONLY another node was the primary"))
      }
      // A Sentinel may not know yet which one is the primary.
      const { role, sentinels } = client.options
      if (sentinels && role !== "slave") {
        client.disconnect(true)
        return yield* failure.fromError(operation, new Error("READONLY the Sentinel names a replica"))
      }
      return yield* fail("the server is a replica: locks are taken on the primary")
    }
    if (!cluster.isCluster(client) && field(info, "cluster_enabled") === "1") {
      yield* checkAlone(client, operation, patience)
    }
    const policy = field(info, "maxmemory_policy")
    if (policy !== undefined && policy !== "noeviction") {
      yield* Effect.logWarning(
        `The server's maxmemory-policy is ${policy}: when memory is short it may evict locks that are held. ` +
          "Set it to noeviction, or keep locks on a server of their own"
      )
    }
  })

/** Options of ioredis change what a client makes of an answer: `stringNumbers`, transformers of replies, and more. */
const checkAnswers = (
  client: cluster.Client,
  key: string,
  name: string,
  operation: string,
  patience: Duration.Duration
): Effect.Effect<void, Failure> =>
  Effect.gen(function* () {
    const { changes } = yield* ask(() => Script.examine(client, key), operation, patience)
    if (changes !== undefined) return yield* changesAnswers(name, changes)
  })

const changesAnswers = (name: string, command: string): LockError.InvalidOptions =>
  new LockError.InvalidOptions({
    option: name,
    reason:
      "the client changes the answers of scripts: it must have neither stringNumbers nor a transformer for " +
      `replies to ${command}`
  })

/** By numbers that are texts, a Cluster of ioredis does not find the nodes of some slots, and nothing that it was asked would say so. */
const takesNumbersForTexts = (client: cluster.Client): boolean =>
  cluster.isCluster(client) &&
  (client.options.redisOptions as { readonly stringNumbers?: boolean } | undefined)?.stringNumbers === true

/** Checks a server that is there; waits, for as long as patience lasts, for one that is loading or busy. */
export const check = (
  client: cluster.Client,
  key: string,
  name: string,
  operation: string,
  patience: Duration.Duration
): Effect.Effect<void, Failure> =>
  takesNumbersForTexts(client)
    ? Effect.fail(changesAnswers(name, "cluster"))
    : persist(
        Effect.zipRight(
          checkInfo(client, key, operation, patience),
          checkAnswers(client, key, name, operation, patience)
        ),
        operation,
        patience
      )
