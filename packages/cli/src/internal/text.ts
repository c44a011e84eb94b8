/**
 * Text in a terminal: its width, its colours, and nothing in it that a terminal would obey.
 */
import stringWidth from "string-width"
import { columnsOf, isColored } from "./output.ts"

const colors = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33, cyan: 36 } as const

/** A piece of a line, in one colour. */
export interface Span {
  readonly text: string
  readonly color?: keyof typeof colors | undefined
}

export const span = (text: string, color?: keyof typeof colors): Span => ({ text, color })

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

/** Names come from others: control characters in them would reach the terminal. */
export const clean = (text: string): string =>
  text.replace(
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
    /[\u0000-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`
  )

export const width: (text: string) => number = stringWidth

const graphemes = new Intl.Segmenter()

/** The text in no more than this many columns. */
const fit = (text: string, columns: number): string => {
  if (width(text) <= columns) return text
  if (columns <= 0) return ""
  let taken = ""
  let used = 0
  for (const { segment } of graphemes.segment(text)) {
    used += width(segment)
    if (used > columns - 1) break
    taken += segment
  }
  return `${taken}…`
}

export const pad = (text: string, columns: number): string => text + " ".repeat(Math.max(0, columns - width(text)))

/** One line of the screen. */
export const paint = (line: ReadonlyArray<Span>, { color, columns }: Screen): string => {
  let left = columns ?? Number.POSITIVE_INFINITY
  let painted = ""
  for (const { color: name, text } of line) {
    if (left <= 0) break
    const shown = fit(text, left)
    left -= width(shown)
    painted += color && name !== undefined ? `\x1b[${colors[name]}m${shown}\x1b[0m` : shown
    if (shown !== text) break
  }
  return painted.trimEnd()
}
