/** A Redis server of the benchmark: its own process, a port on the loopback interface, no persistence. */
import { spawn } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Redis } from "ioredis"

export interface Probe {
  /** Microseconds of the server's process, in user and system mode. */
  readonly cpu: number
  /** Milliseconds that the server had work to do while something else had its core; 0 where that is not known. */
  readonly waited: number
  /** How often the server has read from a client: a round trip each when one command is sent at a time. */
  readonly reads: number
  /** Calls of scripts, and the microseconds they took. */
  readonly scripts: { readonly calls: number; readonly micros: number }
}

export interface Server {
  readonly port: number
  readonly version: string
  readonly admin: Redis
  readonly probe: () => Promise<Probe>
  /** Forgets the slow scripts seen so far; from here on, those that take longer than so many microseconds are kept. */
  readonly watchScripts: (micros: number) => Promise<void>
  /** How long scripts took (microseconds), in the order in which they ran. */
  readonly scripts: () => Promise<ReadonlyArray<number>>
  readonly stop: () => void
}

/** Low enough that the port of a cluster's bus, ten thousand above, is one, too. */
const highest = 55_000

const freePort = (): Promise<number> =>
  new Promise<number>((resolve) => {
    const probe = createServer()
    probe.listen(0, "127.0.0.1", () => {
      const address = probe.address()
      const port = typeof address === "object" && address !== null ? address.port : 0
      probe.close(() => resolve(port > highest ? freePort() : port))
    })
  })

const field = (info: string, name: string) => Number(new RegExp(`^${name}:([\\d.]+)`, "m").exec(info)?.[1] ?? 0)

// Linux: the time on a core, the time spent waiting for one, in nanoseconds, and the number of turns.
const waitedFor = (pid: number | undefined): number => {
  try {
    return Number(readFileSync(`/proc/${pid}/schedstat`, "utf8").split(" ")[1]) / 1e6
  } catch {
    return 0
  }
}

/** Starts a server; `pin` is put in front of its command, and `more` are arguments of it. */
export const start = async (pin: ReadonlyArray<string>, more: ReadonlyArray<string> = []): Promise<Server> => {
  const folder = mkdtempSync(join(tmpdir(), "hilok-bench-"))
  const port = await freePort()
  const binary = process.env.HILOK_TEST_REDIS_SERVER ?? "redis-server"
  const args = ["--bind", "127.0.0.1", "--port", String(port), "--dir", folder, "--save", "", "--appendonly", "no"]
  const command = [...pin, binary, ...args, "--slowlog-max-len", "100000", "--tcp-backlog", "511", ...more]
  const child = spawn(command[0]!, command.slice(1), { stdio: "ignore" })
  const died = new Promise<never>((_, reject) => {
    child.once("error", reject)
    child.once("exit", (code) => reject(new Error(`${binary} ended with exit code ${code}`)))
  })
  died.catch(() => undefined)
  const stop = () => {
    child.kill("SIGKILL")
    rmSync(folder, { recursive: true, force: true })
  }
  process.once("exit", stop)
  const admin = new Redis({ host: "127.0.0.1", port, retryStrategy: () => 20, maxRetriesPerRequest: null })
  admin.on("error", () => undefined)
  await Promise.race([admin.ping(), died])
  return {
    port,
    admin,
    version: /redis_version:(\S+)/.exec(await admin.info("server"))?.[1] ?? "unknown",
    probe: async () => {
      const info = `${await admin.info("cpu")}\n${await admin.info("stats")}\n${await admin.info("commandstats")}`
      const total = (name: string) =>
        ["fcall", "evalsha", "eval"]
          .map((one) => Number(new RegExp(`^cmdstat_${one}:.*?\\b${name}=([\\d.]+)`, "m").exec(info)?.[1] ?? 0))
          .reduce((a, b) => a + b)
      return {
        cpu: (field(info, "used_cpu_user") + field(info, "used_cpu_sys")) * 1e6,
        waited: waitedFor(child.pid),
        reads: field(info, "total_reads_processed"),
        scripts: { calls: total("calls"), micros: total("usec") }
      }
    },
    watchScripts: async (micros) => {
      await admin.config("SET", "slowlog-log-slower-than", micros)
      await admin.slowlog("RESET")
    },
    scripts: async () => {
      const entries = (await admin.slowlog("GET", -1)) as ReadonlyArray<
        readonly [number, number, number, Array<string>]
      >
      return entries
        .filter(([, , , [name]]) => /^(?:eval|fcall)/i.test(name ?? ""))
        .sort(([a], [b]) => a - b)
        .map(([, , micros]) => micros)
    },
    stop: () => {
      process.off("exit", stop)
      admin.disconnect()
      stop()
    }
  }
}
