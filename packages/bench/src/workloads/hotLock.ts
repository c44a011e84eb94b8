import { now } from "../clock.ts"
import { max, quantile } from "../stats.ts"
import { figure, ratio, share, type Table, time, whole } from "../table.ts"
import type { HotResult } from "../tasks/hot.ts"
import {
  type Bench,
  Disturbed,
  type Entry,
  failuresOf,
  leftOut,
  roundRobin,
  rowsOf,
  runUp,
  type Workload,
  warmUp
} from "./workload.ts"

interface Section {
  readonly asked: number
  readonly sent: number
  readonly entered: number
  readonly left: number
}

const sectionsOf = ({ sections }: HotResult): ReadonlyArray<Section> =>
  Array.from({ length: sections.length / 4 }, (_, i) => ({
    asked: sections[4 * i]!,
    sent: sections[4 * i + 1]!,
    entered: sections[4 * i + 2]!,
    left: sections[4 * i + 3]!
  }))

/** In a closed loop, two processes are out of order only when one had sent its request so much before (milliseconds). */
const tolerance = 2

/** How many sections began while someone who had asked earlier was still waiting. `sections` are as they began. */
const inversions = (sections: ReadonlyArray<Section>, arrived: (section: Section) => number): number => {
  let earliest = Number.POSITIVE_INFINITY
  let count = 0
  for (const section of [...sections].reverse()) {
    if (earliest < section.asked) count++
    earliest = Math.min(earliest, arrived(section))
  }
  return count
}

const evaluate = (
  results: ReadonlyArray<HotResult>,
  arrived: (section: Section) => number,
  counts: (section: Section) => boolean
): Readonly<Record<string, number>> => {
  const sections = results.flatMap(sectionsOf).sort((a, b) => a.entered - b.entered)
  const handOvers = sections.slice(1).map(({ entered }, i) => entered - sections[i]!.left)
  if (handOvers.some((millis) => millis < 0)) throw new Error("two held the lock at the same time")
  const counted = sections.filter(counts)
  const commands = results.map((result) => result.commands).reduce((a, b) => a + b)
  return {
    handOverP50: quantile(handOvers, 0.5),
    handOverP99: quantile(handOvers, 0.99),
    commands: commands / sections.length,
    inversions: inversions(sections, arrived) / sections.length,
    longestWait: max(sections.map(({ asked, entered }) => entered - asked)),
    sections: counted.length
  }
}

/** Milliseconds until all processes have been told what to do, and between the last to queue and the first release. */
const lead = 60
const settle = 300
/** Milliseconds from one waiter to the next, where they are in different processes. */
const gap = 4

const split = (waiters: number, processes: number) =>
  Array.from({ length: processes }, (_, process) =>
    Array.from({ length: waiters }, (_, i) => i).filter((i) => i % processes === process)
  ).filter((own) => own.length > 0)

const once = (port: number, key: string, contestant: string, waiters: number, processes: number): Entry => ({
  key,
  contestant,
  measure: async (worker) => {
    const parts = split(waiters, processes)
    const workers = await Promise.all(parts.map((_, i) => worker(i)))
    const spread = parts.length > 1
    const path = `${contestant}/b/hot`
    const loopFrom = now() + lead
    const loop = { path, spread: false, startAt: loopFrom, endAt: loopFrom + runUp, most: Number.POSITIVE_INFINITY }
    await Promise.all(workers.map((worker, i) => worker.run("loop", { ...loop, waiters: parts[i]! }, lead + runUp)))
    await Promise.all(
      workers.map((worker, i) => worker.run("take", { path, loops: parts[i]!.length, holds: i === 0 }, 5_000))
    )
    const startAt = now() + lead
    const releaseAt = startAt + (spread ? waiters * gap : 0) + settle
    const results = await Promise.all(
      workers.map((worker, i) =>
        worker.run(
          "once",
          { port, path, waiters: parts[i]!, spread, startAt, gap: spread ? gap : 0, releaseAt },
          releaseAt - now()
        )
      )
    )
    const sections = results.flatMap(sectionsOf).sort((a, b) => a.entered - b.entered)
    const first = sections[0]!
    if (sections.some(({ asked }) => asked > first.left - settle / 4)) throw new Disturbed("not all queued in time")
    const values = evaluate(
      results,
      ({ asked, sent }) => (spread ? sent : asked),
      (section) => section.entered !== first.entered
    )
    return { ...values, rate: (values.sections! * 1_000) / (sections.at(-1)!.left - first.left) }
  }
})

