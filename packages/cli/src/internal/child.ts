/**
 * The command that runs under the lock.
 */
import { type ChildProcess, spawn } from "node:child_process"
import * as diagnostics from "node:diagnostics_channel"
import type { Socket } from "node:net"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Schedule from "effect/Schedule"
import { exitCode, Failure } from "./failure.ts"
import { Family } from "./processes.ts"
import { onEverySignal, signalCode } from "./signals.ts"
import * as watcher from "./watcher.ts"

export interface Child {
  /** Its exit code, or what stands for it when it could not be started. */
  readonly ended: Effect.Effect<number, Failure>
  /** Ends it and its group: asked to first, then, after some time, not. */
  readonly end: (patience: number) => Effect.Effect<void>
  /** Waits until this process goes on after it was stopped, with the command halted if it may be without its lock. */
  readonly awoken: Effect.Effect<void>
  /** Lets the command go on. */
  readonly resume: () => void
}

export interface Settings {
  readonly command: string
  readonly args: ReadonlyArray<string>
  readonly env: NodeJS.ProcessEnv
  /** Of the lease. */
  readonly id: string
  /** How long a watcher may take to end the command (milliseconds); without it there is none. */
  readonly watch: number | undefined
  /** For how long this process may be stopped without its lease ending meanwhile (milliseconds). */
  readonly pause: number
}

const notStarted = (command: string, error: NodeJS.ErrnoException): Failure =>
  error.code === "ENOENT" || command === ""
    ? new Failure({ message: `${command || '""'}: command not found`, code: exitCode.notFound })
    : new Failure({
        message: `${command}: cannot be executed (${error.code ?? error.message})`,
        code: exitCode.notExecutable
      })

/** What the terminal has sent to the whole group, the command included. */
const fromTerminal: ReadonlySet<NodeJS.Signals> = new Set(["SIGINT", "SIGQUIT", "SIGWINCH"])

/** How long a command in a terminal has to stop by itself, with its screen in order (milliseconds). */
const stopping = 100

/**
 * Starts the command. From here on signals are for it.
 *
 * In a terminal it stays in the group of this process, which the terminal sends its signals to and whose input it may
 * read. Else it has a group of its own, so that a signal reaches all of its descendants.
 */
export const start = ({ args, command, env, id, pause, watch }: Settings): Child => {
  const inTerminal = process.stdin.isTTY === true
  const guard = watch === undefined ? watcher.none : watcher.start(watch, inTerminal ? "family" : "group", id)
  let running: ChildProcess | undefined
  let all: Recipients = () => []
  // All of this is in place before the command runs, which may be before `spawn` is back. What it sends waits until then.
  const isOwnPipe = pipesOfOwn()
  onEverySignal((signal) => {
    if (signal === "SIGPIPE" && isOwnPipe()) return
    if (!inTerminal) send(all, signal)
    else if (!fromTerminal.has(signal)) running?.kill(signal)
  })
  const awoken = stopTogether(() => all(), inTerminal, pause)
  const child = (() => {
    try {
      return Either.right(spawn(command, args, { stdio: "inherit", detached: !inTerminal, env }))
    } catch (error) {
      return Either.left(error as NodeJS.ErrnoException)
    }
  })()
  if (Either.isLeft(child)) {
    guard.end()
    const failed = Effect.fail(notStarted(command, child.left))
    return { ended: failed, end: () => Effect.void, awoken, resume: () => undefined }
  }
  const { right: started } = child
  if (started.pid !== undefined) guard.watch(started.pid)
  running = started
  all = inTerminal ? family(started) : groupOf(started)

  const result = new Promise<Either.Either<number, Failure>>((resolve) => {
    started.once("error", (error) => resolve(Either.left(notStarted(command, error))))
    started.once("exit", (code, signal) => resolve(Either.right(code ?? signalCode(signal ?? "SIGKILL"))))
  }).finally(guard.end)
  const ended = Effect.flatten(Effect.promise(() => result))
  const over = Effect.ignore(ended)
  return {
    ended,
    awoken,
    resume: () => void send(all, "SIGCONT"),
    end: (patience) =>
      Effect.gen(function* () {
        send(all, "SIGTERM")
        // One that is stopped gets the signal when it goes on.
        send(all, "SIGCONT")
        const gone = Effect.repeat(
          Effect.sync(() => !send(all, 0)),
          { until: (none) => none, schedule: Schedule.spaced("20 millis") }
        )
        yield* Effect.timeoutOption(Effect.zipRight(over, gone), Duration.millis(Math.max(patience, 1)))
        send(all, "SIGKILL")
        yield* over
      })
  }
}

/**
 * Stops the command along with this process, which cannot keep the lock while it is stopped. When it goes on, the command
 * does not, until it is known whether there is a lock: whoever waits for `awoken` has to find out, and to resume it.
 *
 * TTOU is left alone: a handler of it makes a write to the terminal try again for ever.
 */
const stopTogether = (all: Recipients, inTerminal: boolean, pause: number): Effect.Effect<void> => {
  let stoppedAt = 0
  const stop = () => {
    send(all, "SIGSTOP")
    stoppedAt = performance.now()
    process.kill(process.pid, "SIGSTOP")
  }
  // The terminal has told the command, too. If it does not want to hear, it is made to.
  const onStop = () => void (inTerminal ? Effect.runFork(Effect.delay(Effect.sync(stop), stopping)) : stop())
  process.on("SIGTSTP", onStop).on("SIGTTIN", onStop)
  let wake: () => void = () => undefined
  let isAwake = false
  process.on("SIGCONT", () => {
    // The shell has woken the command, too.
    if (inTerminal && performance.now() - stoppedAt > pause) send(all, "SIGSTOP")
    isAwake = true
    wake()
  })
  return Effect.async((resume) => {
    wake = () => {
      isAwake = false
      wake = () => undefined
      resume(Effect.void)
    }
    if (isAwake) wake()
  })
}

/**
 * Tells whether a PIPE is the consequence of what this process has written itself, to a connection or a stream that the
 * other end has closed. Such an error is known before the signal is.
 */
const pipesOfOwn = (): (() => boolean) => {
  let count = 0
  const onError = (error: NodeJS.ErrnoException) => {
    if (error.code === "EPIPE") count++
  }
  process.stderr.on("error", onError)
  process.stdout.on("error", onError)
  diagnostics.subscribe("net.client.socket", (message) => {
    ;(message as { readonly socket: Socket }).socket.on("error", onError)
  })
  return () => count > 0 && count-- > 0
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
