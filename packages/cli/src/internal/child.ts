/**
 * The command that runs under the lock.
 */
import { type ChildProcess, spawn } from "node:child_process"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Schedule from "effect/Schedule"
import { exitCode, Failure } from "./failure.ts"
import { Family } from "./processes.ts"
import { onSignal, signalCode } from "./signals.ts"

export interface Child {
  /** Its exit code, or what stands for it when it could not be started. */
  readonly ended: Effect.Effect<number, Failure>
  /** Ends it and its group: asked to first, then, after some time, not. */
  readonly end: (patience: Duration.Duration) => Effect.Effect<void>
}

const notStarted = (command: string, error: NodeJS.ErrnoException): Failure =>
  error.code === "ENOENT" || command === ""
    ? new Failure({ message: `${command || '""'}: command not found`, code: exitCode.notFound })
    : new Failure({
        message: `${command}: cannot be executed (${error.code ?? error.message})`,
        code: exitCode.notExecutable
      })

/**
 * Starts the command. From here on signals are for it.
 *
 * In a terminal it stays in the group of this process, which the terminal sends its signals to and whose input it may
 * read. Else it has a group of its own, so that a signal reaches all of its descendants.
 */
export const start = (command: string, args: ReadonlyArray<string>, env: NodeJS.ProcessEnv): Child => {
  const inTerminal = process.stdin.isTTY === true
  const child = (() => {
    try {
      return Either.right(spawn(command, args, { stdio: "inherit", detached: !inTerminal, env }))
    } catch (error) {
      return Either.left(error as NodeJS.ErrnoException)
    }
  })()
  if (Either.isLeft(child)) {
    return { ended: Effect.fail(notStarted(command, child.left)), end: () => Effect.void }
  }
  const { right: running } = child

  onSignal((signal) => {
    if (!inTerminal) send(groupOf(running), signal)
    // The terminal has sent Ctrl-C and Ctrl-\ to the child, too.
    else if (signal !== "SIGINT" && signal !== "SIGQUIT") running.kill(signal)
  })

  const result = new Promise<Either.Either<number, Failure>>((resolve) => {
    running.once("error", (error) => resolve(Either.left(notStarted(command, error))))
    running.once("exit", (code, signal) => resolve(Either.right(code ?? signalCode(signal ?? "SIGKILL"))))
  })
  const ended = Effect.flatten(Effect.promise(() => result))
  const over = Effect.ignore(ended)
  return {
    ended,
    end: (patience) =>
      Effect.gen(function* () {
        const all = inTerminal ? family(running) : groupOf(running)
        send(all, "SIGTERM")
        // One that is stopped gets the signal when it goes on.
        send(all, "SIGCONT")
        const gone = Effect.repeat(
          Effect.sync(() => !send(all, 0)),
          { until: (none) => none, schedule: Schedule.spaced("20 millis") }
        )
        yield* Effect.timeoutOption(Effect.zipRight(over, gone), Duration.max(patience, Duration.millis(1)))
        send(all, "SIGKILL")
        yield* over
      })
  }
}

/** Process ids as kill(2) takes them: a negative one is a group. */
type Recipients = () => ReadonlyArray<number>

const groupOf =
  ({ pid }: ChildProcess): Recipients =>
  () =>
    pid === undefined ? [] : [-pid]

/** In a terminal the group is not the command's alone, so its descendants are looked for. */
const family = (running: ChildProcess): Recipients => {
  const { pid } = running
  if (pid === undefined) return () => []
  const members = new Family(pid)
  return () => {
    const hasEnded = running.exitCode !== null || running.signalCode !== null
    return Array.from(new Set([...(hasEnded ? [] : [pid]), ...members.alive()]))
  }
}

/** `false` when there is nobody left. */
const send = (recipients: Recipients, signal: NodeJS.Signals | 0): boolean =>
  recipients().filter((pid) => {
    try {
      return process.kill(pid, signal)
    } catch {
      return false
    }
  }).length > 0
