/**
 * Leases and waiting requests as a table and as a tree.
 */
import { type LockEntry, LockPath } from "@hilok/core"
import * as Either from "effect/Either"
import { visible } from "../internal/output.ts"
import { short } from "../internal/time.ts"
import { type Cell, type Column, layout } from "./columns.ts"
import type { Paint } from "./style.ts"

export interface View {
  readonly separator: string
  /** The width of the terminal, or `Infinity`. */
  readonly available: number
  readonly paint: Paint
  /** Only targets at or below this path are shown. */
  readonly below: LockPath.LockPath
}

/** One target of one entry. */
interface Place {
  readonly entry: LockEntry.LockEntry
  readonly mode: string
  readonly path: LockPath.LockPath
}

const places = (entries: ReadonlyArray<LockEntry.LockEntry>, { below, separator }: View): ReadonlyArray<Place> =>
  entries.flatMap((entry) =>
    entry.targets.flatMap(({ mode, path }) => {
      const parsed = LockPath.parse(path, separator)
      return Either.isRight(parsed) && LockPath.isWithin(parsed.right, below)
        ? [{ entry, mode, path: parsed.right }]
        : []
    })
  )

export const shortId = (id: string): string => id.slice(0, 8)

export const who = ({ host, label, pid }: LockEntry.LockEntry): string => {
  const where = host === undefined ? undefined : pid === undefined ? host : `${host}:${pid}`
  return visible([label, where].filter((part) => part !== undefined).join(" "))
}

/** The path for people; the root has no name of its own. */
export const pathText = (path: LockPath.LockPath, separator: string): string =>
  path === LockPath.root ? separator : visible(LockPath.format(path, separator))

/** Each waiting request has a number: its place in the queue for this node. */
const stateOf = (here: ReadonlyArray<Place>, { entry }: Place): Cell => {
  if (entry.state === "held") return { text: "held", style: "green" }
  const ahead = here.filter((other) => other.entry.state === "waiting" && other.entry.ticket < entry.ticket)
  return { text: `waits #${ahead.length + 1}`, style: "yellow" }
}

const behind = (all: ReadonlyArray<LockEntry.LockEntry>, entry: LockEntry.LockEntry): string => {
  if (entry.blockedBy === undefined) return ""
  const label = all.find(({ id }) => id === entry.blockedBy)?.label
  return visible(`${label === undefined ? "" : `${label} `}${shortId(entry.blockedBy)}`)
}

const columns = (id: Column): ReadonlyArray<Column> => [
  { title: "PATH", least: 12, rank: 10 },
  { title: "MODE", rank: 9 },
  { title: "STATE", rank: 8 },
  { title: "WHO", least: 10, rank: 7 },
  { title: "AGE", rank: 6 },
  { title: "LEFT", rank: 2 },
  { title: "BEHIND", least: 8, rank: 3 },
  { title: "WHY", least: 8, rank: 4 },
  id
]

const cells = (
  all: ReadonlyArray<LockEntry.LockEntry>,
  here: ReadonlyArray<Place>,
  place: Place,
  id: string
): ReadonlyArray<Cell> => {
  const { entry, mode } = place
  const others = entry.targets.length - 1
  return [
    { text: others === 0 ? mode : `${mode} +${others}` },
    stateOf(here, place),
    { text: who(entry) },
    { text: short(entry.age) },
    { text: entry.timeLeft === undefined ? "" : short(entry.timeLeft), style: "dim" },
    { text: behind(all, entry), style: "dim" },
    { text: visible(entry.reason ?? "") },
    { text: id, style: "dim" }
  ]
}

export const table = (entries: ReadonlyArray<LockEntry.LockEntry>, view: View): ReadonlyArray<string> => {
  const all = places(entries, view)
  const rows = all
    .map((place) => ({ place, path: pathText(place.path, view.separator) }))
    .sort((a, b) => (a.path < b.path ? -1 : a.path > b.path ? 1 : a.place.entry.ticket - b.place.entry.ticket))
    .map(({ path, place }) => [
      { text: path, style: "bold" as const },
      ...cells(
        entries,
        all.filter((other) => other.path === place.path),
        place,
        place.entry.id
      )
    ])
  return layout(columns({ title: "ID", rank: 5 }), rows, view)
}

interface Node {
  readonly path: LockPath.LockPath
  readonly places: Array<Place>
  readonly children: Map<string, Node>
}

const emptyNode = (path: LockPath.LockPath): Node => ({ path, places: [], children: new Map() })

const build = (all: ReadonlyArray<Place>): Node => {
  const root = emptyNode(LockPath.root)
  for (const place of all) {
    let node = root
    for (const segment of LockPath.segments(place.path)) {
      let child = node.children.get(segment)
      if (child === undefined) {
        child = emptyNode(Either.getOrThrow(LockPath.parse([...LockPath.segments(node.path), segment])))
        node.children.set(segment, child)
      }
      node = child
    }
    node.places.push(place)
  }
  return root
}

/** A node and those below it, down to the next one that has something to show or more than one below it. */
const compress = (name: string, node: Node, separator: string): readonly [string, Node] => {
  const [only, ...others] = node.children
  return node.places.length > 0 || only === undefined || others.length > 0
    ? [name, node]
    : compress(`${name}${separator}${visible(only[0])}`, only[1], separator)
}

export const tree = (entries: ReadonlyArray<LockEntry.LockEntry>, view: View): ReadonlyArray<string> => {
  const { separator } = view
  const rows: Array<ReadonlyArray<Cell>> = []
  const show = (name: string, node: Node, lead: string, below: string) => {
    const held = node.places.filter(({ entry }) => entry.state === "held")
    const waiting = node.places.filter(({ entry }) => entry.state === "waiting")
    const sorted = [...held, ...waiting.sort((a, b) => a.entry.ticket - b.entry.ticket)]
    const guide = below + (node.children.size > 0 ? "│" : "")
    const first = { text: lead + name, style: "bold" as const }
    if (sorted.length === 0) rows.push([first])
    sorted.forEach((place, i) => {
      const head = i === 0 ? first : { text: guide, style: "dim" as const }
      rows.push([head, ...cells(entries, node.places, place, shortId(place.entry.id))])
    })
    showAll(node, below)
  }
  const showAll = (node: Node, below: string) => {
    const children = Array.from(node.children).sort(([a], [b]) => (a < b ? -1 : 1))
    children.forEach(([segment, child], i) => {
      const isLast = i === children.length - 1
      const [name, next] = compress(visible(segment), child, separator)
      show(name, next, `${below}${isLast ? "└─ " : "├─ "}`, `${below}${isLast ? "   " : "│  "}`)
    })
  }
  const root = build(places(entries, view))
  if (root.places.length > 0) {
    show(separator, root, "", "")
  } else {
    // The nodes at the top have no lines in front of them.
    for (const [segment, child] of Array.from(root.children).sort(([a], [b]) => (a < b ? -1 : 1))) {
      const [name, next] = compress(visible(segment), child, separator)
      show(name, next, "", "")
    }
  }
  return layout(columns({ title: "ID", rank: 5 }), rows, view)
}
