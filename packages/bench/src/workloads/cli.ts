/** The command line: how long a start takes, and how long it takes to show many locks. */
import { execFileSync, spawnSync } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { HierarchicalLock, Target } from "@hilok/core"
import { RedisStore } from "@hilok/redis"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { time } from "../table.ts"
import type { Bench, Workload } from "./workload.ts"

const rounds = 15
const leases = 10_000

const root = fileURLToPath(new URL("../../../..", import.meta.url))
const hilok = join(root, "packages/cli/dist/bin.cjs")

interface Command {
  readonly name: string
  readonly line: readonly [file: string, ...args: Array<string>]
}

/** Runs each once in every round, after one that does not count, and notes how long it took. */
const measure = ({ metrics, progress, server }: Bench, commands: ReadonlyArray<Command>): void => {
  const env = { ...process.env, REDIS_URL: `redis://127.0.0.1:${server.port}`, HILOK_NAMESPACE: "cli" }
  for (let round = 0; round <= rounds; round++) {
    for (const { line, name } of commands) {
      const key = `cli/${name}`
      if (metrics.failure(key) !== undefined) continue
      progress(`${round === 0 ? "warm-up" : `round ${round} of ${rounds}`}: ${name}`)
      const [file, ...args] = line
      const started = performance.now()
      const { error, status } = spawnSync(file, args, { env, stdio: "ignore" })
      const took = performance.now() - started
      if (error !== undefined || status !== 0) metrics.fail(key, error?.message ?? `exit code ${status}`)
      else if (round > 0) metrics.add(key, took)
    }
  }
}

/** Leases that nobody refreshes, for as long as the measurement takes. */
const holdMany = ({ server }: Bench): Promise<void> =>
  Effect.forEach(
    Array.from({ length: leases }, (_, i) => `cli/${i % 100}/${i}`),
    (path) => HierarchicalLock.acquire([Target.write(path)], { ttl: "1 hour" }),
    { concurrency: 500, discard: true }
  ).pipe(
    Effect.provide(
      Layer.provide(
        HierarchicalLock.layer({ label: "bench" }),
        RedisStore.layer({ url: `redis://127.0.0.1:${server.port}`, namespace: "cli" })
      )
    ),
    Effect.runPromise
  )

export const cli: Workload = {
  name: "cli",
  about: "the command line: a start, next to Node's own and flock(1); ls of 10,000 leases",
  run: async (bench) => {
    if (!bench.plays("hilok")) return []
    execFileSync(process.execPath, [join(root, "scripts/build.mjs"), "packages/cli"])
    const folder = mkdtempSync(join(tmpdir(), "hilok-bench-"))
    const starts: ReadonlyArray<Command> = [
      { name: "node -e 0", line: [process.execPath, "-e", "0"] },
      { name: "flock FILE true", line: ["flock", join(folder, "lock"), "true"] },
      { name: "hilok --version", line: [hilok, "--version"] },
      { name: "hilok run x -- true", line: [hilok, "run", "x", "--", "true"] },
      { name: "hilok run --no-watch x -- true", line: [hilok, "run", "--no-watch", "x", "--", "true"] }
    ]
    const lists: ReadonlyArray<Command> = ["tree", "table", "json"].map((format) => ({
      name: `hilok ls -o ${format}`,
      line: [hilok, "ls", "-o", format]
    }))
    try {
      await bench.server.admin.flushall()
      measure(bench, starts)
      await holdMany(bench)
      measure(bench, lists)
      await bench.server.admin.flushall()
    } finally {
      rmSync(folder, { recursive: true })
    }
    const { metrics } = bench
    const node = metrics.median("cli/node -e 0")
    const rows = (commands: ReadonlyArray<Command>) =>
      commands.map(({ name }) => {
        const took = metrics.median(`cli/${name}`)
        const above = took === undefined || node === undefined ? undefined : took - node
        return [name, time(took), above !== undefined && above < 0 ? "–" : time(above)]
      })
    const failures = [...starts, ...lists].flatMap(({ name }) => {
      const reason = metrics.failure(`cli/${name}`)
      return reason === undefined ? [] : [`${name} failed: ${reason}`]
    })
    return [
      {
        title: `The command line: a start, and ls of ${leases.toLocaleString("en-US")} leases`,
        head: ["command", "takes", "above node -e 0"],
        rows: [...rows(starts), ...rows(lists)],
        notes: [
          `Medians of ${rounds}, one after the other in each round; the server is on the same machine.`,
          ...failures
        ]
      }
    ]
  }
}
