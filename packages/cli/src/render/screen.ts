/**
 * Frames that are drawn over one another, in place.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Output from "../internal/output.ts"
import { truncate } from "./text.ts"

const hideCursor = "\x1b[?25l"
const showCursor = "\x1b[?25h"
const clearLine = "\x1b[K"
const clearBelow = "\x1b[J"
const clearAll = "\x1b[H\x1b[2J"

export interface Screen {
  readonly columns: () => number
  /** Draws the frame over the last one. What does not fit in the height is said to be missing. */
  readonly draw: (lines: ReadonlyArray<string>) => void
  /** Completes when the size of the terminal changes. */
  readonly resized: Effect.Effect<void>
}

/** The terminal for frames, with the cursor hidden until the scope closes. */
export const open: Effect.Effect<Screen, never, Scope.Scope> = Effect.gen(function* () {
  const { stdout } = process
  let height = 0
  const columns = () => stdout.columns ?? 80
  yield* Effect.acquireRelease(
    Effect.sync(() => Output.write(hideCursor)),
    () => Effect.sync(() => Output.write(showCursor))
  )
  // The lines that were drawn have been broken anew by the terminal: where they begin is not known any more.
  const reset = () => {
    Output.write(clearAll)
    height = 0
  }
  yield* Effect.acquireRelease(
    Effect.sync(() => stdout.on("resize", reset)),
    () => Effect.sync(() => stdout.off("resize", reset))
  )
  return {
    columns,
    draw: (lines) => {
      const room = Math.max(2, (stdout.rows ?? 24) - 1)
      const shown =
        lines.length <= room
          ? lines
          : [...lines.slice(0, room - 1), truncate(`… ${lines.length - room + 1} more lines`, columns())]
      const up = height === 0 ? "" : `\x1b[${height}A`
      Output.write(`${up}\r${shown.map((line) => `${line}${clearLine}\n`).join("")}${clearBelow}`)
      height = shown.length
    },
    resized: Effect.async<void>((resume) => {
      const onResize = () => resume(Effect.void)
      stdout.once("resize", onResize)
      return Effect.sync(() => stdout.off("resize", onResize))
    })
  }
})
