/**
 * The commands with their options and arguments. What they do is loaded when it is asked for.
 */
import * as Args from "@effect/cli/Args"
import type * as CliApp from "@effect/cli/CliApp"
import * as Command from "@effect/cli/Command"
import * as HelpDoc from "@effect/cli/HelpDoc"
import * as Span from "@effect/cli/HelpDoc/Span"
import * as Options from "@effect/cli/Options"
import * as ValidationError from "@effect/cli/ValidationError"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import { type CommandLine, decodeTarget } from "./argv.ts"
import * as durations from "./durations.ts"
import { exitCode, Failure } from "./failure.ts"

const refuse = (message: string) => ValidationError.invalidValue(HelpDoc.p(Span.error(message)))

const duration = (name: string, zero = false) =>
  Options.text(name).pipe(
    Options.withPseudoName("time"),
    Options.mapEffect((text) =>
      Either.match(durations.parse(text), {
        onLeft: (problem) => Effect.fail(refuse(`--${name}: ${problem}`)),
        onRight: (value) =>
          zero || Duration.toMillis(value) > 0
            ? Effect.succeed(value)
            : Effect.fail(refuse(`--${name}: it must be more than zero`))
      })
    )
  )

const optional = <A>(option: Options.Options<A>): Options.Options<A | undefined> =>
  Options.map(Options.optional(option), Option.getOrUndefined)

const server = Options.all({
  url: Options.text("url").pipe(
    Options.withAlias("u"),
    Options.withDescription(
      "The server: redis://, rediss:// or a unix socket. Default: $REDIS_URL, else redis://127.0.0.1:6379."
    ),
    Options.optional
  ),
  namespace: Options.text("namespace").pipe(
    Options.withDescription("The set of locks. Default: $HILOK_NAMESPACE, else default."),
    Options.optional
  ),
  keyPrefix: Options.text("key-prefix").pipe(
    Options.withDescription("The first part of every key. Default: $HILOK_KEY_PREFIX, else hilok."),
    Options.optional
  )
})

const json = Options.boolean("json").pipe(Options.withDescription("Print JSON."))

const ttl = optional(
  duration("ttl").pipe(
    Options.withDescription("How long the lease lasts after it was last refreshed. Default: $HILOK_TTL, else 10s.")
  )
)

const request = {
  server,
  // The four are read beforehand, with the paths they are for.
  write: Options.boolean("write").pipe(
    Options.withAlias("x"),
    Options.withDescription("The paths that follow: exclusive, with everything below. The default.")
  ),
  read: Options.boolean("read").pipe(
    Options.withAlias("s"),
    Options.withDescription("The paths that follow: shared, with everything below.")
  ),
  writeNode: Options.boolean("write-node").pipe(
    Options.withDescription("The paths that follow: exclusive, the node alone.")
  ),
  readNode: Options.boolean("read-node").pipe(
    Options.withDescription("The paths that follow: shared, the node alone.")
  ),
  nonblock: Options.boolean("nonblock").pipe(
    Options.withAlias("n"),
    Options.withDescription("Do not wait for a lock that is not free.")
  ),
  wait: optional(
    duration("wait", true).pipe(
      Options.withAlias("w"),
      Options.withDescription("How long to wait for the lock; 0 is as -n. Default: for ever.")
    )
  ),
  conflictExitCode: Options.text("conflict-exit-code").pipe(
    Options.withAlias("E"),
    Options.withPseudoName("number"),
    Options.withDescription(`The exit code when the lock was not free (in time). Default: ${exitCode.conflict}.`),
    Options.mapEffect((code) =>
      /^\d{1,3}$/.test(code) && Number(code) <= 255
        ? Effect.succeed(Number(code))
        : Effect.fail(refuse("--conflict-exit-code: it must be a whole number from 0 to 255"))
    ),
    Options.withDefault(exitCode.conflict)
  ),
  ttl,
  reason: optional(Options.text("reason").pipe(Options.withDescription("Why the lock is taken, for people."))),
  label: optional(
    Options.text("label").pipe(
      Options.withDescription("Who takes it, for people. Default: $HILOK_LABEL; for run, else the command.")
    )
  )
}

/** What looks like an option, and is none that the command has, would be taken for an argument. */
const text = (name: string): Args.Args<string> =>
  Args.mapEffect(Args.text({ name }), (word) =>
    word.startsWith("-") && word !== "-"
      ? Effect.fail(HelpDoc.p(Span.error(`There is no option ${word} here; see --help`)))
      : Effect.succeed(word)
  )

const path = text("path")
const targets = path.pipe(
  Args.withDescription("What to lock, such as db/users/42."),
  Args.map(decodeTarget),
  Args.atLeast(1)
)
const id = text("id")

/** A request that was refused as the lock is not free has an exit code of the user's choice. */
const conflict = (code: number) =>
  Effect.mapError((error: { readonly _tag: string; readonly message: string }) =>
    error._tag === "WouldBlock" || error._tag === "LockTimeout" || error._tag === "Deadlock"
      ? new Failure({ message: error.message, code })
      : error
  )

const outputs = { tree: "tree", table: "table", json: "json" } as const

