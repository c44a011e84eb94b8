/**
 * Text in the columns of a terminal.
 */
import stringWidth from "string-width"

const segmenter = new Intl.Segmenter(undefined, { granularity: "grapheme" })

/** How many columns a terminal takes for it. */
export const width = (text: string): number => stringWidth(text)

/** The text in at most so many columns; where something is missing it ends in `…`. */
export const truncate = (text: string, columns: number): string => {
  if (width(text) <= columns) return text
  if (columns <= 0) return ""
  let kept = ""
  let used = 0
  for (const { segment } of segmenter.segment(text)) {
    const more = width(segment)
    if (used + more > columns - 1) break
    kept += segment
    used += more
  }
  return `${kept}…`
}

/** The text in exactly so many columns. */
export const fit = (text: string, columns: number): string => {
  const short = truncate(text, columns)
  return short + " ".repeat(Math.max(0, columns - width(short)))
}
