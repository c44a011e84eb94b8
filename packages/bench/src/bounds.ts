/** What HiLok has to reach, checked against what was measured in the same run. */
import type { Metrics } from "./metrics.ts"
import { figure, type Table } from "./table.ts"

interface Bound {
  readonly rule: string
  /** What was measured, in the unit of `limit`; `undefined` when it was not. */
  readonly value: (metrics: Metrics) => number | undefined
  readonly limit: (metrics: Metrics) => number | undefined
  readonly kind: "at most" | "at least" | "more than"
}

const divided = (a: number | undefined, b: number | undefined) =>
  a === undefined || b === undefined ? undefined : a / b

const greatest = (values: ReadonlyArray<number | undefined>): number | undefined => {
  const known = values.filter((value) => value !== undefined)
  return known.length === 0 ? undefined : Math.max(...known)
}

const constant = (value: number) => () => value

const one = (depth: number, contestant: string, name: string) => (metrics: Metrics) =>
  metrics.median(`one/${depth}/${contestant}/${name}`)

const peers = [
  "setnx",
  "setnx-effect",
  "redlock",
  "redis-semaphore",
  "effect-distributed-lock",
  "effect-distributed-lock-polling"
]

const many = (loops: number, name: string, contestants: ReadonlyArray<string>): Bound => ({
  rule: `${loops} at once, distinct paths: more cycles/s than ${name}`,
  value: (metrics) => metrics.median(`many/${loops}/hilok/rate`),
  limit: (metrics) => greatest(contestants.map((peer) => metrics.median(`many/${loops}/${peer}/rate`))),
  kind: "more than"
})

const places = [
  [1, "one process"],
  [4, "four processes"]
] as const

const handOver = ([processes, where]: (typeof places)[number]): ReadonlyArray<Bound> => {
  const of = (waiters: number, contestant: string, name: string) => (metrics: Metrics) =>
    metrics.median(`hot/once/${waiters}/${processes}/${contestant}/${name}`)
  return [
    {
      rule: `128 queued in ${where}: sections/s within a factor of 2 of the token queue`,
      value: (metrics) => divided(of(128, "blpop", "rate")(metrics), of(128, "hilok", "rate")(metrics)),
      limit: constant(2),
      kind: "at most"
    },
    {
      rule: `128 queued in ${where}: hand-over p50 within a factor of 2 of the token queue`,
      value: (metrics) => divided(of(128, "hilok", "handOverP50")(metrics), of(128, "blpop", "handOverP50")(metrics)),
      limit: constant(2),
      kind: "at most"
    },
    {
      rule: `queued in ${where}: share of sections out of order`,
      value: (metrics) =>
        greatest([2, 16, 128].map((waiters) => metrics.max(`hot/once/${waiters}/${processes}/hilok/inversions`))),
      limit: constant(0),
      kind: "at most"
    },
    {
      rule: `queued in ${where}: commands per section, 2 to 128 waiters`,
      value: (metrics) => greatest([2, 16, 128].map((waiters) => of(waiters, "hilok", "commands")(metrics))),
      limit: constant(3),
      kind: "at most"
    },
    {
      rule: `queued in ${where}: commands per section at 128 waiters to those at 2`,
      value: (metrics) => divided(of(128, "hilok", "commands")(metrics), of(2, "hilok", "commands")(metrics)),
      limit: constant(1.1),
      kind: "at most"
    }
  ]
}

const delegated = "hilok-delegated"

/** So many times what another reaches, in a workload. */
const times = (rule: string, least: number, workload: string, others: ReadonlyArray<string>): Bound => ({
  rule: `with delegations, ${rule}`,
  value: (metrics) =>
    divided(
      metrics.median(`${workload}/${delegated}/rate`),
      greatest(others.map((other) => metrics.median(`${workload}/${other}/rate`)))
    ),
  limit: constant(least),
  kind: "at least"
})

const delegations: ReadonlyArray<Bound> = [
  {
    rule: "with delegations, one at a time, depth 3: p50 to that of setnx",
    value: (metrics) => divided(one(3, delegated, "p50")(metrics), one(3, "setnx", "p50")(metrics)),
    limit: constant(0.25),
    kind: "at most"
  },
  {
    rule: "with delegations, one at a time, depth 3: commands a cycle",
    value: one(3, delegated, "commands"),
    limit: constant(0.01),
    kind: "at most"
  },
  ...[64, 512].map((loops) => times(`${loops} at once: cycles/s to those of every peer`, 2, `many/${loops}`, peers)),
  times("64 at once, paths never seen before: cycles/s to those of setnx", 1.5, "fresh/64", ["setnx"]),
  times("128 again and again in one process: sections/s to those of setnx", 8, "hot/loop/128/1", ["setnx"]),
  times("128 again and again in four processes: sections/s to those without", 1, "hot/loop/128/4", ["hilok"]),
  {
    rule: "with delegations, 128 again and again in four processes: commands a section to those without",
    value: (metrics) =>
      divided(metrics.median(`hot/loop/128/4/${delegated}/commands`), metrics.median("hot/loop/128/4/hilok/commands")),
    limit: constant(1),
    kind: "at most"
  },
  times("readers and writers on a tree: operations/s to two empty scripts", 1.5, "tree", ["limit"]),
  times("readers everywhere, four processes: reads/s to those without", 4, "crowd", ["hilok"]),
  {
    rule: "with delegations, readers everywhere: ms until a writer is in, p50",
    value: (metrics) => metrics.median(`crowd/${delegated}/writeP50`),
    limit: constant(5),
    kind: "at most"
  },
  {
    rule: "with delegations, the first after a quiet time: its wait to a hand-over without",
    value: (metrics) => divided(metrics.median(`first/${delegated}/wait`), metrics.median("first/hilok/wait")),
    limit: constant(2),
    kind: "at most"
  },
  {
    rule: "10,000 delegations that nobody uses: commands per refresh interval",
    value: (metrics) => metrics.median("idle/hilok-lingering/perInterval"),
    limit: constant(200),
    kind: "at most"
  }
]

