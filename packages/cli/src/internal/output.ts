/**
 * Where the program prints to.
 */
import * as Effect from "effect/Effect"

/** Are colours wanted there? Only in a terminal, and not with `NO_COLOR`. */
export const isColored = (stream: NodeJS.WriteStream): boolean =>
  stream.isTTY && !process.env.NO_COLOR && process.env.TERM !== "dumb"

/** The width of a terminal, and of those that do not tell. */
export const columnsOf = (stream: NodeJS.WriteStream): number => stream.columns || 80

/** Lines on standard output. When they cannot be written, the program's listener to errors ends it. */
export const print = (lines: ReadonlyArray<string>): Effect.Effect<void> =>
  Effect.async((resume) => {
    process.stdout.write(lines.map((line) => `${line}\n`).join(""), (error) => {
      if (!error) resume(Effect.void)
    })
  })
