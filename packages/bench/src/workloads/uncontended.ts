import type { Server } from "../server.ts"
import { figure, ratio, type Table, time, whole } from "../table.ts"
import type { Cycles, CyclesResult } from "../tasks/cycles.ts"
import { type Bench, type Entry, failuresOf, roundRobin, rowsOf, type Workload } from "./workload.ts"

/** Cycles on free locks, with what they cost the server. */
const measure = async (server: Server, run: () => Promise<CyclesResult>): Promise<Record<string, number>> => {
  await server.watchScripts(500)
  const before = await server.probe()
  const { commands, cpu, cycles, millis, p50, p99 } = await run()
  const after = await server.probe()
  const scripts = await server.scripts()
  return {
    p50,
    p99,
    rate: (cycles * 1_000) / millis,
    commands: commands / cycles,
    // Three of the readings are of the probe itself.
    reads: (after.reads - before.reads - 3) / cycles,
    serverCpu: (after.cpu - before.cpu) / cycles,
    clientCpu: cpu / cycles,
    longestScript: scripts.length === 0 ? 0 : Math.max(...scripts) / 1_000
  }
}

const entry = (bench: Bench, key: string, contestant: string, spec: Cycles): Entry => ({
  key,
  contestant,
  measure: async (worker) => {
    const one = await worker()
    return measure(bench.server, () => one.run("cycles", spec, spec.millis))
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
  "hilok"
]

const depths = [1, 3, 12]

export const one: Workload = {
  name: "one",
  about: "uncontended, one at a time, at depth 1, 3 and 12",
  run: async (bench) => {
    const entries = depths.flatMap((depth) =>
      all
        .filter((name) => depth === 3 || ["limit", "setnx", "hilok"].includes(name))
        .map((name) => entry(bench, `one/${depth}/${name}`, name, { loops: 1, depth, millis: bench.millis }))
    )
    await roundRobin(bench, 5, entries)
    return depths.map((depth): Table => {
      const shown = entries.filter(({ key }) => key.startsWith(`one/${depth}/`))
      const limit = bench.metrics.median(`one/${depth}/limit/p50`)
      return {
        title: `Uncontended, one at a time, depth ${depth}`,
        head: ["contestant", "p50", "p99", "to the limit", "commands", "round trips"],
        rows: rowsOf(
          bench,
          shown,
          ({ contestant }) => contestant,
          (value) => [
            time(value("p50")),
            time(value("p99")),
            ratio(value("p50"), limit),
            figure(value("commands")),
            figure(value("reads"))
          ]
        ),
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
      all.map((name) => entry(bench, `many/${loops}/${name}`, name, { loops, depth: 3, millis: bench.millis }))
    )
    await roundRobin(bench, 5, entries)
    return numbers.map((loops): Table => {
      const shown = entries.filter(({ key }) => key.startsWith(`many/${loops}/`))
      const limit = bench.metrics.median(`many/${loops}/limit/rate`)
      return {
        title: `Uncontended, ${loops} at once, distinct paths, depth 3`,
        head: ["contestant", "cycles/s", "to the limit", "server CPU", "client CPU", "commands", "longest script"],
        rows: rowsOf(
          bench,
          shown,
          ({ contestant }) => contestant,
          (value) => [
            whole(value("rate")),
            ratio(value("rate"), limit),
            time((value("serverCpu") ?? Number.NaN) / 1_000),
            time((value("clientCpu") ?? Number.NaN) / 1_000),
            figure(value("commands")),
            value("longestScript") === 0 ? "< 500 µs" : time(value("longestScript"))
          ]
        ),
        notes: ["CPU and commands are per cycle.", ...failuresOf(bench, shown)]
      }
    })
  }
}
