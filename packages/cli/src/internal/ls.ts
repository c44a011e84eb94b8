/**
 * `hilok ls`: who holds what.
 */
import { HierarchicalLock, type LockEntry, type LockError } from "@hilok/core"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { clean, json } from "./clean.ts"
import type { LsInput } from "./commands.ts"
import { usage } from "./failure.ts"
import { lookup } from "./ids.ts"
import * as paths from "./paths.ts"
import { print } from "./print.ts"
import * as render from "./render.ts"
import * as server from "./server.ts"
import { onSignal, signalCode } from "./signals.ts"
import { paint, screenOf, span } from "./text.ts"

interface Found {
  readonly entries: ReadonlyArray<LockEntry.LockEntry>
  /** All that is known by its id: also those in the way that are elsewhere in the tree. */
  readonly byId: ReadonlyMap<string, LockEntry.LockEntry>
}

const withBlockers = (entries: ReadonlyArray<LockEntry.LockEntry>) =>
  Effect.gen(function* () {
    const byId = new Map(entries.map((entry) => [entry.id, entry]))
    const elsewhere = new Set(entries.flatMap(({ blockedBy }) => blockedBy ?? []).filter((id) => !byId.has(id)))
    for (const blocker of yield* Effect.forEach(elsewhere, lookup, { concurrency: 20 })) {
      if (blocker !== undefined) byId.set(blocker.id, blocker)
    }
    return { entries, byId }
  })

const formatOf = ({ values }: LsInput) => (values.json ? "json" : values.output)

/** `elapsed`: how long ago it was found (milliseconds). */
const linesOf = (found: Found, input: LsInput, separator: string, elapsed = 0): ReadonlyArray<string> => {
  const format = formatOf(input)
  const { byId } = found
  const entries = found.entries
    .map((entry) => ({
      ...entry,
      age: entry.age + elapsed,
      timeLeft: entry.timeLeft && entry.timeLeft - elapsed
    }))
    .filter(({ age }) => age >= (input.values.olderThan ?? 0))
  if (format === "json") return json(entries, 2).split("\n")
  if (entries.length === 0) return ["Nothing is held, and nobody waits."]
  const picture = { entries, byId, separator, screen: screenOf(process.stdout), wide: input.values.wide }
  return format === "tree" ? render.tree(picture) : render.table(picture)
}

// The other screen, as editors have it, without a cursor and without a new line where one is too long.
const enter = "\x1b[?1049h\x1b[?25l\x1b[?7l"
const leave = "\x1b[?7h\x1b[?25h\x1b[?1049l"

/**
 * While the scope is open the terminal is ours, but for the time that Ctrl-Z stops the process. Answers with what draws
 * over what was drawn before, as much as there is room for.
 */
const openScreen: Effect.Effect<(lines: ReadonlyArray<string>) => void, never, Scope.Scope> = Effect.acquireRelease(
  Effect.sync(() => {
    let isOurs = false
    const begin = () => {
      isOurs = true
      process.stdout.write(enter)
    }
    const end = () => {
      isOurs = false
      process.stdout.write(leave)
    }
    const stop = () => {
      end()
      process.kill(process.pid, "SIGSTOP")
    }
    begin()
    process.on("SIGTSTP", stop).on("SIGCONT", begin)
    return {
      close: () => {
        process.off("SIGTSTP", stop).off("SIGCONT", begin)
        end()
      },
      draw: (lines: ReadonlyArray<string>) => {
        if (isOurs) process.stdout.write(frame(lines, process.stdout.rows || 24))
      }
    }
  }),
  ({ close }) => Effect.sync(close)
).pipe(Effect.map(({ draw }) => draw))

const frame = (lines: ReadonlyArray<string>, rows: number): string => {
  const below = lines.length < rows ? "\r\n\x1b[J" : ""
  const shown = lines.length <= rows ? lines : [...lines.slice(0, rows - 1), `… ${lines.length - rows + 1} more lines`]
  // Each line is erased first: behind a line that fills the row it would lose its last character.
  return `\x1b[H${shown.map((line) => `\x1b[2K${line}`).join("\r\n")}${below}`
}

const watch = (
  input: LsInput,
  separator: string
): Effect.Effect<number, LockError.LockError, server.Service | Scope.Scope> =>
  Effect.gen(function* () {
    const draw = yield* openScreen
    // What there is to see by now.
    let lines = (_now: number): ReadonlyArray<string> => []
    const redraw = Effect.map(Clock.currentTimeMillis, (now) => draw(lines(now)))
    const show = (next: typeof lines) =>
      Effect.suspend(() => {
        lines = next
        return redraw
      })
    const follow = HierarchicalLock.changes(input.args[0], { refreshes: true }).pipe(
      Stream.mapEffect(withBlockers),
      Stream.runForEach((found) =>
        Effect.flatMap(Clock.currentTimeMillis, (at) => show((now) => linesOf(found, input, separator, now - at)))
      ),
      // It may be there again soon.
      Effect.catchTag("StoreError", ({ message }) => {
        const line = [span(clean(message), "red")]
        return show(() => [paint(line, screenOf(process.stdout))])
      }),
      Effect.zipRight(Effect.sleep("1 second")),
      Effect.forever
    )
    const resized = Effect.async<void>((resume) => {
      const onResize = () => resume(Effect.void)
      process.stdout.once("resize", onResize)
      return Effect.sync(() => process.stdout.off("resize", onResize))
    })
    const tick = Effect.forever(Effect.zipRight(Effect.raceFirst(resized, Effect.sleep("1 second")), redraw))
    const ended = Effect.async<number>((resume) =>
      // Ctrl-C is how one leaves it.
      onSignal((signal) => resume(Effect.succeed(signal === "SIGINT" ? 0 : signalCode(signal))))
    )
    return yield* Effect.raceFirst(ended, Effect.raceFirst(follow, tick))
  })

/** Answers with the exit code. */
export const ls = (input: LsInput) =>
  Effect.gen(function* () {
    if (input.values.watch && (!process.stdout.isTTY || formatOf(input) === "json")) {
      return yield* Effect.fail(usage("--watch draws a tree or a table in a terminal, and only there"))
    }
    const separator = yield* server.separator
    yield* paths.check(input.args[0] ?? "", separator)
    const shown = input.values.watch
      ? watch(input, separator)
      : HierarchicalLock.inspect(input.args[0]).pipe(
          Effect.flatMap(withBlockers),
          Effect.flatMap((found) => print(linesOf(found, input, separator))),
          Effect.as(0)
        )
    return yield* Effect.provide(Effect.scoped(shown), server.layer(input.values))
  })
