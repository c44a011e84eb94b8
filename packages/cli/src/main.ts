/**
 * The program: from the command line to an exit code.
 */
import { readFileSync } from "node:fs"
import { stripVTControlCharacters } from "node:util"
import * as CliConfig from "@effect/cli/CliConfig"
import * as ValidationError from "@effect/cli/ValidationError"
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as NodePath from "@effect/platform-node/NodePath"
import * as NodeTerminal from "@effect/platform-node/NodeTerminal"
import * as Cause from "effect/Cause"
import * as ConfigError from "effect/ConfigError"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Predicate from "effect/Predicate"
import * as argv from "./internal/argv.ts"
import * as cli from "./internal/cli.ts"
import { exitCode, Failure, say } from "./internal/failure.ts"
import * as help from "./internal/help.ts"
import { columnsOf, isColored, print } from "./internal/output.ts"
import { onSignal, signalCode } from "./internal/signals.ts"

const version = (): string =>
  JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")).version as string

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
    say(Cause.pretty(cause))
    return exitCode.internal
  }
  const error = failure.value
  // It has been printed.
  if (ValidationError.isValidationError(error)) return exitCode.usage
  const message =
    Predicate.hasProperty(error, "message") && error.message !== "" ? String(error.message) : String(error)
  const variable = ConfigError.isConfigError(error) && "path" in error ? `${error.path.join("")}: ` : ""
  say(`${variable}${message}`)
  return codeOf(error)
}

/** What the libraries have to say goes to standard error, too. */
const logger = Logger.make<unknown, void>(({ logLevel, message }) => {
  say(`${logLevel.label.toLowerCase()}: ${Array.isArray(message) ? message.join(" ") : String(message)}`)
})

const shown = (text: unknown, stream: NodeJS.WriteStream): string => {
  const trimmed = String(text ?? "").trimEnd()
  return isColored(stream) ? trimmed : stripVTControlCharacters(trimmed)
}

/** What `@effect/cli` prints (help, version, a wrong use) is coloured in terminals only. */
const printer = Layer.unwrapEffect(
  Console.consoleWith((standard) =>
    Effect.succeed(
      Console.setConsole({
        ...standard,
        log: (text) =>
          print(help.layout(shown(text, process.stdout), Math.min(columnsOf(process.stdout), 100)).split("\n")),
        error: (text) => Effect.sync(() => say(shown(text, process.stderr)))
      })
    )
  )
)

const services = ({ words }: argv.CommandLine) =>
  Layer.mergeAll(
    NodeFileSystem.layer,
    NodePath.layer,
    NodeTerminal.layer,
    printer,
    // The options that every command has are in the help of the program only.
    CliConfig.layer({ isCaseSensitive: true, showBuiltIns: words[0]?.startsWith("-") ?? true }),
    Logger.replace(Logger.defaultLogger, logger)
  )

export const main = (args: ReadonlyArray<string>): void => {
  let code = 0
  const line = argv.parse(args)
  const program = cli.make(line, version(), (result) => {
    code = result
  })
  const fiber = Effect.runFork(Effect.provide(program, services(line)))
  let signalled: NodeJS.Signals | undefined
  onSignal((signal) => {
    if (signalled !== undefined) process.exit(signalCode(signal))
    signalled = signal
    fiber.unsafeInterruptAsFork(fiber.id())
  })
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    // A reader that has seen enough, such as `head`.
    if (error.code === "EPIPE") process.exit(code)
    say(`Nothing can be written: ${error.message}`)
    process.exit(exitCode.internal)
  })
  // Nobody listens any more; the work goes on.
  process.stderr.on("error", () => undefined)
  fiber.addObserver((exit) => {
    if (Exit.isSuccess(exit)) process.exit(code)
    process.exit(signalled !== undefined && Exit.isInterrupted(exit) ? signalCode(signalled) : report(exit.cause))
  })
}
