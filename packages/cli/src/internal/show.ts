/**
 * `hilok show`: all that is known of a lease or of what is at a path.
 */
import { HierarchicalLock, type LockEntry } from "@hilok/core"
import * as Effect from "effect/Effect"
import { clean, json } from "./clean.ts"
import type { ShowInput } from "./commands.ts"
import * as durations from "./durations.ts"
import { exitCode, say } from "./failure.ts"
import { byPrefix, lookup } from "./ids.ts"
import * as paths from "./paths.ts"
import { print } from "./print.ts"
import { whereOf, whoOf } from "./render.ts"
import * as server from "./server.ts"
import { pad } from "./text.ts"

const details = (
  entry: LockEntry.LockEntry,
  blocker: LockEntry.LockEntry | undefined,
  separator: string
): ReadonlyArray<string> => {
  const rows: ReadonlyArray<readonly [string, string | undefined]> = [
    ["id", clean(entry.id)],
    ["state", entry.delegated ? "kept: a delegation, given back when somebody else asks" : entry.state],
    ...entry.targets.map(({ mode, path }) => [mode, paths.shown(path, separator)] as const),
    [entry.delegated ? "kept for" : entry.state === "held" ? "held for" : "waits for", durations.format(entry.age)],
    ["time left", entry.timeLeft === undefined ? undefined : durations.format(entry.timeLeft)],
    ["token", entry.token?.toString()],
    ["ticket", entry.ticket.toString()],
    ["who", whoOf(entry)],
    ["where", whereOf(entry)],
    ["why", entry.reason === undefined ? undefined : clean(entry.reason)],
    ["blocked by", entry.blockedBy && `${clean(entry.blockedBy)} ${blocker ? whoOf(blocker) : ""}`],
    ["within", clean(entry.within.join(", "))]
  ]
  return rows.flatMap(([name, value]) => (value ? [`${pad(name, 12)}${value}`.trimEnd()] : []))
}

/** By its id, else what is at the path, else by the first characters of its id. Paths are as the separator has them. */
const find = (what: string, separator: string) =>
  Effect.gen(function* () {
    const byId = yield* lookup(what)
    // Entries that are looked up have their paths as the store writes them.
    if (byId !== undefined) return { entries: [byId], separator: "/" }
    yield* paths.check(what, separator)
    const entries = yield* HierarchicalLock.inspect(what)
    if (entries.length > 0) return { entries, separator }
    const found = yield* byPrefix(what)
    return { entries: found === undefined ? [] : [found], separator }
  })

/** Answers with the exit code. */
export const show = ({ args, values }: ShowInput) =>
  Effect.gen(function* () {
    const what = args[0]!
    const { entries, separator } = yield* find(what, yield* server.separator)
    if (values.json) {
      yield* print([json(entries, 2)])
    } else {
      for (const [i, entry] of entries.entries()) {
        const blocker = entry.blockedBy === undefined ? undefined : yield* lookup(entry.blockedBy)
        const lines = details(entry, blocker, separator)
        yield* print(i === 0 ? lines : ["", ...lines])
      }
    }
    if (entries.length > 0) return 0
    if (!values.json) say(`Nothing is held, and nobody waits, at ${JSON.stringify(what)} or below`)
    return exitCode.negative
  }).pipe(Effect.provide(server.layer(values)))
