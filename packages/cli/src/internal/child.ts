/**
 * The command that runs under the lock.
 */
import { spawn } from "node:child_process"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Schedule from "effect/Schedule"
import { exitCode, Failure } from "./failure.ts"
import { onSignal, signalCode } from "./signals.ts"

export interface Child {
  /** Its exit code, or what stands for it when it could not be started. */
  readonly ended: Effect.Effect<number, Failure>
  /** Ends it and its group: asked to first, then, after some time, not. */
  readonly end: (patience: Duration.Duration) => Effect.Effect<void>
}

const notStarted = (command: string, error: NodeJS.ErrnoException): Failure =>
  error.code === "ENOENT"
    ? new Failure({ message: `${command}: command not found`, code: exitCode.notFound })
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

  /** `false` when there is nobody left. */
  const send = (signal: NodeJS.Signals | 0): boolean => {
    const { pid } = running
    if (pid === undefined) return false
    try {
      // In a terminal the group is not the child's alone.
      return inTerminal ? running.kill(signal) : process.kill(-pid, signal)
    } catch {
      return false
    }
  }
  onSignal((signal) => {
    // The terminal has sent Ctrl-C and Ctrl-\ to the child, too.
    if (!inTerminal || (signal !== "SIGINT" && signal !== "SIGQUIT")) send(signal)
  })

  const result = new Promise<Either.Either<number, Failure>>((resolve) => {
    running.once("error", (error) => resolve(Either.left(notStarted(command, error))))
    running.once("exit", (code, signal) => resolve(Either.right(code ?? signalCode(signal ?? "SIGKILL"))))
  })
  const ended = Effect.flatten(Effect.promise(() => result))
  const over = Effect.ignore(ended)
  const groupGone = Effect.repeat(
    Effect.sync(() => inTerminal || !send(0)),
    { until: (gone) => gone, schedule: Schedule.spaced("20 millis") }
  )
  return {
    ended,
    end: (patience) =>
      Effect.gen(function* () {
        send("SIGTERM")
        // One that is stopped gets the signal when it goes on.
        send("SIGCONT")
        yield* Effect.timeoutOption(Effect.zipRight(over, groupGone), Duration.max(patience, Duration.millis(1)))
        send("SIGKILL")
        yield* over
      })
  }
}
