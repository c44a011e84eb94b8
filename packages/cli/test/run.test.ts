import { describe, expect, it } from "@effect/vitest"
import { HierarchicalLock, Target } from "@hilok/core"
import { Duration, Effect } from "effect"
import { start } from "../../redis/test/support/server.ts"
import { bin, launch, site, timeLimit, until } from "./support/hilok.ts"
import { sharedServer } from "./support/sharedServer.ts"

const server = sharedServer()

const waits = "echo started; exec sleep 60"

describe("hilok run: exit codes", () => {
  it.scopedLive(
    "the exit code is the child's own",
    () =>
      Effect.gen(function* () {
        const { hilok, locks } = yield* site(server())
        expect(yield* hilok("run", "a", "--", "sh", "-c", "exit 7")).toMatchObject({ code: 7, stderr: "" })
        expect((yield* hilok("run", "a", "--", "true")).code).toBe(0)
        expect((yield* hilok("run", "a", "--", "sh", "-c", "kill -9 $$")).code).toBe(137)
        expect(yield* locks.inspect()).toEqual([])
      }),
    timeLimit
  )

  it.scopedLive(
    "a command that is not there is 127, one that cannot be executed 126",
    () =>
      Effect.gen(function* () {
        const { hilok, locks } = yield* site(server())
        const missing = yield* hilok("run", "a", "--", "hilok-no-such-command")
        expect(missing.code).toBe(127)
        expect(missing.stderr).toContain("hilok-no-such-command: command not found")
        expect((yield* hilok("run", "a", "--", "")).code).toBe(127)
        expect((yield* hilok("run", "a", "--", "/etc/passwd")).code).toBe(126)
        expect(yield* locks.inspect()).toEqual([])
      }),
    timeLimit
  )

  it.scopedLive.each([
    { args: ["run", "a"], says: "command is missing" },
    { args: ["run", "--", "true"], says: "PATH" },
    { args: ["run", "-w", "3x", "a", "--", "true"], says: 'it is "3x", but must be a duration' },
    { args: ["run", "a", "-s", "--", "true"], says: "-s is the mode of the paths that follow" },
    { args: ["run", "--nonsense", "a", "--", "true"], says: "--nonsense" },
    { args: ["run", "-E", "300", "a", "--", "true"], says: "0 to 255" },
    { args: ["run", "-Ex", "a", "--", "true"], says: "0 to 255" },
    { args: ["run", "a", "--ttl", "--", "true"], says: "--ttl is followed by a value" },
    { args: ["run", "", "--", "true"], says: "empty" },
    { args: ["break", "--all", "", "--yes"], says: "empty" },
    { args: ["run", "--ttl", "0s", "a", "--", "true"], says: "more than zero" },
    { args: ["run", "-u", "http://x", "a", "--", "true"], says: "redis://" },
    { args: ["nonsense"], says: "There is no command" },
    { args: ["run", "a/../b", "--", "true"], says: 'the segment ".."' },
    { args: ["run", "--cert", "/nowhere", "a", "--", "true"], says: "--cert: ENOENT" },
    { args: ["run", "--sentinel", "a:b:c", "--master", "m", "a", "--", "true"], says: "host:port" },
    { args: ["run", "--sentinel", "a:1", "a", "--", "true"], says: "--master" },
    { args: ["run", "-qv", "a", "--", "true"], says: "exclude each other" }
  ])(
    "a wrong use is 64: $args",
    ({ args, says }) =>
      Effect.gen(function* () {
        const { hilok } = yield* site(server())
        const result = yield* hilok(...args)
        expect(result).toMatchObject({ code: 64, stdout: "" })
        expect(result.stderr).toContain(says)
      }),
    timeLimit
  )

  it.scopedLive(
    "a lock that is not free is 75, or what -E says",
    () =>
      Effect.gen(function* () {
        const { hilok, locks } = yield* site(server())
        yield* locks.locks([Target.write("a/b"), Target.write("c")])
        const results = yield* Effect.all(
          [
            hilok("run", "-n", "a", "--", "echo", "ran"),
            hilok("run", "-w", "0", "a", "--", "echo", "ran"),
            // Somewhere else: as it waits, it would be in the way of the others, too.
            hilok("run", "-w100ms", "-E9", "c", "--", "echo", "ran")
          ],
          { concurrency: "unbounded" }
        )
        expect(results.map(({ code }) => code)).toEqual([75, 75, 9])
        expect(results.map(({ stdout }) => stdout)).toEqual(["", "", ""])
        expect(results[0]!.stderr).toContain('held by "test"')
        expect((yield* locks.inspect()).length).toBe(1)
      }),
    timeLimit
  )
})

