/** Beyond one server: what a Cluster carries, what its partitions cost, and what it costs to wait for a replica. */
import { start } from "../cluster.ts"
import type { Server } from "../server.ts"
import { figure, ratio, share, type Table, time, whole } from "../table.ts"
import type { Cycles } from "../tasks/cycles.ts"
import { type Bench, type Entry, failuresOf, measureCycles, roundRobin, rowsOf, type Workload } from "./workload.ts"

const rounds = 5

/** Cycles on free locks, with what they cost all primaries together, and which part of that each had. */
const entry = (
  bench: Bench,
  primaries: ReadonlyArray<Server>,
  key: string,
  contestant: string,
  spec: Omit<Cycles, "root" | "millis">
): Entry => ({
  key,
  contestant,
  measure: async (worker, isWarmUp) => {
    const { after, before, result } = await measureCycles(bench, primaries, await worker(), contestant, spec, isWarmUp)
    const { commands, cycles, millis, p50 } = result
    const each = after.map(({ cpu }, i) => cpu - before[i]!.cpu)
    const all = each.reduce((a, b) => a + b)
    return {
      p50,
      rate: (cycles * 1_000) / millis,
      commands: commands / cycles,
      cpu: all / cycles,
      least: Math.min(...each) / all,
      most: Math.max(...each) / all
    }
  }
})

/** Runs the entries that a cluster is for, on that cluster. */
const onCluster = async (
  bench: Bench,
  size: readonly [primaries: number, replicas: number],
  entriesOf: (primaries: ReadonlyArray<Server>) => ReadonlyArray<Entry>
): Promise<ReadonlyArray<Entry>> => {
  bench.progress(`a cluster of ${size[0]} primaries starts`)
  const { primaries, stop } = await start(bench.pin, ...size)
  try {
    const entries = entriesOf(primaries)
    await roundRobin({ ...bench, server: primaries[0]! }, rounds, entries)
    return entries
  } finally {
    stop()
  }
}

const atOnce = 64
const sizes = [1, 2, 3]
const partitions = [1, 3, 8]
const spread = "hilok-cluster-48"

const load = async (bench: Bench): Promise<Table> => {
  const shown: Array<Entry & { readonly size: number }> = []
  for (const size of sizes) {
    const entries = await onCluster(bench, [size, 0], (primaries) => [
      entry(bench, primaries, `cluster/load/${size}`, spread, { loops: atOnce, depth: 1 })
    ])
    shown.push(...entries.map((one) => ({ ...one, size })))
  }
  const rows = shown.map((one) =>
    rowsOf(bench, [one], (value) => [
      whole(value("rate")),
      time((value("cpu") ?? Number.NaN) / 1_000),
      `${share(value("least"))} to ${share(value("most"))}`,
      whole(1e6 / (value("cpu") ?? Number.NaN)),
      figure(value("commands"))
    ]).map(([, ...cells]) => [String(one.size), ...cells])
  )
  return {
    title: `Cluster: ${atOnce} at once, distinct paths, 48 partitions`,
    head: [
      "primaries",
      "locks/s here",
      "CPU of all primaries a lock",
      "share of each primary",
      "locks/s for a core of primary",
      "commands"
    ],
    rows: rows.flat(),
    notes: [
      "All primaries share one core here, and the client has the other: more primaries cannot be faster. What shows is what a lock costs all of " +
        "them together, and that it is spread. A lock is one that is taken and given back.",
      ...failuresOf(bench, shown)
    ]
  }
}

const root = async (bench: Bench): Promise<Table> => {
  const entries = await onCluster(bench, [3, 0], (primaries) =>
    partitions.map((count) =>
      entry(bench, primaries, `cluster/root/${count}`, `hilok-cluster-${count}`, { loops: 1, depth: 1, path: "" })
    )
  )
  const first = bench.metrics.median("cluster/root/1/p50")
  return {
    title: "Cluster of three primaries: write on the root, one at a time",
    head: ["contestant", "p50", "to one partition", "commands", "CPU of all primaries"],
    rows: rowsOf(bench, entries, (value) => [
      time(value("p50")),
      ratio(value("p50"), first),
      figure(value("commands")),
      time((value("cpu") ?? Number.NaN) / 1_000)
    ]),
    notes: [
      "The number behind the name is that of the partitions; each is taken in turn.",
      ...failuresOf(bench, entries)
    ]
  }
}

const copies = async (bench: Bench): Promise<ReadonlyArray<Table>> => {
  const loads = [1, atOnce]
  const entries = await onCluster(bench, [1, 1], (primaries) =>
    loads.flatMap((loops) =>
      ["hilok-cluster-1", "hilok-replicas"].map((name) =>
        entry(bench, primaries, `cluster/copies/${loops}/${name}`, name, { loops, depth: 3 })
      )
    )
  )
  return loads.map((loops) => {
    const shown = entries.filter(({ key }) => key.startsWith(`cluster/copies/${loops}/`))
    const without = bench.metrics.median(`cluster/copies/${loops}/hilok-cluster-1/p50`)
    return {
      title: `With a replica that has to have each grant (\`min: 1\`), ${loops === 1 ? "one at a time" : `${loops} at once`}`,
      head: ["contestant", "p50", "to that without", "locks/s", "CPU of the primary", "commands"],
      rows: rowsOf(bench, shown, (value) => [
        time(value("p50")),
        ratio(value("p50"), without),
        whole(value("rate")),
        time((value("cpu") ?? Number.NaN) / 1_000),
        figure(value("commands"))
      ]),
      notes: failuresOf(bench, shown)
    }
  })
}

export const cluster: Workload = {
  name: "cluster",
  about:
    "a Redis Cluster: 1 to 3 primaries, the root over 1, 3 and 8 partitions, a replica that has to have each grant",
  run: async (bench) => {
    const plays = (...names: ReadonlyArray<string>) => names.some(bench.plays)
    return [
      ...(plays(spread) ? [await load(bench)] : []),
      ...(plays(...partitions.map((count) => `hilok-cluster-${count}`)) ? [await root(bench)] : []),
      ...(plays("hilok-replicas") ? await copies(bench) : [])
    ]
  }
}
