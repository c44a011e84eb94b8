/**
 * `hilok show`: all that is known of a lease or of what is at a path.
 */
import { HierarchicalLock, type LockEntry, type LockError } from "@hilok/core"
import type * as ConfigError from "effect/ConfigError"
import * as Effect from "effect/Effect"
import * as durations from "./durations.ts"
import { exitCode, say } from "./failure.ts"
import { lookup } from "./lookup.ts"
import { print } from "./output.ts"
import { pathOf, whereOf, whoOf } from "./render.ts"
import * as server from "./server.ts"
import { clean, pad } from "./text.ts"

const details = (
  entry: LockEntry.LockEntry,
  blocker: LockEntry.LockEntry | undefined,
  separator: string
): ReadonlyArray<string> => {
  const rows: ReadonlyArray<readonly [string, string | undefined]> = [
    ["id", entry.id],
    ["state", entry.state],
    ...entry.targets.map(({ mode, path }) => [mode, pathOf(path, separator)] as const),
    [entry.state === "held" ? "held for" : "waits for", durations.format(entry.age)],
    ["time left", entry.timeLeft === undefined ? undefined : durations.format(entry.timeLeft)],
    ["token", entry.token?.toString()],
    ["ticket", entry.ticket.toString()],
    ["who", whoOf(entry)],
    ["where", whereOf(entry)],
    ["why", entry.reason === undefined ? undefined : clean(entry.reason)],
    ["blocked by", entry.blockedBy === undefined ? undefined : `${entry.blockedBy} ${blocker ? whoOf(blocker) : ""}`],
    ["within", entry.within.join(", ")]
  ]
  return rows.flatMap(([name, value]) => (value ? [`${pad(name, 12)}${value}`.trimEnd()] : []))
}

/** Answers with the exit code. */
export const show = (options: {
  readonly server: server.ServerOptions
  readonly json: boolean
  readonly what: string
}): Effect.Effect<number, LockError.LockError | ConfigError.ConfigError> =>
  Effect.gen(function* () {
    const separator = yield* server.separator
    const byId = yield* lookup(options.what)
    const entries = byId === undefined ? yield* HierarchicalLock.inspect(options.what) : [byId]
    if (options.json) {
      yield* print([JSON.stringify(entries, undefined, 2)])
    } else {
      for (const [i, entry] of entries.entries()) {
        const blocker = entry.blockedBy === undefined ? undefined : yield* lookup(entry.blockedBy)
        // Entries that are looked up have their paths as the store writes them.
        const lines = details(entry, blocker, byId === undefined ? separator : "/")
        yield* print(i === 0 ? lines : ["", ...lines])
      }
    }
    if (entries.length > 0) return 0
    if (!options.json) say(`Nothing is held, and nobody waits, at ${JSON.stringify(options.what)} or below`)
    return exitCode.negative
  }).pipe(Effect.provide(server.layer(options.server)))
