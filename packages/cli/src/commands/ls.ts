/**
 * `hilok ls`: who holds what, and who waits.
 */
import * as Args from "@effect/cli/Args"
import * as Command from "@effect/cli/Command"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Options from "../internal/options.ts"

const config = Options.of("ls", {
  prefix: Args.optional(Args.text({ name: "PREFIX" })),
  output: Options.choice("output", ["tree", "table", "json"], "tree", { alias: "o", description: "Default tree." }),
  watch: Options.flag("watch", { description: "Draws it again and again, in place in a terminal, until Ctrl-C." }),
  interval: Options.duration("interval", { description: "How often --watch looks. Default 1s." }),
  olderThan: Options.duration("older-than", { description: "Only what is held or waited for longer than this." }),
  ...Options.connection
})

export const ls = Command.make("ls", config, (options) =>
  Effect.gen(function* () {
    const { list } = yield* Effect.promise(() => import("../views/list.ts"))
    return yield* list({ ...options, prefix: Option.getOrElse(options.prefix, () => "") })
  })
).pipe(Command.withDescription("Shows the live tree: holders, and the queues in their order."))
