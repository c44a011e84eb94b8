/**
 * `hilok doctor`: is the server fit for locks?
 */
import { HierarchicalLock } from "@hilok/core"
import { RedisServer, RedisStore } from "@hilok/redis"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { Cluster, Redis } from "ioredis"
import { clean, json } from "./clean.ts"
import type { DoctorInput, ServerOptions } from "./commands.ts"
import * as doctorCluster from "./doctorCluster.ts"
import { denials } from "./doctorCommands.ts"
import { exitCode } from "./failure.ts"
import { ask, type Finding, field, finding, reasonOf, version } from "./findings.ts"
import { print } from "./print.ts"
import * as server from "./server.ts"
import { paint, screenOf, span } from "./text.ts"

const slow = 50
const tolerable = 1_000

const role = (info: string): Finding => ({
  ok: field(info, "role") !== "slave",
  text: `role: ${field(info, "role") === "slave" ? "replica" : "primary"}`,
  advice: "Locks are taken on the primary: connect to that one."
})

const eviction = (info: string): Finding => {
  const policy = field(info, "maxmemory_policy") ?? "unknown"
  return {
    ok: policy === "noeviction",
    text: `eviction policy: ${policy}`,
    advice: "Locks that are held could be evicted. Set maxmemory-policy to noeviction, or use a server of its own."
  }
}

const latency = (client: Redis): Effect.Effect<Finding, string> =>
  Effect.gen(function* () {
    const times: Array<number> = []
    for (let i = 0; i < 20; i++) {
      const [time] = yield* Effect.timed(ask(() => client.ping()))
      times.push(Duration.toMillis(time))
    }
    const median = times.sort((a, b) => a - b)[times.length >> 1]!
    return {
      ok: median < slow,
      text: `latency: ${median.toFixed(2)} ms (median of ${times.length})`,
      advice: `Each lock takes a round trip or two: above ${slow} ms, move the server nearer or find out what keeps it busy.`
    }
  })

/** A node of a Cluster, by a client that sees no other. */
const alone = (info: string): ReadonlyArray<Finding> =>
  field(info, "cluster_enabled") === "1"
    ? [
        {
          ok: false,
          text: "cluster: the server is a node of a Redis Cluster",
          advice: "A node refuses what other nodes serve: name its nodes by --cluster or REDIS_CLUSTER_NODES."
        }
      ]
    : []

const scripts = (client: Redis): Effect.Effect<Finding, string> =>
  RedisServer.loader(client).pipe(
    Effect.mapBoth({
      onFailure: ({ reason }) => reason,
      onSuccess: (loader) => ({
        ok: true,
        text:
          loader === "functions"
            ? "scripts: run as functions"
            : "scripts: run by EVALSHA; functions (Redis 7, FUNCTION LOAD and FCALL) would take the server less time"
      })
    })
  )

/** What the names of keys and channels begin with: those of a namespace, and of one of its partitions if it has several. */
const bases = (options: ServerOptions, partitions: number): ReadonlyArray<string> =>
  partitions === 1 ? [server.keyBase(options)] : [server.keyBase(options), server.partitionBase(options, partitions)]

/** The patterns for all of them, in a rule of a user. */
const patterns = (options: ServerOptions, partitions: number): string =>
  [server.keyBase(options), ...(partitions === 1 ? [] : [server.partitionStart(options)])]
    .map((start) => `~${start}* &${start}*`)
    .join(" ")

const commands = (
  client: Redis,
  options: ServerOptions,
  partitions: number
): Effect.Effect<ReadonlyArray<Finding>, string> =>
  Effect.map(
    ask(() => denials(client, bases(options, partitions))),
    ({ commands: missing, others }) => [
      ...(missing.length === 0
        ? [{ ok: true, text: "commands: all that the scripts run are allowed" }]
        : [
            {
              ok: false,
              text: `commands: this user may not run ${missing.join(", ")}`,
              advice: `Let it: ACL SETUSER … ${missing.map((name) => `+${name}`).join(" ")}`
            }
          ]),
      ...others.map((said) => ({
        ok: false,
        text: `keys and channels: ${said}`,
        advice: `Let this user use them: ACL SETUSER … ${patterns(options, partitions)}`
      }))
    ]
  )

