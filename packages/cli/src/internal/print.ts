/**
 * Standard output, as an effect.
 */
import * as Effect from "effect/Effect"
import { write } from "./output.ts"

export const print = (lines: ReadonlyArray<string>): Effect.Effect<void> => Effect.promise(() => write(lines))
