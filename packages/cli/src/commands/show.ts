/**
 * `hilok show`: one lease or request, or what concerns a path.
 */
import * as Args from "@effect/cli/Args"
import * as Command from "@effect/cli/Command"
import * as Effect from "effect/Effect"
import * as Options from "../internal/options.ts"

const config = Options.of("show", {
  what: Args.text({ name: "ID|PATH" }),
  json: Options.json,
  ...Options.connection
})

export const show = Command.make("show", config, (options) =>
  Effect.gen(function* () {
    const { detail } = yield* Effect.promise(() => import("../views/detail.ts"))
    return yield* detail(options)
  })
).pipe(
  Command.withDescription(
    "Shows all about one lease or request (by its id, or the beginning of it), or all that concerns a path: on it, below it, or covering it."
  )
)
