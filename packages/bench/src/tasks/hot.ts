/** One lock that many want. */
import { setTimeout as delay } from "node:timers/promises"
import type { Redis } from "ioredis"
import { now } from "../clock.ts"
import { commandsSent, connect } from "../contestants/client.ts"
import type { Session } from "../contestants/contestant.ts"

interface Common {
  readonly path: string
  /** The numbers of the waiters of this process. */
  readonly waiters: ReadonlyArray<number>
  /** When the first waiter asks, on the clock that all processes share. */
  readonly startAt: number
  /** Whether others wait in other processes. */
  readonly spread: boolean
}

/** One takes the lock, before any waiter asks for it. */
export interface Take {
  readonly path: string
  /** How many will ask for it in this process. */
  readonly loops: number
  readonly holds: boolean
}

/** Each waiter gets the lock once: all of them queue while it is held, then the holder lets go. */
export interface Once extends Common {
  readonly port: number
  /** Milliseconds from one waiter to the next. */
  readonly gap: number
  readonly releaseAt: number
}

/** Each waiter asks again as soon as it has let go. */
export interface Loop extends Common {
  readonly endAt: number
  /** After how many sections of this process it ends at the latest. */
  readonly most: number
}

/** Four numbers for each section: when it was asked for, by when that was on its way, when it began, when it ended. */
export interface HotResult {
  readonly sections: Float64Array
  readonly commands: number
}

const until = (at: number) => delay(Math.max(0, at - now()))

interface Section {
  readonly asked: number
  sent: number
  entered: number
  left: number
}

const newSection = (): Section => ({ asked: now(), sent: Number.NaN, entered: Number.NaN, left: Number.NaN })

const toArray = (sections: ReadonlyArray<Section>): Float64Array =>
  Float64Array.from(sections.flatMap(({ asked, entered, left, sent }) => [asked, sent, entered, left]))

const inTwoTurns = () => new Promise<void>((resolve) => setImmediate(() => setImmediate(resolve)))

/** Asks once, and is told when. */
const askOnce = (
  session: Session,
  path: string,
  held: (section: Section) => void | Promise<void>
): { readonly section: Section; readonly done: Promise<void> } => {
  const section = newSection()
  let asked = false
  const done = session.loop({
    next: () => {
      if (asked) return undefined
      asked = true
      return { path, mode: "write" }
    },
    held: () => held(section),
    left: () => undefined
  })
  return { section, done }
}

let taken: { readonly section: Section; readonly commands: number; readonly letGo: () => Promise<void> } | undefined
let witness: Promise<Redis> | undefined

export const take = async (session: Session, { holds, loops, path }: Take): Promise<void> => {
  await session.prepare?.(path, loops + 1)
  taken = undefined
  if (!holds) return
  const before = commandsSent()
  let open = () => {}
  const opened = new Promise<void>((resolve) => {
    open = resolve
  })
  await new Promise<void>((resolve, reject) => {
    const { done, section } = askOnce(session, path, async (section) => {
      section.entered = now()
      resolve()
      await opened
      section.left = now()
    })
    done.catch(reject)
    taken = {
      section,
      commands: 0,
      letGo: () => {
        open()
        return done
      }
    }
  })
  taken = { ...taken!, commands: commandsSent() - before }
}

export const runOnce = async (session: Session, spec: Once): Promise<HotResult> => {
  const { gap, path, port, releaseAt, spread, startAt, waiters } = spec
  witness ??= connect(port)
  const connection = await witness
  const sections: Array<Section> = []
  const running: Array<Promise<void>> = []
  let pings = 0
  await until(startAt - 5)
  const before = commandsSent()
  for (const waiter of waiters) {
    // Those of one process ask at the same moment.
    if (gap > 0) await until(startAt + waiter * gap)
    const { done, section } = askOnce(session, path, (section) => {
      section.entered = section.left = now()
    })
    sections.push(section)
    running.push(done)
    if (spread) {
      // The server has had the request when it has answered to a command that was sent after it, on any connection.
      pings++
      void inTwoTurns()
        .then(() => connection.ping())
        .then(() => {
          section.sent = now()
        })
    }
  }
  await inTwoTurns()
  // Whoever polls continues to do so. What counts is what the sections cost once the lock moves.
  const asking = commandsSent() - before - pings + (taken?.commands ?? 0)
  await until(releaseAt - 5)
  const waited = commandsSent()
  await until(releaseAt)
  if (taken !== undefined) {
    sections.push(taken.section)
    running.push(taken.letGo())
  }
  await Promise.all(running)
  return { sections: toArray(sections), commands: asking + commandsSent() - waited }
}

export const runLoop = async (session: Session, spec: Loop): Promise<HotResult> => {
  const { endAt, most, path, spread, startAt, waiters } = spec
  const sections: Array<Section> = []
  await session.prepare?.(path, waiters.length)
  await until(startAt)
  const before = commandsSent()
  const loop = (): Promise<void> => {
    let section: Section
    return session.loop({
      next: () => {
        if (now() >= endAt || sections.length >= most) return undefined
        const one = newSection()
        section = one
        sections.push(one)
        // What is asked for now is written to the socket by the end of this turn of the event loop.
        if (spread) {
          void inTwoTurns().then(() => {
            one.sent = now()
          })
        }
        return { path, mode: "write" }
      },
      held: () => {
        section.entered = section.left = now()
      },
      left: () => undefined
    })
  }
  await Promise.all(waiters.map(loop))
  return { sections: toArray(sections), commands: commandsSent() - before }
}
