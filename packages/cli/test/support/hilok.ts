/**
 * The program as it is built, started as users start it.
 */
import { type ChildProcess, execFileSync, spawn } from "node:child_process"
import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { HierarchicalLock, type LockEntry } from "@hilok/core"
import { RedisStore } from "@hilok/redis"
import { Cause, Context, Effect, Layer, type Scope } from "effect"
import { TestServer } from "../../../redis/test/support/fixture.ts"

/** What must come soon, on a machine that may be busy. */
export const due = <A, E, R>(effect: Effect.Effect<A, E, R>, what: string): Effect.Effect<A, E, R> =>
  Effect.timeoutFailCause(effect, {
    duration: "20 seconds",
    onTimeout: () => Cause.die(new Error(`waited in vain for ${what}`))
  })

const bundler = new URL("../../scripts/bundle.mjs", import.meta.url)

/** The built program, in a folder of its own. */
export class Program extends Context.Tag("@hilok/cli/test/Program")<Program, { readonly file: string }>() {
  static readonly layer: Layer.Layer<Program> = Layer.scoped(
    Program,
    Effect.gen(function* () {
      const folder = yield* Effect.acquireRelease(
        Effect.sync(() => mkdtempSync(join(tmpdir(), "hilok-cli-"))),
        (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
      )
      yield* Effect.sync(() => execFileSync(process.execPath, [fileURLToPath(bundler), folder], { stdio: "inherit" }))
      return { file: join(folder, "bin.js") }
    })
  )
}

export interface Ended {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

export interface Running {
  readonly pid: number
  readonly stdout: () => string
  readonly stderr: () => string
  /** Waits until the text has been written to standard output, or to standard error. */
  readonly says: (text: string) => Effect.Effect<void>
  readonly end: Effect.Effect<Ended>
  readonly kill: (signal: NodeJS.Signals) => Effect.Effect<void>
  readonly write: (text: string) => Effect.Effect<void>
  readonly closeInput: Effect.Effect<void>
}

export interface StartOptions {
  readonly env?: Readonly<Record<string, string | undefined>>
}

/** Starts a process without a terminal; it and its group are gone with the scope. */
export const spawned = (
  command: string,
  args: ReadonlyArray<string>,
  options: StartOptions = {}
): Effect.Effect<Running, never, Scope.Scope> =>
  Effect.gen(function* () {
    const child: ChildProcess = yield* Effect.acquireRelease(
      Effect.sync(() =>
        spawn(command, args, { stdio: "pipe", detached: true, env: { ...process.env, ...options.env } })
      ),
      (child) =>
        Effect.sync(() => {
          try {
            if (child.pid !== undefined) process.kill(-child.pid, "SIGKILL")
          } catch {
            // It has ended.
          }
        })
    )
    const output = { stdout: "", stderr: "" }
    const listeners = new Set<() => void>()
    for (const name of ["stdout", "stderr"] as const) {
      child[name]?.setEncoding("utf8").on("data", (chunk: string) => {
        output[name] += chunk
        for (const listener of listeners) listener()
      })
    }
    child.stdin?.on("error", () => undefined)
    const ended = new Promise<Ended>((resolve) => {
      child.once("close", (code, signal) => resolve({ code, signal, ...output }))
    })
    return {
      pid: child.pid ?? 0,
      stdout: () => output.stdout,
      stderr: () => output.stderr,
      says: (text) =>
        due(
          Effect.async<void>((resume) => {
            const look = () => {
              if (output.stdout.includes(text) || output.stderr.includes(text)) resume(Effect.void)
            }
            listeners.add(look)
            look()
            return Effect.sync(() => void listeners.delete(look))
          }),
          `${JSON.stringify(text)} to be written`
        ).pipe(
          Effect.tapDefect(() =>
            Effect.sync(() => console.error(`written so far: ${JSON.stringify([output.stdout, output.stderr])}`))
          )
        ),
      end: Effect.promise(() => ended),
      kill: (signal) => Effect.sync(() => void child.kill(signal)),
      write: (text) => Effect.sync(() => void child.stdin?.write(text)),
      closeInput: Effect.sync(() => void child.stdin?.end())
    }
  })

export interface Hilok {
  readonly namespace: string
  /** The environment that names the server and the namespace of the test. */
  readonly env: Readonly<Record<string, string | undefined>>
  readonly file: string
  readonly start: (args: ReadonlyArray<string>, options?: StartOptions) => Effect.Effect<Running, never, Scope.Scope>
  /** Runs the program to its end. Its standard input is empty. */
  readonly run: (args: ReadonlyArray<string>, options?: StartOptions) => Effect.Effect<Ended>
  readonly inspect: Effect.Effect<ReadonlyArray<LockEntry.LockEntry>>
  /** Waits until so many are held and so many wait. */
  readonly shows: (held: number, waiting: number) => Effect.Effect<ReadonlyArray<LockEntry.LockEntry>>
}

/** The program with a namespace of the test's own, and a look at the locks in it. */
export const hilok: Effect.Effect<Hilok, never, Program | TestServer | Scope.Scope> = Effect.gen(function* () {
  const { file } = yield* Program
  const server = yield* TestServer
  const namespace = `test-${crypto.randomUUID()}`
  const env = {
    REDIS_URL: server.url,
    HILOK_NAMESPACE: namespace,
    HILOK_CONNECT_TIMEOUT: "20 seconds",
    HILOK_ID: undefined,
    HILOK_WITHIN: undefined,
    HILOK_TTL: undefined,
    NO_COLOR: undefined
  }
  const start: Hilok["start"] = (args, options) =>
    spawned(process.execPath, [file, ...args], { env: { ...env, ...options?.env } })
  const context = yield* Layer.build(
    HierarchicalLock.layer().pipe(Layer.provide(RedisStore.layer({ url: server.url, namespace })))
  ).pipe(Effect.orDie)
  const inspect = HierarchicalLock.inspect().pipe(Effect.provide(context), Effect.orDie)
  return {
    namespace,
    env,
    file,
    start,
    run: (args, options) =>
      Effect.scoped(
        Effect.gen(function* () {
          const running = yield* start(args, options)
          yield* running.closeInput
          return yield* running.end
        })
      ),
    inspect,
    shows: (held, waiting) => {
      const look: typeof inspect = Effect.flatMap(inspect, (entries) =>
        entries.filter(({ state }) => state === "held").length === held &&
        entries.filter(({ state }) => state === "waiting").length === waiting
          ? Effect.succeed(entries)
          : Effect.zipRight(Effect.sleep("5 millis"), look)
      )
      return due(look, `${held} held and ${waiting} waiting`)
    }
  }
})
