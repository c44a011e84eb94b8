/**
 * `hilok acquire`, `refresh`, `release`: leases that scripts keep by their ids.
 */
import * as Args from "@effect/cli/Args"
import * as Command from "@effect/cli/Command"
import * as Effect from "effect/Effect"
import * as Exit from "../internal/exit.ts"
import * as Options from "../internal/options.ts"
import { chosenTargets } from "../internal/targets.ts"

const loaded = Effect.promise(() => import("../views/byHand.ts"))

export const acquire = Command.make(
  "acquire",
  Options.of("acquire", {
    paths: Args.repeated(Args.text({ name: "PATH" })),
    ...Options.request,
    json: Options.json,
    ...Options.connection
  }),
  (options) =>
    Effect.gen(function* () {
      const targets = yield* chosenTargets(options)
      const byHand = yield* loaded
      return yield* byHand.acquire({ ...options, targets })
    })
).pipe(
  Command.withDescription(
    "Takes a lease that nobody refreshes, and prints its id: it ends after its ttl unless it is refreshed."
  )
)

const ids = Args.repeated(Args.text({ name: "ID" }))

const some = (given: ReadonlyArray<string>) =>
  given.length === 0 ? Effect.fail(Exit.usage("no id: `hilok acquire` prints it")) : Effect.void

export const refresh = Command.make(
  "refresh",
  Options.of("refresh", {
    ids,
    ttl: Options.duration("ttl", {
      description: "How long they last from now on. Default HILOK_TTL, else 10s.",
      variable: "HILOK_TTL"
    }),
    json: Options.json,
    ...Options.connection
  }),
  (options) =>
    Effect.gen(function* () {
      yield* some(options.ids)
      const byHand = yield* loaded
      return yield* byHand.refresh(options)
    })
).pipe(Command.withDescription("Keeps leases alive. 79 when one of them is lost."))

export const release = Command.make(
  "release",
  Options.of("release", { ids, json: Options.json, ...Options.connection }),
  (options) =>
    Effect.gen(function* () {
      yield* some(options.ids)
      const byHand = yield* loaded
      return yield* byHand.release(options)
    })
).pipe(Command.withDescription("Ends leases, or takes requests out of the queue. 79 when one of them was lost before."))
