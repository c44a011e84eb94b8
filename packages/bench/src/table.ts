export interface Table {
  readonly title: string
  readonly head: ReadonlyArray<string>
  readonly rows: ReadonlyArray<ReadonlyArray<string>>
  /** Sentences below the table. */
  readonly notes: ReadonlyArray<string>
}

const digits = (value: number, count: number) =>
  value.toLocaleString("en-US", { minimumFractionDigits: count, maximumFractionDigits: count })

/** A number with about three digits that count. */
export const figure = (value: number | undefined): string => {
  if (value === undefined) return "–"
  if (!Number.isFinite(value)) return "?"
  const size = Math.abs(value)
  return digits(value, size === 0 || size >= 100 ? 0 : size >= 10 ? 1 : 2)
}

export const whole = (value: number | undefined): string => (value === undefined ? "–" : digits(value, 0))

/** Milliseconds as µs, ms or s. */
export const time = (millis: number | undefined): string => {
  if (millis === undefined || !Number.isFinite(millis)) return "–"
  if (millis < 1) return `${figure(millis * 1_000)} µs`
  return millis < 1_000 ? `${figure(millis)} ms` : `${figure(millis / 1_000)} s`
}

/** A share of one as a percentage. */
export const share = (value: number | undefined): string =>
  value === undefined ? "–" : `${digits(100 * value, value > 0 && value < 0.1 ? 1 : 0)} %`

/** How many times as large. */
export const ratio = (value: number | undefined, of: number | undefined): string =>
  value === undefined || of === undefined || of === 0 ? "–" : `${figure(value / of)}×`

/** A table in Markdown, in columns of even width: it reads well as it is, too. */
export const render = ({ head, notes, rows, title }: Table): string => {
  const widths = head.map((_, column) => Math.max(3, ...[head, ...rows].map((row) => (row[column] ?? "").length)))
  const line = (cells: ReadonlyArray<string>) =>
    `| ${widths
      .map((width, column) => {
        const cell = cells[column] ?? ""
        return column === 0 ? cell.padEnd(width) : cell.padStart(width)
      })
      .join(" | ")} |`
  const rule = `|${widths.map((width, column) => (column === 0 ? "-".repeat(width + 2) : `${"-".repeat(width + 1)}:`)).join("|")}|`
  return [
    `### ${title}`,
    "",
    line(head),
    rule,
    ...rows.map(line),
    ...(notes.length === 0 ? [] : ["", ...notes.map((note) => `- ${note}`)])
  ].join("\n")
}
