/** `npm run bench`: HiLok, other locks and the limit, side by side. */
import { existsSync, readFileSync, writeFileSync } from "node:fs"
import { cpus } from "node:os"
import * as bounds from "./bounds.ts"
import { contestants } from "./contestants/index.ts"
import * as delay from "./delay.ts"
import { Metrics } from "./metrics.ts"
import { decode, type Options, UsageError } from "./options.ts"
import * as pinning from "./pinning.ts"
import * as progress from "./progress.ts"
import * as redis from "./server.ts"
import { render, type Table } from "./table.ts"
import { workloads } from "./workloads/index.ts"

const names = workloads.map(({ name }) => name)

const help = `Usage: npm run bench -- [options]

  --only NAME          run some workloads only; may be given several times
  --contestants NAME   let some contestants take part only; may be given several times
  --seconds N          how long one measurement takes (default 0.3)
  --delay N            have everything take N milliseconds longer to the server, and as many back (default 0)
  --json FILE          write every measured value to a file
  --markdown FILE      write the tables to a file, or between two lines "<!-- tables -->" of one that has them
  --no-pin             leave it to the system which core runs what
  --help               show this

Workloads:
${workloads.map(({ about, name }) => `  ${name.padEnd(18)} ${about}`).join("\n")}

Contestants:
  ${Array.from(contestants.keys()).join(", ")}
`

const mark = "<!-- tables -->"

const writeMarkdown = (file: string, text: string): void => {
  const [head, old, tail] = existsSync(file) ? readFileSync(file, "utf8").split(mark) : []
  writeFileSync(file, old === undefined || tail === undefined ? text : `${head}${mark}\n\n${text}\n${mark}${tail}`)
}

const run = async (options: Options): Promise<void> => {
  const pins = options.pin ? pinning.arrange() : pinning.none
  const near = await redis.start(pins.server)
  const way = options.delay === 0 ? undefined : await delay.start(near.port, options.delay)
  const server = way === undefined ? near : { ...near, port: way.port }
  const machine = {
    cpu: cpus()[0]?.model.trim() ?? "unknown",
    cores: cpus().length,
    node: process.version,
    redis: server.version,
    pinned: pins.about
  }
  const where =
    `${machine.cores} × ${machine.cpu}, Node ${machine.node}, Redis ${machine.redis}; ${machine.pinned}; ` +
    `${options.delay === 0 ? "" : `${options.delay} ms longer each way; `}${options.seconds} s a measurement, medians of the rounds.`
  console.log(`${where}\n`)
  const metrics = new Metrics()
  const tables: Array<Table> = []
  const started = performance.now()
  try {
    for (const { name, run } of workloads) {
      if (options.only.length > 0 && !options.only.includes(name)) continue
      const made = await run({
        server,
        pin: pins.server,
        metrics,
        millis: options.seconds * 1_000,
        plays: (contestant) => options.contestants.length === 0 || options.contestants.includes(contestant),
        progress: progress.show
      })
      progress.clear()
      tables.push(...made)
      for (const table of made) console.log(`${render(table)}\n`)
    }
  } finally {
    progress.clear()
    way?.stop()
    server.stop()
  }
  const checked = bounds.check(metrics)
  if (checked !== undefined) console.log(`${render(checked)}\n`)
  console.log(`The run took ${Math.round((performance.now() - started) / 1_000)} s.`)
  if (options.markdown !== undefined) {
    const shown = [...tables, ...(checked === undefined ? [] : [checked])]
    writeMarkdown(options.markdown, `${[where, ...shown.map(render)].join("\n\n")}\n`)
  }
  if (options.json !== undefined) {
    writeFileSync(
      options.json,
      `${JSON.stringify({ machine, seconds: options.seconds, metrics, tables, bounds: checked }, null, 2)}\n`
    )
  }
}

for (const [signal, code] of [
  ["SIGINT", 130],
  ["SIGTERM", 143],
  ["SIGHUP", 129]
] as const) {
  process.once(signal, () => process.exit(code))
}

try {
  const options = decode(process.argv.slice(2), names, Array.from(contestants.keys()))
  if (options.help) console.log(help)
  else await run(options)
  process.exit()
} catch (error) {
  if (!(error instanceof UsageError)) throw error
  console.error(`${error.message}\nTry npm run bench -- --help`)
  process.exit(64)
}
