/**
 * `hilok break`: ends leases whoever holds them.
 */
import * as Args from "@effect/cli/Args"
import * as Command from "@effect/cli/Command"
import * as Prompt from "@effect/cli/Prompt"
import * as Effect from "effect/Effect"
import * as Exit from "../internal/exit.ts"
import * as Options from "../internal/options.ts"
import * as Output from "../internal/output.ts"
import { exitCode } from "../internal/signals.ts"

const config = Options.of("break", {
  ids: Args.repeated(Args.text({ name: "ID" })),
  all: Options.text("all", { description: "Instead of ids: all leases on this path and below it; / is the root." }),
  yes: Options.flag("yes", { alias: "y", description: "Does not ask." }),
  ...Options.connection
})

const confirm = (question: string) =>
  Effect.gen(function* () {
    if (!Output.isTerminal(0) || !Output.isTerminal(1)) {
      return yield* Exit.usage("nobody can be asked here: --yes breaks without asking")
    }
    const prompt = Prompt.confirm({ message: question, initial: false })
    return yield* Effect.catchTag(Prompt.run(prompt), "QuitException", () => Exit.stop(exitCode("SIGINT")))
  })

export const breakCommand = Command.make("break", config, (options) =>
  Effect.gen(function* () {
    const { ids, all } = options
    if (ids.length > 0 === (all !== undefined)) {
      return yield* Exit.usage("give either the ids of leases, or --all and a path")
    }
    const { breakLeases } = yield* Effect.promise(() => import("../views/breakLeases.ts"))
    return yield* breakLeases({ ...options, confirm: options.yes ? () => Effect.succeed(true) : confirm })
  })
).pipe(
  Command.withDescription(
    "Ends leases whoever holds them; the holders learn at once. Asks in a terminal; elsewhere it takes --yes."
  )
)
