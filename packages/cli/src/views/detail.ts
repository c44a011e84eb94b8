/**
 * All about one lease or request, or about a path.
 */
import { HierarchicalLock, LockEntry, LockPath, Target } from "@hilok/core"
import * as DateTime from "effect/DateTime"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Exit from "../internal/exit.ts"
import type { Connection } from "../internal/options.ts"
import * as Output from "../internal/output.ts"
import { withSession } from "../internal/session.ts"
import { short } from "../internal/time.ts"
import { pathText } from "../render/entries.ts"
import { coloured, plain } from "../render/style.ts"
import { find } from "./find.ts"

export interface Options extends Connection {
  readonly what: string
  readonly json: boolean
}

type Entries = ReadonlyArray<LockEntry.LockEntry>

/** Does a target of the entry lie on the path or below it, or does it cover the path from above? */
const concerns = (path: LockPath.LockPath, separator: string) => (entry: LockEntry.LockEntry) =>
  entry.targets.some(({ mode, path: input }) => {
    const other = LockPath.parse(input, separator)
    if (Either.isLeft(other)) return false
    const covers = (mode === "read" || mode === "write") && LockPath.isWithin(path, other.right)
    return covers || LockPath.isWithin(other.right, path)
  })

const about = (entry: LockEntry.LockEntry, all: Entries): ReadonlyArray<string> => {
  const paint = Output.colours(1) ? coloured : plain
  const since = `${DateTime.formatIso(DateTime.unsafeMake(entry.since))} (${short(entry.age)} ago)`
  const blocker = all.find(({ id }) => id === entry.blockedBy)
  const behind = all.filter(({ blockedBy }) => blockedBy === entry.id)
  const isHeld = entry.state === "held"
  const fields: ReadonlyArray<readonly [string, string | number | undefined]> = [
    ["id", entry.id],
    ["state", isHeld ? "held" : "waiting"],
    ["targets", Target.format(entry.targets)],
    [isHeld ? "held since" : "waits since", since],
    ["time left", entry.timeLeft === undefined ? undefined : `${short(entry.timeLeft)}, unless refreshed`],
    ["token", entry.token],
    ["ticket", entry.ticket],
    ["who", entry.label],
    ["host", entry.host],
    ["pid", entry.pid],
    ["why", entry.reason],
    ["blocked by", blocker === undefined ? entry.blockedBy : LockEntry.format(blocker)],
    ["inside", entry.within.length === 0 ? undefined : entry.within.join(", ")],
    ...behind.map((other, i): readonly [string, string] => [i === 0 ? "behind it" : "", LockEntry.format(other)])
  ]
  return fields
    .filter(([, value]) => value !== undefined && value !== "")
    .map(([name, value]) => `${paint("dim", name.padEnd(12))} ${Output.visible(String(value))}`)
}

export const detail = (options: Options): Effect.Effect<void, Exit.Stop> =>
  withSession(
    options,
    {},
    Effect.gen(function* () {
      const { json, what } = options
      const found = yield* find(what)
      const all = yield* HierarchicalLock.inspect()
      const separator = options.separator ?? "/"
      const path = yield* LockPath.parse(what, separator)
      const shown = Option.isSome(found) ? [found.value] : all.filter(concerns(path, separator))
      if (json) Output.line(JSON.stringify(Option.isSome(found) ? found.value : shown, null, 2))
      if (shown.length === 0) {
        return yield* Exit.stop(
          Exit.code.failed,
          `nothing is held or waited for at ${pathText(path, separator)}, and no id begins so`
        )
      }
      if (!json) Output.write(`${shown.map((entry) => about(entry, all).join("\n")).join("\n\n")}\n`)
    }).pipe(Effect.mapError((error) => (error._tag === "Stop" ? error : Exit.fromLockError(error))))
  )
