/**
 * The command never runs on without its lock: whatever stops or ends `hilok`.
 */
import { spawn } from "node:child_process"
import { randomUUID } from "node:crypto"
import { once } from "node:events"
import { beforeAll, describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { script } from "../src/internal/watcher.ts"
import { bin, site, timeLimit, until } from "./support/hilok.ts"
import { gone, isAlive, send, stopped } from "./support/processes.ts"
import { sharedServer } from "./support/sharedServer.ts"
import * as Terminal from "./support/terminal.ts"
import { ensure } from "./support/tools.ts"

const server = sharedServer()

beforeAll(() => ensure("tmux"), 300_000)

/** Waits without starting anything: a shell that is stopped while it starts a command is not in the state of one that is. */
const calm = "sleep 60 & wait"
const busy = "while :; do sleep 0.05; done"
/** A command with a child that is as busy as itself: tells both their ids. */
const family = `sh -c '${busy}' & echo "pids $$ $!."; ${busy}`
const pidsIn = ([, parent, child]: ReadonlyArray<string>) => [Number(parent), Number(child)] as const

describe("hilok run: stopped and woken", () => {
  it.scopedLive(
    "TSTP stops the command's group, too; when the lock is still there after CONT, it goes on",
    () =>
      Effect.gen(function* () {
        const { locks, spawn } = yield* site(server())
        const line = `trap 'exit 7' USR1; sh -c '${calm}' & echo "pids $$ $!."; wait`
        const running = yield* spawn("run", "--ttl", "1m", "a", "--", "sh", "-c", line)
        const pids = pidsIn(yield* running.prints(/pids (\d+) (\d+)\./))
        for (const signal of ["SIGTSTP", "SIGTTIN"] as const) {
          yield* running.kill(signal)
          yield* Effect.forEach([running.pid, ...pids], stopped)
          yield* running.kill("SIGCONT")
          yield* until(
            Effect.sync(() => pids.map(isAlive)),
            (alive) => alive.every((one) => one)
          )
        }
        // It would not hear it if it were stopped.
        yield* running.kill("SIGUSR1")
        expect((yield* running.exit).code).toBe(7)
        yield* gone(pids[1])
        expect(yield* locks.inspect()).toEqual([])
      }),
    timeLimit
  )

  it.scopedLive(
    "when another has the lock after CONT, the command is ended without going on, with 79",
    () =>
      Effect.gen(function* () {
        const { locks, spawn } = yield* site(server())
        const line = `trap 'exit 0' TERM; echo "pids $$ 0."; ${calm}`
        const running = yield* spawn("run", "--ttl", "1s", "a", "--", "sh", "-c", line)
        const [pid] = pidsIn(yield* running.prints(/pids (\d+) (\d+)\./))
        yield* running.kill("SIGTSTP")
        yield* Effect.forEach([running.pid, pid], stopped)
        yield* locks.write("a", { label: "other" })
        yield* running.kill("SIGCONT")
        const { code, stderr } = yield* running.exit
        expect(code).toBe(79)
        expect(stderr).toContain("ending the command")
        yield* gone(pid)
        expect(yield* locks.inspect()).toMatchObject([{ label: "other" }])
      }),
    timeLimit
  )

  it.scopedLive(
    "Ctrl-Z in a terminal, when the input is another: both stop, and fg goes on with both",
    () =>
      Effect.gen(function* () {
        const { env, locks } = yield* site(server())
        const terminal = yield* Terminal.open({ ...env, HILOK: bin })
        const line = `trap "exit 5" USR1; echo pid $$.; ${calm}`
        yield* terminal.type(`clear; $HILOK run --ttl 1m a -- sh -c '${line}' </dev/null`, "Enter")
        const [, shown] = /pid (\d+)\./.exec(yield* terminal.shows(/pid \d+\./)) ?? []
        const [entry] = yield* locks.inspect()
        yield* terminal.type("C-z")
        yield* Effect.forEach([Number(shown), entry!.pid!], stopped)
        yield* terminal.type("clear; fg; echo code $?", "Enter")
        yield* until(
          Effect.sync(() => isAlive(Number(shown))),
          (alive) => alive
        )
        yield* send(entry!.pid!, "SIGUSR1")
        yield* terminal.shows(/code 5/)
        expect(yield* locks.inspect()).toEqual([])
      }),
    timeLimit
  )

  it.scopedLive(
    "Ctrl-Z in a terminal: after fg the command is ended when its lock is gone, one that does not listen included",
    () =>
      Effect.gen(function* () {
        const { env, locks } = yield* site(server())
        const terminal = yield* Terminal.open({ ...env, HILOK: bin })
        const line = `trap "" TSTP; echo pid $$.; ${calm}`
        yield* terminal.type(`clear; $HILOK run --ttl 1s a -- sh -c '${line}'; echo code $?`, "Enter")
        const [, shown] = /pid (\d+)\./.exec(yield* terminal.shows(/pid \d+\./)) ?? []
        const [entry] = yield* locks.inspect()
        yield* terminal.type("C-z")
        yield* Effect.forEach([Number(shown), entry!.pid!], stopped)
        const other = yield* locks.write("a", { label: "other" })
        yield* terminal.type("clear; fg; echo then $?", "Enter")
        yield* terminal.shows(/then 79/)
        yield* gone(Number(shown))
        yield* locks.release(other)
      }),
    timeLimit
  )
})

describe("hilok run: every signal", () => {
  it.scopedLive(
    "that can be handled goes to the command",
    () =>
      Effect.gen(function* () {
        const { spawn } = yield* site(server())
        const signals = [
          "HUP",
          "INT",
          "QUIT",
          "USR1",
          "USR2",
          "ALRM",
          "WINCH",
          "PIPE",
          "URG",
          "VTALRM",
          "XCPU"
        ] as const
        const traps = signals.map((name) => `trap 'echo got ${name}.' ${name}`).join("; ")
        const line = `${traps}; trap 'exit 3' TERM; echo started; ${busy}`
        const running = yield* spawn("run", "a", "--", "bash", "-c", line)
        yield* running.prints(/started/)
        for (const name of signals) {
          yield* running.kill(`SIG${name}`)
          yield* running.prints(new RegExp(`got ${name}\\.`))
        }
        yield* running.kill("SIGTERM")
        const { code, stderr } = yield* running.exit
        expect(code).toBe(3)
        expect(stderr).not.toContain("Debugger")
      }),
    timeLimit
  )

  it.scopedLive(
    "that would end it ends the wait, and the request leaves the queue",
    () =>
      Effect.gen(function* () {
        const { locks, spawn } = yield* site(server())
        yield* locks.write("a")
        const signals = { SIGUSR1: 138, SIGUSR2: 140, SIGALRM: 142, SIGXCPU: 152 } as const
        const names = Object.keys(signals) as Array<keyof typeof signals>
        const waiting = yield* Effect.forEach(names, () => spawn("run", "a", "--", "true"))
        yield* until(locks.inspect(), ({ length }) => length === names.length + 1)
        for (const [i, name] of names.entries()) yield* waiting[i]!.kill(name)
        const results = yield* Effect.forEach(waiting, ({ exit }) => exit)
        const linux = process.platform === "linux" ? results.map(({ code }) => code) : Object.values(signals)
        expect(linux).toEqual(Object.values(signals))
        expect(results.map(({ stderr }) => stderr)).toEqual(["", "", "", ""])
        expect(yield* locks.inspect()).toHaveLength(1)
      }),
    timeLimit
  )
})

describe("hilok run: killed by -9", () => {
  it.scopedLive(
    "the command and its group are ended before its lease is, one that does not listen to TERM included",
    () =>
      Effect.gen(function* () {
        const { locks, spawn } = yield* site(server())
        const stubborn = `trap '' TERM; ${family}`
        const running = yield* spawn("run", "--ttl", "6s", "a", "--", "sh", "-c", stubborn)
        const pids = pidsIn(yield* running.prints(/pids (\d+) (\d+)\./))
        yield* running.kill("SIGKILL")
        const waiting = yield* Effect.forkScoped(locks.write("a", { onLost: "signal" }))
        yield* Effect.forEach(pids, gone)
        // Nobody has got the lock so far.
        expect((yield* locks.inspect()).map(({ state }) => state)).toEqual(["held", "waiting"])
        expect((yield* running.exit).stderr).toContain("hilok: killed; ending the command")
        expect(waiting.unsafePoll()).toBeNull()
      }),
    timeLimit
  )

  it.scopedLive(
    "also when hilok was killed before it could tell its watcher which process the command is",
    () =>
      Effect.gen(function* () {
        const id = randomUUID()
        const env = { PATH: process.env.PATH, HILOK_ID: id }
        for (const mode of ["group", "family"]) {
          const command = spawn("sleep", ["60"], { env, detached: true, stdio: "ignore" })
          const over = once(command, "exit")
          spawn("sh", ["-c", script, "watch", "10", mode, id], { stdio: ["pipe", "ignore", "ignore"] }).stdin?.end()
          expect(yield* Effect.promise(() => over)).toEqual([null, "SIGTERM"])
        }
      }),
    { timeout: timeLimit, skip: process.platform !== "linux" }
  )

  it.scopedLive(
    "with --no-watch it goes on",
    () =>
      Effect.gen(function* () {
        const { locks, spawn } = yield* site(server())
        const running = yield* spawn("run", "--ttl", "1s", "--no-watch", "a", "--", "sh", "-c", family)
        const pids = pidsIn(yield* running.prints(/pids (\d+) (\d+)\./))
        yield* running.kill("SIGKILL")
        yield* locks.write("a")
        expect(pids.map(isAlive)).toEqual([true, true])
        for (const pid of pids) yield* send(pid, "SIGKILL")
      }),
    timeLimit
  )

  it.scopedLive(
    "what the command has left behind lives on when all is well",
    () =>
      Effect.gen(function* () {
        const { hilok } = yield* site(server())
        const line = `sh -c '${busy}' >/dev/null 2>&1 & echo $!`
        const { code, stdout } = yield* hilok("run", "a", "--", "sh", "-c", line)
        expect(code).toBe(0)
        expect(isAlive(Number(stdout))).toBe(true)
        yield* send(Number(stdout), "SIGKILL")
      }),
    timeLimit
  )

  it.scopedLive(
    "in a terminal, where the group is not the command's alone, all that it has started is ended",
    () =>
      Effect.gen(function* () {
        const { env, locks } = yield* site(server())
        const terminal = yield* Terminal.open({ ...env, HILOK: bin })
        const line = `sh -c "${busy}" & echo "pids $$ $!."; ${busy}`
        yield* terminal.type(`clear; $HILOK run --ttl 6s a -- sh -c '${line}'; echo code $?`, "Enter")
        const screen = yield* terminal.shows(/pids \d+ \d+\./)
        const pids = pidsIn(/pids (\d+) (\d+)\./.exec(screen)!)
        const [entry] = yield* locks.inspect()
        yield* send(entry!.pid!, "SIGKILL")
        yield* terminal.shows(/code 137/)
        yield* Effect.forEach(pids, gone)
        // The shell is still there.
        yield* terminal.type("clear; echo still here", "Enter")
        yield* terminal.shows(/^still here/m)
      }),
    timeLimit
  )
})

describe("hilok run: waiting", () => {
  it.scopedLive(
    "on a terminal, it is shown for whom, and kept up to date",
    () =>
      Effect.gen(function* () {
        const { env, locks, spawn } = yield* site(server())
        const first = yield* locks.write("a", { label: "first\x1b[31m", onLost: "signal" })
        yield* spawn("run", "--label", "second", "a/b", "--", "sleep", "60")
        yield* until(locks.inspect(), ({ length }) => length === 2)
        const terminal = yield* Terminal.open({ ...env, HILOK: bin })
        yield* terminal.type("clear; $HILOK run -s a -- echo done", "Enter")
        const screen = yield* terminal.shows(/waiting for read "a": .*2nd in line/)
        expect(screen).toMatch(/(held by "first\\u001b\[31m"|behind "second") on \S+ \(pid \d+\) for [\d.]+s/)
        yield* locks.release(first)
        yield* terminal.shows(/held by "second" .*1st in line/)
        const [second] = yield* locks.inspect("a/b")
        yield* locks.breakLease(second!.id)
        const after = yield* terminal.shows(/done/)
        expect(after).not.toContain("waiting for")
      }),
    timeLimit
  )

  it.scopedLive(
    "elsewhere with -v, a line for each change; with -q nothing at all",
    () =>
      Effect.gen(function* () {
        const { hilok, locks, spawn } = yield* site(server())
        const lease = yield* locks.write("a", { label: "first", onLost: "signal" })
        const verbose = yield* spawn("run", "-v", "a", "--", "echo", "done")
        yield* verbose.prints(/waiting for write "a": held by "first" on .* for [\d.]+s, 1st in line/)
        expect(yield* hilok("run", "-qn", "a", "--", "true")).toMatchObject({ code: 75, stdout: "", stderr: "" })
        expect(yield* hilok("acquire", "-q", "-w", "0.1", "a")).toMatchObject({ code: 75, stdout: "", stderr: "" })
        yield* locks.release(lease)
        const { code, stderr } = yield* verbose.exit
        expect(code).toBe(0)
        expect(stderr.match(/waiting for/g)).toHaveLength(1)
      }),
    timeLimit
  )
})
