import type { Metrics } from "../metrics.ts"
import { Pool, type Worker } from "../pool.ts"
import type { Server } from "../server.ts"
import type { Table } from "../table.ts"

export interface Bench {
  readonly server: Server
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
  /** Names it among the measured values. */
  readonly key: string
  readonly contestant: string
  readonly measure: (worker: (index?: number) => Promise<Worker>, round: number) => Promise<Record<string, number>>
}

/**
 * Measures each entry once in every round, so that what disturbs the machine for a while disturbs all of them. The
 * first round warms up and does not count. An entry that fails is left out of the rounds that follow.
 */
export const roundRobin = async (bench: Bench, rounds: number, entries: ReadonlyArray<Entry>): Promise<void> => {
  const { metrics, server } = bench
  await server.admin.flushall()
  const playing = entries.filter(({ contestant }) => bench.plays(contestant))
  const pool = new Pool(server.port)
  try {
    for (let round = 0; round <= rounds; round++) {
      for (const { contestant, key, measure } of playing) {
        if (metrics.failure(key) !== undefined) continue
        bench.progress(`${round === 0 ? "warm-up" : `round ${round} of ${rounds}`}, ${key}`)
        try {
          const values = await measure((index) => pool.get(contestant, index), round)
          if (round > 0) metrics.addAll(key, values)
        } catch (error) {
          metrics.fail(key, error instanceof Error ? error.message : String(error))
        }
      }
    }
  } finally {
    pool.end()
  }
}

/** A row for each entry that took part; one that failed says so. */
export const rowsOf = (
  bench: Bench,
  entries: ReadonlyArray<Pick<Entry, "key" | "contestant">>,
  label: (entry: Pick<Entry, "key" | "contestant">) => string,
  cells: (value: (name: string) => number | undefined) => ReadonlyArray<string>
): ReadonlyArray<ReadonlyArray<string>> =>
  entries
    .filter(({ contestant }) => bench.plays(contestant))
    .map((entry) => {
      const value = (name: string) => bench.metrics.median(`${entry.key}/${name}`)
      return [label(entry), ...cells(value)]
    })

/** A sentence for each entry that failed. */
export const failuresOf = (bench: Bench, entries: ReadonlyArray<Pick<Entry, "key">>): ReadonlyArray<string> =>
  entries.flatMap(({ key }) => {
    const reason = bench.metrics.failure(key)
    return reason === undefined ? [] : [`${key} failed: ${reason}`]
  })
