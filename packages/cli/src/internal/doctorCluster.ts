/**
 * `hilok doctor` on a Redis Cluster: its nodes, whether they serve all slots, and the one that has the locks.
 */
import * as Effect from "effect/Effect"
import type { Cluster, Redis } from "ioredis"
import { ask, type Finding, field, version } from "./findings.ts"

const slots = 16_384

/** What a node says of one, itself or another: a line of CLUSTER NODES. */
interface Told {
  readonly id: string
  readonly host: string
  readonly port: number
  readonly flags: ReadonlyArray<string>
  /** Of a replica, whose: an id. */
  readonly primary: string | undefined
  readonly ranges: ReadonlyArray<readonly [first: number, last: number]>
}

const parse = (line: string): Told => {
  const [id = "", at = "", flags = "", primary = "-", , , , , ...ranges] = line.split(" ")
  const [, host = "", port = "0"] = /^(.*):(\d+)(?:@.*)?$/.exec(at.split(",")[0] ?? "") ?? []
  return {
    id,
    host,
    port: Number(port),
    flags: flags.split(","),
    primary: primary === "-" ? undefined : primary,
    // Those in brackets are on their way, and stand there beside the others.
    ranges: ranges.flatMap((range) => {
      const [, first, last = first] = /^(\d+)(?:-(\d+))?$/.exec(range) ?? []
      return first === undefined ? [] : [[Number(first), Number(last)] as const]
    })
  }
}

const isPrimary = ({ flags }: Told): boolean => flags.includes("master")
const hasFailed = ({ flags }: Told): boolean => flags.includes("fail")

/** A node, and what it says of itself if it answers. */
interface Node extends Told {
  readonly address: string
  readonly client: Redis | undefined
  readonly info: string
  readonly scripts: string
  readonly problem: string | undefined
}

const addressOf = ({
  host,
  port
}: {
  readonly host?: string | undefined
  readonly port?: number | undefined
}): string => `${host?.includes(":") ? `[${host}]` : host}:${port}`

/** The connections of the client, by the ids of the nodes that they lead to. */
const byId = (cluster: Cluster): Effect.Effect<ReadonlyMap<string, Redis>> =>
  Effect.map(
    Effect.forEach(
      cluster.nodes(),
      (client) =>
        Effect.match(
          ask(() => client.cluster("MYID")),
          {
            onFailure: () => [],
            onSuccess: (id) => [[String(id), client] as const]
          }
        ),
      { concurrency: "unbounded" }
    ),
    (found) => new Map(found.flat())
  )

/** To a node that the client leaves alone, as a replica that has nothing yet. */
const connectTo = (cluster: Cluster, { host, port }: Told) =>
  Effect.gen(function* () {
    const { natMap } = cluster.options
    const key = `${host}:${port}`
    const mapped = (typeof natMap === "function" ? natMap(key) : natMap?.[key]) ?? { host, port }
    const like = cluster.nodes()[0]
    if (like === undefined) return yield* Effect.fail("no node can be reached")
    const retryStrategy = () => null
    const client = yield* Effect.acquireRelease(
      Effect.sync(() => like.duplicate({ ...mapped, retryStrategy, lazyConnect: true }).on("error", () => undefined)),
      (opened) => Effect.sync(() => opened.disconnect())
    )
    yield* ask(() => client.connect())
    return client
  })

/** How it would run the store's scripts, if that is known. */
const scriptsOf = (client: Redis): Effect.Effect<string> =>
  Effect.match(
    ask(() => client.call("FUNCTION", "LIST", "LIBRARYNAME", "hilok_*")),
    {
      onFailure: (problem) => (/unknown command/i.test(problem) ? ", scripts run by EVALSHA" : ""),
      onSuccess: () => ", scripts run as functions"
    }
  )

const look = (cluster: Cluster, known: ReadonlyMap<string, Redis>, told: Told): Effect.Effect<Node> =>
  Effect.gen(function* () {
    const pooled = known.get(told.id)
    if (pooled === undefined && (told.flags.includes("noaddr") || told.host === "")) {
      return yield* Effect.fail("nobody knows its address")
    }
    const client = pooled ?? (yield* connectTo(cluster, told))
    const info = yield* ask(() => client.info())
    return {
      ...told,
      address: addressOf(client.options),
      client: pooled,
      info,
      scripts: yield* scriptsOf(client),
      problem: undefined
    }
  }).pipe(
    Effect.scoped,
    Effect.catchAll((problem) =>
      Effect.succeed({ ...told, address: addressOf(told), client: undefined, info: "", scripts: "", problem })
    )
  )

const isInSync = ({ info }: Node): boolean => field(info, "master_link_status") === "up"

const countSlots = ({ ranges }: Told): number => ranges.reduce((sum, [first, last]) => sum + last - first + 1, 0)

