import { setTimeout as delay } from "node:timers/promises"
import { Pool } from "../pool.ts"
import { figure, ratio, share, time, whole } from "../table.ts"
import { type Bench, type Entry, failuresOf, leftOut, reasonOf, roundRobin, rowsOf, type Workload } from "./workload.ts"

const count = 1_000
const window = 10_000
/** HiLok refreshes three times within its default ttl. */
const refreshInterval = 10_000 / 3

/** All hold at the same time: they have next to nothing to do. */
const holdAll = async (bench: Bench, names: ReadonlyArray<string>) => {
  const { metrics, server } = bench
  await server.admin.flushall()
  const pool = new Pool(server.port)
  try {
    const holding = await Promise.all(
      names.filter(bench.plays).map(async (name) => {
        try {
          const worker = await pool.get(name)
          bench.progress(`${name} takes ${count} locks`)
          await worker.run("hold", { root: name, count, depth: 3 }, 5_000)
          return { name, worker }
        } catch (error) {
          metrics.fail(`held/${name}`, reasonOf(error))
          return undefined
        }
      })
    )
    await delay(100)
    bench.progress(`${count} locks each are held for ${window / 1_000} s`)
    await Promise.all(
      holding
        .filter((one) => one !== undefined)
        .map(async ({ name, worker }) => {
          try {
            const commands = await worker.run("keep", window, window)
            metrics.addAll(`held/${name}`, {
              rate: (commands * 1_000) / window,
              perInterval: (commands * refreshInterval) / window
            })
            await worker.run("letGo", undefined, 5_000)
          } catch (error) {
            metrics.fail(`held/${name}`, reasonOf(error))
          }
        })
    )
  } finally {
    pool.end()
  }
}

const keepers = ["redlock-using", "redis-semaphore", "effect-distributed-lock-polling", "hilok"]

/** How many one process of HiLok is to keep by itself. */
const counts = [1_000, 10_000, 50_000] as const

const keepMany = async (bench: Bench, count: number): Promise<void> => {
  const key = `kept/${count}/hilok`
  await bench.server.admin.flushall()
  const pool = new Pool(bench.server.port)
  try {
    bench.progress(`hilok takes ${whole(count)} locks, and keeps them for ${window / 1_000} s`)
    const worker = await pool.get("hilok")
    const kept = await worker.run("keepMany", { root: "kept", count, millis: window }, 2 * window + 60_000)
    bench.metrics.addAll(key, { ...kept })
  } catch (error) {
    bench.metrics.fail(key, reasonOf(error))
  } finally {
    pool.end()
  }
}

export const held: Workload = {
  name: "held",
  about: "1,000 to 50,000 leases held for 10 s with default options: what it takes to keep them",
  run: async (bench) => {
    await holdAll(bench, keepers)
    if (bench.plays("hilok")) for (const count of counts) await keepMany(bench, count)
    const kept = counts.map((count) => ({ key: `kept/${count}/hilok`, contestant: whole(count) }))
    const shown = keepers.map((contestant) => ({ key: `held/${contestant}`, contestant }))
    return [
      {
        title: `${whole(count)} leases held for ${window / 1_000} s`,
        head: ["contestant", "commands/s", "commands in 3.3 s"],
        rows: rowsOf(bench, shown, (value) => [figure(value("rate")), figure(value("perInterval"))]),
        notes: [
          "3.3 s is HiLok's refresh interval. The locks last 10 s, each is refreshed when its library thinks right.",
          ...leftOut(bench, ["setnx"], "it does not keep a lock alive"),
          ...failuresOf(bench, shown)
        ]
      },
      {
        title: "Leases that one process of HiLok holds, all taken at once",
        head: ["leases", "part of a core", "longest stall", "bytes of heap each"],
        rows: rowsOf({ ...bench, plays: () => bench.plays("hilok") }, kept, (value) => [
          share(value("cpu")),
          time(value("stall")),
          whole(value("bytes"))
        ]),
        notes: [
          "The process does nothing else. The stall is the longest time for which its event loop did not turn.",
          ...failuresOf(bench, kept)
        ]
      }
    ]
  }
}

const great = 10_000
const rounds = 3

const memoryOfKeys = async ({ server: { admin } }: Bench): Promise<number> => {
  let bytes = 0
  let cursor = "0"
  do {
    const [next, keys] = await admin.scan(cursor, "COUNT", 1_000)
    const sizes = await Promise.all(keys.map((key) => admin.memory("USAGE", key, "SAMPLES", 0)))
    bytes += sizes.reduce<number>((sum, size) => sum + (size ?? 0), 0)
    cursor = next
  } while (cursor !== "0")
  return bytes
}

const usedMemory = async ({ server: { admin } }: Bench): Promise<number> =>
  Number(/^used_memory:(\d+)/m.exec(await admin.info("memory"))?.[1])

const sizeEntry = (bench: Bench, contestant: string): Entry => ({
  key: `size/${contestant}`,
  contestant,
  measure: async (worker, warmUp) => {
    // One holds, the other is asked how long it takes.
    const [holder, other] = await Promise.all([worker(0), worker(1)])
    const cycles = () =>
      other.run("cycles", { root: `${contestant}-other`, loops: 1, depth: 3, millis: bench.millis }, bench.millis)
    if (warmUp) {
      await cycles()
      await holder.run("hold", { root: contestant, count: 100, depth: 3 }, 5_000)
      await holder.run("letGo", undefined, 5_000)
      return {}
    }
    const empty = await cycles()
    const before = { used: await usedMemory(bench), keys: await memoryOfKeys(bench) }
    await holder.run("hold", { root: contestant, count: great, depth: 3 }, 30_000)
    const after = { used: await usedMemory(bench), keys: await memoryOfKeys(bench) }
    const full = await cycles()
    await holder.run("letGo", undefined, 30_000)
    return {
      used: (after.used - before.used) / great,
      keys: (after.keys - before.keys) / great,
      empty: empty.p50,
      full: full.p50
    }
  }
})

export const size: Workload = {
  name: "size",
  about: "10,000 leases held: bytes per lease, and what another lock takes meanwhile",
  run: async (bench) => {
    const names = ["setnx", "redlock", "redis-semaphore", "effect-distributed-lock-polling", "hilok"]
    const entries = names.map((name) => ({ ...sizeEntry(bench, name), rounds: name === "hilok" ? rounds : 1 }))
    await roundRobin(bench, rounds, entries)
    return [
      {
        title: `${whole(great)} leases held`,
        head: [
          "contestant",
          "bytes of keys",
          "bytes of server",
          "cycle when empty, p50",
          "cycle when full, p50",
          "full to empty"
        ],
        rows: rowsOf(bench, entries, (value) => [
          whole(value("keys")),
          whole(value("used")),
          time(value("empty")),
          time(value("full")),
          ratio(value("full"), value("empty"))
        ]),
        notes: [
          "Bytes per lease: of the keys by MEMORY USAGE, of the server by the growth of used_memory, which counts connections too.",
          ...failuresOf(bench, entries)
        ]
      }
    ]
  }
}
