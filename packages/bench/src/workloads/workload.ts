import type { Metrics } from "../metrics.ts"
import { Pool, type Worker } from "../pool.ts"
import type { Probe, Server } from "../server.ts"
import type { Table } from "../table.ts"
import type { Cycles, CyclesResult } from "../tasks/cycles.ts"

export interface Bench {
  readonly server: Server
  /** What stands in front of the command of a server, to give it a core. */
  readonly pin: ReadonlyArray<string>
  readonly metrics: Metrics
  /** Milliseconds of one measurement. */
  readonly millis: number
  /** Whether a contestant takes part in this run. */
  readonly plays: (contestant: string) => boolean
  readonly progress: (text: string) => void
}

export interface Workload {
  readonly name: string
  readonly about: string
  readonly run: (bench: Bench) => Promise<ReadonlyArray<Table>>
}

/** One thing that is measured once in every round. */
export interface Entry {
  /** In how many of the rounds, if not in all. */
  readonly rounds?: number
  /** Names it among the measured values. */
  readonly key: string
  readonly contestant: string
  readonly measure: (
    worker: (index?: number) => Promise<Worker>,
    warmUp: boolean
  ) => Promise<Readonly<Record<string, number>>>
}

/** What was to be measured did not come about, because something else kept the machine busy. It is tried again. */
export class Disturbed extends Error {}

const tries = 3

const patiently = async <A>(measure: () => Promise<A>, left = tries): Promise<A> => {
  try {
    return await measure()
  } catch (error) {
    if (!(error instanceof Disturbed) || left === 1) throw error
    return patiently(measure, left - 1)
  }
}

/**
 * How long all warm up, in milliseconds, and after how many sections they have. A program is compiled for speed by what it
 * has done, so those that do less in a second need more of them.
 */
export const warmUp = { millis: 10_000, sections: 20_000 } as const

/**
 * How long a contestant takes locks of the same kind before it is measured (milliseconds). While others had their turn, its memory and its
 * caches have gone to them, and it takes it some tenths of a second to get them back.
 */
export const runUp = 200

/** Has a contestant do cycles, and looks at the servers right before and behind. */
export const measureCycles = async (
  { millis }: Pick<Bench, "millis">,
  servers: ReadonlyArray<Server>,
  worker: Worker,
  root: string,
  spec: Omit<Cycles, "root" | "millis">,
  isWarmUp: boolean
): Promise<{
  readonly result: CyclesResult
  readonly before: ReadonlyArray<Probe>
  readonly after: ReadonlyArray<Probe>
}> => {
  const time = isWarmUp ? Math.max(millis, warmUp.millis) : millis
  // Many at once are done with as few in no time, and need room, too: a second or so.
  const most = isWarmUp ? warmUp.sections * Math.min(spec.loops, 3) : Number.POSITIVE_INFINITY
  const task = { ...spec, root, most }
  await worker.run("cycles", { ...task, millis: runUp }, runUp)
  const probe = () => Promise.all(servers.map((server) => server.probe()))
  const before = await probe()
  const result = await worker.run("cycles", { ...task, millis: time }, time)
  return { result, before, after: await probe() }
}

/** Scripts that take longer than this many microseconds are looked at. */
export const slow = 500

/** The longest script since the server was told to watch them, in milliseconds; 0 when none was slow. */
export const longestScript = async ({ server }: Bench): Promise<number> =>
  Math.max(0, ...(await server.scripts())) / 1_000

export const reasonOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

/**
 * Measures each entry once in every round, so that what disturbs the machine for a while disturbs all of them, and with
 * it the longest script, unless the entry does so itself. The entries of `warmUp` run once before that, which does not
 * count. One that fails is left out from there on.
 */
export const roundRobin = async (
  bench: Bench,
  rounds: number,
  entries: ReadonlyArray<Entry>,
  warmUp: ReadonlyArray<Entry> = entries
): Promise<void> => {
  const { metrics, server } = bench
  await server.admin.flushall()
  const pool = new Pool(server.port)
  try {
    for (let round = 0; round <= rounds; round++) {
      for (const { contestant, key, measure, rounds: own = rounds } of round === 0 ? warmUp : entries) {
        if (!bench.plays(contestant) || metrics.failure(key) !== undefined || round > own) continue
        bench.progress(`${round === 0 ? "warm-up" : `round ${round} of ${rounds}`}: ${key}`)
        try {
          await server.watchScripts(slow)
          const values = await patiently(() => measure((index) => pool.get(contestant, index), round === 0))
          if (round > 0) metrics.addAll(key, { longestScript: await longestScript(bench), ...values })
        } catch (error) {
          metrics.fail(key, reasonOf(error))
          pool.drop(contestant)
          await server.admin.flushall()
        }
      }
    }
  } finally {
    pool.end()
  }
}

type Shown = Pick<Entry, "key" | "contestant">

/** A row for each entry that took part. */
export const rowsOf = (
  bench: Bench,
  entries: ReadonlyArray<Shown>,
  cells: (value: (name: string) => number | undefined) => ReadonlyArray<string>
): ReadonlyArray<ReadonlyArray<string>> =>
  entries
    .filter(({ contestant }) => bench.plays(contestant))
    .map(({ contestant, key }) =>
      bench.metrics.failure(key) === undefined
        ? [contestant, ...cells((name) => bench.metrics.median(`${key}/${name}`))]
        : [contestant, "failed"]
    )

/** A sentence for each entry that failed. */
export const failuresOf = (bench: Bench, entries: ReadonlyArray<Shown>): ReadonlyArray<string> =>
  entries.flatMap(({ contestant, key }) => {
    const reason = bench.metrics.failure(key)
    return reason === undefined ? [] : [`${contestant} failed: ${reason}`]
  })

/** A sentence for contestants that cannot take part. */
export const leftOut = (bench: Bench, names: ReadonlyArray<string>, reason: string): ReadonlyArray<string> => {
  const missed = names.filter(bench.plays)
  return missed.length === 0 ? [] : [`Left out: ${missed.join(", ")}: ${reason}.`]
}
