/** Many locks that are held. */
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
