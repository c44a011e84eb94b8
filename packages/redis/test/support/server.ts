/**
 * A Redis server of the tests' own: its own process, a unix socket and a TCP port, no persistence, gone with the scope.
 *
 * The binary comes from `HILOK_TEST_REDIS_SERVER` (set by `npm test`), else from the PATH.
 */
import { type ChildProcess, spawn } from "node:child_process"
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { delimiter, join } from "node:path"
import { Effect, type Scope } from "effect"
import { Redis, type RedisOptions } from "ioredis"

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

export const ended = (child: ChildProcess): Effect.Effect<void> =>
  Effect.async((resume) => {
    if (child.exitCode !== null || child.signalCode !== null) return resume(Effect.void)
    child.once("exit", () => resume(Effect.void))
  })

const onPath = (name: string): string | undefined =>
  (process.env.PATH ?? "")
    .split(delimiter)
    .map((folder) => join(folder, name))
    .find((file) => existsSync(file))

/** The server's binary, which is a Sentinel's, too. */
export const binary: string | undefined =
  process.env.HILOK_TEST_REDIS_SERVER ?? onPath("redis-server") ?? onPath("valkey-server")

/** Starts the binary in a folder of its own; both are gone with the scope. */
export const run = (
  args: (folder: string) => ReadonlyArray<string>
): Effect.Effect<{ readonly child: ChildProcess; readonly folder: string }, never, Scope.Scope> =>
  Effect.gen(function* () {
    if (binary === undefined) return yield* Effect.die(new Error("neither redis-server nor valkey-server was found"))
    const folder = yield* Effect.acquireRelease(
      Effect.sync(() => mkdtempSync(join(tmpdir(), "hilok-redis-"))),
      (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
    )
    const child = yield* Effect.acquireRelease(
      Effect.sync(() => spawn(binary, args(folder), { stdio: "ignore" })),
      (child) =>
        Effect.zipRight(
          Effect.sync(() => child.kill("SIGKILL")),
          ended(child)
        )
    )
    return { child, folder }
  })

/** Starts a server. With `port`, on that port: to come back after `kill`. */
export const start = (options?: {
  readonly port?: number
  readonly password?: string
  readonly args?: ReadonlyArray<string>
  /** Options of the connection for looking and for disturbing. */
  readonly admin?: RedisOptions
  /** With functions, also where the tests run without them. */
  readonly functions?: boolean
}): Effect.Effect<Server, never, Scope.Scope> =>
  Effect.gen(function* () {
    const port = options?.port ?? (yield* freePort)
    const password = options?.password
    const { child, folder } = yield* run((folder) => [
      ...["--bind", "127.0.0.1", "--port", String(port), "--unixsocket", join(folder, "redis.sock"), "--dir", folder],
      ...["--save", "", "--appendonly", "no", ...(password === undefined ? [] : ["--requirepass", password])],
      ...(process.env.HILOK_TEST_LOADER === "script" && options?.functions !== true
        ? ["--rename-command", "FUNCTION", ""]
        : []),
      ...(options?.args ?? [])
    ])
    const url = join(folder, "redis.sock")
    const admin = yield* Effect.acquireRelease(
      Effect.sync(() => {
        const client = new Redis(url, {
          connectionName: "admin",
          retryStrategy: () => 10,
          maxRetriesPerRequest: null,
          ...(password === undefined ? {} : { password }),
          ...options?.admin
        })
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
      kill: Effect.zipRight(
        Effect.sync(() => child.kill("SIGKILL")),
        ended(child)
      )
    }
  })

/** Starts a Sentinel that watches a server under the given name, and answers with its port. */
export const startSentinel = (name: string, { port: watched }: Server): Effect.Effect<number, never, Scope.Scope> =>
  Effect.gen(function* () {
    const port = yield* freePort
    const config = [`port ${port}`, "bind 127.0.0.1", `sentinel monitor ${name} 127.0.0.1 ${watched} 1`]
    yield* run((folder) => {
      // A Sentinel writes to its configuration.
      const file = join(folder, "sentinel.conf")
      writeFileSync(file, [...config, `dir ${folder}`, ""].join("\n"))
      return [file, "--sentinel"]
    })
    const client = new Redis(port, "127.0.0.1", { retryStrategy: () => 10, maxRetriesPerRequest: null })
    client.on("error", () => undefined)
    yield* Effect.promise(() => client.ping())
    client.disconnect()
    return port
  })
