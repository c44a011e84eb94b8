/** Readers and writers all over a tree. */
import { setTimeout as delay } from "node:timers/promises"
import type { Session } from "../contestants/contestant.ts"
import { quantile, random } from "../stats.ts"

export interface Tree {
  readonly root: string
  readonly loops: number
  readonly millis: number
  readonly seed: number
  /** The part of them that write. */
  readonly writes: number
}

export interface TreeResult {
  readonly rate: number
  readonly readP50: number
  readonly readP99: number
  readonly writeP50: number
  readonly writeP99: number
}

/** How many children each node has. */
const fan = 8

export const runTree = async (session: Session, { loops, millis, root, seed, writes }: Tree): Promise<TreeResult> => {
  const waits = { read: [] as Array<number>, write: [] as Array<number> }
  const start = performance.now()
  const end = start + millis
  const loop = (i: number) => {
    const roll = random(seed * 1_000 + i)
    const segment = (name: string) => `${name}${Math.floor(roll() * fan)}`
    let asked = 0
    let mode: "read" | "write" = "read"
    return session.loop({
      next: () => {
        if (performance.now() >= end) return undefined
        mode = roll() < writes ? "write" : "read"
        const height = roll()
        // Mostly leaves, sometimes the nodes above them.
        const path = [segment(root), segment("b"), segment("c")].slice(0, height < 0.8 ? 3 : height < 0.95 ? 2 : 1)
        asked = performance.now()
        return { path: path.join("/"), mode }
      },
      held: () => {
        waits[mode].push(performance.now() - asked)
      },
      left: () => undefined
    })
  }
  await Promise.all(Array.from({ length: loops }, (_, i) => loop(i)))
  const elapsed = performance.now() - start
  return {
    rate: ((waits.read.length + waits.write.length) * 1_000) / elapsed,
    readP50: quantile(waits.read, 0.5),
    readP99: quantile(waits.read, 0.99),
    writeP50: quantile(waits.write, 0.5),
    writeP99: quantile(waits.write, 0.99)
  }
}

/** How many times one writes, and how many milliseconds lie between. */
export interface Writer {
  readonly path: string
  readonly times: number
  readonly every: number
}

/** How long each of them waits. */
export const runWriter = async (session: Session, { every, path, times }: Writer): Promise<ReadonlyArray<number>> => {
  const waits: Array<number> = []
  for (let i = 0; i < times; i++) {
    await delay(every)
    let asked = 0
    await session.loop({
      next: () => {
        if (asked > 0) return undefined
        asked = performance.now()
        return { path, mode: "write" }
      },
      held: () => void waits.push(performance.now() - asked),
      left: () => undefined
    })
  }
  return waits
}
