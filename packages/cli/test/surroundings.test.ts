import { spawn } from "node:child_process"
import { once } from "node:events"
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { type AddressInfo, createServer, type Socket } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { describe, expect, it } from "@effect/vitest"
import { Duration, Effect } from "effect"
import { bin, launch, site, timeLimit } from "./support/hilok.ts"
import { sharedServer } from "./support/sharedServer.ts"

const server = sharedServer()

/** A server that takes connections and says nothing. */
const silent = Effect.acquireRelease(
  Effect.promise(async () => {
    const sockets = new Set<Socket>()
    const listening = createServer((socket) => sockets.add(socket.on("error", () => undefined)))
    const connected = once(listening, "connection")
    await once(listening.listen(0, "127.0.0.1"), "listening")
    return { listening, sockets, connected }
  }),
  ({ listening, sockets }) =>
    Effect.sync(() => {
      for (const socket of sockets) socket.destroy()
      listening.close()
    })
).pipe(
  Effect.map(({ connected, listening }) => ({
    connected: Effect.promise(() => connected),
    url: `redis://127.0.0.1:${(listening.address() as AddressInfo).port}`
  }))
)

describe("a server that is not there", () => {
  it.scopedLive(
    "is 69, and soon",
    () =>
      Effect.gen(function* () {
        const { env } = yield* site(server())
        for (const url of ["redis://127.0.0.1:1", "/nowhere/redis.sock"]) {
          const running = yield* launch(["run", "a", "--", "true"], { ...env, REDIS_URL: url })
          const [time, { code, stderr }] = yield* Effect.timed(running.exit)
          expect(code).toBe(69)
          expect(stderr).toMatch(/^hilok: .*(ECONNREFUSED|ENOENT)/)
          // The store waits for five seconds.
          expect(Duration.toMillis(time)).toBeLessThan(4_500)
        }
      }),
    timeLimit
  )

  it.scopedLive(
    "or does not answer: as long as HILOK_CONNECT_TIMEOUT says",
    () =>
      Effect.gen(function* () {
        const { url } = yield* silent
        const { env } = yield* site(server())
        const running = yield* launch(["ls"], { ...env, REDIS_URL: url, HILOK_CONNECT_TIMEOUT: "300ms" })
        const { code, stderr } = yield* running.exit
        expect(code).toBe(69)
        expect(stderr).toContain("300 ms")
      }),
    timeLimit
  )

  it.scopedLive(
    "or does not answer: no longer than the lock is waited for",
    () =>
      Effect.gen(function* () {
        const { url } = yield* silent
        const { env } = yield* site(server())
        const running = yield* launch(["run", "-w", "400ms", "a", "--", "true"], { ...env, REDIS_URL: url })
        const { code, stderr } = yield* running.exit
        expect(code).toBe(69)
        expect(stderr).toContain("400 ms")
      }),
    timeLimit
  )

  it.scopedLive.each(["SIGHUP", "SIGINT", "SIGQUIT", "SIGTERM"] as const)(
    "%s ends the wait for it",
    (signal) =>
      Effect.gen(function* () {
        const { connected, url } = yield* silent
        const { env } = yield* site(server())
        const running = yield* launch(["run", "a", "--", "true"], { ...env, REDIS_URL: url })
        yield* connected
        yield* running.kill(signal)
        const codes = { SIGHUP: 129, SIGINT: 130, SIGQUIT: 131, SIGTERM: 143 }
        expect(yield* running.exit).toMatchObject({ code: codes[signal], signal: null, stderr: "" })
      }),
    timeLimit
  )
})