/** Is there the database that was asked for? Each server has the first one. */
const database = (client: Redis): Effect.Effect<ReadonlyArray<Finding>> =>
  Effect.match(RedisServer.database(client), {
    onFailure: ({ reason }) => [
      {
        ok: false,
        text: `database: ${reason}`,
        advice: "Name one that the server has (CONFIG GET databases tells how many), and let this user run SELECT."
      }
    ],
    onSuccess: (number) => (number === 0 ? [] : [{ ok: true, text: `database: ${number}` }])
  })

const clock = (client: Redis): Effect.Effect<Finding, string> =>
  Effect.gen(function* () {
    const before = yield* Clock.currentTimeMillis
    const [seconds, micros] = yield* ask(() => client.time())
    const after = yield* Clock.currentTimeMillis
    const ahead = Number(seconds) * 1000 + Number(micros) / 1000 - (before + after) / 2
    return {
      ok: Math.abs(ahead) <= tolerable,
      text: `clock: the server's is ${Math.abs(ahead).toFixed(0)} ms ${ahead >= 0 ? "ahead" : "behind"}`,
      advice: "Locks go by the server's clock alone, but times in logs will not agree: let NTP set both clocks."
    }
  })

/** By how many milliseconds the clock of a replica may differ. */
const tolerableBetween = 100

const shift = ({ address, ahead, precision, problem }: RedisServer.ReplicaClock): string =>
  ahead === undefined
    ? `${address} is not known (${problem})`
    : `${address} is ${Math.abs(ahead).toFixed(1)} ms ${ahead >= 0 ? "ahead" : "behind"}, give or take ${precision.toFixed(1)} ms`

const replicas = (client: Redis): Effect.Effect<ReadonlyArray<Finding>> =>
  Effect.match(RedisServer.replicaClocks(client), {
    // Without INFO it is not known whether there are any; that is said already.
    onFailure: () => [],
    onSuccess: (clocks) =>
      clocks.map((clock) => ({
        ok: clock.ahead !== undefined && Math.abs(clock.ahead) <= tolerableBetween + clock.precision,
        text: `clock of a replica: ${shift(clock)}`,
        advice: "When it takes over, tokens and leases go by its clock: let NTP set the clocks of all servers."
      }))
  })

const trial = (options: ServerOptions, partitions: number): Effect.Effect<ReadonlyArray<Finding>> =>
  HierarchicalLock.withReadNode(Effect.void, ["hilok doctor", crypto.randomUUID()], { block: false }).pipe(
    // The lock of somebody who holds everything is in the way; that, too, the scripts have found out.
    Effect.catchTag("WouldBlock", () => Effect.void),
    Effect.provide(server.layer(options)),
    Effect.match({
      onFailure: (error) => {
        // As the scripts have found, the number is noted in the server.
        if (error._tag === "InvalidOptions" && error.option === "partitions") {
          const advice = "Give the number that all others have: --partitions, HILOK_PARTITIONS."
          return [{ ok: false, text: `partitions: ${error.reason}`, advice }]
        }
        const advice = "What else is wrong stands above; docs/protocol.md lists keys and channels."
        return [{ ok: false, text: `a lock: ${error.message}`, advice }]
      },
      onSuccess: () => [
        ...(partitions === 1 ? [] : [{ ok: true, text: `partitions: ${partitions}, as the server has noted` }]),
        { ok: true, text: "a lock: taken and released" }
      ]
    })
  )

const checks = (
  client: Redis,
  options: ServerOptions,
  partitions: number,
  isInCluster: boolean
): Effect.Effect<ReadonlyArray<Finding>> =>
  Effect.gen(function* () {
    const info = yield* Effect.either(ask(() => client.info()))
    const told =
      info._tag === "Left"
        ? [{ ok: false, text: `version and settings: ${info.left}`, advice: "Let this user run INFO." }]
        : [version(info.right), role(info.right), ...(isInCluster ? [] : alone(info.right)), eviction(info.right)]
    return [
      ...told,
      ...(yield* database(client)),
      yield* finding(latency(client), "latency", "Let this user run PING."),
      yield* finding(scripts(client), "scripts", "Let this user run FCALL and FUNCTION LOAD, or EVAL and EVALSHA."),
      yield* finding(clock(client), "clock", "Let this user run TIME."),
      ...(yield* replicas(client)),
      ...(yield* Effect.catchAll(commands(client, options, partitions), (problem) =>
        Effect.succeed([{ ok: false, text: `commands: ${problem}` }])
      )),
      ...(yield* trial(options, partitions))
    ]
  })

