/**
 * A Redis server of the tests' own: its own process, a unix socket and a TCP port, no persistence, gone with the scope.
 *
 * The binary comes from `HILOK_TEST_REDIS_SERVER` (set by `npm test`), else from the PATH.
 */
import { type ChildProcess, spawn } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { Effect, type Scope } from "effect"
import { Redis } from "ioredis"

export interface Server {
  /** The unix socket, as a URL for the store. */
  readonly url: string
  readonly port: number
  readonly pid: number
  /** A connection for looking and for disturbing. Its name is `admin`. */
  readonly admin: Redis
  /** Ends the process at once, as by kill -9, and waits until it is gone. */
  readonly kill: Effect.Effect<void>
}

const freePort = Effect.async<number>((resume) => {
  const probe = createServer()
  probe.listen(0, "127.0.0.1", () => {
    const address = probe.address()
    const port = typeof address === "object" && address !== null ? address.port : 0
    probe.close(() => resume(Effect.succeed(port)))
  })
})

const ended = (child: ChildProcess): Effect.Effect<void> =>
  Effect.async((resume) => {
    if (child.exitCode !== null || child.signalCode !== null) return resume(Effect.void)
    child.once("exit", () => resume(Effect.void))
  })

/** Starts a server. With `port`, on that port: to come back after `kill`. */
export const start = (options?: {
  readonly port?: number
  readonly args?: ReadonlyArray<string>
}): Effect.Effect<Server, never, Scope.Scope> =>
  Effect.gen(function* () {
    const folder = yield* Effect.acquireRelease(
      Effect.sync(() => mkdtempSync(join(tmpdir(), "hilok-redis-"))),
      (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
    )
    const url = join(folder, "redis.sock")
    const port = options?.port ?? (yield* freePort)
    const binary = process.env.HILOK_TEST_REDIS_SERVER ?? "redis-server"
    const args = ["--bind", "127.0.0.1", "--port", String(port), "--unixsocket", url, "--dir", folder]
    const child = yield* Effect.acquireRelease(
      Effect.sync(() =>
        spawn(binary, [...args, "--save", "", "--appendonly", "no", ...(options?.args ?? [])], { stdio: "ignore" })
      ),
      (process) => Effect.zipRight(Effect.sync(() => process.kill("SIGKILL")), ended(process))
    )
    const admin = yield* Effect.acquireRelease(
      Effect.sync(() => {
        const client = new Redis(url, { connectionName: "admin", retryStrategy: () => 10, maxRetriesPerRequest: null })
        return client.on("error", () => undefined)
      }),
      (client) => Effect.sync(() => client.disconnect())
    )
    yield* Effect.promise(() => admin.ping())
    return {
      url,
      port,
      pid: child.pid ?? 0,
      admin,
      kill: Effect.zipRight(Effect.sync(() => child.kill("SIGKILL")), ended(child))
    }
  })

/** What is left in the server: its keys, and the connections other than `admin`. */
export const leftovers = ({ admin }: Server): Effect.Effect<{
  readonly keys: ReadonlyArray<string>
  readonly connections: ReadonlyArray<string>
}> =>
  Effect.promise(async () => {
    const keys = await admin.keys("*")
    const clients = String(await admin.client("LIST"))
    const connections = clients
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => /name=(\S*)/.exec(line)?.[1] ?? "")
      .filter((name) => name !== "admin")
    return { keys, connections }
  })
