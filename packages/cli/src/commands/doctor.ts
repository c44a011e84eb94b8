/**
 * `hilok doctor`: is the server fit to keep locks?
 */
import * as Command from "@effect/cli/Command"
import * as Effect from "effect/Effect"
import * as Options from "../internal/options.ts"

export const doctor = Command.make(
  "doctor",
  Options.of("doctor", { json: Options.json, ...Options.connection }),
  (options) =>
    Effect.gen(function* () {
      const { examine } = yield* Effect.promise(() => import("../doctor/examine.ts"))
      return yield* examine(options)
    })
).pipe(
  Command.withDescription(
    "Looks whether the server is fit to keep locks, and says what to do where it is not. 1 when something is wrong, 69 when the server cannot be reached."
  )
)
