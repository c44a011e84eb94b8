/** Many locks that are held. */
import { monitorEventLoopDelay } from "node:perf_hooks"
import { setTimeout as delay } from "node:timers/promises"
import { commandsSent } from "../contestants/client.ts"
import type { Session } from "../contestants/contestant.ts"
import { pathOf } from "./cycles.ts"

export interface Hold {
  readonly root: string
  readonly count: number
  readonly depth: number
}

let drop: () => Promise<unknown> = async () => undefined

/** How many are taken at once. */
const atOnce = 64

/** Takes locks on distinct paths, and keeps them. */
export const hold = async (session: Session, { count, depth, root }: Hold): Promise<void> => {
  let open = () => {}
  const gate = new Promise<void>((resolve) => {
    open = resolve
  })
  const loops: Array<Promise<void>> = []
  const take = (i: number) =>
    new Promise<void>((resolve, reject) => {
      let asked = false
      const loop = session.loop({
        next: () => {
          if (asked) return undefined
          asked = true
          return { path: pathOf(root, depth, i), mode: "write" }
        },
        held: () => {
          resolve()
          return gate
        },
        left: () => undefined
      })
      loop.catch(reject)
      loops.push(loop)
    })
  let next = 0
  const taker = async () => {
    while (next < count) await take(next++)
  }
  await Promise.all(Array.from({ length: atOnce }, taker))
  drop = () => {
    open()
    return Promise.all(loops)
  }
}

/** Gives back what `hold` took. */
export const letGo = async (): Promise<void> => {
  await drop()
}

/** How many commands this process sends in so many milliseconds, with nothing to do but to keep what it holds. */
export const keep = async (_: Session, millis: number): Promise<number> => {
  const before = commandsSent()
  await delay(millis)
  return commandsSent() - before
}

export interface Keep {
  readonly root: string
  readonly count: number
  readonly millis: number
}

export interface Kept {
  /** Of the heap, for each lease. */
  readonly bytes: number
  /** The part of a core that it takes to keep them. */
  readonly cpu: number
  /** The longest time for which nothing else could run (milliseconds). */
  readonly stall: number
}

const heapUsed = (): number => {
  for (let i = 0; i < 3; i++) (globalThis as { gc?: () => void }).gc?.()
  return process.memoryUsage().heapUsed
}

/** Takes so many locks at once, and does nothing but keep them. */
export const keepMany = async (session: Session, { count, millis, root }: Keep): Promise<Kept> => {
  const { keep } = session
  if (keep === undefined) throw new Error("it cannot keep locks by themselves")
  const paths = (name: string, length: number) => Array.from({ length }, (_, i) => `${root}/${name}${i % 100}/k${i}`)
  await keep(paths("warm", 100))
  const before = heapUsed()
  await keep(paths("s", count))
  // The first refreshes are over as well.
  await delay(4_000)
  const bytes = (heapUsed() - before) / count
  const [start, cpu] = [performance.now(), process.cpuUsage()]
  await delay(millis)
  const { system, user } = process.cpuUsage(cpu)
  const elapsed = performance.now() - start
  // In a time of its own: to look so often takes more than to refresh.
  const resolution = 2
  const delays = monitorEventLoopDelay({ resolution })
  delays.enable()
  await delay(millis)
  delays.disable()
  return { bytes, cpu: (user + system) / 1_000 / elapsed, stall: delays.max / 1e6 - resolution }
}

export interface Idle {
  readonly bytes: number
  readonly commands: number
}

/** Takes and gives back so many locks, one after the other, and looks at what is left of them. Nothing lies above them. */
export const keepIdle = async (session: Session, { count, millis, root }: Keep): Promise<Idle> => {
  const cycles = async (name: string, length: number) => {
    let next = 0
    const loop = () =>
      session.loop({
        next: () => (next < length ? { path: `${root}${name}${next++}`, mode: "write" } : undefined),
        held: () => undefined,
        left: () => undefined
      })
    await Promise.all(Array.from({ length: atOnce }, loop))
  }
  await cycles("warm", 100)
  const before = heapUsed()
  await cycles("k", count)
  await delay(4_000)
  const bytes = (heapUsed() - before) / count
  const sent = commandsSent()
  await delay(millis)
  return { bytes, commands: commandsSent() - sent }
}
