/**
 * Tables that fit a width.
 */
import { type Paint, plain, type Style } from "./style.ts"
import { fit, truncate, width } from "./text.ts"

export interface Cell {
  readonly text: string
  readonly style?: Style | undefined
}

export interface Column {
  readonly title: string
  /** The least it may be shrunk to. It is not shrunk at all when this is missing. */
  readonly least?: number
  /** The lower it is, the sooner the column is left out when there is no room. */
  readonly rank: number
}

const gap = "  "

/** How wide each column becomes; `0` for one that is left out. */
const widths = (
  columns: ReadonlyArray<Column>,
  rows: ReadonlyArray<ReadonlyArray<Cell>>,
  available: number
): ReadonlyArray<number> => {
  const isUsed = columns.map((_, i) => rows.some((row) => (row[i]?.text ?? "") !== ""))
  const sizes = columns.map(({ title }, i) =>
    isUsed[i] ? Math.max(width(title), ...rows.map((row) => width(row[i]?.text ?? ""))) : 0
  )
  const total = () => sizes.reduce((sum, size) => sum + (size === 0 ? 0 : size + gap.length), -gap.length)
  const shrink = () => {
    for (;;) {
      const excess = total() - available
      if (excess <= 0) return true
      // The widest first, so that all that can be shrunk shrink alike.
      let widest = -1
      columns.forEach(({ least }, i) => {
        const size = sizes[i]!
        if (least !== undefined && size > least && (widest < 0 || size > sizes[widest]!)) widest = i
      })
      if (widest < 0) return false
      sizes[widest]!--
    }
  }
  while (!shrink()) {
    const shown = columns.map((_, i) => i).filter((i) => sizes[i]! > 0)
    if (shown.length <= 2) break
    sizes[shown.reduce((a, b) => (columns[a]!.rank <= columns[b]!.rank ? a : b))] = 0
  }
  return sizes
}

/** The lines of a table, none wider than `available`. */
export const layout = (
  columns: ReadonlyArray<Column>,
  rows: ReadonlyArray<ReadonlyArray<Cell>>,
  { available, paint = plain }: { readonly available: number; readonly paint?: Paint }
): ReadonlyArray<string> => {
  const sizes = widths(columns, rows, available)
  const line = (cells: ReadonlyArray<Cell>) => {
    const shown = cells.map((cell, i) => ({ ...cell, size: sizes[i]! })).filter(({ size }) => size > 0)
    // Nothing is filled up behind the last text.
    const last = shown.reduce((found, { text }, i) => (text === "" ? found : i), -1)
    let room = available
    let made = ""
    for (const [i, { size, style, text }] of shown.slice(0, last + 1).entries()) {
      const lead = i === 0 ? "" : gap
      const columnsLeft = Math.max(0, Math.min(size, room - lead.length))
      if (columnsLeft === 0) break
      made += lead + paint(style, i === last ? truncate(text, columnsLeft) : fit(text, columnsLeft))
      room -= lead.length + columnsLeft
    }
    return made
  }
  return [line(columns.map(({ title }) => ({ text: title, style: "dim" as const }))), ...rows.map(line)]
}
