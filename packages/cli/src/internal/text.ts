/**
 * Text in a terminal: its width and its colours.
 */
import { styleText } from "node:util"
import cliTruncate from "cli-truncate"
import stringWidth from "string-width"
import { columnsOf, isColored } from "./output.ts"

type Color = "bold" | "dim" | "red" | "green" | "yellow" | "cyan"

/** A piece of a line, in one colour. */
export interface Span {
  readonly text: string
  readonly color?: Color | undefined
}

export const span = (text: string, color?: Color): Span => ({ text, color })

/** How much room there is, and whether colours are wanted. */
export interface Screen {
  /** `undefined`: no limit. */
  readonly columns: number | undefined
  readonly color: boolean
}

export const screenOf = (stream: NodeJS.WriteStream): Screen => ({
  columns: stream.isTTY ? columnsOf(stream) : undefined,
  color: isColored(stream)
})

export const width: (text: string) => number = stringWidth

/** The text in no more than this many columns; what is left out is at its end or in its middle. */
export const fit = (text: string, columns: number, position: "end" | "middle" = "end"): string => {
  let room = columns
  let cut = cliTruncate(text, room, { position })
  // Where a wide character is cut through, it takes one column too many.
  while (room > 0 && width(cut) > columns) cut = cliTruncate(text, --room, { position })
  return cut
}

export const pad = (text: string, columns: number): string => text + " ".repeat(Math.max(0, columns - width(text)))

/** One line of the screen. */
export const paint = (line: ReadonlyArray<Span>, { color, columns }: Screen): string => {
  const painted = line
    .map(({ color: name, text }) =>
      color && name !== undefined && text !== "" ? styleText(name, text, { validateStream: false }) : text
    )
    .join("")
    .trimEnd()
  return columns === undefined ? painted : fit(painted, columns)
}
