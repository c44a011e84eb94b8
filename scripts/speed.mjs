// Puts the table "How fast" into the README: medians of several runs of the benchmark, with their range.
//
//   npm run bench -- --only one --only many --only hot --json near1.json     (three times, each to a file of its own)
//   npm run bench -- --only one --delay 1 --json far1.json
//   node scripts/speed.mjs near1.json near2.json near3.json -- far1.json far2.json far3.json
import { readFileSync, writeFileSync } from "node:fs"

const args = process.argv.slice(2)
const split = args.indexOf("--")
const read = (files) => files.map((file) => JSON.parse(readFileSync(file, "utf8")).metrics.values)
const near = read(split === -1 ? args : args.slice(0, split))
const far = read(split === -1 ? [] : args.slice(split + 1))
if (near.length < 3 || far.length < 3) {
  console.error("The results of at least three runs are needed of each kind: node scripts/speed.mjs NEAR… -- FAR…")
  process.exit(64)
}

const figure = (value) => {
  const size = Math.abs(value)
  const digits = size >= 100 ? 0 : size >= 10 ? 1 : 2
  return value.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits })
}
const rounded = (value) => Number(value.toPrecision(3)).toLocaleString("en-US")
const time = (millis) => (millis < 1 ? [figure(millis * 1_000), "µs"] : [figure(millis), "ms"])
const rate = (value) => [rounded(value), "/s"]
const share = (value) => [figure(100 * value).replace(/\.0+$/, ""), "%"]

/** The median of the runs, and from where to where they go. */
const cell = (runs, name, show) => {
  const values = runs.map((run) => run[name]?.median).filter((value) => value !== undefined)
  if (values.length < runs.length) return "–"
  values.sort((a, b) => a - b)
  const middle = values[values.length >> 1]
  const [shown, unit] = show(middle)
  const [[least, one], [most, other]] = [show(values[0]), show(values.at(-1))]
  const space = unit === "/s" ? "" : " "
  if (least === most) return `${shown}${space}${unit}`
  return one === unit && other === unit
    ? `${shown}${space}${unit} (${least}–${most})`
    : `${shown} ${unit} (${least} ${one} – ${most} ${other})`
}

const rows = [
  ["HiLok", "hilok"],
  ["HiLok with delegations", "hilok-delegated"],
  ["`SET NX` by hand", "setnx"],
  ["redlock", "redlock"],
  ["redis-semaphore", "redis-semaphore"],
  ["effect-distributed-lock", "effect-distributed-lock"]
].map(([title, key]) => {
  const hot = (name) => `hot/loop/128/4/${key}/${name}`
  const cells = [
    cell(near, `one/3/${key}/p50`, time),
    cell(far, `one/3/${key}/p50`, time),
    cell(near, `many/64/${key}/rate`, rate),
    cell(near, hot("rate"), rate),
    cell(near, hot("inversions"), share)
  ]
  return `| ${title} | ${cells.join(" | ")} |`
})

const head = [
  "| | one at a time, p50 | 1 ms away | 64 at once | 128 on one lock | out of order |",
  "|---|--:|--:|--:|--:|--:|"
]
const file = new URL("../README.md", import.meta.url)
const table = /\| \| one at a time, p50[^\n]*\n\|---[^\n]*\n(?:\|[^\n]*\n)+/
const text = readFileSync(file, "utf8")
if (!table.test(text)) throw new Error("README.md has no such table")
writeFileSync(file, text.replace(table, `${[...head, ...rows].join("\n")}\n`))
console.log([...head, ...rows].join("\n"))
