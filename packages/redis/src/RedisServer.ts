/**
 * What tools for operators need to know about the server behind a store's options: how to show its address, how it runs the
 * store's scripts, whether it has the database, and whether the clocks of its replicas agree with its own.
 *
 * @since 0.1.0
 */
import { LockError } from "@hilok/core"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Redacted from "effect/Redacted"
import type { ClusterOptions, Redis, RedisOptions } from "ioredis"
import * as failure from "./internal/failure.ts"
import * as ioredis from "./internal/ioredis.ts"
import * as Script from "./internal/script.ts"
import { ask } from "./internal/serverCheck.ts"
import * as Source from "./internal/source.ts"
import type { Options } from "./RedisStore.ts"

/**
 * The address in a URL, fit to be shown: without user, password and parameters, such as `redis://host:6379/2` or the path of a unix
 * socket. An invalid URL is not shown at all.
 *
 * @since 0.1.0
 * @category getters
 */
export const address: (url: string | Redacted.Redacted<string>) => string = Source.address

/**
 * The options with which a store would make its client of ioredis. They may contain a password.
 *
 * @since 0.1.0
 * @category conversions
 */
export const clientOptions = (options?: Options): Effect.Effect<RedisOptions, LockError.InvalidOptions> =>
  Effect.flatMap(Source.make(options ?? {}), (source) =>
    source._tag === "Own"
      ? Effect.succeed(source.options)
      : new LockError.InvalidOptions({
          option: "cluster",
          reason: "it names no server, but a Cluster: see clusterOptions"
        })
  )

/**
 * The nodes and options with which a store with the option `cluster` would make its `Cluster` of ioredis; `undefined` without that
 * option. They may contain a password.
 *
 * @since 0.2.0
 * @category conversions
 */
export const clusterOptions = (
  options?: Options
): Effect.Effect<
  | {
      readonly nodes: ReadonlyArray<{ readonly host: string; readonly port: number }>
      readonly options: ClusterOptions
    }
  | undefined,
  LockError.InvalidOptions
> =>
  Effect.map(Source.make(options ?? {}), (source) =>
    source._tag === "Own" ? undefined : { nodes: source.nodes, options: source.options }
  )

const patience = Duration.seconds(5)

/**
 * The number of the database that a client uses. Fails with `StoreError` if the server does not have it: ioredis would then go on in
 * another one, which a store refuses.
 *
 * @since 0.1.0
 * @category getters
 */
export const database = (client: Redis): Effect.Effect<number, LockError.StoreError> =>
  Effect.suspend(() => {
    const number = ioredis.database(client)
    return number === 0
      ? Effect.succeed(0)
      : Effect.as(
          ask(() => client.select(number), "select the database", patience),
          number
        )
  })

/**
 * How the server runs the store's scripts for this client: as a library of `functions` (Redis 7 and Valkey, if the user may load and
 * call them), or as one `script`, which takes the server longer and gives the same answers. Loads the library if it is not there;
 * touches no key. Fails with `StoreError` if the client can run neither.
 *
 * @since 0.2.0
 * @category getters
 */
export const loader = (client: Redis): Effect.Effect<"functions" | "script", LockError.StoreError> =>
  Effect.map(
    ask(() => Script.examine(client), "find out how its scripts run", patience),
    ({ loader }) => loader
  )

/**
 * A replica, and by how many milliseconds its clock is ahead of the primary's (below zero: behind), give or take
 * `precision`; or, in `problem`, why this is not known.
 *
 * @since 0.1.0
 * @category models
 */
export interface ReplicaClock {
  readonly address: string
  readonly ahead: number | undefined
  readonly precision: number
  readonly problem: string | undefined
}

interface Sample {
  /** By how much a server's clock is ahead of this process's (milliseconds). */
  readonly ahead: number
  readonly roundTrip: number
}

const samples = 5

const sample = (client: Redis): Effect.Effect<Sample, LockError.StoreError> =>
  Effect.gen(function* () {
    const millis = Effect.map(Clock.currentTimeNanos, (nanos) => Number(nanos) / 1e6)
    const before = yield* millis
    const [seconds, micros] = yield* ask(() => client.time(), "ask for the time", patience)
    const roundTrip = (yield* millis) - before
    return { ahead: Number(seconds) * 1000 + Number(micros) / 1000 - (before + roundTrip / 2), roundTrip }
  })

/** The quickest answer tells best. */
const best = (client: Redis): Effect.Effect<Sample, LockError.StoreError> =>
  Effect.map(Effect.replicateEffect(sample(client), samples), (all) =>
    all.reduce((one, other) => (other.roundTrip < one.roundTrip ? other : one))
  )

const replicaClock = (client: Redis, host: string, port: number): Effect.Effect<ReplicaClock> => {
  const address = host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`
  // What is wrong with a connection: the errors of commands say no more than that it is closed.
  let cause: unknown
  const connected = Effect.acquireRelease(
    Effect.sync(() => {
      // What the client goes by, but for where it leads.
      const nowhere = { sentinels: undefined, name: undefined, path: undefined, Connector: undefined }
      const replica = client.duplicate({
        ...nowhere,
        host,
        port,
        db: 0,
        lazyConnect: true,
        enableReadyCheck: false,
        retryStrategy: () => null,
        connectTimeout: Duration.toMillis(patience)
      } as unknown as RedisOptions)
      return ioredis
        .hush(replica, () => undefined)
        .on("error", (error) => {
          cause ??= error
        })
    }),
    (replica) => Effect.sync(() => replica.disconnect())
  )
  return Effect.scoped(
    Effect.gen(function* () {
      const replica = yield* connected
      yield* ask(() => replica.connect(), "connect", patience)
      const [there, here] = [yield* best(replica), yield* best(client)]
      const precision = (there.roundTrip + here.roundTrip) / 2
      return { address, ahead: there.ahead - here.ahead, precision, problem: undefined }
    })
  ).pipe(
    Effect.catchAll((error) => {
      const { reason } = cause === undefined ? error : failure.fromError("connect", cause)
      return Effect.succeed({ address, ahead: undefined, precision: 0, problem: reason })
    })
  )
}

/**
 * Compares the clocks of a primary's replicas with its own. Each replica is asked at the address that the primary knows, with
 * the client's user, password and TLS.
 *
 * Fencing tokens and deadlines follow the server's clock. If a replica whose clock is behind takes over, clients that have not seen
 * the former tokens may be given smaller ones; if its clock is ahead, leases end early.
 *
 * @since 0.1.0
 * @category getters
 */
export const replicaClocks = (client: Redis): Effect.Effect<ReadonlyArray<ReplicaClock>, LockError.StoreError> =>
  Effect.flatMap(
    ask(() => client.info("replication"), "ask for the replicas", patience),
    (info) =>
      Effect.forEach(Array.from(info.matchAll(/^slave\d+:ip=(.*?),port=(\d+)/gm)), ([, host = "", port]) =>
        replicaClock(client, host, Number(port))
      )
  )
