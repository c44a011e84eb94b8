/**
 * `hilok run`: runs a command under a lock.
 */
import * as Args from "@effect/cli/Args"
import * as Command from "@effect/cli/Command"
import * as Effect from "effect/Effect"
import { Invocation } from "../Argv.ts"
import * as Exit from "../internal/exit.ts"
import * as Options from "../internal/options.ts"
import { chosenTargets } from "../internal/targets.ts"

const config = Options.of("run", {
  paths: Args.repeated(Args.text({ name: "PATH" })),
  ...Options.request,
  killAfter: Options.duration("kill-after", {
    description: "How long the command has between TERM and KILL when the lock is lost. Default 5s.",
    zero: true
  }),
  maxHold: Options.duration("max-hold", {
    description: "Ends a command that holds the lock for longer. Default HILOK_MAX_HOLD, else no limit.",
    variable: "HILOK_MAX_HOLD"
  }),
  verbose: Options.flag("verbose", { alias: "v", description: "Says how long it waited, and the fencing token." }),
  ...Options.connection
})

export const run = Command.make("run", config, (options) =>
  Effect.gen(function* () {
    const { child } = yield* Invocation
    const targets = yield* chosenTargets(options)
    const [command, ...args] = child ?? []
    if (command === undefined || command === "") {
      return yield* Exit.usage("no command: it follows the paths and --, as in `hilok run reports/2026 -- backup.sh`")
    }
    const { runLocked } = yield* Effect.promise(() => import("../child/runLocked.ts"))
    return yield* runLocked({ ...options, targets, command, args })
  })
).pipe(
  Command.withDescription(
    "Takes the lock, runs a command, and releases: hilok run [options] PATH… -- command args…\n\n" +
      "Exit codes: the command's own, or 128 + n when signal n ended it; 127 not found, 126 not executable; 64 usage, " +
      "69 Redis not available, 75 busy or timed out, 79 lock lost."
  )
)