describe("hilok run: modes", () => {
  it.scopedLive(
    "two writers exclude each other, two readers do not",
    () =>
      Effect.gen(function* () {
        const { hilok, locks, spawn } = yield* site(server())
        const reader = yield* spawn("run", "-s", "a", "--", "sh", "-c", waits)
        yield* reader.prints(/started/)
        expect((yield* hilok("run", "-n", "--read", "a/b", "--", "true")).code).toBe(0)
        const writer = yield* spawn("run", "a/b", "--", "echo", "written")
        yield* until(locks.inspect(), (entries) => entries.some(({ state }) => state === "waiting"))
        yield* reader.kill("SIGTERM")
        expect((yield* reader.exit).code).toBe(143)
        expect(yield* writer.exit).toMatchObject({ code: 0, stdout: "written\n" })
      }),
    timeLimit
  )

  it.scopedLive(
    "a mode is for the paths that follow it, and all are one request",
    () =>
      Effect.gen(function* () {
        const { locks, spawn } = yield* site(server())
        const args = ["z", "-s", "a", "b", "--write", "c/d", "--read-node=e", "--write-node", "f"]
        const running = yield* spawn("run", ...args, "--reason", "a test", "--label", "me", "--", "sh", "-c", waits)
        yield* running.prints(/started/)
        const entries = yield* locks.inspect()
        expect(entries).toHaveLength(1)
        expect(entries[0]).toMatchObject({ label: "me", reason: "a test" })
        expect(entries[0]!.targets).toEqual([
          { mode: "write", path: "z" },
          { mode: "read", path: "a" },
          { mode: "read", path: "b" },
          { mode: "write", path: "c/d" },
          { mode: "readNode", path: "e" },
          { mode: "writeNode", path: "f" }
        ])
      }),
    timeLimit
  )
})

describe("hilok run: the child", () => {
  it.scopedLive(
    "gets its arguments as they are",
    () =>
      Effect.gen(function* () {
        const { hilok } = yield* site(server())
        const args = ["a b", "--", "-n", "--help", "it's", '"q"', "$HOME", "*", "", "żółw 🐢", "new\nline"]
        const print = "process.stdout.write(JSON.stringify(process.argv.slice(1)))"
        const { stdout } = yield* hilok("run", "a", "--", process.execPath, "-e", print, "--", ...args)
        expect(JSON.parse(stdout)).toEqual(args)
      }),
    timeLimit
  )

  it.scopedLive(
    "knows its lease, and a run inside it does not wait for it",
    () =>
      Effect.gen(function* () {
        const { hilok } = yield* site(server())
        const inner = 'echo "$HILOK_ID $HILOK_TOKEN $HILOK_WITHIN"'
        const outer = `echo "$HILOK_PATHS"; ${inner}; "$0" run -w 20s a/b -- sh -c '${inner}'`
        const { code, stdout } = yield* hilok("run", "a", "x y", "--", "sh", "-c", outer, bin)
        expect(code).toBe(0)
        const lines = stdout.trimEnd().split("\n")
        expect(lines.slice(0, 2)).toEqual(["a", "x y"])
        const [id, token, within] = lines[2]!.split(" ")
        const [innerId, innerToken, innerWithin] = lines[3]!.split(" ")
        expect(within).toBe(id)
        expect(innerWithin).toBe(`${id},${innerId}`)
        expect(Number(innerToken)).toBeGreaterThan(Number(token))
      }),
    timeLimit
  )

  it.scopedLive(
    "names of leases that have ended open no way past the queue",
    () =>
      Effect.gen(function* () {
        const { env, locks } = yield* site(server())
        const run = (within: string) =>
          Effect.flatMap(
            launch(["run", "-sn", "a", "--", "printenv", "HILOK_WITHIN"], { ...env, HILOK_WITHIN: within }),
            ({ exit }) => exit
          )
        const ended = yield* locks.write("a", { onLost: "signal" })
        yield* locks.release(ended)
        const reader = yield* locks.read("a")
        yield* Effect.forkScoped(HierarchicalLock.detached(locks.write("a")))
        yield* until(locks.inspect(), ({ length }) => length === 2)
        expect((yield* run(`${ended.id},no such id,`)).code).toBe(75)
        const inside = yield* run(`${ended.id},${reader.id}`)
        expect(inside.code).toBe(0)
        expect(inside.stdout).toMatch(new RegExp(`^${reader.id},[\\w-]+\n$`))
        const many = yield* run(Array.from({ length: 5000 }, (_, i) => `id-${i}`).join(","))
        expect(many.code).toBe(64)
        expect(many.stderr).toContain("HILOK_WITHIN")
        expect(many.stderr).toContain("at most 100")
      }),
    timeLimit
  )

  it.scopedLive(
    "may print a lot",
    () =>
      Effect.gen(function* () {
        const { hilok } = yield* site(server())
        const megabytes = 20
        const { code, stdout } = yield* hilok(
          "run",
          "a",
          "--",
          "sh",
          "-c",
          `head -c ${megabytes}000000 /dev/zero | tr '\\0' x`
        )
        expect(code).toBe(0)
        expect(stdout.length).toBe(megabytes * 1_000_000)
      }),
    timeLimit
  )

  it.scopedLive(
    "its words are its own: --verbose goes to standard error",
    () =>
      Effect.gen(function* () {
        const { hilok } = yield* site(server())
        const { stderr, stdout } = yield* hilok("run", "--verbose", "a", "--", "echo", "hello")
        expect(stdout).toBe("hello\n")
        expect(stderr).toMatch(/^hilok: granted write "a" after [\d.]+ ms, token \d+, id [\w-]+\n$/)
      }),
    timeLimit
  )
})

