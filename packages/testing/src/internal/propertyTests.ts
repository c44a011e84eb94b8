import * as Effect from "effect/Effect"
import * as FastCheck from "effect/FastCheck"
import * as Runtime from "effect/Runtime"
import * as Command from "../Command.ts"
import * as Driver from "../Driver.ts"
import { type Test, top } from "./kit.ts"

/** The random runs of a suite. Without a seed each time others. */
export interface PropertyOptions {
  readonly runs: number
  readonly seed: number | undefined
}

export const propertyTests = (test: Test, { runs, seed }: PropertyOptions): void =>
  test("whatever many clients ask for, the store answers as a brute-force reading of the rules does", (kit) =>
    Effect.gen(function* () {
      const runPromise = Runtime.runPromise(yield* Effect.runtime())
      // In one partition there is one order, as in the reference.
      const below = kit.partitioned ? [top] : []
      const property = FastCheck.asyncProperty(Command.commands({ time: kit.exactTime, below }), (commands) =>
        Effect.gen(function* () {
          const driver = yield* Driver.make(kit.store, kit)
          yield* Effect.forEach(commands, driver.step, { discard: true }).pipe(
            Effect.zipRight(driver.finish),
            Effect.onError(() => kit.clear)
          )
        }).pipe(Effect.scoped, runPromise)
      )
      // The message of a failure has the seed and the shortest list of commands that fails.
      yield* Effect.promise(() =>
        FastCheck.assert(property, { numRuns: runs, ...(seed === undefined ? {} : { seed }) })
      )
    }))
