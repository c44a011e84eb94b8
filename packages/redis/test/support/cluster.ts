/**
 * A Redis Cluster of the tests' own, on loopback: three primaries with a replica each, unless told otherwise. No persistence, gone
 * with the scope.
 *
 * It takes about three seconds to start (a primary waits two before it calls the cluster whole), so start one per file.
 */
import { randomInt } from "node:crypto"
import { createServer } from "node:net"
import { Effect, type Scope } from "effect"
import { Redis, type RedisOptions } from "ioredis"
import { until } from "./faults.ts"
import * as Server from "./server.ts"

export interface Node {
  readonly id: string
  readonly port: number
  /** `127.0.0.1:port`, as the option `cluster` takes it. */
  readonly address: string
  readonly pid: number
  /** A connection to this node alone, for looking and for disturbing. Its name is `admin`. */
  readonly admin: Redis
  /** Ends the process at once, as by kill -9, and waits until it is gone. */
  readonly kill: Effect.Effect<void>
  /** The process stands still, and its connections with it, until it is told to go on. */
  readonly stop: Effect.Effect<void>
  readonly goOn: Effect.Effect<void>
}

export interface Cluster {
  /** The primaries first, then their replicas in the same order: as they were at the start. */
  readonly nodes: ReadonlyArray<Node>
  /** All addresses, as the option `cluster` takes them. */
  readonly addresses: ReadonlyArray<string>
  readonly password: string | undefined
  readonly slotOf: (key: string) => Effect.Effect<number>
  /** Who serves the slot of a key now, and its replicas, as the nodes that are reachable say. */
  readonly serving: (key: string) => Effect.Effect<{ readonly primary: Node; readonly replicas: ReadonlyArray<Node> }>
  /**
   * Waits until every node that is reachable calls the cluster whole, and all agree on who of them serves the slot of the key, and on
   * who replicates whom.
   */
  readonly settled: (key: string) => Effect.Effect<void>
  /** Moves the slot of a key, with what is in it, to another primary; `between` runs when each key has moved, but not yet the slot. */
  readonly moveSlot: (key: string, to: Node, between?: Effect.Effect<void>) => Effect.Effect<void>
  /** Takes a primary out of the cluster, as an operator does, after its keys have moved to another one; its process goes on. */
  readonly leave: (node: Node, to: Node) => Effect.Effect<void>
}

const isFree = (port: number): Effect.Effect<boolean> =>
  Effect.async((resume) => {
    const probe = createServer()
    probe.once("error", () => resume(Effect.succeed(false)))
    probe.listen(port, "127.0.0.1", () => probe.close(() => resume(Effect.succeed(true))))
  })

/** Below what the system gives to connections, with the port of the cluster bus: ten thousand above. */
const freePort: Effect.Effect<number> = Effect.suspend(() => {
  const port = randomInt(14_000, 22_000)
  return Effect.flatMap(Effect.all([isFree(port), isFree(port + 10_000)]), ([one, other]) =>
    one && other ? Effect.succeed(port) : freePort
  )
})

const startNode = (
  port: number,
  args: ReadonlyArray<string>,
  options: RedisOptions
): Effect.Effect<Node, never, Scope.Scope> =>
  Effect.gen(function* () {
    const { child } = yield* Server.run((folder) => [
      ...["--bind", "127.0.0.1", "--port", String(port), "--dir", folder, "--save", "", "--appendonly", "no"],
      ...["--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf", "--cluster-node-timeout", "1000"],
      // A replica takes over however long it was cut off, and begins to copy at once.
      ...["--cluster-replica-validity-factor", "0", "--repl-diskless-sync-delay", "0"],
      ...(process.env.HILOK_TEST_LOADER === "script" ? ["--rename-command", "FUNCTION", ""] : []),
      ...args
    ])
    const admin = yield* Effect.acquireRelease(
      Effect.sync(() => {
        const settings = { connectionName: "admin", retryStrategy: () => 10, maxRetriesPerRequest: null, ...options }
        return new Redis(port, "127.0.0.1", settings).on("error", () => undefined)
      }),
      (client) => Effect.sync(() => client.disconnect())
    )
    const id = String(yield* Effect.promise(() => admin.cluster("MYID")))
    const kill = Effect.zipRight(
      Effect.sync(() => {
        admin.disconnect()
        child.kill("SIGKILL")
      }),
      Server.ended(child)
    )
    const signal = (name: NodeJS.Signals) => Effect.sync(() => void child.kill(name))
    return {
      stop: signal("SIGSTOP"),
      goOn: signal("SIGCONT"),
      id,
      port,
      address: `127.0.0.1:${port}`,
      pid: child.pid ?? 0,
      admin,
      kill
    }
  })