const describe = (node: Node, all: ReadonlyArray<Node>): Finding => {
  const { address, info, problem, scripts } = node
  const name = `node ${address}`
  if (hasFailed(node) || problem !== undefined) {
    return {
      ok: false,
      text: `${name}: ${hasFailed(node) ? "has failed, the others say" : "cannot be asked"}${problem === undefined ? "" : ` (${problem})`}`,
      advice:
        "Start it again, or take it out: CLUSTER FORGET on each of the other nodes. A client must reach all nodes."
    }
  }
  const software = version(info)
  const about = `${software.text.replace("version: ", "")}${scripts}`
  if (isPrimary(node)) {
    const text = `${name}: primary of ${countSlots(node)} slots, ${about}`
    return { ...software, text }
  }
  const its = all.find(({ id }) => id === node.primary)
  const behind = Number(field(its?.info ?? "", "master_repl_offset")) - Number(field(info, "slave_repl_offset"))
  const lag = Number.isNaN(behind) ? "" : `, ${Math.max(0, behind)} bytes behind`
  const inSync = isInSync(node)
  return {
    ok: software.ok && inSync,
    text: `${name}: replica of ${its?.address ?? "an unknown node"}, ${inSync ? `in sync${lag}` : "not in sync"}, ${about}`,
    advice: inSync
      ? (software.advice ?? "")
      : "It has lost its primary, or still copies: what it lacks is lost when it takes over. Its log says why."
  }
}

/** Ranges of numbers, for people. */
const list = (numbers: ReadonlyArray<number>): string => {
  const ranges: Array<[number, number]> = []
  for (const number of numbers) {
    const last = ranges.at(-1)
    if (last !== undefined && last[1] === number - 1) last[1] = number
    else ranges.push([number, number])
  }
  const shown = ranges.slice(0, 5).map(([first, last]) => (first === last ? `${first}` : `${first}-${last}`))
  return shown.join(", ") + (ranges.length > 5 ? ", …" : "")
}

const coverage = (nodes: ReadonlyArray<Node>): Finding => {
  const served = new Set<number>()
  for (const node of nodes) {
    if (!isPrimary(node) || hasFailed(node)) continue
    for (const [first, last] of node.ranges) for (let slot = first; slot <= last; slot++) served.add(slot)
  }
  const missing = Array.from({ length: slots }, (_, slot) => slot).filter((slot) => !served.has(slot))
  return {
    ok: missing.length === 0,
    text: `slots: ${served.size} of ${slots} are served${missing.length === 0 ? "" : `, not ${list(missing)}`}`,
    advice:
      "Locks in the others cannot be taken, nor any while cluster-require-full-coverage is on: redis-cli --cluster fix HOST:PORT."
  }
}

const placeOf = (
  slot: number,
  nodes: ReadonlyArray<Node>
): { readonly finding: Finding; readonly primary: Redis | undefined } => {
  const node = nodes.find(
    (one) => isPrimary(one) && !hasFailed(one) && one.ranges.some(([first, last]) => first <= slot && slot <= last)
  )
  if (node === undefined) {
    const advice = "See above: its slot must be served, or no lock can be taken."
    return { finding: { ok: false, text: `namespace: slot ${slot}, which nobody serves`, advice }, primary: undefined }
  }
  const count = nodes.filter((one) => one.primary === node.id && !hasFailed(one) && isInSync(one)).length
  return {
    finding: {
      ok: count > 0,
      text: `namespace: slot ${slot}, at ${node.address}, with ${count === 1 ? "1 replica" : `${count || "no"} replicas`} in sync`,
      advice: "When that node fails, none can take over: give it a replica, or mend the one that it has."
    },
    primary: node.client
  }
}

/** What there is to say of a Cluster, and the connection to the primary that serves the key. */
export const survey = (
  cluster: Cluster,
  key: string
): Effect.Effect<{ readonly findings: ReadonlyArray<Finding>; readonly primary: Redis | undefined }> =>
  Effect.gen(function* () {
    const known = yield* byId(cluster)
    const told = yield* ask(() => cluster.cluster("NODES"))
    const slot = Number(yield* ask(() => cluster.cluster("KEYSLOT", key)))
    const lines = String(told)
      .split("\n")
      .filter((line) => line !== "")
    const nodes = yield* Effect.forEach(lines.map(parse), (node) => look(cluster, known, node), { concurrency: 8 })
    const place = (node: Node) =>
      [isPrimary(node) ? node.id : (node.primary ?? ""), isPrimary(node) ? "" : node.address].join()
    const sorted = [...nodes].sort((a, b) => (place(a) < place(b) ? -1 : 1))
    const findings = sorted.map((node) => describe(node, nodes))
    const { finding, primary } = placeOf(slot, nodes)
    return { findings: [...findings, coverage(nodes), finding], primary }
  }).pipe(
    Effect.catchAll((problem) => {
      const advice = "Let this user run CLUSTER NODES, CLUSTER MYID and CLUSTER KEYSLOT."
      return Effect.succeed({ findings: [{ ok: false, text: `nodes: ${problem}`, advice }], primary: undefined })
    })
  )
