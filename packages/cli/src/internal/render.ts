/**
 * Leases and waiting requests as a tree and as a table.
 */
import type { LockEntry } from "@hilok/core"
import { clean } from "./clean.ts"
import * as durations from "./durations.ts"
import { shorten } from "./ids.ts"
import { segmentsOf, shown } from "./paths.ts"
import { fit, pad, paint, type Screen, type Span, span, width } from "./text.ts"

type Entry = LockEntry.LockEntry
type Mode = Entry["targets"][number]["mode"]

const modeNames = { read: "read", write: "write", readNode: "read-node", writeNode: "write-node" } as const

export const whoOf = (entry: Entry): string => clean(entry.label ?? "")

export const whereOf = (entry: Entry): string =>
  entry.host === undefined ? "" : clean(`${entry.host}${entry.pid === undefined ? "" : `:${entry.pid}`}`)

/** What is drawn, and how. */
export interface Picture {
  readonly entries: ReadonlyArray<Entry>
  /** Entries by their ids, those included that are in the way of others, from elsewhere in the tree. */
  readonly byId: ReadonlyMap<string, Entry>
  readonly separator: string
  readonly screen: Screen
  /** Whole ids, and nothing cut off. */
  readonly wide: boolean
}

/** How ids are written, so that each can be given to another command. */
const idsOf = ({ byId, entries, wide }: Picture): ((id: string) => string) => {
  const short = shorten([...byId.keys(), ...entries.flatMap(({ blockedBy, id }) => [id, blockedBy ?? id])])
  return (id) => clean(wide ? id : short(id))
}

const screenOf = ({ screen, wide }: Picture): Screen => (wide ? { ...screen, columns: undefined } : screen)

const nameOf = (entry: Entry | undefined, id: string): string =>
  entry?.label === undefined ? id : `${whoOf(entry)} (${id})`

/** Held, only kept (a delegation), or waiting for its turn. */
const mark = ({ delegated, state }: Entry, exclusive: boolean, place: number): Span => {
  if (state === "waiting") return span(`○ ${place}. `, "yellow")
  return delegated ? span("◌ ", "dim") : span("● ", exclusive ? "red" : "green")
}

/** The entry in the words of a line; `place` is its turn among those that wait at the same node. */
const describe = (
  entry: Entry,
  mode: Mode,
  place: number,
  { byId }: Picture,
  idOf: (id: string) => string
): ReadonlyArray<Span> => {
  const held = entry.state === "held"
  const exclusive = mode === "write" || mode === "writeNode"
  const who = whoOf(entry)
  const words: Array<Span> = [
    mark(entry, exclusive, place),
    span(`${idOf(entry.id)} `, "dim"),
    span(modeNames[mode], "bold"),
    ...(who === "" ? [] : [span(`  ${who}`, "cyan")]),
    span(`  ${entry.delegated ? "kept for" : held ? "for" : "waits"} ${durations.format(entry.age)}`)
  ]
  if (held && entry.timeLeft !== undefined) words.push(span(`, ${durations.format(entry.timeLeft)} left`))
  if (entry.blockedBy !== undefined) {
    words.push(span(`  behind ${nameOf(byId.get(entry.blockedBy), idOf(entry.blockedBy))}`, "yellow"))
  }
  if (entry.reason !== undefined) words.push(span(`  ${clean(JSON.stringify(entry.reason))}`))
  if (whereOf(entry) !== "") words.push(span(`  ${whereOf(entry)}`, "dim"))
  return words
}

interface Node {
  readonly children: Map<string, Node>
  readonly here: Array<readonly [Entry, Mode]>
}

const emptyNode = (): Node => ({ children: new Map(), here: [] })

const grow = ({ entries, separator }: Picture): Node => {
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
  return root
}

/** A node with those below it that are the only ones there, and where nothing else is. */
const chain = (name: string, node: Node, separator: string): readonly [name: string, node: Node] => {
  const [only, ...others] = node.children
  if (node.here.length > 0 || only === undefined || others.length > 0) return [name, node]
  return chain(`${name}${separator}${clean(only[0])}`, only[1], separator)
}

export const tree = (picture: Picture): ReadonlyArray<string> => {
  const { separator } = picture
  const screen = screenOf(picture)
  const idOf = idsOf(picture)
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
      lines.push(paint([span(indent + guide, "dim"), ...describe(entry, mode, place, picture, idOf)], screen))
    }
    children.forEach(([segment, child], i) => {
      const last = i === children.length - 1
      const [name, below] = chain(clean(segment), child, separator)
      const branch = `${indent}${last ? "└─ " : "├─ "}`
      const room = screen.columns === undefined ? Number.POSITIVE_INFINITY : screen.columns - width(branch)
      lines.push(paint([span(branch, "dim"), span(fit(name, room, "middle"), "bold")], screen))
      visit(below, `${indent}${last ? "   " : "│  "}`)
    })
  }
  lines.push(paint([span(separator, "bold")], screen))
  visit(grow(picture), "")
  return lines
}

interface Column {
  readonly title: string
  readonly value: (entry: Entry, target: Entry["targets"][number]) => string
  /** How narrow it may become; columns without it keep their width. */
  readonly least?: number
  readonly cut?: "middle"
}

export const table = (picture: Picture): ReadonlyArray<string> => {
  const { byId, entries, separator } = picture
  const screen = screenOf(picture)
  const idOf = idsOf(picture)
  // What is cut off when there is no room at all stands last.
  const columns: ReadonlyArray<Column> = [
    { title: "ID", value: ({ id }) => idOf(id) },
    { title: "PATH", value: (_, { path }) => shown(path, separator), least: 12, cut: "middle" },
    { title: "MODE", value: (_, { mode }) => modeNames[mode] },
    { title: "STATE", value: ({ delegated, state }) => (delegated ? "kept" : state) },
    { title: "AGE", value: ({ age }) => durations.format(age) },
    { title: "LEFT", value: ({ timeLeft }) => (timeLeft === undefined ? "" : durations.format(timeLeft)) },
    { title: "WHO", value: whoOf, least: 8 },
    {
      title: "BLOCKED BY",
      value: ({ blockedBy }) => (blockedBy === undefined ? "" : nameOf(byId.get(blockedBy), idOf(blockedBy))),
      least: 10
    },
    { title: "WHERE", value: whereOf, least: 6 },
    { title: "WHY", value: ({ reason }) => clean(reason ?? ""), least: 6 }
  ]
  const rows = [
    columns.map(({ title }) => title),
    ...entries.flatMap((entry) => entry.targets.map((target) => columns.map(({ value }) => value(entry, target))))
  ]
  const widths = columns.map((_, i) => rows.reduce((most, row) => Math.max(most, width(row[i]!)), 0))
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
          pad(fit(cell, widths[i]!, columns[i]!.cut), widths[i]!) + (i === row.length - 1 ? "" : "  "),
          at === 0 ? "bold" : undefined
        )
      ),
      screen
    )
  )
}