const loop = (key: string, contestant: string, waiters: number, processes: number, usual: number): Entry => ({
  key,
  contestant,
  measure: async (worker, isWarmUp) => {
    const millis = isWarmUp ? Math.max(usual, warmUp.millis) : usual
    const parts = split(waiters, processes)
    const most = isWarmUp ? warmUp.sections / parts.length : Number.POSITIVE_INFINITY
    const workers = await Promise.all(parts.map((_, i) => worker(i)))
    const spread = parts.length > 1
    const startAt = now() + lead
    const endAt = startAt + millis
    const path = `${contestant}/b/hot`
    const results = await Promise.all(
      workers.map((worker, i) =>
        worker.run("loop", { path, waiters: parts[i]!, spread, startAt, endAt, most }, endAt - now())
      )
    )
    const values = evaluate(
      results,
      ({ asked, sent }) => (spread ? sent + tolerance : asked),
      ({ entered }) => entered < endAt
    )
    return { ...values, rate: (values.sections! * 1_000) / millis }
  }
})

const all = ["blpop", "setnx", "redlock", "redis-semaphore", "effect-distributed-lock", "hilok", "hilok-delegated"]
/** Those measured in every round. The others are slower by far, and take long. */
const compared = ["blpop", "hilok", "hilok-delegated"]
const waiterCounts = [2, 16, 128]
const processCounts = [1, 4]
const modes = ["once", "loop"] as const
/** How often they are. What is queued once each is over in a moment, so one measurement of it says little. */
const rounds = { once: 7, loop: 3 }

const title = (mode: (typeof modes)[number], waiters: number, processes: number) =>
  `One hot lock, ${waiters} waiters in ${processes === 1 ? "one process" : `${processes} processes`}, ` +
  (mode === "once" ? "queued once each" : "asking again and again")

const tableOf = (
  bench: Bench,
  entries: ReadonlyArray<Entry>,
  [mode, waiters, processes]: readonly [(typeof modes)[number], number, number]
): Table => {
  const prefix = `hot/${mode}/${waiters}/${processes}/`
  const shown = entries.filter(({ key }) => key.startsWith(prefix))
  const limit = bench.metrics.median(`${prefix}blpop/rate`)
  return {
    title: title(mode, waiters, processes),
    head: [
      "contestant",
      "sections/s",
      "to the limit",
      "hand-over p50",
      "p99",
      "commands",
      "out of order",
      "longest wait"
    ],
    rows: rowsOf(bench, shown, (value) => [
      whole(value("rate")),
      ratio(value("rate"), limit),
      time(value("handOverP50")),
      time(value("handOverP99")),
      figure(value("commands")),
      share(value("inversions")),
      time(value("longestWait"))
    ]),
    notes: failuresOf(bench, shown)
  }
}

export const hot: Workload = {
  name: "hot",
  about: "one hot lock, 2, 16 and 128 waiters, in one process and over 4, once each and in a closed loop",
  run: async (bench) => {
    const cases = modes.flatMap((mode) =>
      waiterCounts.flatMap((waiters) => processCounts.map((processes) => [mode, waiters, processes] as const))
    )
    const entries = cases.flatMap(([mode, waiters, processes]) =>
      all.map((name): Entry => {
        const key = `hot/${mode}/${waiters}/${processes}/${name}`
        const entry =
          mode === "once"
            ? once(bench.server.port, key, name, waiters, processes)
            : loop(key, name, waiters, processes, bench.millis)
        return { ...entry, rounds: compared.includes(name) ? rounds[mode] : 1 }
      })
    )
    const warming = entries.filter(({ key }) => /^hot\/loop\/16\//.test(key))
    await roundRobin(bench, Math.max(rounds.once, rounds.loop), entries, warming)
    const tables = cases.map((one) => tableOf(bench, entries, one))
    const last = tables.at(-1)!
    return [
      ...tables.slice(0, -1),
      {
        ...last,
        notes: [
          ...last.notes,
          "Commands are per section. While all just wait, they are not counted.",
          "Out of order: sections that began while someone who had asked earlier still waited.",
          `Measured ${rounds.once} times (again and again: ${rounds.loop}): ${compared.join(", ")}; the others once.`,
          "blpop is the limit: one token that goes from hand to hand. It is no lock.",
          ...leftOut(bench, ["setnx-pipelined", "setnx-effect"], "they wait as setnx does")
        ]
      }
    ]
  }
}
