import { ratio, time, whole } from "../table.ts"
import { type Bench, type Entry, failuresOf, roundRobin, rowsOf, type Workload } from "./workload.ts"

const names = ["effect-semaphore", "effect-treentrantlock", "async-mutex", "memory-hilok"]
/** Milliseconds until a program is compiled for speed. */
const warm = 1_000
const heldCounts = [0, 1_000, 100_000]

const free = (bench: Bench, contestant: string): Entry => ({
  key: `memory/free/${contestant}`,
  contestant,
  measure: async (worker, warmUp) => {
    const millis = warmUp ? Math.max(bench.millis, warm) : bench.millis
    const spec = { root: "free", loops: 1, depth: 3, millis, unsampled: true }
    const { cycles, millis: took } = await (await worker()).run("cycles", spec, millis)
    return { cycle: took / cycles, rate: (cycles * 1_000) / took }
  }
})

const full = ({ millis }: Bench, held: number): Entry => ({
  key: `memory/held/${held}`,
  contestant: "memory-hilok",
  measure: async (worker) => {
    const one = await worker()
    await one.run("hold", { root: "held", count: held, depth: 3 }, 20_000)
    const cycles = await one.run("cycles", { root: "free", loops: 1, depth: 3, millis }, millis)
    await one.run("letGo", undefined, 20_000)
    return { cycle: cycles.p50, worst: cycles.p99 }
  }
})

export const memory: Workload = {
  name: "memory",
  about: "the memory store against the locks of one process, and with up to 100,000 leases held",
  run: async (bench) => {
    const alone = names.map((name) => free(bench, name))
    const among = heldCounts.map((held) => full(bench, held))
    await roundRobin(bench, 5, alone)
    await roundRobin(bench, 3, among)
    const limit = bench.metrics.median("memory/free/effect-semaphore/rate")
    const empty = bench.metrics.median("memory/held/0/cycle")
    return [
      {
        title: "In one process, without a server, one at a time",
        head: ["contestant", "cycle", "cycles/s", "of effect-semaphore"],
        rows: rowsOf(bench, alone, (value) => [
          time(value("cycle")),
          whole(value("rate")),
          ratio(value("rate"), limit)
        ]),
        notes: ["HiLok's path has three segments.", ...failuresOf(bench, alone)]
      },
      {
        title: "The memory store with leases held elsewhere",
        head: ["leases held", "cycle p50", "p99", "p50 to none held"],
        rows: rowsOf(bench, among, (value) => [
          time(value("cycle")),
          time(value("worst")),
          ratio(value("cycle"), empty)
        ]).map(([, ...cells], i) => [whole(heldCounts[i]), ...cells]),
        notes: failuresOf(bench, among)
      }
    ]
  }
}