/** The program. `exit` is called with the exit code of a command that is over. */
export const make = (
  { problem, rest, words }: CommandLine,
  version: string,
  exit: (code: number) => void
): Effect.Effect<void, unknown, CliApp.CliApp.Environment> => {
  if (problem !== undefined) return Effect.fail(new Failure({ message: problem, code: exitCode.usage }))
  const finish = Effect.map(exit)

  const run = Command.make(
    "run",
    {
      ...request,
      maxHold: optional(
        duration("max-hold").pipe(Options.withDescription("Ends the lock, and the command, when it is held longer."))
      ),
      killAfter: duration("kill-after", true).pipe(
        Options.withDescription("When the lock is lost: how long the command has to end. Default: 5s."),
        Options.withDefault(Duration.seconds(5))
      ),
      verbose: Options.boolean("verbose").pipe(
        Options.withDescription("Tell how long the wait was, and the token, on standard error.")
      ),
      targets
    },
    (options) =>
      Effect.gen(function* () {
        const [command, ...args] = rest ?? []
        if (command === undefined) {
          return yield* new Failure({
            message: "The command is missing: hilok run [options] PATH… -- command args…",
            code: exitCode.usage
          })
        }
        const { run } = yield* Effect.promise(() => import("./run.ts"))
        return yield* run({ ...options, command, args })
      }).pipe(conflict(options.conflictExitCode), finish)
  ).pipe(
    Command.withDescription(
      "Runs a command under a lock. A mode option (-x, -s, …) is for the paths that follow it; all of them are granted " +
        "at once. Exits with the command's code; 75 when the lock is not free, 79 when it was lost, 69 when the server " +
        "is not available, 64 for a wrong use."
    )
  )

  const acquire = Command.make("acquire", { ...request, json, targets }, (options) =>
    Effect.gen(function* () {
      const { acquire } = yield* Effect.promise(() => import("./byHand.ts"))
      return yield* acquire(options)
    }).pipe(conflict(options.conflictExitCode), finish)
  ).pipe(Command.withDescription("Takes a lock and prints the id of its lease, which nobody refreshes but you."))

  const refresh = Command.make("refresh", { server, ttl, json, id }, (options) =>
    Effect.promise(() => import("./byHand.ts")).pipe(
      Effect.flatMap(({ refresh }) => refresh(options)),
      finish
    )
  ).pipe(
    Command.withDescription("Moves the end of a lease to its ttl from now. Exits with 79 when it is not held any more.")
  )

  const release = Command.make("release", { server, json, id }, (options) =>
    Effect.promise(() => import("./byHand.ts")).pipe(
      Effect.flatMap(({ release }) => release(options)),
      finish
    )
  ).pipe(Command.withDescription("Ends a lease. Exits with 79 when it was not held any more."))

  const ls = Command.make(
    "ls",
    {
      server,
      output: Options.choiceWithValue("output", Object.entries(outputs) as Array<[string, keyof typeof outputs]>).pipe(
        Options.withAlias("o"),
        Options.withDescription("How to print it. Default: tree."),
        Options.withDefault("tree" as const)
      ),
      watch: Options.boolean("watch").pipe(Options.withDescription("Keep it on the screen, up to date, until Ctrl-C.")),
      olderThan: optional(
        duration("older-than").pipe(Options.withDescription("Only what is held, or waits, for longer than this."))
      ),
      prefix: path.pipe(Args.withDescription("Only what is at or below it."), Args.optional)
    },
    (options) =>
      Effect.promise(() => import("./ls.ts")).pipe(
        Effect.flatMap(({ ls }) => ls({ ...options, prefix: Option.getOrUndefined(options.prefix) })),
        finish
      )
  ).pipe(Command.withDescription("Shows who holds what, and who waits for it, in the order of their turns."))

  const show = Command.make("show", { server, json, what: text("id|path") }, (options) =>
    Effect.promise(() => import("./show.ts")).pipe(
      Effect.flatMap(({ show }) => show(options)),
      finish
    )
  ).pipe(
    Command.withDescription("Shows all that is known of one lease or waiting request, or of those at a path and below.")
  )

  const breakLeases = Command.make(
    "break",
    {
      server,
      all: optional(
        Options.text("all").pipe(
          Options.withPseudoName("prefix"),
          Options.withDescription("All leases at or below the path.")
        )
      ),
      yes: Options.boolean("yes").pipe(Options.withDescription("Do not ask.")),
      ids: Args.repeated(id)
    },
    (options) =>
      Effect.promise(() => import("./break.ts")).pipe(
        Effect.flatMap(({ breakLeases }) => breakLeases(options)),
        finish
      )
  ).pipe(Command.withDescription("Ends leases of others. Their holders learn at once that the lock is lost."))

  const doctor = Command.make("doctor", { server }, (options) =>
    Effect.promise(() => import("./doctor.ts")).pipe(
      Effect.flatMap(({ doctor }) => doctor(options.server)),
      finish
    )
  ).pipe(Command.withDescription("Checks whether the server is fit for locks, and says what to do where it is not."))

  const hilok = Command.make("hilok").pipe(
    Command.withDescription("Hierarchical read-write locks on Redis: run commands under them, see who holds what."),
    Command.withSubcommands([run, ls, show, breakLeases, acquire, refresh, release, doctor])
  )
  return Command.run(hilok, { name: "hilok", version })(["node", "hilok", ...words])
}
