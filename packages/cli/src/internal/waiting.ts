/**
 * Tells whoever waits what for: who is in the way, since when, and how many are before.
 */
import { hostname } from "node:os"
import { HierarchicalLock, type LockEntry, type LockError, type LockStore, Target } from "@hilok/core"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { clean } from "./clean.ts"
import type { RequestOptions } from "./commands.ts"
import * as durations from "./durations.ts"
import { say } from "./failure.ts"
import { lookup } from "./ids.ts"
import { columnsOf } from "./output.ts"
import * as paths from "./paths.ts"
import { fit } from "./text.ts"

type Entry = LockEntry.LockEntry

const whoOf = ({ host, id, label, pid }: Entry): string => {
  const where = host === undefined ? "" : ` on ${host}${pid === undefined ? "" : ` (pid ${pid})`}`
  return `${label === undefined ? `id ${id}` : JSON.stringify(label)}${where}`
}

const ordinal = (place: number): string => {
  const last = place % 100 > 10 && place % 100 < 14 ? 0 : place % 10
  return `${place}${["th", "st", "nd", "rd"][last] ?? "th"}`
}

interface State {
  /** What stays the same while nothing happens. */
  readonly key: string
  readonly text: string
}

interface Waiting {
  readonly targets: ReadonlyArray<Target.Target>
  readonly separator: string
  /** The process that is named as the holder. */
  readonly pid: number
}

/** `undefined`: the request does not wait. */
const look = ({ pid, separator, targets }: Waiting) =>
  Effect.gen(function* () {
    const lists = yield* Effect.forEach(targets, ({ path }) => HierarchicalLock.inspect(path))
    const entries = new Map(lists.flat().map((entry) => [entry.id, entry]))
    const here = hostname()
    const own = Array.from(entries.values()).find(
      (entry) => entry.state === "waiting" && entry.pid === pid && entry.host === here
    )
    if (own === undefined) return undefined
    const blocker =
      own.blockedBy === undefined ? undefined : (entries.get(own.blockedBy) ?? (yield* lookup(own.blockedBy)))
    // It may be further up in the tree, where only it was looked at.
    if (blocker !== undefined) entries.set(blocker.id, blocker)
    const ahead = Array.from(entries.values()).filter(
      (entry) =>
        entry.state === "waiting" &&
        entry.ticket < own.ticket &&
        (entry === blocker || paths.conflict(entry.targets, own.targets, separator))
    )
    const place = `${ordinal(ahead.length + 1)} in line`
    const who = blocker === undefined ? "" : `${blocker.state === "held" ? "held by" : "behind"} ${whoOf(blocker)}`
    const since = blocker === undefined ? "" : ` for ${durations.format(blocker.age)}`
    return { key: `${who}, ${place}`, text: `${who}${since}${who === "" ? "" : ", "}${place}` }
  })

type Needs = HierarchicalLock.HierarchicalLock | LockStore.LockStore

const tell = (waiting: Waiting, show: (state: State) => void): Effect.Effect<never, never, Needs> => {
  const away = { key: "away", text: "the server does not answer" }
  const state: Effect.Effect<State | undefined, LockError.InvalidPath, Needs> = Effect.catchTag(
    look(waiting),
    "StoreError",
    () => Effect.succeed(away)
  )
  const once = Effect.map(Effect.orDie(state), (found) => {
    if (found !== undefined) show(found)
  })
  return Effect.forever(Effect.zipRight(Effect.sleep("1 second"), once))
}

/** On a terminal, one line that is written again and again. Answers with what takes it away. */
const onTerminal = (waiting: Waiting): [show: (state: State) => void, end: () => void] => {
  const { stderr } = process
  let isShown = false
  return [
    ({ text }) => {
      isShown = true
      const line = clean(`hilok: waiting for ${Target.format(waiting.targets)}: ${text}`)
      stderr.write(`\r${fit(line, columnsOf(stderr) - 1)}\x1b[K`)
    },
    () => {
      if (isShown) stderr.write("\r\x1b[K")
      isShown = false
    }
  ]
}

/** Elsewhere, a line whenever something has changed. */
const inLines = (waiting: Waiting): [show: (state: State) => void, end: () => void] => {
  let last = ""
  return [
    ({ key, text }) => {
      if (key !== last) say(`waiting for ${Target.format(waiting.targets)}: ${text}`)
      last = key
    },
    () => undefined
  ]
}

/** Runs what may have to wait; after a second of that, it is told what for, if there is somebody to be told. */
export const telling = <A, E, R>(
  { quiet, verbose }: RequestOptions,
  waiting: Waiting,
  effect: Effect.Effect<A, E, R>
): Effect.Effect<A, E, R | Needs> => {
  if (quiet || !(process.stderr.isTTY || verbose)) return effect
  const [show, end] = process.stderr.isTTY ? onTerminal(waiting) : inLines(waiting)
  return Effect.uninterruptibleMask((restore) =>
    Effect.flatMap(Effect.fork(Effect.interruptible(tell(waiting, show))), (teller) =>
      Effect.ensuring(restore(effect), Effect.zipRight(Fiber.interrupt(teller), Effect.sync(end)))
    )
  )
}