describe("hilok run: signals", () => {
  it.scopedLive(
    "while waiting, the request leaves the queue",
    () =>
      Effect.gen(function* () {
        const { locks, spawn } = yield* site(server())
        yield* locks.write("a")
        const signals = ["SIGHUP", "SIGINT", "SIGQUIT", "SIGTERM"] as const
        const waiting = yield* Effect.forEach(signals, () => spawn("run", "a", "--", "true"))
        yield* until(locks.inspect(), (entries) => entries.length === 5)
        for (const [i, signal] of signals.entries()) yield* waiting[i]!.kill(signal)
        const results = yield* Effect.forEach(waiting, ({ exit }) => exit)
        expect(results.map(({ code }) => code)).toEqual([129, 130, 131, 143])
        expect(yield* locks.inspect()).toHaveLength(1)
      }),
    timeLimit
  )

  it.scopedLive(
    "while the command runs, they go to its group, and its result is ours",
    () =>
      Effect.gen(function* () {
        const { locks, spawn } = yield* site(server())
        const graceful = yield* spawn(
          "run",
          "a",
          "--",
          "sh",
          "-c",
          "trap 'exit 5' INT; echo started; while :; do sleep 0.05; done"
        )
        const descendants = yield* spawn("run", "b", "--", "sh", "-c", "sleep 60 & echo started; wait; echo never")
        yield* Effect.all([graceful.prints(/started/), descendants.prints(/started/)])
        yield* graceful.kill("SIGINT")
        yield* descendants.kill("SIGTERM")
        expect((yield* graceful.exit).code).toBe(5)
        // Its output ends only when the one in the background has ended, too.
        expect(yield* descendants.exit).toMatchObject({ code: 143, stdout: "started\n" })
        expect(yield* locks.inspect()).toEqual([])
      }),
    timeLimit
  )
})

describe("hilok run: loss", () => {
  it.scopedLive(
    "a lock that is broken ends the command at once, with 79",
    () =>
      Effect.gen(function* () {
        const { hilok, locks, spawn } = yield* site(server())
        const running = yield* spawn(
          "run",
          "--ttl",
          "1h",
          "a",
          "--",
          "sh",
          "-c",
          "trap 'exit 0' TERM; echo started; while :; do sleep 0.05; done"
        )
        yield* running.prints(/started/)
        const [entry] = yield* locks.inspect()
        expect((yield* hilok("break", entry!.id, "--yes")).code).toBe(0)
        const { code, stderr } = yield* running.exit
        expect(code).toBe(79)
        expect(stderr).toContain("was broken by an operator")
      }),
    timeLimit
  )

  it.scopedLive(
    "a command that does not listen to TERM is killed after --kill-after, with its group",
    () =>
      Effect.gen(function* () {
        const { locks, spawn } = yield* site(server())
        const stubborn = `trap '' TERM; sh -c "trap '' TERM; while :; do sleep 0.05; done" & echo started; wait`
        const running = yield* spawn("run", "--kill-after", "200ms", "a", "--", "sh", "-c", stubborn)
        yield* running.prints(/started/)
        const [entry] = yield* locks.inspect()
        yield* locks.breakLease(entry!.id)
        expect((yield* running.exit).code).toBe(79)
      }),
    timeLimit
  )

  it.scopedLive(
    "--max-hold ends lock and command",
    () =>
      Effect.gen(function* () {
        const { hilok } = yield* site(server())
        const { code, stderr } = yield* hilok("run", "--max-hold", "300ms", "a", "--", "sleep", "60")
        expect(code).toBe(79)
        expect(stderr).toContain("held for longer than --max-hold")
      }),
    timeLimit
  )

  it.scopedLive(
    "when the server is gone, the command is ended by the local deadline",
    () =>
      Effect.gen(function* () {
        const own = yield* start()
        const { spawn } = yield* site(own)
        const running = yield* spawn("run", "--ttl", "1500ms", "a", "--", "sh", "-c", waits)
        yield* running.prints(/started/)
        yield* own.kill
        const [time, { code, stderr }] = yield* Effect.timed(running.exit)
        expect(code).toBe(79)
        expect(stderr).toContain("the store was not reached before the lease's deadline")
        expect(Duration.toMillis(time)).toBeLessThan(10_000)
      }),
    timeLimit
  )

  it.scopedLive(
    "kill -9 of hilok run frees the lock after the ttl",
    () =>
      Effect.gen(function* () {
        const { hilok, spawn } = yield* site(server())
        const running = yield* spawn("run", "--ttl", "2s", "a", "--", "sleep", "3")
        yield* until(hilok("run", "-n", "a", "--", "true"), ({ code }) => code === 75)
        yield* running.kill("SIGKILL")
        expect((yield* hilok("run", "-w", "20s", "a", "--", "true")).code).toBe(0)
      }),
    timeLimit
  )
})
