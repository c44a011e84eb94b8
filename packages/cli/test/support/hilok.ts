/**
 * The binary as a process, and the server it talks to.
 */
import { spawn } from "node:child_process"
import { randomUUID } from "node:crypto"
import { fileURLToPath } from "node:url"
import { inspect } from "node:util"
import { DelegatingStore, HierarchicalLock } from "@hilok/core"
import { RedisStore } from "@hilok/redis"
import { Effect, Layer, type Scope } from "effect"
import type { Server } from "../../../redis/test/support/server.ts"

export const bin = fileURLToPath(new URL("../../dist/bin.cjs", import.meta.url))

interface Result {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

export interface Running {
  readonly pid: number
  readonly exit: Effect.Effect<Result>
  /** Waits until the output has it. */
  readonly prints: (what: RegExp) => Effect.Effect<RegExpExecArray>
  readonly kill: (signal: NodeJS.Signals) => Effect.Effect<void>
}

/** A set of locks of a test's own: to look at from inside, and to use by the binary. */
export interface Site {
  readonly locks: HierarchicalLock.Operations<never>
  readonly env: NodeJS.ProcessEnv
  /** Starts the binary, without a terminal. */
  readonly spawn: (...args: ReadonlyArray<string>) => Effect.Effect<Running, never, Scope.Scope>
  /** Runs the binary to its end. */
  readonly hilok: (...args: ReadonlyArray<string>) => Effect.Effect<Result>
}

/** How long a test may take: far longer than it does. */
export const timeLimit = 60_000

/** Looks again and again until it holds. Fails, and shows what there is, when that takes too long for any machine. */
export const until = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  holds: (value: A) => boolean
): Effect.Effect<A, E, R> => {
  let last: unknown
  const look: Effect.Effect<A, E, R> = Effect.flatMap(effect, (value) => {
    last = value
    return holds(value) ? Effect.succeed(value) : Effect.delay(look, "20 millis")
  })
  return Effect.raceFirst(
    look,
    Effect.delay(
      Effect.suspend(() =>
        Effect.die(new Error(`${holds} is due, but within 30 seconds there was only ${inspect(last)}`))
      ),
      "30 seconds"
    )
  )
}

export const launch = (
  args: ReadonlyArray<string>,
  env: NodeJS.ProcessEnv
): Effect.Effect<Running, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.sync(() => spawn(bin, args, { env, detached: true, stdio: ["ignore", "pipe", "pipe"] })),
    (child) =>
      Effect.sync(() => {
        // Not KILL, which would leave its command behind.
        child.kill("SIGTERM")
        child.stdout.destroy()
        child.stderr.destroy()
      })
  ).pipe(
    Effect.map((child) => {
      let stdout = ""
      let stderr = ""
      child.stdout.setEncoding("utf8").on("data", (text) => {
        stdout += text
      })
      child.stderr.setEncoding("utf8").on("data", (text) => {
        stderr += text
      })
      const over = new Promise<Result>((resolve) =>
        child.once("close", (code, signal) => resolve({ code, signal, stdout, stderr }))
      )
      return {
        pid: child.pid ?? 0,
        exit: Effect.promise(() => over),
        prints: (what) =>
          Effect.map(
            until(
              Effect.sync(() => what.exec(stdout) ?? what.exec(stderr)),
              (found) => found !== null
            ),
            (found) => found!
          ),
        kill: (signal) => Effect.sync(() => void child.kill(signal))
      }
    })
  )

/** `delegates`: whoever looks from inside has delegations. */
export const site = (server: Server, { delegates = false } = {}): Effect.Effect<Site, never, Scope.Scope> =>
  Effect.gen(function* () {
    const namespace = `test-${randomUUID()}`
    const redis = RedisStore.layer({ url: server.url, namespace })
    const store = delegates ? Layer.provide(DelegatingStore.layer({ linger: "1 minute" }), redis) : redis
    const context = yield* Layer.build(Layer.provide(HierarchicalLock.layer({ label: "test" }), store)).pipe(
      Effect.orDie
    )
    const { NO_COLOR: _, HILOK_WITHIN: __, ...rest } = process.env
    const env = { ...rest, REDIS_URL: server.url, HILOK_NAMESPACE: namespace }
    const spawn = (...args: ReadonlyArray<string>) => launch(args, env)
    return {
      locks: yield* Effect.provide(HierarchicalLock.HierarchicalLock, context),
      env,
      spawn,
      hilok: (...args) => Effect.scoped(Effect.flatMap(spawn(...args), ({ exit }) => exit))
    }
  })