/** What a node says about the cluster; nothing when it is not reachable. */
const tells = (node: Node, pattern: RegExp): Effect.Effect<boolean> =>
  Effect.promise(() => node.admin.cluster("INFO").then((info) => pattern.test(String(info))))

const slots = 16_384

/** The lines of CLUSTER NODES: id, flags, whom it replicates, and the ranges of slots. */
const view = (node: Node) =>
  Effect.promise(async () =>
    String(await node.admin.cluster("NODES"))
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => {
        const [id = "", , flags = "", master = "", , , , link = "", ...ranges] = line.split(" ")
        return { id, flags, master, link, ranges: ranges.map((range) => range.split("-").map(Number)) }
      })
  )

export const start = (options?: {
  readonly primaries?: number
  /** Of each primary. */
  readonly replicas?: number
  readonly password?: string
  readonly args?: ReadonlyArray<string>
}): Effect.Effect<Cluster, never, Scope.Scope> =>
  Effect.gen(function* () {
    const { args = [], password, primaries: count = 3, replicas = 1 } = options ?? {}
    const secrets = password === undefined ? [] : ["--requirepass", password, "--masterauth", password]
    const nodes: Array<Node> = []
    for (let i = 0; i < count * (1 + replicas); i++) {
      const port = yield* freePort
      nodes.push(yield* startNode(port, [...secrets, ...args], password === undefined ? {} : { password }))
    }
    const primaries = nodes.slice(0, count)
    const each = <A>(run: (node: Node, i: number) => Promise<A>) =>
      Effect.promise(() => Promise.all(nodes.map((node, i) => run(node, i))))
    yield* each(async ({ admin }, i) => {
      await admin.cluster("SET-CONFIG-EPOCH", i + 1)
      if (i >= count) return
      const from = Math.floor((i * slots) / count)
      const to = Math.floor(((i + 1) * slots) / count)
      await admin.cluster("ADDSLOTS", ...Array.from({ length: to - from }, (_, n) => from + n))
    })
    yield* each(({ admin }) => admin.cluster("MEET", "127.0.0.1", nodes[0]!.port))
    const all = (pattern: RegExp) =>
      Effect.map(
        Effect.forEach(nodes, (node) => tells(node, pattern)),
        (are) => are.every(Boolean)
      )
    yield* until(all(new RegExp(`cluster_known_nodes:${nodes.length}\\b`)), "nodes that know each other")
    // A node that was met is known by another id until it has answered.
    const known = Effect.map(Effect.forEach(nodes, view), (views) =>
      views.every((lines) => lines.every(({ flags, link }) => !/handshake|fail/.test(flags) && link === "connected"))
    )
    yield* until(known, "nodes that have met")
    yield* each(async ({ admin }, i) => {
      if (i >= count) await admin.cluster("REPLICATE", primaries[i % count]!.id)
    })
    const synced = Effect.promise(async () => {
      const infos = await Promise.all(nodes.slice(count).map(({ admin }) => admin.info("replication")))
      return infos.every((info) => info.includes("master_link_status:up"))
    })
    yield* until(synced, "the links to the primaries")
    const seen = Effect.map(Effect.forEach(nodes, view), (views) =>
      views.every((lines) => lines.filter(({ flags }) => flags.includes("slave")).length === count * replicas)
    )
    yield* until(seen, "replicas that everybody knows")
    yield* until(all(/cluster_state:ok/), "a cluster that is whole")

    const alive = () => nodes.filter(({ admin }) => admin.status === "ready")
    const slotOf = (key: string) => Effect.promise(async () => Number(await alive()[0]!.admin.cluster("KEYSLOT", key)))
    const byId = (id: string) => nodes.find((node) => node.id === id)!
    const servingIn = (
      lines: ReadonlyArray<{ id: string; flags: string; ranges: ReadonlyArray<ReadonlyArray<number>> }>,
      slot: number
    ) =>
      lines.find(
        ({ flags, ranges }) =>
          flags.includes("master") &&
          !/fail/.test(flags) &&
          ranges.some(([from = -1, to = from]) => from <= slot && slot <= to)
      )?.id
    const serving: Cluster["serving"] = (key) =>
      Effect.gen(function* () {
        const slot = yield* slotOf(key)
        const lines = yield* view(alive()[0]!)
        const primary = servingIn(lines, slot)
        if (primary === undefined) return yield* Effect.dieMessage(`nobody serves slot ${slot}`)
        const its = lines.filter(({ flags, master }) => master === primary && !/fail/.test(flags))
        return { primary: byId(primary), replicas: its.map(({ id }) => byId(id)) }
      })
    return {
      nodes,
      password,
      addresses: nodes.map(({ address }) => address),
      slotOf,
      serving,
      settled: (key) =>
        Effect.flatMap(slotOf(key), (slot) =>
          until(
            Effect.gen(function* () {
              const here = alive()
              const fine = yield* Effect.forEach(here, (node) => tells(node, /cluster_state:ok/))
              const views = yield* Effect.forEach(here, view)
              const found = views.map((lines) => servingIn(lines, slot))
              const roles = views.map((lines) =>
                here.map(({ id }) => lines.find((line) => line.id === id)?.master).join(" ")
              )
              const agree = (all: ReadonlyArray<unknown>) => all.every((one) => one === all[0])
              return fine.every(Boolean) && agree(found) && agree(roles) && here.some(({ id }) => id === found[0])
            }),
            "a cluster that is whole again"
          )
        ),
      moveSlot: (key, to, between = Effect.void) =>
        Effect.gen(function* () {
          const slot = yield* slotOf(key)
          const { primary: from } = yield* serving(key)
          yield* Effect.promise(async () => {
            await to.admin.cluster("SETSLOT", slot, "IMPORTING", from.id)
            await from.admin.cluster("SETSLOT", slot, "MIGRATING", to.id)
            for (;;) {
              const keys = (await from.admin.cluster("GETKEYSINSLOT", slot, 100)) as ReadonlyArray<string>
              if (keys.length === 0) break
              const auth = password === undefined ? [] : ["AUTH", password]
              await from.admin.call("MIGRATE", "127.0.0.1", String(to.port), "", "0", "5000", ...auth, "KEYS", ...keys)
            }
          })
          yield* between
          yield* Effect.promise(async () => {
            await to.admin.cluster("SETSLOT", slot, "NODE", to.id)
            await from.admin.cluster("SETSLOT", slot, "NODE", to.id)
          })
        }),
      leave: (node, to) =>
        Effect.gen(function* () {
          const here = alive()
          const ranges = (yield* view(node)).find(({ id }) => id === node.id)?.ranges ?? []
          yield* Effect.promise(() =>
            Promise.all(
              here.map(({ admin }) => {
                const pipeline = admin.pipeline()
                for (const [from = 0, last = from] of ranges) {
                  for (let slot = from; slot <= last; slot++) pipeline.cluster("SETSLOT", slot, "NODE", to.id)
                }
                return pipeline.exec()
              })
            )
          )
          const isAlone = Effect.map(Effect.forEach(here, view), (views) =>
            views.every((lines) => lines.every(({ master }) => master !== node.id))
          )
          yield* until(isAlone, "replicas that follow another primary")
          const others = here.filter((other) => other !== node)
          yield* Effect.promise(() => Promise.all(others.map(({ admin }) => admin.cluster("FORGET", node.id))))
          yield* Effect.promise(() => node.admin.cluster("RESET", "HARD"))
          node.admin.disconnect()
        })
    }
  })
