/**
 * What the doctor looks at, one thing each.
 */
import { HierarchicalLock } from "@hilok/core"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { Redis } from "ioredis"
import { fromLockError } from "../internal/exit.ts"
import type { Connection } from "../internal/options.ts"
import { withSession } from "../internal/session.ts"
import { short } from "../internal/time.ts"
import { ask, patience, type Trouble } from "./server.ts"

export interface Finding {
  readonly check: string
  readonly ok: boolean
  readonly found: string
  /** What to do, when it is not. */
  readonly advice?: string
}

const good = (check: string, found: string): Finding => ({ check, ok: true, found })
const bad = (check: string, found: string, advice: string): Finding => ({ check, ok: false, found, advice })

const field = (info: string, name: string): string | undefined => new RegExp(`^${name}:(.*?)\\r?$`, "m").exec(info)?.[1]

const oldest = [6, 2] as const

const version = (info: string): Finding => {
  const valkey = field(info, "valkey_version")
  if (valkey !== undefined) return good("version", `Valkey ${valkey}`)
  const redis = field(info, "redis_version") ?? "unknown"
  const [major = 0, minor = 0] = redis.split(".").map(Number)
  return major > oldest[0] || (major === oldest[0] && minor >= oldest[1])
    ? good("version", `Redis ${redis}`)
    : bad("version", `Redis ${redis}`, `use Redis ${oldest.join(".")} or newer, or Valkey`)
}

const role = (info: string): Finding => {
  const found = field(info, "role") ?? "unknown"
  return found === "slave"
    ? bad("role", "replica", "connect to the primary: locks cannot be taken on a replica")
    : good("role", "primary")
}

const eviction = (info: string): Finding => {
  const policy = field(info, "maxmemory_policy")
  const limit = field(info, "maxmemory_human")
  if (policy === undefined) {
    return bad("eviction", "the server does not tell", "see that its maxmemory-policy is noeviction")
  }
  return policy === "noeviction"
    ? good("eviction", limit === undefined || limit === "0B" ? policy : `${policy}, maxmemory ${limit}`)
    : bad(
        "eviction",
        policy,
        "when memory is short, locks that are held may be evicted: CONFIG SET maxmemory-policy noeviction, or keep locks on a server of their own"
      )
}

/** What `INFO` tells. A user may be forbidden to ask. */
export const byInfo = (client: Redis, connection: Connection): Effect.Effect<ReadonlyArray<Finding>> =>
  ask(() => client.info(), patience(connection)).pipe(
    Effect.map((info) => [version(info), role(info), eviction(info)]),
    Effect.catchAll(({ message }) =>
      Effect.succeed([bad("version", `unknown: ${message}`, "let the user run INFO, or look by other means")])
    )
  )

const pings = 20
const slow = 50

const now = Effect.map(Clock.currentTimeNanos, (nanos) => Number(nanos) / 1e6)

const timed = <A>(effect: Effect.Effect<A, Trouble>) =>
  Effect.gen(function* () {
    const before = yield* now
    const answer = yield* effect
    return { answer, took: (yield* now) - before }
  })

export const latency = (client: Redis, connection: Connection): Effect.Effect<Finding> =>
  Effect.gen(function* () {
    const times: Array<number> = []
    for (let i = 0; i < pings; i++) {
      times.push((yield* timed(ask(() => client.ping(), patience(connection)))).took)
    }
    times.sort((a, b) => a - b)
    const median = times[pings / 2]!
    const found = `${median.toFixed(2)} ms (median of ${pings}; at most ${times.at(-1)!.toFixed(2)} ms)`
    return median <= slow
      ? good("latency", found)
      : bad("latency", found, "every lock costs two round trips: use a server that is nearer")
  }).pipe(
    Effect.catchAll(({ message }) => Effect.succeed(bad("latency", message, "see that the connection is stable")))
  )

const largestDifference = 1000

export const clock = (client: Redis, connection: Connection): Effect.Effect<Finding> =>
  Effect.gen(function* () {
    const { answer, took } = yield* timed(ask(() => client.time(), patience(connection)))
    const [seconds = 0, micros = 0] = answer.map(Number)
    const difference = seconds * 1000 + micros / 1000 - ((yield* Clock.currentTimeMillis) - took / 2)
    const amount = Math.abs(difference) < 1 ? "less than 1ms" : short(Math.abs(difference))
    const found = `${amount}${Math.abs(difference) < 1 ? "" : difference > 0 ? " ahead of here" : " behind here"}`
    return Math.abs(difference) <= largestDifference
      ? good("clock", found)
      : bad(
          "clock",
          found,
          "locks are safe, as the server's clock alone decides; but set the clocks right (NTP), or times in logs will not match"
        )
  }).pipe(
    Effect.catchAll(({ message }) =>
      Effect.succeed(bad("clock", message, "let the user run TIME: the scripts need it"))
    )
  )

/** Takes and releases a lock that can hardly be in anybody's way, with all that the store does. */
export const locks = (connection: Connection): Effect.Effect<Finding> => {
  const path = ["hilok-doctor", crypto.randomUUID()]
  const cycle = Effect.void.pipe(
    HierarchicalLock.withReadNode(path, { block: false, ttl: Duration.seconds(5), reason: "hilok doctor" }),
    // Somebody holds the root: the scripts have run all the same.
    Effect.catchTag("WouldBlock", () => Effect.void),
    Effect.mapError((error) => fromLockError(error))
  )
  return withSession(connection, { label: "hilok doctor" }, timedCycle(cycle)).pipe(
    Effect.catchAll(({ message }) =>
      Effect.succeed(
        bad(
          "scripts",
          message,
          "the user needs EVAL, EVALSHA, SCRIPT LOAD, SUBSCRIBE, PUBLISH and the keys of the prefix"
        )
      )
    )
  )
}

const timedCycle = <E, R>(cycle: Effect.Effect<void, E, R>) =>
  Effect.gen(function* () {
    const before = yield* now
    yield* cycle
    return good("scripts", `a lock was taken and released in ${((yield* now) - before).toFixed(1)} ms`)
  })
