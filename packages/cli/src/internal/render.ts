/**
 * Leases and waiting requests as a tree and as a table.
 */
import { type LockEntry, LockPath } from "@hilok/core"
import * as Either from "effect/Either"
import * as durations from "./durations.ts"
import { clean, pad, paint, type Screen, type Span, span, width } from "./text.ts"

type Entry = LockEntry.LockEntry

const modeNames = { read: "read", write: "write", readNode: "read-node", writeNode: "write-node" } as const

const segmentsOf = (path: LockPath.Input, separator: string): ReadonlyArray<string> =>
  Either.match(LockPath.parse(path, separator), {
    onLeft: () => (typeof path === "string" ? [path] : path),
    onRight: LockPath.segments
  })

export const pathOf = (path: LockPath.Input, separator: string): string =>
  clean(segmentsOf(path, separator).join(separator)) || "(root)"

export const whoOf = (entry: Entry): string => clean(entry.label ?? "")

export const whereOf = (entry: Entry): string =>
  entry.host === undefined ? "" : clean(`${entry.host}${entry.pid === undefined ? "" : `:${entry.pid}`}`)

const nameOf = (entry: Entry | undefined, id: string): string =>
  entry?.label === undefined ? id : `${whoOf(entry)} (${id.slice(0, 8)})`

interface Node {
  readonly children: Map<string, Node>
  readonly here: Array<readonly [Entry, keyof typeof modeNames]>
}

const emptyNode = (): Node => ({ children: new Map(), here: [] })

/** The entry in the words of a line; `place` is its turn among those that wait at the same node. */
const describe = (entry: Entry, mode: keyof typeof modeNames, place: number, byId: ById): ReadonlyArray<Span> => {
  const held = entry.state === "held"
  const exclusive = mode === "write" || mode === "writeNode"
  const who = whoOf(entry)
  const words: Array<Span> = [
    held ? span("● ", exclusive ? "red" : "green") : span(`○ ${place}. `, "yellow"),
    span(modeNames[mode], "bold"),
    ...(who === "" ? [] : [span(`  ${who}`, "cyan")]),
    span(`  ${held ? "for" : "waits"} ${durations.format(entry.age)}`)
  ]
  if (held && entry.timeLeft !== undefined) words.push(span(`, ${durations.format(entry.timeLeft)} left`))
  if (entry.blockedBy !== undefined) {
    words.push(span(`  behind ${nameOf(byId.get(entry.blockedBy), entry.blockedBy)}`, "yellow"))
  }
  if (entry.reason !== undefined) words.push(span(`  ${JSON.stringify(clean(entry.reason))}`))
  words.push(span(`  ${entry.id}`, "dim"))
  if (whereOf(entry) !== "") words.push(span(`  ${whereOf(entry)}`, "dim"))
  return words
}

/** Entries by their ids, those included that are in the way of others. */
type ById = ReadonlyMap<string, Entry>

export const tree = (
  entries: ReadonlyArray<Entry>,
  byId: ById,
  separator: string,
  screen: Screen
): ReadonlyArray<string> => {
  const root = emptyNode()
  for (const entry of entries) {
    for (const { mode, path } of entry.targets) {
      let node = root
      for (const segment of segmentsOf(path, separator)) {
        let next = node.children.get(segment)
        if (next === undefined) {
          next = emptyNode()
          node.children.set(segment, next)
        }
        node = next
      }
      node.here.push([entry, mode])
    }
  }
  const lines: Array<string> = []
  const visit = (node: Node, indent: string): void => {
    const children = Array.from(node.children).sort(([a], [b]) => (a < b ? -1 : 1))
    const guide = children.length > 0 ? "│ " : "  "
    let place = 0
    const order = [...node.here].sort(([a], [b]) =>
      a.state === b.state ? a.ticket - b.ticket : a.state === "held" ? -1 : 1
    )
    for (const [entry, mode] of order) {
      if (entry.state === "waiting") place++
      lines.push(paint([span(indent + guide, "dim"), ...describe(entry, mode, place, byId)], screen))
    }
    children.forEach(([name, child], i) => {
      const last = i === children.length - 1
      lines.push(paint([span(`${indent}${last ? "└─ " : "├─ "}`, "dim"), span(clean(name), "bold")], screen))
      visit(child, `${indent}${last ? "   " : "│  "}`)
    })
  }
  lines.push(paint([span(separator, "bold")], screen))
  visit(root, "")
  return lines
}

interface Column {
  readonly title: string
  readonly value: (entry: Entry, target: Entry["targets"][number]) => string
  /** How narrow it may become; columns without it keep their width. */
  readonly least?: number
}

export const table = (
  entries: ReadonlyArray<Entry>,
  byId: ById,
  separator: string,
  screen: Screen
): ReadonlyArray<string> => {
  const columns: ReadonlyArray<Column> = [
    { title: "PATH", value: (_, { path }) => pathOf(path, separator), least: 12 },
    { title: "MODE", value: (_, { mode }) => modeNames[mode] },
    { title: "STATE", value: ({ state }) => state },
    { title: "AGE", value: ({ age }) => durations.format(age) },
    { title: "LEFT", value: ({ timeLeft }) => (timeLeft === undefined ? "" : durations.format(timeLeft)) },
    { title: "WHO", value: whoOf, least: 8 },
    {
      title: "BLOCKED BY",
      value: ({ blockedBy }) => (blockedBy === undefined ? "" : nameOf(byId.get(blockedBy), blockedBy)),
      least: 10
    },
    { title: "WHY", value: ({ reason }) => clean(reason ?? ""), least: 6 },
    { title: "WHERE", value: whereOf, least: 6 },
    { title: "ID", value: ({ id }) => id, least: 8 }
  ]
  const rows = [
    columns.map(({ title }) => title),
    ...entries.flatMap((entry) => entry.targets.map((target) => columns.map(({ value }) => value(entry, target))))
  ]
  const widths = columns.map((_, i) => Math.max(...rows.map((row) => width(row[i]!))))
  let excess = widths.reduce((sum, w) => sum + w + 2, -2) - (screen.columns ?? Number.POSITIVE_INFINITY)
  // The widest column gives way first.
  while (excess > 0) {
    const widest = columns
      .map(({ least }, i) => ({ i, spare: widths[i]! - (least ?? Number.POSITIVE_INFINITY) }))
      .filter(({ spare }) => spare > 0)
      .sort((a, b) => widths[b.i]! - widths[a.i]!)[0]
    if (widest === undefined) break
    widths[widest.i]!--
    excess--
  }
  return rows.map((row, at) =>
    paint(
      row.map((cell, i) =>
        span(
          pad(fitCell(cell, widths[i]!), widths[i]!) + (i === row.length - 1 ? "" : "  "),
          at === 0 ? "bold" : undefined
        )
      ),
      screen
    )
  )
}

const fitCell = (cell: string, columns: number): string => paint([span(cell)], { columns, color: false })
