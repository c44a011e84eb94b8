// Draws docs/modes-light.svg and docs/modes-dark.svg: what each mode on a node of a small tree leaves free for others. The
// rules are those of packages/core/src/LockMode.ts.
import { tsImport } from "tsx/esm/api"

const { all, conflicts, coversSubtree } = await tsImport("../packages/core/src/LockMode.ts", import.meta.url)

/** The rows of the tree: how they are shown, how deep, and the path in the encoding of the rules. */
const rows = [
  ["/", 0, ""],
  ["north", 1, "north/"],
  ["b1", 2, "north/b1/"],
  ["a7", 3, "north/b1/a7/"],
  ["south", 1, "south/"]
]
const held = "north/"

const themes = {
  light: {
    text: "#1f2328",
    quiet: "#59636e",
    frame: "#d1d9e0",
    covered: "#fff8c5",
    free: { fill: "#dafbe1", line: "#1a7f37", text: "#116329" },
    shut: { fill: "none", line: "#d1d9e0", text: "#818b98" }
  },
  dark: {
    text: "#f0f6fc",
    quiet: "#9198a1",
    frame: "#3d444d",
    covered: "#3b2f0b",
    free: { fill: "#0f2d1a", line: "#3fb950", text: "#56d364" },
    shut: { fill: "none", line: "#3d444d", text: "#7d8590" }
  }
}

const chipWidths = { read: 42, write: 46, readNode: 72, writeNode: 76 }
const rowHeight = 26
const panel = { width: 404, height: 40 + rows.length * rowHeight + 12 }
const gap = 14

const text = (x, y, content, fill, more = "") => `<text x="${x}" y="${y}" fill="${fill}"${more}>${content}</text>`

const chip = (x, y, mode, isFree, theme) => {
  const width = chipWidths[mode]
  const look = isFree ? theme.free : theme.shut
  const middle = x + width / 2
  const struck = isFree
    ? ""
    : `<line x1="${x + 5}" y1="${y + 9.5}" x2="${x + width - 5}" y2="${y + 9.5}" stroke="${look.text}"/>`
  return (
    `<rect x="${x}" y="${y}" width="${width}" height="19" rx="9.5" fill="${look.fill}" stroke="${look.line}"/>` +
    text(middle, y + 13.5, mode, look.text, ` font-size="12" text-anchor="middle"`) +
    struck
  )
}

const drawPanel = (mode, left, top, theme) => {
  const lock = { mode, path: held }
  const parts = [
    `<rect x="${left}.5" y="${top}.5" width="${panel.width}" height="${panel.height}" rx="8" fill="none" stroke="${theme.frame}"/>`,
    text(left + 16, top + 26, `<tspan font-weight="600">${mode}</tspan> on north`, theme.text, ` font-size="15"`)
  ]
  rows.forEach(([name, depth, path], row) => {
    const y = top + 40 + row * rowHeight
    if (path === held || (coversSubtree(mode) && path.startsWith(held))) {
      parts.push(
        `<rect x="${left + 8}" y="${y}" width="${panel.width - 15}" height="${rowHeight}" fill="${theme.covered}"/>`
      )
    }
    const weight = path === held ? ` font-weight="600"` : ""
    parts.push(text(left + 16 + depth * 16, y + 18, name, theme.text, ` font-size="14"${weight}`))
    let x = left + 132
    for (const asked of all) {
      parts.push(chip(x, y + 3.5, asked, !conflicts({ mode: asked, path }, lock), theme))
      x += chipWidths[asked] + 6
    }
  })
  return parts.join("\n")
}

const draw = (theme) => {
  const width = 2 * panel.width + gap + 2
  const top = 32
  const height = top + 2 * panel.height + gap + 2
  const panels = all.map((mode, i) =>
    drawPanel(mode, (i % 2) * (panel.width + gap), top + Math.floor(i / 2) * (panel.height + gap), theme)
  )
  const legend =
    `<tspan fill="${theme.free.text}">Green</tspan>: others can have it meanwhile. ` +
    `<tspan text-decoration="line-through">Struck out</tspan>: it has to wait. Shaded: what the lock covers.`
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" font-family="-apple-system, 'Segoe UI', 'Noto Sans', Helvetica, Arial, sans-serif" role="img">
<title>What each lock mode on a node leaves free for others</title>
${text(2, 18, legend, theme.quiet, ` font-size="14"`)}
${panels.join("\n")}
</svg>
`
}

/** The pictures, by file. */
export const pictures = Object.fromEntries(
  Object.entries(themes).map(([name, theme]) => [`docs/modes-${name}.svg`, draw(theme)])
)
