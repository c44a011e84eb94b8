import { figure, ratio, type Table, time, whole } from "../table.ts"
import type { Cycles } from "../tasks/cycles.ts"
import {
  type Bench,
  type Entry,
  failuresOf,
  measureCycles,
  roundRobin,
  rowsOf,
  slow,
  type Workload
} from "./workload.ts"

/** Cycles on free locks, with what they cost the server. */
const entry = (bench: Bench, key: string, contestant: string, spec: Omit<Cycles, "root" | "millis">): Entry => ({
  key,
  contestant,
  measure: async (worker, isWarmUp) => {
    const { after, before, result } = await measureCycles(
      bench,
      [bench.server],
      await worker(),
      contestant,
      spec,
      isWarmUp
    )
    const { commands, cpu, cycles, millis, p50, p99 } = result
    const [from, to] = [before[0]!, after[0]!]
    return {
      p50,
      p99,
      rate: (cycles * 1_000) / millis,
      commands: commands / cycles,
      // Three of the readings are of the probe itself.
      reads: (to.reads - from.reads - 3) / cycles,
      serverCpu: (to.cpu - from.cpu) / cycles,
      clientCpu: cpu / cycles,
      serverWaited: to.waited - from.waited
    }
  }
})

const all = [
  "limit",
  "setnx",
  "setnx-pipelined",
  "setnx-effect",
  "redlock",
  "redis-semaphore",
  "effect-distributed-lock",
  "effect-distributed-lock-polling",
  "hilok",
  "hilok-delegated"
]

const depths = [1, 3, 12]
/** Those that also run at depths other than 3: to the others, a path is a name. */
const deep = ["limit", "setnx", "hilok"]
const rounds = 5

export const one: Workload = {
  name: "one",
  about: "uncontended, one at a time, at depth 1, 3 and 12",
  run: async (bench) => {
    const entries = depths.flatMap((depth) =>
      (depth === 3 ? all : deep).map((name) => entry(bench, `one/${depth}/${name}`, name, { loops: 1, depth }))
    )
    await roundRobin(
      bench,
      rounds,
      entries,
      entries.filter(({ key }) => key.startsWith("one/3/"))
    )
    return depths.map((depth): Table => {
      const shown = entries.filter(({ key }) => key.startsWith(`one/${depth}/`))
      const limit = bench.metrics.median(`one/${depth}/limit/p50`)
      return {
        title: `Uncontended, one at a time, depth ${depth}`,
        head: ["contestant", "p50", "p99", "p50 to the limit", "commands", "round trips"],
        rows: rowsOf(bench, shown, (value) => [
          time(value("p50")),
          time(value("p99")),
          ratio(value("p50"), limit),
          figure(value("commands")),
          figure(value("reads"))
        ]),
        notes: failuresOf(bench, shown)
      }
    })
  }
}

const numbers = [64, 512]

export const many: Workload = {
  name: "many",
  about: "uncontended, 64 and 512 at once on distinct paths, depth 3",
  run: async (bench) => {
    const entries = numbers.flatMap((loops) =>
      all.map((name) => entry(bench, `many/${loops}/${name}`, name, { loops, depth: 3 }))
    )
    // All of them warm up: with more at once, a program needs more room before it is as quick as it gets.
    await roundRobin(bench, rounds, entries)
    return numbers.map((loops): Table => {
      const shown = entries.filter(({ key }) => key.startsWith(`many/${loops}/`))
      const limit = bench.metrics.median(`many/${loops}/limit/rate`)
      return {
        title: `Uncontended, ${loops} at once, distinct paths, depth 3`,
        head: ["contestant", "cycles/s", "to the limit", "server CPU", "client CPU", "commands", "longest script"],
        rows: rowsOf(bench, shown, (value) => [
          whole(value("rate")),
          ratio(value("rate"), limit),
          time((value("serverCpu") ?? Number.NaN) / 1_000),
          time((value("clientCpu") ?? Number.NaN) / 1_000),
          figure(value("commands")),
          value("longestScript") === 0 ? `< ${slow} µs` : time(value("longestScript"))
        ]),
        notes: ["CPU and commands are per cycle.", ...failuresOf(bench, shown)]
      }
    })
  }
}

const freshLoops = 64

export const fresh: Workload = {
  name: "fresh",
  about: "uncontended, 64 at once, each time on a path never seen before, depth 3",
  run: async (bench) => {
    const entries = ["limit", "setnx", "hilok", "hilok-delegated"].map((name) =>
      entry(bench, `fresh/${freshLoops}/${name}`, name, { loops: freshLoops, depth: 3, fresh: true })
    )
    await roundRobin(bench, rounds, entries)
    const limit = bench.metrics.median(`fresh/${freshLoops}/limit/rate`)
    return [
      {
        title: `Uncontended, ${freshLoops} at once, each time a path never seen before, depth 3`,
        head: ["contestant", "cycles/s", "to the limit", "server CPU", "client CPU", "commands"],
        rows: rowsOf(bench, entries, (value) => [
          whole(value("rate")),
          ratio(value("rate"), limit),
          time((value("serverCpu") ?? Number.NaN) / 1_000),
          time((value("clientCpu") ?? Number.NaN) / 1_000),
          figure(value("commands"))
        ]),
        notes: ["All paths lie below one node. CPU and commands are per cycle.", ...failuresOf(bench, entries)]
      }
    ]
  }
}
