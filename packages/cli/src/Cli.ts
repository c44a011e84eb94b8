/**
 * The command `hilok` with its subcommands.
 */
import * as CliConfig from "@effect/cli/CliConfig"
import * as Command from "@effect/cli/Command"
import * as ValidationError from "@effect/cli/ValidationError"
import * as FileSystem from "@effect/platform/FileSystem"
import * as Path from "@effect/platform/Path"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import * as Argv from "./Argv.ts"
import { breakCommand } from "./commands/break.ts"
import { doctor } from "./commands/doctor.ts"
import { ls } from "./commands/ls.ts"
import { acquire, refresh, release } from "./commands/manual.ts"
import { run } from "./commands/run.ts"
import { show } from "./commands/show.ts"
import * as Exit from "./internal/exit.ts"
import * as Output from "./internal/output.ts"
import { Signals } from "./internal/signals.ts"
import * as terminal from "./internal/terminal.ts"
import { version } from "./internal/version.ts"

const hilok = Command.make("hilok").pipe(
  Command.withDescription(
    "Runs commands under hierarchical, distributed locks on Redis, and shows who holds what. " +
      "`hilok COMMAND --help` says more about one command."
  ),
  Command.withSubcommands([run, ls, show, breakCommand, acquire, refresh, release, doctor])
)

/** For each command a line: the help that `@effect/cli` makes of subcommands repeats all of their options. */
const overview = `hilok ${version}: commands under hierarchical, distributed locks on Redis, and who holds what

  hilok run [options] PATH… -- command args…   take the lock, run the command, release
  hilok ls [PREFIX]                            the live tree: holders and queues; --watch
  hilok show ID|PATH                           all about one lease, or about a path
  hilok break ID… | --all PREFIX               end leases whoever holds them
  hilok acquire | refresh | release            leases that scripts keep by their ids
  hilok doctor                                 is the server fit to keep locks?

hilok COMMAND --help tells all about a command. The server: --url, or REDIS_URL.
hilok --completions bash|zsh|fish prints completions for the shell; hilok --version the version.
`

const cli = Command.run(hilok, { name: "hilok", version, executable: "hilok" })

const environment = Layer.mergeAll(
  // None of our options takes a file.
  FileSystem.layerNoop({}),
  Path.layer,
  terminal.layer,
  CliConfig.layer({ isCaseSensitive: true, showBuiltIns: false })
)

/** Runs the command line to its end, and answers with the exit code. */
export const main =
  (argv: ReadonlyArray<string>) =>
  (signals: Signals["Type"]): Effect.Effect<number> =>
    Effect.gen(function* () {
      const normalized = Argv.normalize(argv.slice(2))
      if (Either.isLeft(normalized)) return yield* Exit.usage(normalized.left)
      const { args, invocation } = normalized.right
      if (args.length === 0 || (args.length === 1 && args[0] === "--help")) {
        Output.write(overview)
        return args.length === 0 ? Exit.code.usage : 0
      }
      yield* cli([...argv.slice(0, 2), ...args]).pipe(Effect.provideService(Argv.Invocation, invocation))
      return 0
    }).pipe(
      Effect.catchAll((error) => Effect.sync(() => ended(error, argv))),
      Effect.provideService(Signals, signals),
      Effect.provide(environment),
      Output.withOutput
    )

const ended = (error: Exit.Stop | ValidationError.ValidationError, argv: ReadonlyArray<string>): number => {
  // Of these `@effect/cli` has told already.
  if (ValidationError.isValidationError(error)) {
    const command = argv.slice(2).find(Argv.isCommand)
    Output.note(`see: hilok ${command === undefined ? "" : `${command} `}--help`)
    return Exit.code.usage
  }
  if (error.message !== "") Output.note(error.message)
  return error.code
}
