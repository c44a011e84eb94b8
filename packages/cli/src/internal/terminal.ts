/**
 * The terminal, for questions. It is opened when something is asked: opening it makes Node read the standard input,
 * which belongs to the child of `hilok run`.
 */
import * as Terminal from "@effect/platform/Terminal"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import * as Output from "./output.ts"

export const layer: Layer.Layer<Terminal.Terminal> = Layer.scoped(
  Terminal.Terminal,
  Effect.gen(function* () {
    const scope = yield* Effect.scope
    const open = yield* Effect.cached(
      Effect.promise(() => import("@effect/platform-node/NodeTerminal")).pipe(
        Effect.flatMap((node) => Scope.extend(node.make(), scope))
      )
    )
    return Terminal.Terminal.of({
      columns: Effect.flatMap(open, ({ columns }) => columns),
      rows: Effect.flatMap(open, ({ rows }) => rows),
      isTTY: Effect.sync(() => Output.isTerminal(1)),
      readInput: Effect.flatMap(open, ({ readInput }) => readInput),
      readLine: Effect.flatMap(open, ({ readLine }) => readLine),
      display: (text) => Effect.sync(() => Output.write(text))
    })
  })
)
