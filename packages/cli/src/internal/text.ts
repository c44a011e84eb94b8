/**
 * Text in a terminal: its width and its colours.
 */
import { styleText } from "node:util"
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

/** ASCII, and what is drawn here: each character takes one column. */
const isPlain = (text: string): boolean => /^[\x20-\x7e│├└─●○✓✗…]*$/.test(text)

// For all other text there are tables. To load them takes a quarter of a start, so that is left until they are needed.
const stringWidth = (text: string): number => (require("string-width") as typeof import("string-width")).default(text)
const cliTruncate: typeof import("cli-truncate").default = (...args) =>
  (require("cli-truncate") as typeof import("cli-truncate")).default(...args)

export const width = (text: string): number => (isPlain(text) ? text.length : stringWidth(text))

const fitPlain = (text: string, columns: number, position: "end" | "middle"): string => {
  if (text.length <= columns) return text
  if (columns <= 1) return "…".slice(0, columns)
  const half = position === "middle" ? Math.floor(columns / 2) : columns - 1
  const rest = columns - 1 - half
  return `${text.slice(0, half)}…${rest === 0 ? "" : text.slice(-rest)}`
}

/** The text in no more than this many columns; what is left out is at its end or in its middle. */
export const fit = (text: string, columns: number, position: "end" | "middle" = "end"): string => {
  if (isPlain(text)) return fitPlain(text, columns, position)
  let room = columns
  let cut = cliTruncate(text, room, { position })
  // Where a wide character is cut through, it takes one column too many.
  while (room > 0 && width(cut) > columns) cut = cliTruncate(text, --room, { position })
  return cut
}

export const pad = (text: string, columns: number): string => text + " ".repeat(Math.max(0, columns - width(text)))

/** As much of the line as fits. */
const fitSpans = (line: ReadonlyArray<Span>, columns: number): ReadonlyArray<Span> => {
  const shown: Array<Span> = []
  let room = columns
  for (const [i, { color, text }] of line.entries()) {
    const taken = width(text)
    if (taken > room || (taken === room && line.slice(i + 1).some((next) => next.text.trim() !== ""))) {
      return [...shown, span(fit(taken > room ? text : `${text}…`, room), color)]
    }
    shown.push({ text, color })
    room -= taken
  }
  return shown
}

/** One line of the screen. */
export const paint = (line: ReadonlyArray<Span>, { color, columns }: Screen): string =>
  (columns === undefined ? line : fitSpans(line, columns))
    .map(({ color: name, text }) =>
      color && name !== undefined && text !== "" ? styleText(name, text, { validateStream: false }) : text
    )
    .join("")
    .trimEnd()
