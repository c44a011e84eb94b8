import { setTimeout as delay } from "node:timers/promises"
import { time, whole } from "../table.ts"
import {
  type Bench,
  type Entry,
  failuresOf,
  leftOut,
  longestScript,
  roundRobin,
  rowsOf,
  type Workload
} from "./workload.ts"

const count = 10_000

/** Waits until the server has had no script to run for a while. */
const quiet = async ({ server }: Bench): Promise<void> => {
  const end = performance.now() + 20_000
  let last = -1
  while (performance.now() < end) {
    const { scripts } = await server.probe()
    if (scripts.calls === last) return
    last = scripts.calls
    await delay(150)
  }
}

/** All who wait say so within this time (milliseconds). */
const heartbeat = 4_000

const entry = (bench: Bench, key: string, spread: boolean): Entry => ({
  key,
  contestant: "hilok",
  measure: async (worker, warmUp) => {
    const { server } = bench
    const one = await worker()
    const waiters = warmUp ? 500 : count
    await server.watchScripts(200)
    const start = await server.probe()
    await one.run("queueUp", { holder: spread ? "/" : "hilok", path: "hilok", spread, count: waiters }, 20_000)
    await quiet(bench)
    const queueing = await longestScript(bench)
    await server.watchScripts(200)
    await delay(warmUp ? 0 : heartbeat)
    const waiting = await longestScript(bench)
    await server.watchScripts(0)
    const before = await server.probe()
    const granted = await one.run("releaseHolder", undefined, 20_000)
    const after = await server.probe()
    const scripts = await server.scripts()
    await server.watchScripts(200)
    const served = await one.run("finishQueue", undefined, 30_000)
    await quiet(bench)
    const end = await server.probe()
    const finishing = await longestScript(bench)
    const releasing = Math.max(0, ...scripts) / 1_000
    return {
      release: (scripts[0] ?? Number.NaN) / 1_000,
      releaseScripts: after.scripts.calls - before.scripts.calls,
      granted,
      served,
      meanScript: (end.scripts.micros - after.scripts.micros) / (end.scripts.calls - after.scripts.calls) / 1_000,
      queueing,
      waiting,
      releasing,
      finishing,
      waited: end.waited - start.waited,
      longestScript: Math.max(queueing, waiting, releasing, finishing)
    }
  }
})

export const queue: Workload = {
  name: "queue",
  about: "10,000 waiters queued on one lock, and 10,000 spread under one held root",
  run: async (bench) => {
    const entries = [entry(bench, "queue/one", false), entry(bench, "queue/spread", true)]
    await roundRobin(bench, 3, entries)
    const rows = rowsOf(bench, entries, (value) => [
      time(value("release")),
      time(value("granted")),
      time(value("served")),
      time(value("meanScript")),
      time(value("queueing")),
      time(value("waiting")),
      time(value("releasing")),
      time(value("finishing")),
      time(value("waited"))
    ])
    return [
      {
        title: `${whole(count)} waiters`,
        head: [
          "waiters",
          "first release, in the server",
          "until granted",
          "until all served",
          "mean script",
          "longest: queueing",
          "waiting",
          "releasing",
          "all others",
          "server kept waiting"
        ],
        rows: rows.map(([, ...cells], i) => [i === 0 ? "on one lock" : "under one root", ...cells]),
        notes: [
          "The longest script of each part, in the server; 0 means none above 200 µs.",
          "Server kept waiting: how long in all it had work to do while something else had its core. Scripts seem longer by that.",
          ...leftOut(
            bench,
            ["setnx", "redlock", "redis-semaphore", "effect-distributed-lock"],
            "they have no queue, so each waiter would ask again and again"
          ),
          ...failuresOf(bench, entries)
        ]
      }
    ]
  }
}
