import { commandsSent } from "../contestants/client.ts"
import type { Session } from "../contestants/contestant.ts"
import { quantile } from "../stats.ts"

export interface Cycles {
  /** How many loops run at once, each on a path of its own. */
  readonly loops: number
  readonly depth: number
  readonly millis: number
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

const pathOf = (depth: number, i: number) =>
  [...Array.from({ length: depth - 1 }, (_, level) => String.fromCharCode(97 + level)), `k${i}`].join("/")

const mostSamples = 200_000

export const runCycles = async (session: Session, { depth, loops, millis }: Cycles): Promise<CyclesResult> => {
  const samples = new Float64Array(mostSamples)
  let cycles = 0
  const before = { cpu: process.cpuUsage(), commands: commandsSent() }
  const start = performance.now()
  const end = start + millis
  const loop = (i: number) => {
    const ask = { path: pathOf(depth, i), mode: "write" } as const
    let asked = start
    return session.loop({
      next: () => (asked < end ? ask : undefined),
      held: () => undefined,
      left: () => {
        const now = performance.now()
        samples[cycles++ % mostSamples] = now - asked
        asked = now
      }
    })
  }
  await Promise.all(Array.from({ length: loops }, (_, i) => loop(i)))
  const elapsed = performance.now() - start
  const cpu = process.cpuUsage(before.cpu)
  const taken = samples.subarray(0, Math.min(cycles, mostSamples))
  return {
    cycles,
    millis: elapsed,
    p50: quantile(taken, 0.5),
    p99: quantile(taken, 0.99),
    cpu: cpu.user + cpu.system,
    commands: commandsSent() - before.commands
  }
}