const bounds: ReadonlyArray<Bound> = [
  ...delegations,
  {
    rule: "one at a time, depth 3: p50 to that of setnx",
    value: (metrics) => divided(one(3, "hilok", "p50")(metrics), one(3, "setnx", "p50")(metrics)),
    limit: constant(1.6),
    kind: "at most"
  },
  {
    rule: "one at a time, depth 3: commands a cycle",
    value: one(3, "hilok", "commands"),
    limit: constant(2.01),
    kind: "at most"
  },
  {
    rule: "one at a time, depth 3: round trips a cycle",
    value: one(3, "hilok", "reads"),
    limit: constant(2.01),
    kind: "at most"
  },
  {
    rule: "one at a time: p50 at depth 12 to depth 1",
    value: (metrics) => divided(one(12, "hilok", "p50")(metrics), one(1, "hilok", "p50")(metrics)),
    limit: constant(1.2),
    kind: "at most"
  },
  ...[64, 512].flatMap((loops) => [
    many(loops, "every peer", peers),
    many(loops, "setnx with auto-pipelining", ["setnx-pipelined"])
  ]),
  ...places.flatMap(handOver),
  {
    rule: "1,000 leases held: commands per refresh interval",
    value: (metrics) => metrics.median("held/hilok/perInterval"),
    limit: constant(20),
    kind: "at most"
  },
  ...(
    [
      [10_000, "cpu", "part of a core, in %", 3],
      [10_000, "stall", "longest stall, in ms", 25],
      [50_000, "cpu", "part of a core, in %", 12],
      [50_000, "bytes", "bytes of heap each", 4_000]
    ] as const
  ).map(
    ([count, name, what, limit]): Bound => ({
      rule: `${count.toLocaleString("en-US")} leases held by one process: ${what}`,
      value: (metrics) => {
        const value = metrics.median(`kept/${count}/hilok/${name}`)
        return name === "cpu" && value !== undefined ? 100 * value : value
      },
      limit: constant(limit),
      kind: "at most"
    })
  ),
  {
    rule: "10,000 leases held: bytes per lease",
    value: (metrics) => metrics.median("size/hilok/keys"),
    limit: constant(600),
    kind: "at most"
  },
  {
    rule: "the longest script of all workloads, in ms",
    value: (metrics) =>
      // In `queue` nobody else takes part.
      greatest(metrics.medians((name) => /^(?:queue|.*\/hilok)\/(?:.*\/)?longestScript$/.test(name))),
    limit: constant(5),
    kind: "at most"
  },
  {
    rule: "memory store: cycles/s to those of Effect's semaphore",
    value: (metrics) =>
      divided(metrics.median("memory/free/memory-hilok/rate"), metrics.median("memory/free/effect-semaphore/rate")),
    limit: constant(0.2),
    kind: "at least"
  },
  {
    rule: "memory store: a cycle with 100,000 leases held to one with none",
    value: (metrics) => divided(metrics.median("memory/held/100000/cycle"), metrics.median("memory/held/0/cycle")),
    limit: constant(1.5),
    kind: "at most"
  },
  {
    rule: "hilok run x -- true: ms above node -e 0",
    value: (metrics) => {
      const [run, node] = [metrics.median("cli/hilok run x -- true"), metrics.median("cli/node -e 0")]
      return run === undefined || node === undefined ? undefined : run - node
    },
    limit: constant(150),
    kind: "at most"
  }
]

const verdict = (kind: Bound["kind"], value: number, limit: number) => {
  const met = kind === "at most" ? value <= limit : kind === "at least" ? value >= limit : value > limit
  return met ? "met" : "missed"
}

/** The bounds of what was measured; `undefined` when that was none of them. */
export const check = (metrics: Metrics): Table | undefined => {
  const rows = bounds.flatMap(({ kind, limit, rule, value }) => {
    const measured = value(metrics)
    const allowed = limit(metrics)
    if (measured === undefined || allowed === undefined) return []
    const part = allowed === 0 ? "–" : `${figure(measured / allowed)}×`
    return [[rule, figure(measured), `${kind} ${figure(allowed)}`, part, verdict(kind, measured, allowed)]]
  })
  return rows.length === 0
    ? undefined
    : { title: "Bounds", head: ["bound", "measured", "allowed", "ratio", "verdict"], rows, notes: [] }
}
