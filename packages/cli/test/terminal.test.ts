import { beforeAll, describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { start } from "../../redis/test/support/server.ts"
import { bin, site, timeLimit, until } from "./support/hilok.ts"
import { sharedServer } from "./support/sharedServer.ts"
import * as Terminal from "./support/terminal.ts"
import { ensure } from "./support/tools.ts"

const server = sharedServer()

beforeAll(() => ensure("tmux"), 300_000)

const open = Effect.gen(function* () {
  const all = yield* site(server())
  return { ...all, terminal: yield* Terminal.open({ ...all.env, HILOK: bin, LC_ALL: "C.UTF-8" }) }
})

const isAlive = (pid: number): boolean => {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

describe("in a terminal", () => {
  it.scopedLive(
    "ls --watch redraws in place, follows the size, and Ctrl-C leaves the terminal as it was",
    () =>
      Effect.gen(function* () {
        const { locks, terminal } = yield* open
        yield* terminal.type("clear; $HILOK ls --watch; echo code $?", "Enter")
        yield* terminal.shows(/Nothing is held/)
        expect(yield* terminal.isCursorShown).toBe(false)
        const lease = yield* locks.write("倉庫/a", { label: "夜間" })
        const screen = yield* terminal.shows(/倉庫/)
        expect(screen).not.toContain("Nothing is held")
        // biome-ignore lint/suspicious/noControlCharactersInRegex: a colour begins with one
        expect(screen).toMatch(/\x1b\[[\d;]*3[1-6]m/)
        yield* terminal.type("C-z")
        yield* until(terminal.isCursorShown, (shown) => shown)
        yield* terminal.type("clear; fg; echo code $?", "Enter")
        yield* terminal.shows(/倉庫/)
        expect(yield* terminal.isCursorShown).toBe(false)
        yield* terminal.resize(40, 10)
        yield* terminal.shows(/…/)
        yield* locks.release(lease)
        yield* until(terminal.screen, (text) => /Nothing is held/.test(text) && !text.includes("倉庫"))
        yield* terminal.type("C-c")
        yield* terminal.shows(/code 0/)
        expect(yield* terminal.isCursorShown).toBe(true)
      }),
    timeLimit
  )

  it.scopedLive(
    "break asks, and does what it is told",
    () =>
      Effect.gen(function* () {
        const { locks, terminal } = yield* open
        const lease = yield* locks.write("a", { label: "other", onLost: "signal" })
        yield* terminal.type(`$HILOK break ${lease.id}; echo first $?`, "Enter")
        yield* terminal.shows(/Break this lease\? \[y\/N\]/)
        yield* terminal.type("n", "Enter")
        yield* terminal.shows(/first 1/)
        expect(yield* locks.inspect()).toHaveLength(1)
        yield* terminal.type("clear; echo second time; $HILOK break --all a; echo second $?", "Enter")
        // Not the question of the time before.
        yield* terminal.shows(/^second time$.*Break this lease\? \[y\/N\]/ms)
        yield* terminal.type("C-c")
        yield* terminal.shows(/second 130/)
        expect(yield* locks.inspect()).toHaveLength(1)
        yield* terminal.type("clear; echo third time; $HILOK break --all a; echo third $?", "Enter")
        // Not the question of the time before.
        yield* terminal.shows(/^third time$.*Break this lease\? \[y\/N\]/ms)
        yield* terminal.type("y", "Enter")
        yield* terminal.shows(/third 0/)
        expect(yield* locks.inspect()).toEqual([])
      }),
    timeLimit
  )

  it.scopedLive(
    "Ctrl-C ends the command, whose code is ours; its input is the terminal",
    () =>
      Effect.gen(function* () {
        const { locks, terminal } = yield* open
        // A shell that is interrupted just before it starts a command waits for that one first: each is short.
        const command = 'trap "exit 5" INT; read line; echo got $line; while :; do sleep 0.05; done'
        yield* terminal.type(`clear; $HILOK run a -- sh -c '${command}'; echo code $?`, "Enter")
        yield* until(locks.inspect(), ({ length }) => length === 1)
        yield* terminal.type("hello", "Enter")
        yield* terminal.shows(/got hello/)
        yield* terminal.type("C-c")
        yield* terminal.shows(/code 5/)
        expect(yield* locks.inspect()).toEqual([])
      }),
    timeLimit
  )

  it.scopedLive(
    "a loss reaches what the command has started, and not the shell",
    () =>
      Effect.gen(function* () {
        const { locks, terminal } = yield* open
        const stubborn = "trap : TERM; echo pid \\$\\$.; while :; do sleep 0.05; done"
        yield* terminal.type(
          `clear; $HILOK run --kill-after 300ms a -- sh -c "sh -c '${stubborn}' & wait"; echo code $?`,
          "Enter"
        )
        const screen = yield* terminal.shows(/pid \d+\./)
        const pid = Number(/pid (\d+)\./.exec(screen)?.[1])
        const [entry] = yield* locks.inspect()
        yield* locks.breakLease(entry!.id)
        yield* terminal.shows(/code 79/)
        yield* until(
          Effect.sync(() => isAlive(pid)),
          (alive) => !alive
        )
      }),
    timeLimit
  )

  it.scopedLive(
    "ls --watch goes on when the server is away, and shows as much as there is room for",
    () =>
      Effect.gen(function* () {
        const own = yield* start()
        const { env, locks } = yield* site(own)
        yield* Effect.forEach(Array(30).keys(), (i) => locks.read(`a/${i}`, { onLost: "signal" }))
        const terminal = yield* Terminal.open({ ...env, HILOK: bin, LC_ALL: "C.UTF-8", HILOK_COMMAND_TIMEOUT: "300ms" })
        yield* terminal.type("clear; $HILOK ls --watch; echo code $?", "Enter")
        yield* terminal.shows(/… 43 more lines/)
        yield* own.kill
        yield* terminal.shows(/lock store failed/)
        yield* terminal.type("C-c")
        yield* terminal.shows(/code 0/)
      }),
    timeLimit
  )

  it.scopedLive(
    "NO_COLOR has no colours",
    () =>
      Effect.gen(function* () {
        const { locks, terminal } = yield* open
        yield* locks.write("a", { label: "somebody" })
        yield* terminal.type("clear; $HILOK ls; echo code $?", "Enter")
        // biome-ignore lint/suspicious/noControlCharactersInRegex: a colour begins with one
        expect(yield* terminal.shows(/code 0/)).toMatch(/\x1b\[[\d;]*31m/)
        yield* terminal.type("clear; NO_COLOR=1 $HILOK ls; echo again $?", "Enter")
        const screen = yield* terminal.shows(/again 0/)
        expect(screen).toMatch(/● \w{8} write {2}somebody/)
        expect(screen).not.toContain("\x1b[")
      }),
    timeLimit
  )
})
