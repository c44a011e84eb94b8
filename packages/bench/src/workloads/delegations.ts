/** What delegations change for others, and what it takes to keep them. */
import { now } from "../clock.ts"
import { Pool } from "../pool.ts"
import { quantile } from "../stats.ts"
import { figure, ratio, time, whole } from "../table.ts"
import { type Entry, failuresOf, reasonOf, roundRobin, rowsOf, runUp, type Workload } from "./workload.ts"

const processes = 4
const readers = 128
const writes = 3
/** Milliseconds from one write to the next. */
const every = 1_000

export const crowd: Workload = {
  name: "crowd",
  about: "readers all over a tree, 128 in four processes, and a writer every second",
  run: async (bench) => {
    let seed = 0
    const entries = ["hilok", "hilok-delegated"].map(
      (contestant): Entry => ({
        key: `crowd/${contestant}`,
        contestant,
        measure: async (worker) => {
          const workers = await Promise.all(Array.from({ length: processes }, (_, i) => worker(i)))
          const writer = await worker(processes)
          const spec = { root: contestant, loops: readers / processes, writes: 0 }
          const read = (millis: number) =>
            Promise.all(workers.map((one) => one.run("tree", { ...spec, millis, seed: seed++ }, millis)))
          await read(runUp)
          const millis = (writes + 0.5) * every
          const [results, waits] = await Promise.all([
            read(millis),
            writer.run("writer", { path: `${contestant}0/b0`, times: writes, every }, millis)
          ])
          return {
            rate: results.reduce((sum, { rate }) => sum + rate, 0),
            readP99: Math.max(...results.map(({ readP99 }) => readP99)),
            writeP50: quantile(waits, 0.5)
          }
        }
      })
    )
    await roundRobin(bench, 3, entries)
    const without = bench.metrics.median("crowd/hilok/rate")
    return [
      {
        title: `Readers all over a tree, ${readers} in ${processes} processes, and a writer every second`,
        head: ["contestant", "reads/s", "to those without", "a read waits p99", "a write waits p50"],
        rows: rowsOf(bench, entries, (value) => [
          whole(value("rate")),
          ratio(value("rate"), without),
          time(value("readP99")),
          time(value("writeP50"))
        ]),
        notes: [
          "A process of its own writes, a node with all below it. All processes share a core.",
          ...failuresOf(bench, entries)
        ]
      }
    ]
  }
}

const times = 40

export const first: Workload = {
  name: "first",
  about: "the first that asks for what another process keeps, next to a hand-over without delegations",
  run: async (bench) => {
    let path = 0
    /** How long one waits for what another holds, from its release on. */
    const handOver: Entry = {
      key: "first/hilok",
      contestant: "hilok",
      measure: async (worker) => {
        const [one, other] = [await worker(0), await worker(1)]
        const waits: Array<number> = []
        for (let i = 0; i < times; i++) {
          const spec = { port: bench.server.port, path: `first/${path++}`, spread: false, gap: 0 }
          await one.run("take", { path: spec.path, loops: 1, holds: true }, 5_000)
          const startAt = now() + 10
          const releaseAt = startAt + 20
          const [held, waited] = await Promise.all([
            one.run("once", { ...spec, waiters: [], startAt, releaseAt }, 1_000),
            other.run("once", { ...spec, waiters: [0], startAt, releaseAt }, 1_000)
          ])
          // Of each section: asked, sent, entered, left.
          waits.push(waited.sections[2]! - held.sections[3]!)
        }
        return { wait: quantile(waits, 0.5) }
      }
    }
    /** How long it waits for what another keeps and does not use. */
    const recall: Entry = {
      key: "first/hilok-delegated",
      contestant: "hilok-delegated",
      measure: async (worker) => {
        const [one, other] = [await worker(0), await worker(1)]
        const waits: Array<number> = []
        for (let i = 0; i < times; i++) {
          const wanted = `first${path++}/k`
          await one.run("writer", { path: wanted, times: 2, every: 0 }, 1_000)
          waits.push(...(await other.run("writer", { path: wanted, times: 1, every: 10 }, 1_000)))
        }
        return { wait: quantile(waits, 0.5) }
      }
    }
    const entries = [handOver, recall]
    await roundRobin(bench, 3, entries)
    const without = bench.metrics.median("first/hilok/wait")
    return [
      {
        title: "The first that asks for what another process keeps",
        head: ["contestant", "p50", "to a hand-over without"],
        rows: rowsOf(bench, entries, (value) => [time(value("wait")), ratio(value("wait"), without)]),
        notes: [
          "hilok: from the release of one process to the entry of the other, which waits. hilok-delegated: from the request to the " +
            "entry, where nobody holds the lock, but the other process has a delegation that nobody uses.",
          ...failuresOf(bench, entries)
        ]
      }
    ]
  }
}

const count = 10_000
const interval = 10_000 / 3

export const idle: Workload = {
  name: "idle",
  about: "10,000 delegations that nobody uses: memory, and what it takes to keep them",
  run: async (bench) => {
    const shown = { key: "idle/hilok-lingering", contestant: "hilok-lingering" }
    if (bench.plays(shown.contestant)) {
      await bench.server.admin.flushall()
      const pool = new Pool(bench.server.port)
      try {
        bench.progress(`${whole(count)} delegations are kept for 10 s`)
        const worker = await pool.get(shown.contestant)
        const { bytes, commands } = await worker.run("keepIdle", { root: "idle", count, millis: 10_000 }, 60_000)
        bench.metrics.addAll(shown.key, { bytes, perInterval: (commands * interval) / 10_000 })
      } catch (error) {
        bench.metrics.fail(shown.key, reasonOf(error))
      } finally {
        pool.end()
      }
    }
    return [
      {
        title: `${whole(count)} delegations that nobody uses`,
        head: ["contestant", "bytes of heap each", "commands in 3.3 s"],
        rows: rowsOf(bench, [shown], (value) => [whole(value("bytes")), figure(value("perInterval"))]),
        notes: failuresOf(bench, [shown])
      }
    ]
  }
}
