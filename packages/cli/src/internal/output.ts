/**
 * Where the program prints to.
 */
import { styleText } from "node:util"

/** Are colours wanted there? Only in a terminal, and not with `NO_COLOR`. */
export const isColored = (stream: NodeJS.WriteStream): boolean =>
  stream.isTTY && !process.env.NO_COLOR && process.env.TERM !== "dumb"

/** The width of a terminal, and of those that do not tell. */
export const columnsOf = (stream: NodeJS.WriteStream): number => stream.columns || 80

/** For standard output. */
export const bold = (text: string): string =>
  isColored(process.stdout) ? styleText("bold", text, { validateStream: false }) : text

/** Lines on standard output. When they cannot be written, the program's listener to errors ends it. */
export const write = (lines: ReadonlyArray<string>): Promise<void> =>
  new Promise((resolve) => {
    process.stdout.write(lines.map((line) => `${line}\n`).join(""), (error) => {
      if (!error) resolve()
    })
  })
