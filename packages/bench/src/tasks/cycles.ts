import { commandsSent } from "../contestants/client.ts"
import type { Session } from "../contestants/contestant.ts"
import { quantile } from "../stats.ts"

export interface Cycles {
  /** The first segment of all paths. */
  readonly root: string
  /** How many loops run at once, each on a path of its own. */
  readonly loops: number
  readonly depth: number
  readonly millis: number
  /** All on this path instead. */
  readonly path?: string
  /** Each time a path that was never seen before, all of them below one node. */
  readonly fresh?: boolean
  /** Ends it earlier, after so many cycles. */
  readonly most?: number
  /** For locks so quick that it costs too much to look at the clock in each cycle. There are no quantiles then. */
  readonly unsampled?: boolean
}

export interface CyclesResult {
  readonly cycles: number
  readonly millis: number
  /** Milliseconds from before the acquire to after the release. */
  readonly p50: number
  readonly p99: number
  /** Microseconds of this process, in user and system mode. */
  readonly cpu: number
  readonly commands: number
}

/** A path of so many segments that is the `i`th of its kind. */
export const pathOf = (root: string, depth: number, i: number): string =>
  depth === 1 ? `${root}${i}` : [root, ...Array.from({ length: depth - 2 }, (_, at) => `s${at}`), `k${i}`].join("/")

/** How many fresh paths this process has had. */
let seen = 0

const mostSamples = 200_000
/** How many cycles go by between two looks at the clock when they are not sampled. */
const stride = 64

export const runCycles = async (
  session: Session,
  { depth, fresh, loops, millis, most = Number.POSITIVE_INFINITY, path, root, unsampled }: Cycles
): Promise<CyclesResult> => {
  for (let i = 0; i < loops; i++) await session.prepare?.(pathOf(root, depth, i), loops)
  const samples = new Float64Array(unsampled ? 0 : mostSamples)
  let cycles = 0
  const before = { cpu: process.cpuUsage(), commands: commandsSent() }
  const start = performance.now()
  const end = start + millis
  const sampledLoop = (i: number) => {
    const ask = { path: path ?? pathOf(root, depth, i), mode: "write" } as const
    let asked = start
    const nextAsk = fresh ? () => ({ ...ask, path: pathOf(root, depth, seen++) }) : () => ask
    return session.loop({
      next: () => (asked < end && cycles < most ? nextAsk() : undefined),
      held: () => undefined,
      left: () => {
        const now = performance.now()
        samples[cycles++ % mostSamples] = now - asked
        asked = now
      }
    })
  }
  const unsampledLoop = (i: number) => {
    const ask = { path: path ?? pathOf(root, depth, i), mode: "write" } as const
    return session.loop({
      next: () => (cycles < most && (cycles % stride !== 0 || performance.now() < end) ? ask : undefined),
      held: () => undefined,
      left: () => {
        cycles++
      }
    })
  }
  await Promise.all(Array.from({ length: loops }, (_, i) => (unsampled ? unsampledLoop(i) : sampledLoop(i))))
  const elapsed = performance.now() - start
  const cpu = process.cpuUsage(before.cpu)
  const taken = samples.subarray(0, Math.min(cycles, samples.length))
  return {
    cycles,
    millis: elapsed,
    p50: quantile(taken, 0.5),
    p99: quantile(taken, 0.99),
    cpu: cpu.user + cpu.system,
    commands: commandsSent() - before.commands
  }
}
