/**
 * Tells whoever waits what for: who is in the way, since when, and how many are before.
 */
import { type LockEntry, type LockOptions, Target } from "@hilok/core"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { clean } from "./clean.ts"
import type { RequestOptions } from "./commands.ts"
import * as durations from "./durations.ts"
import { say } from "./failure.ts"
import { columnsOf } from "./output.ts"
import { fit } from "./text.ts"

const whoOf = ({ host, id, label, pid }: LockEntry.LockEntry): string => {
  const where = host === undefined ? "" : ` on ${host}${pid === undefined ? "" : ` (pid ${pid})`}`
  return `${label === undefined ? `id ${id}` : JSON.stringify(label)}${where}`
}

const ordinal = (place: number): string => {
  const last = place % 100 > 10 && place % 100 < 14 ? 0 : place % 10
  return `${place}${["th", "st", "nd", "rd"][last] ?? "th"}`
}

/** What is known, and when it was told. */
interface Seen {
  readonly waiting: LockOptions.Waiting
  readonly at: number
}

/** `key`: what stays the same while nothing happens. */
const describe = ({ at, waiting: { ahead, blocker, targets } }: Seen, now: number) => {
  const how = blocker.delegated ? "kept by" : blocker.state === "held" ? "held by" : "behind"
  const who = `${how} ${whoOf(blocker)}`
  const start = `waiting for ${Target.format(targets)}: ${who}`
  const place = `${ordinal(ahead + 1)} in line`
  return {
    key: `${start}, ${place}`,
    text: `${start} for ${durations.format(blocker.age + now - at)}, ${place}`
  }
}

interface Teller {
  readonly tell: (seen: Seen, now: number) => void
  readonly end: () => void
}

/** On a terminal, one line that is written again and again. */
const onTerminal = (): Teller => {
  const { stderr } = process
  let isShown = false
  return {
    tell: (seen, now) => {
      isShown = true
      stderr.write(`\r${fit(clean(`hilok: ${describe(seen, now).text}`), columnsOf(stderr) - 1)}\x1b[K`)
    },
    end: () => {
      if (isShown) stderr.write("\r\x1b[K")
      isShown = false
    }
  }
}

/** Elsewhere, a line whenever something has changed. */
const inLines = (): Teller => {
  let last = ""
  return {
    tell: (seen, now) => {
      const { key, text } = describe(seen, now)
      if (key !== last) say(text)
      last = key
    },
    end: () => undefined
  }
}

/** Runs what may have to wait; after a second of that, and then every second, it is told what for, if there is anybody to tell. */
export const telling = <A, E, R>(
  { quiet, verbose }: RequestOptions,
  acquire: (onWait: LockOptions.OnWait | undefined) => Effect.Effect<A, E, R>
): Effect.Effect<A, E, R> => {
  if (quiet || !(process.stderr.isTTY || verbose)) return acquire(undefined)
  return Effect.suspend(() => {
    const { end, tell } = process.stderr.isTTY ? onTerminal() : inLines()
    let seen: Seen | undefined
    const onWait: LockOptions.OnWait = (waiting) =>
      Effect.map(Clock.currentTimeMillis, (at) => {
        seen = { waiting, at }
      })
    const told = Effect.map(Clock.currentTimeMillis, (now) => {
      if (seen !== undefined) tell(seen, now)
    })
    const teller = Effect.forever(Effect.zipRight(Effect.sleep("1 second"), told))
    return Effect.uninterruptibleMask((restore) =>
      Effect.flatMap(Effect.fork(Effect.interruptible(teller)), (fiber) =>
        Effect.ensuring(restore(acquire(onWait)), Effect.zipRight(Fiber.interrupt(fiber), Effect.sync(end)))
      )
    )
  })
}
