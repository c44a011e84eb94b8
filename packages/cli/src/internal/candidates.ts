/**
 * The paths and ids that the server knows, for completions. A shell that waits for them waits for a second at most.
 */
import { HierarchicalLock, type LockEntry, Target } from "@hilok/core"
import * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"
import type { ServerOptions } from "./commands.ts"
import { shorten } from "./ids.ts"
import { segmentsOf } from "./paths.ts"
import * as server from "./server.ts"

type Candidates = ReadonlyArray<readonly [word: string, about: string]>

const ids = (entries: ReadonlyArray<LockEntry.LockEntry>): Candidates => {
  const idOf = shorten(entries.map(({ id }) => id))
  return entries.map(({ id, label, state, targets }) => [
    idOf(id),
    `${Target.format(targets)}, ${state}${label === undefined ? "" : `, ${label}`}`
  ])
}

/** The paths, and those above them, down to the segment behind those that have been typed. */
const paths = (entries: ReadonlyArray<LockEntry.LockEntry>, start: string, separator: string): Candidates => {
  const depth = start.split(separator).length
  const found = new Map<string, string>()
  for (const { targets } of entries) {
    for (const { path } of targets) {
      const segments = segmentsOf(path, separator)
      if (segments.some((segment) => segment.includes(separator))) continue
      const shown = segments.slice(0, depth).join(separator)
      if (shown !== "") found.set(shown, "")
    }
  }
  return Array.from(found).sort(([a], [b]) => (a < b ? -1 : 1))
}

export const candidates = (
  what: "path" | "id" | "id or path",
  start: string,
  options: ServerOptions
): Promise<Candidates> =>
  Effect.gen(function* () {
    const separator = yield* server.separator
    const entries = yield* HierarchicalLock.inspect()
    const held = what === "id" ? entries.filter(({ state }) => state === "held") : entries
    return [...(what === "path" ? [] : ids(held)), ...(what === "id" ? [] : paths(entries, start, separator))]
  }).pipe(
    Effect.provide(server.layer(options)),
    Effect.timeout("1 second"),
    Effect.catchAllCause(() => Effect.succeed<Candidates>([])),
    Effect.provide(Logger.remove(Logger.defaultLogger)),
    Effect.runPromise
  )
