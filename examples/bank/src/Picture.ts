/**
 * The picture of a run: one lane for each path of the tree, and on it who held what when. A lock that reaches below its
 * node also casts its shade on the lanes below. Waiting is a thin line under the lane's bars.
 */
import type { Target } from "@hilok/core"
import type { Branch } from "./Bank.ts"
import { type Hold, type Kind, kinds } from "./Hold.ts"
import type { Clash } from "./Proof.ts"

export interface Picture {
  readonly title: string
  readonly verdict: string
  readonly sound: boolean
  readonly branches: ReadonlyArray<Branch>
  readonly holds: ReadonlyArray<Hold>
  readonly clashes: ReadonlyArray<Clash>
}

const colours: Readonly<Record<Kind, string>> = {
  transfer: "#2f6fde",
  crossTransfer: "#e07b00",
  branchAudit: "#1a9a6c",
  headAudit: "#8a4fd3"
}
const red = "#d3222f"
const ink = "#1d2433"
const faint = "#667085"

const width = 1500
const left = 130
const right = 24
const top = 118
const plot = width - left - right

const escape = (text: string): string => text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`)

const fixed = (value: number): string => value.toFixed(1)

/** How many holds a picture shows before it is too full to read. */
const mostHolds = 170

/** How many lanes a picture has, at most, for the sake of lanes that are empty. */
const mostLanes = 150

interface Window {
  readonly from: number
  readonly to: number
}

/** The part of the run to show: all of it, or what is around an audit of the whole bank near the middle. */
const visible = (holds: ReadonlyArray<Hold>): Window => {
  const from = holds.reduce((least, { asked }) => Math.min(least, asked), Number.POSITIVE_INFINITY)
  const to = holds.reduce((most, { done }) => Math.max(most, done), Number.NEGATIVE_INFINITY)
  if (holds.length <= mostHolds) return { from, to }
  const span = ((to - from) * mostHolds) / holds.length
  const middle = (from + to) / 2
  const audits = holds.filter(({ kind }) => kind === "headAudit")
  const nearest = (audits.length > 0 ? audits : holds).reduce((best, hold) =>
    Math.abs(hold.granted - middle) < Math.abs(best.granted - middle) ? hold : best
  )
  const start = Math.min(Math.max(from, nearest.granted - span * 0.55), to - span)
  return { from: start, to: start + span }
}

/** A round distance between ticks, so that there are about ten. */
const step = (span: number): number => {
  const rough = span / 10
  const power = 10 ** Math.floor(Math.log10(rough))
  return power * [1, 2, 5, 10].find((factor) => factor * power >= rough)!
}

interface Lane {
  readonly path: string
  readonly depth: number
  readonly y: number
  readonly height: number
  readonly waits: ReadonlyArray<ReadonlyArray<Hold>>
}

/** Lays intervals on as few rows as hold them without overlap. */
const pack = (holds: ReadonlyArray<Hold>): ReadonlyArray<ReadonlyArray<Hold>> => {
  const rows: Array<Array<Hold>> = []
  for (const hold of [...holds].sort((a, b) => a.asked - b.asked)) {
    const row = rows.find((others) => others[others.length - 1]!.granted <= hold.asked)
    if (row === undefined) rows.push([hold])
    else row.push(hold)
  }
  return rows
}

/** The intervals, those that touch joined. */
const union = (intervals: ReadonlyArray<Window>): ReadonlyArray<Window> => {
  const joined: Array<Window> = []
  for (const { from, to } of [...intervals].sort((a, b) => a.from - b.from)) {
    const last = joined[joined.length - 1]
    if (last !== undefined && from <= last.to)
      joined[joined.length - 1] = { from: last.from, to: Math.max(last.to, to) }
    else joined.push({ from, to })
  }
  return joined
}

const isBelow = (path: string, node: string): boolean => node === "" || path === node || path.startsWith(`${node}/`)

const pathOf = (target: Target.Target): string => String(target.path)

export const draw = ({ title, verdict, sound, branches, holds: all, clashes }: Picture): string => {
  const { from, to } = visible(all)
  const start = all.reduce((least, { asked }) => Math.min(least, asked), Number.POSITIVE_INFINITY)
  const holds = all.filter((hold) => hold.done > from && hold.asked < to)
  const x = (time: number): number => left + (plot * (Math.min(Math.max(time, from), to) - from)) / (to - from)

  // -- Lanes: the root, the regions, branches and accounts, in the order of the tree
  const regions = Array.from(new Set(branches.map(({ path }) => path.slice(0, path.indexOf("/")))))
  const used = new Set(holds.flatMap(({ targets }) => targets.map(pathOf)))
  const tree = [
    "",
    ...regions.flatMap((region) => [
      region,
      ...branches.flatMap((branch) => (isBelow(branch.path, region) ? [branch.path, ...branch.accounts] : []))
    ])
  ]
  // A node that nobody locks has no lane, but for the branches and accounts of a bank that is small enough to see whole.
  const small = branches.length + branches.reduce((sum, { accounts }) => sum + accounts.length, 0) <= mostLanes
  const paths = tree.filter((path) => used.has(path) || (small && path.includes("/")))

  const many = paths.length > 45
  const bar = many ? 8 : 13
  const lanes: Array<Lane> = []
  let y = top
  for (const path of paths) {
    const waits = pack(
      holds.filter((hold) => hold.granted - hold.asked > 0.5 && hold.targets.some((target) => pathOf(target) === path))
    ).slice(0, many ? 3 : 12)
    const height = bar + (many ? 3 : 8) + waits.length * (many ? 2 : 3)
    lanes.push({ path, depth: path === "" ? 0 : path.split("/").length, y, height, waits })
    y += height
  }
  const bottom = y
  const laneOf = new Map(lanes.map((lane) => [lane.path, lane]))
  const barTop = (lane: Lane): number => lane.y + (many ? 1 : 3)

  const tip = (hold: Hold): string => {
    const token = hold.token === undefined ? "" : `, token ${hold.token}`
    const what = hold.targets.map((target) => `${target.mode} "${pathOf(target)}"`).join(", ")
    const wait = hold.token === undefined ? "" : `, after waiting ${fixed(hold.granted - hold.asked)} ms`
    const finding = hold.finding === undefined ? "" : `\n✗ ${hold.finding}`
    const where = hold.process === undefined ? "" : ` (process ${hold.process})`
    return `<title>${escape(`${hold.worker}${where}: ${kinds[hold.kind]}\n${what}\n${fixed(hold.granted - start)} to ${fixed(hold.done - start)} ms${wait}${token}${finding}`)}</title>`
  }

  // -- Background: zebra, names, time
  const background = lanes.map(({ path, y, height, depth }, i) => {
    const isAccount = depth === 3
    const name = path === "" ? "everything" : isAccount ? path.slice(path.lastIndexOf("/") + 1) : path
    const fill = !isAccount ? "#e9edf5" : i % 2 === 0 ? "#f7f8fb" : "#ffffff"
    const size = many ? 8 : 12
    return (
      `<rect x="0" y="${y}" width="${width}" height="${height}" fill="${fill}"/>` +
      `<text x="${isAccount ? 34 : 14}" y="${y + (many ? 1 : 3) + bar - (many ? 1 : 2.5)}" font-size="${size}"${isAccount ? ` fill="${faint}"` : ` font-weight="600"`}>${escape(name)}</text>`
    )
  })
  const ticks: Array<string> = []
  const distance = step(to - from)
  for (let at = Math.ceil((from - start) / distance) * distance; at <= to - start; at += distance) {
    const position = fixed(x(start + at))
    ticks.push(
      `<line x1="${position}" y1="${top - 6}" x2="${position}" y2="${bottom + 6}" stroke="#c9d0dd" stroke-width="1"/>` +
        [top - 12, bottom + 20]
          .map(
            (y) =>
              `<text x="${position}" y="${y}" text-anchor="middle" font-size="11" fill="${faint}">${Math.round(at)} ms</text>`
          )
          .join("")
    )
  }

  // -- Shades of the locks that reach below their node, then bars and waits
  const shades: Array<string> = []
  const bars: Array<string> = []
  for (const hold of holds) {
    const colour = colours[hold.kind]
    const x1 = x(hold.granted)
    const length = Math.max(1, x(hold.done) - x1)
    if (hold.done <= from || hold.granted >= to) continue
    for (const target of hold.targets) {
      const lane = laneOf.get(pathOf(target))!
      const below =
        target.mode === "read" || target.mode === "write" ? lanes.filter(({ path }) => isBelow(path, lane.path)) : []
      if (below.length > 1) {
        const last = below[below.length - 1]!
        shades.push(
          `<rect x="${fixed(x1)}" y="${lane.y}" width="${fixed(length)}" height="${last.y + last.height - lane.y}" fill="${colour}" fill-opacity=".2"/>`
        )
      }
      const label =
        length > hold.worker.length * (many ? 4.6 : 6.2) + 3
          ? `<text x="${fixed(x1 + length / 2)}" y="${fixed(barTop(lane) + bar - (many ? 1.7 : 3))}" text-anchor="middle" font-size="${many ? 7 : 10}" fill="#fff">${escape(hold.worker)}</text>`
          : ""
      const mark =
        hold.finding === undefined
          ? ""
          : `<path d="M${fixed(x1 + length - 3)} ${barTop(lane) - 2}l6 6m0 -6l-6 6" stroke="${red}" stroke-width="2" fill="none"/>`
      bars.push(
        `<g>${tip(hold)}<rect x="${fixed(x1)}" y="${barTop(lane)}" width="${fixed(Math.max(1, length - 0.6))}" height="${bar}" rx="2" fill="${colour}" fill-opacity="${sound ? 1 : 0.75}"/>${label}${mark}</g>`
      )
    }
  }
  const waits = lanes.flatMap((lane) =>
    lane.waits.flatMap((row, i) =>
      row.map((hold) => {
        const y = barTop(lane) + bar + (many ? 1 : 2) + i * (many ? 2 : 3)
        const x1 = x(hold.asked)
        return `<g>${tip(hold)}<rect x="${fixed(x1)}" y="${y}" width="${fixed(Math.max(0.8, x(hold.granted) - x1))}" height="${many ? 1.4 : 2}" fill="${colours[hold.kind]}" fill-opacity=".45"/></g>`
      })
    )
  )
  const marks = lanes.flatMap((lane) =>
    union(clashes.filter((clash) => clash.node === lane.path && clash.to > from && clash.from < to)).map((clash) => {
      const x1 = x(clash.from)
      return `<rect x="${fixed(x1)}" y="${barTop(lane) - 1}" width="${fixed(Math.max(1, x(clash.to) - x1))}" height="${bar + 2}" fill="url(#clash)" stroke="${red}" stroke-width=".8" pointer-events="none"/>`
    })
  )

  // -- Legend
  const legend: Array<string> = []
  let at = left
  const entry = (sample: string, text: string) => {
    legend.push(
      `<g transform="translate(${at} 74)">${sample}<text x="28" y="10" font-size="12">${escape(text)}</text></g>`
    )
    at += 46 + text.length * 6.3
  }
  for (const [kind, name] of Object.entries(kinds)) {
    const colour = colours[kind as Kind]
    entry(`<rect width="22" height="12" rx="2" fill="${colour}"/>`, name)
  }
  entry(`<rect width="22" height="12" fill="${colours.branchAudit}" fill-opacity=".22"/>`, "covered from above")
  if (all.some(({ token }) => token !== undefined)) {
    entry(`<rect y="5" width="22" height="2.4" fill="${ink}" fill-opacity=".5"/>`, "waiting")
  }
  if (clashes.length > 0) {
    entry(
      `<rect width="22" height="12" fill="url(#clash)" stroke="${red}" stroke-width=".7"/>`,
      "should exclude each other"
    )
    entry(`<path d="M8 3l6 6m0 -6l-6 6" stroke="${red}" stroke-width="2"/>`, "anomaly")
  }

  const shown = `${holds.length} of ${all.length} holds, ${fixed((to - from) / 1000)} of ${fixed((all.reduce((most, { done }) => Math.max(most, done), start) - start) / 1000)} s`
  const height = bottom + 34
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" font-family="system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif" fill="${ink}">
<title>${escape(title)}</title>
<defs><pattern id="clash" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><rect width="1.6" height="6" fill="${red}" fill-opacity=".55"/></pattern></defs>
<rect width="${width}" height="${height}" fill="#fff"/>
<text x="14" y="30" font-size="18" font-weight="700">${escape(title)}</text>
<text x="14" y="54" font-size="13" fill="${sound ? colours.branchAudit : red}">${escape(verdict)}</text>
<text x="${width - right}" y="30" font-size="12" text-anchor="end" fill="${faint}">${escape(shown)}</text>
${legend.join("\n")}
${background.join("\n")}
${ticks.join("\n")}
${shades.join("\n")}
${waits.join("\n")}
${bars.join("\n")}
${marks.join("\n")}
</svg>
`
}
