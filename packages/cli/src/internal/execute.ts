/**
 * Runs what a command is, to an exit code.
 */
import * as Cause from "effect/Cause"
import * as ConfigError from "effect/ConfigError"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as HashMap from "effect/HashMap"
import * as Logger from "effect/Logger"
import * as Predicate from "effect/Predicate"
import { exitCode, Failure, say } from "./failure.ts"
import { onSignal, signalCode } from "./signals.ts"

const codes: Readonly<Record<string, number>> = {
  InvalidOptions: exitCode.usage,
  InvalidPath: exitCode.usage,
  LockLost: exitCode.lost,
  StoreError: exitCode.unavailable
}

const codeOf = (error: unknown): number => {
  if (error instanceof Failure) return error.code
  if (ConfigError.isConfigError(error)) return exitCode.usage
  return Predicate.hasProperty(error, "_tag") ? (codes[String(error._tag)] ?? exitCode.internal) : exitCode.internal
}

const report = (cause: Cause.Cause<unknown>): number => {
  const failure = Cause.failureOption(cause)
  if (failure._tag === "None") {
    for (const line of Cause.pretty(cause).split("\n")) say(line)
    return exitCode.internal
  }
  const error = failure.value
  const message =
    Predicate.hasProperty(error, "message") && error.message !== "" ? String(error.message) : String(error)
  const variable = ConfigError.isConfigError(error) && "path" in error ? `${error.path.join("")}: ` : ""
  say(`${variable}${message}`)
  return codeOf(error)
}

/** What the libraries have to say goes to standard error, too; but for a loss, which the command tells in its own words. */
const logger = Logger.make<unknown, void>(({ annotations, logLevel, message }) => {
  if (HashMap.has(annotations, "hilok.reason")) return
  say(`${logLevel.label.toLowerCase()}: ${Array.isArray(message) ? message.join(" ") : String(message)}`)
})

/** The first signal interrupts, the second one does not wait for the end of that. */
export const execute = (effect: Effect.Effect<number, unknown>): Promise<number> =>
  new Promise((resolve) => {
    const fiber = Effect.runFork(Effect.provide(effect, Logger.replace(Logger.defaultLogger, logger)))
    let signalled: NodeJS.Signals | undefined
    onSignal((signal) => {
      if (signalled !== undefined) process.exit(signalCode(signal))
      signalled = signal
      fiber.unsafeInterruptAsFork(fiber.id())
    })
    fiber.addObserver((exit) => {
      if (Exit.isSuccess(exit)) return resolve(exit.value)
      resolve(signalled !== undefined && Exit.isInterrupted(exit) ? signalCode(signalled) : report(exit.cause))
    })
  })