/** Answers with what was wrong, if anything. */
const connect = (client: Redis | Cluster): Effect.Effect<string | undefined> =>
  Effect.suspend(() => {
    // The client's own error says no more than that it is closed.
    let cause: unknown
    client.on("error", (error) => {
      cause = (error as { readonly lastNodeError?: unknown }).lastNodeError ?? error
    })
    return Effect.match(
      Effect.zipRight(
        ask(() => client.connect()),
        ask(() => client.ping())
      ),
      {
        onFailure: (problem) => (cause === undefined ? problem : reasonOf(cause)),
        onSuccess: () => undefined
      }
    )
  })

const show = (findings: ReadonlyArray<Finding>, asJson: boolean): Effect.Effect<void> => {
  if (asJson) return print(json(findings, 2).split("\n"))
  const screen = { ...screenOf(process.stdout), columns: undefined }
  return print(
    findings.flatMap(({ advice, ok, text }) => {
      const line = paint([ok ? span("✓ ", "green") : span("✗ ", "red"), span(clean(text))], screen)
      return ok || advice === undefined ? [line] : [line, `  ${clean(advice)}`]
    })
  )
}

/** Says what is wrong once, and nothing by itself. */
const quiet = {
  connectionName: "hilok-doctor",
  lazyConnect: true,
  // It prints, and fails without INFO.
  enableReadyCheck: false
} as const

/** A connection of its own, to a server or a Cluster. */
const open = (options: ServerOptions) =>
  Effect.gen(function* () {
    const { shown, store } = yield* server.settings(options)
    yield* RedisStore.validate(store)
    const cluster = yield* RedisServer.clusterOptions(store)
    const single = cluster === undefined ? yield* RedisServer.clientOptions(store) : {}
    const make = (): Redis | Cluster =>
      cluster === undefined
        ? new Redis({ ...single, ...quiet, retryStrategy: () => null, sentinelRetryStrategy: () => null })
        : new Cluster([...cluster.nodes], {
            ...cluster.options,
            lazyConnect: true,
            enableReadyCheck: false,
            clusterRetryStrategy: () => null,
            redisOptions: { ...cluster.options.redisOptions, ...quiet }
          })
    const client = yield* Effect.acquireRelease(Effect.sync(make), (opened) => Effect.sync(() => opened.disconnect()))
    return { client, partitions: store.partitions ?? 1, shown }
  })

/** What is to be checked of a server, and before that of a Cluster, whose node with the locks is checked as a server is. */
const examine = (
  client: Redis | Cluster,
  options: ServerOptions,
  partitions: number
): Effect.Effect<ReadonlyArray<Finding>> =>
  Effect.gen(function* () {
    if (!(client instanceof Cluster)) return yield* checks(client, options, partitions, false)
    const { findings, primary } = yield* doctorCluster.survey(client, `${server.keyBase(options)}table`)
    const more = yield* primary === undefined ? trial(options, partitions) : checks(primary, options, partitions, true)
    return [...findings, ...more]
  })

/** Answers with the exit code. */
export const doctor = ({ values: options }: DoctorInput) =>
  Effect.scoped(
    Effect.gen(function* () {
      const { client, partitions, shown } = yield* open(options)
      const problem = yield* connect(client)
      if (problem !== undefined) {
        const where = client instanceof Cluster ? "--cluster, REDIS_CLUSTER_NODES" : "--url, REDIS_URL"
        const advice = `Check the address (${where}), the password, and whether a firewall is in between.`
        yield* show([{ ok: false, text: `reachable: ${shown}: ${problem}`, advice }], options.json)
        return exitCode.unavailable
      }
      const findings = [{ ok: true, text: `reachable: ${shown}` }, ...(yield* examine(client, options, partitions))]
      yield* show(findings, options.json)
      return findings.every(({ ok }) => ok) ? 0 : exitCode.negative
    })
  )
