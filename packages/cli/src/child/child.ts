/**
 * Runs a command as a child process, which has our standard input, output and error.
 */
import { type ChildProcess, spawn } from "node:child_process"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Exit from "../internal/exit.ts"
import * as Output from "../internal/output.ts"
import { exitCode, type Signal, Signals } from "../internal/signals.ts"
import * as time from "../internal/time.ts"
import * as Family from "./family.ts"

export interface Options {
  readonly command: string
  readonly args: ReadonlyArray<string>
  /** What the child's environment has besides ours. */
  readonly environment: Readonly<Record<string, string>>
  /** On interruption the child is sent TERM, and after this time KILL. */
  readonly killAfter: Duration.Duration
}

/** How long we wait for those that got KILL. A process that hangs in the kernel does not end. */
const patience = Duration.seconds(5)
const glance = Duration.millis(20)

/**
 * Runs the child to its end, and answers with the exit code that tells of it. Interruption ends the child and all that
 * it has started. Signals are the child's from here on until the scope closes, which may be later than its end.
 */
export const run = (options: Options): Effect.Effect<number, never, Signals | Scope.Scope> =>
  Effect.gen(function* () {
    const signals = yield* Signals
    const early: Array<Signal> = []
    let forward = (signal: Signal): void => void early.push(signal)
    yield* signals.takeOver((signal) => forward(signal))
    return yield* Effect.async<number>((resume) => {
      const detached = !Family.hasTerminal()
      const child = start(options, detached)
      let code: number | undefined
      const ended = (result: number) => {
        code ??= result
        resume(Effect.succeed(code))
      }
      child.once("error", (error: NodeJS.ErrnoException) => ended(notStarted(options.command, error)))
      child.once("exit", (status, signal) => ended(status ?? exitCode(signal!)))
      if (child.pid === undefined) return
      const family = detached ? Family.ownGroup(child.pid) : Family.inTerminal(child.pid)
      forward = family.forward
      for (const signal of early) forward(signal)
      return end(family, () => code !== undefined, options)
    })
  })

const start = ({ args, command, environment }: Options, detached: boolean): ChildProcess =>
  spawn(command, args, { stdio: "inherit", detached, env: { ...process.env, ...environment } })

const notStarted = (command: string, error: NodeJS.ErrnoException): number => {
  const isMissing = error.code === "ENOENT" || error.code === "ENOTDIR"
  const why = isMissing ? "it was not found" : error.code === "EACCES" ? "it is not executable" : error.message
  Output.note(`${command} could not be run: ${why}`)
  return isMissing ? Exit.code.notFound : Exit.code.notExecutable
}

/** TERM to all, KILL to those that are still there later; waits for the end of the child and of those it started. */
const end = (family: Family.Family, hasExited: () => boolean, options: Options): Effect.Effect<void> =>
  Effect.gen(function* () {
    const gone = Effect.sync(() => hasExited() && family.isGone()).pipe(
      Effect.delay(glance),
      Effect.repeat({ until: (isGone) => isGone })
    )
    const killAfter = time.short(Duration.toMillis(options.killAfter))
    Output.note(`the lock is lost: ending ${options.command} (TERM now, KILL after ${killAfter})`)
    family.end("SIGTERM")
    // What is stopped notices TERM only when it goes on.
    family.end("SIGCONT")
    const left = yield* Effect.timeoutOption(gone, options.killAfter).pipe(Effect.interruptible)
    if (left._tag === "Some") return
    family.end("SIGKILL")
    yield* Effect.timeoutOption(gone, patience).pipe(Effect.interruptible)
  })
