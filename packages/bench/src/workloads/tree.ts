import { ratio, time, whole } from "../table.ts"
import { type Entry, failuresOf, leftOut, roundRobin, rowsOf, runUp, type Workload } from "./workload.ts"

const loops = 128
const rounds = 5

export const tree: Workload = {
  name: "tree",
  about: "readers and writers on a tree, 90:10, depth 3, 128 at once",
  run: async (bench) => {
    let seed = 0
    const entries = ["limit", "hilok", "hilok-delegated"].map(
      (contestant): Entry => ({
        key: `tree/${contestant}`,
        contestant,
        measure: async (worker) => {
          const one = await worker()
          const spec = { root: contestant, loops, writes: 0.1 }
          await one.run("tree", { ...spec, millis: runUp, seed: seed++ }, runUp)
          const result = await one.run("tree", { ...spec, millis: bench.millis, seed: seed++ }, bench.millis)
          return { ...result }
        }
      })
    )
    await roundRobin(bench, rounds, entries)
    const limit = bench.metrics.median("tree/limit/rate")
    return [
      {
        title: `Readers and writers on a tree, 90:10, depth 3, ${loops} at once`,
        head: ["contestant", "operations/s", "to the limit", "readers wait p50", "p99", "writers wait p50", "p99"],
        rows: rowsOf(bench, entries, (value) => [
          whole(value("rate")),
          ratio(value("rate"), limit),
          time(value("readP50")),
          time(value("readP99")),
          time(value("writeP50")),
          time(value("writeP99"))
        ]),
        notes: [
          "Eight children to each node; 80 % of the locks are on leaves, 15 % on their parents, 5 % on the nodes above those.",
          ...leftOut(
            bench,
            ["setnx", "redlock", "redis-semaphore", "effect-distributed-lock"],
            "they know neither readers nor a tree"
          ),
          ...failuresOf(bench, entries)
        ]
      }
    ]
  }
}
