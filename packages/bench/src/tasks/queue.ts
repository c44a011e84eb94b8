/** Very many who wait behind one lock. */
import { now } from "../clock.ts"
import type { Session } from "../contestants/contestant.ts"

export interface Queue {
  readonly holder: string
  /** All wait for this path or, with `spread`, each for a node of its own below it. */
  readonly path: string
  readonly spread: boolean
  readonly count: number
}

let state: { readonly letGo: () => Promise<number>; readonly finish: () => Promise<number> } | undefined

const gate = () => {
  let open = () => {}
  const opened = new Promise<void>((resolve) => {
    open = resolve
  })
  return { open: () => open(), opened }
}

/** One takes the holder's path, then all others ask. */
export const queueUp = async (session: Session, { count, holder, path, spread }: Queue): Promise<void> => {
  const first = gate()
  const rest = gate()
  const granted = gate()
  let entered = 0
  const once = (path: string, held: () => Promise<void>) => {
    let asked = false
    return session.loop({
      next: () => {
        if (asked) return undefined
        asked = true
        return { path, mode: "write" }
      },
      held,
      left: () => undefined
    })
  }
  const loops: Array<Promise<void>> = []
  await new Promise<void>((resolve, reject) => {
    const loop = once(holder, () => {
      resolve()
      return first.opened
    })
    loop.catch(reject)
    loops.push(loop)
  })
  for (let i = 0; i < count; i++) {
    loops.push(
      once(spread ? `${path}/b${i % 100}/k${i}` : path, () => {
        entered++
        if (entered === (spread ? count : 1)) granted.open()
        return rest.opened
      })
    )
  }
  const failed = Promise.all(loops)
  failed.catch(() => undefined)
  state = {
    letGo: async () => {
      const start = now()
      first.open()
      await Promise.race([granted.opened, failed])
      return now() - start
    },
    finish: async () => {
      const start = now()
      rest.open()
      await failed
      return now() - start
    }
  }
}

/** The holder lets go. Answers with the milliseconds until all who can have entered. */
export const releaseHolder = (): Promise<number> => state!.letGo()

/** All others let go as soon as they enter. Answers with the milliseconds until the last has. */
export const finishQueue = (): Promise<number> => state!.finish()