describe("the environment", () => {
  it.scopedLive(
    "a wrong variable is named, an empty one is as good as none, times are written as in options",
    () =>
      Effect.gen(function* () {
        const { env } = yield* site(server())
        const hilok = (variables: NodeJS.ProcessEnv, ...args: ReadonlyArray<string>) =>
          Effect.flatMap(launch(args, { ...env, ...variables }), ({ exit }) => exit)
        for (const name of ["HILOK_TTL", "HILOK_MAX_HOLD", "HILOK_REFRESH_INTERVAL", "HILOK_CONNECT_TIMEOUT"]) {
          const { code, stderr } = yield* hilok({ [name]: "soon" }, "run", "a", "--", "true")
          expect(code).toBe(64)
          expect(stderr).toContain(`hilok: ${name}: `)
        }
        const empty = { HILOK_TTL: "", HILOK_SEPARATOR: "", HILOK_NAMESPACE: "", HILOK_LABEL: "", HILOK_WITHIN: "" }
        expect((yield* hilok(empty, "run", "a", "--", "true")).code).toBe(0)
        const json = ["run", "a", "--", bin, "ls", "-o", "json"]
        const [entry] = JSON.parse((yield* hilok({ HILOK_TTL: "2h" }, ...json)).stdout)
        expect(entry.timeLeft).toBeGreaterThan(7_000_000)
      }),
    timeLimit
  )

  it.scopedLive(
    "may be as empty as that of cron",
    () =>
      Effect.gen(function* () {
        const { env } = yield* site(server())
        const { HILOK_NAMESPACE, PATH, REDIS_URL } = env
        const running = yield* launch(["run", "a", "--", "sh", "-c", "echo done"], { HILOK_NAMESPACE, PATH, REDIS_URL })
        expect(yield* running.exit).toMatchObject({ code: 0, stdout: "done\n", stderr: "" })
      }),
    timeLimit
  )
})

describe("the streams", () => {
  it.scopedLive(
    "input comes from a pipe, output goes to one that may be closed",
    () =>
      Effect.gen(function* () {
        const { hilok } = yield* site(server())
        const shell = (script: string) => hilok("run", "a", "--", "sh", "-c", script, bin)
        expect((yield* shell(`echo hi | "$0" run b -- cat`)).stdout).toBe("hi\n")
        expect(yield* shell(`"$0" run b -- yes | head -n 1`)).toMatchObject({ stdout: "y\n", stderr: "" })
        expect(yield* shell(`"$0" --help | head -n 1`)).toMatchObject({ stderr: "" })
        expect((yield* shell(`exec >&- 2>&-; "$0" run --verbose b -- sh -c "exit 3"`)).code).toBe(3)
      }),
    timeLimit
  )

  it.scopedLive(
    "what cannot be written is an error",
    () =>
      Effect.gen(function* () {
        const { hilok } = yield* site(server())
        const { code, stderr } = yield* hilok("run", "a", "--", "sh", "-c", `"$0" ls >/dev/full`, bin)
        expect(code).toBe(70)
        expect(stderr).toContain("ENOSPC")
      }),
    { timeout: timeLimit, skip: process.platform !== "linux" }
  )

  it.scopedLive(
    "nobody has to listen to what it says",
    () =>
      Effect.gen(function* () {
        const { env } = yield* site(server())
        const code = yield* Effect.promise(() => {
          const running = spawn(bin, ["run", "--verbose", "a", "--", "sh", "-c", "sleep 0.2; exit 3"], {
            env,
            stdio: ["ignore", "ignore", "pipe"]
          })
          running.stderr?.destroy()
          return once(running, "exit").then(([exitCode]) => exitCode)
        })
        expect(code).toBe(3)
      }),
    timeLimit
  )
})

describe("the start", () => {
  it.scopedLive(
    "does not trust code that it has kept and that is not whole",
    () =>
      Effect.gen(function* () {
        const { env } = yield* site(server())
        const folder = yield* Effect.acquireRelease(
          Effect.sync(() => mkdtempSync(join(tmpdir(), "hilok-cache-"))),
          (path) => Effect.sync(() => rmSync(path, { recursive: true }))
        )
        const run = Effect.flatMap(
          launch(["run", "a", "--", "echo", "done"], { ...env, XDG_CACHE_HOME: folder }),
          ({ exit }) => exit
        )
        yield* run
        // Newer versions of Node keep it themselves, elsewhere.
        const kept = existsSync(join(folder, "hilok")) ? readdirSync(join(folder, "hilok")) : []
        for (const name of kept) {
          const file = join(folder, "hilok", name)
          const code = readFileSync(file)
          writeFileSync(file, code.fill(7, code.length / 2, code.length / 2 + 4096))
        }
        for (let i = 0; i < 2; i++) expect(yield* run).toMatchObject({ code: 0, stdout: "done\n", stderr: "" })
      }),
    timeLimit
  )
})
