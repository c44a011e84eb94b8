import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert } from "@effect/vitest"
import { Effect } from "effect"
import { hilok } from "./support/hilok.ts"
import { timeLimit, withProgram } from "./support/tests.ts"

const node = (script: string, ...args: ReadonlyArray<string>) => [process.execPath, "-e", script, ...args]

withProgram("hilok run", (it) => {
  it.scoped(
    "ends as its command ends, and leaves nothing",
    () =>
      Effect.gen(function* () {
        const { inspect, run } = yield* hilok
        const codeOf = (...command: ReadonlyArray<string>) =>
          Effect.map(run(["run", "a/b", "--", ...command]), ({ code }) => code)
        assert.deepStrictEqual(
          yield* Effect.all(
            [
              codeOf("true"),
              codeOf("sh", "-c", "exit 3"),
              codeOf("sh", "-c", "exit 255"),
              codeOf("sh", "-c", "kill -TERM $$"),
              codeOf("sh", "-c", "kill -KILL $$")
            ],
            { concurrency: 2 }
          ),
          [0, 3, 255, 143, 137]
        )
        assert.deepStrictEqual(yield* inspect, [])
      }),
    timeLimit
  )

  it.scoped(
    "says what is wrong with a command that cannot be run: 127 not found, 126 not executable",
    () =>
      Effect.gen(function* () {
        const { inspect, run } = yield* hilok
        const missing = yield* run(["run", "a", "--", "no-such-command"])
        assert.deepStrictEqual([missing.code, missing.stdout], [127, ""])
        assert.include(missing.stderr, "no-such-command could not be run: it was not found")
        const folder = yield* Effect.acquireRelease(
          Effect.sync(() => mkdtempSync(join(tmpdir(), "hilok-"))),
          (path) => Effect.sync(() => rmSync(path, { recursive: true }))
        )
        const file = join(folder, "data")
        writeFileSync(file, "no program")
        chmodSync(file, 0o644)
        const data = yield* run(["run", "a", "--", file])
        assert.strictEqual(data.code, 126)
        assert.include(data.stderr, "it is not executable")
        assert.deepStrictEqual(yield* inspect, [])
      }),
    timeLimit
  )

  const usage: ReadonlyArray<readonly [says: string, args: ReadonlyArray<string>]> = [
    ["no command", ["run", "a"]],
    ["no command", ["run", "a", "--"]],
    ["no path to lock", ["run", "--", "true"]],
    ["no path follows -s", ["run", "a", "-s", "--", "true"]],
    ["--frobnicate is not known", ["run", "--frobnicate", "a", "--", "true"]],
    ["takes no option --watch", ["run", "--watch", "a", "--", "true"]],
    [`but must be a duration such as 500ms`, ["run", "-w", "soon", "a", "--", "true"]],
    [`--wait is "30", but must be a duration`, ["run", "-w", "30", "a", "--", "true"]],
    ["more than zero", ["run", "--ttl", "0s", "a", "--", "true"]],
    ["a number from 0 to 255", ["run", "-E", "256", "a", "--", "true"]],
    ["cannot be combined", ["run", "-n", "-w", "3s", "a", "--", "true"]],
    ["at most 128 are allowed", ["run", "a/".repeat(129), "--", "true"]],
    ["it must begin with", ["run", "-u", "http://localhost", "a", "--", "true"]],
    ["no value follows --ttl", ["run", "a", "--ttl", "--", "true"]]
  ]
  it.scoped(
    "refuses what it does not understand with 64, and runs nothing",
    () =>
      Effect.gen(function* () {
        const { run } = yield* hilok
        yield* Effect.forEach(
          usage,
          ([says, args]) =>
            Effect.map(run(args), ({ code, stderr, stdout }) => {
              assert.deepStrictEqual([code, stdout], [64, ""], args.join(" "))
              assert.include(stderr, says)
            }),
          { concurrency: 2 }
        )
        const { code, stderr } = yield* run(["run", "a", "--", "true"], { env: { HILOK_TTL: "abc" } })
        assert.strictEqual(code, 64)
        assert.include(stderr, "HILOK_TTL")
      }),
    timeLimit
  )

  it.scoped(
    "ends with 69 when there is no server, and shows no password",
    () =>
      Effect.gen(function* () {
        const { run } = yield* hilok
        const url = "redis://user:hunter2@127.0.0.1:1"
        const { code, stderr, stdout } = yield* run(["run", "-u", url, "--connect-timeout", "300ms", "a", "--", "echo"])
        assert.deepStrictEqual([code, stdout], [69, ""])
        assert.include(stderr, "nothing listens at the address")
        assert.notInclude(stderr, "hunter2")
      }),
    timeLimit
  )

  it.scoped(
    "does not run what another keeps out: at once with -n, later with -w; readers let each other in",
    () =>
      Effect.gen(function* () {
        const { run, shows, start } = yield* hilok
        const holder = yield* start(["run", "--label", "nightly", "a/b", "--", "cat"])
        yield* shows(1, 0)
        const busy = (...args: ReadonlyArray<string>) => run(["run", ...args, "--", "echo", "ran"])
        const [now, zero, soon, other] = yield* Effect.all(
          [busy("-n", "a/b"), busy("-w", "0", "a/b/c"), busy("-w200ms", "-E9", "-s", "a"), busy("-n", "c")],
          { concurrency: 2 }
        )
        assert.deepStrictEqual([now.code, now.stdout], [75, ""])
        assert.include(now.stderr, 'held by "nightly"')
        assert.deepStrictEqual([zero.code, zero.stdout], [75, ""])
        assert.deepStrictEqual([soon.code, soon.stdout], [9, ""])
        assert.include(soon.stderr, "not granted within 200 ms")
        assert.deepStrictEqual([other.code, other.stdout], [0, "ran\n"])
        const waiter = yield* start(["run", "-v", "a/b", "--", "echo", "at last"])
        yield* shows(1, 1)
        assert.strictEqual(waiter.stdout(), "")
        yield* holder.closeInput
        assert.strictEqual((yield* holder.end).code, 0)
        const { code, stderr, stdout } = yield* waiter.end
        assert.deepStrictEqual([code, stdout], [0, "at last\n"])
        assert.match(stderr, /^hilok: got write "a\/b" after .*, token \d+, id /m)

        const reader = yield* start(["run", "-s", "a", "--", "cat"])
        yield* shows(1, 0)
        const second = yield* busy("-n", "--read", "a/b")
        assert.deepStrictEqual([second.code, second.stdout], [0, "ran\n"])
        assert.strictEqual((yield* busy("-n", "-x", "a/b")).code, 75)
        yield* reader.closeInput
        assert.strictEqual((yield* reader.end).code, 0)
      }),
    timeLimit
  )

  it.scoped(
    "asks for several paths in several modes at once",
    () =>
      Effect.gen(function* () {
        const { shows, start } = yield* hilok
        const running = yield* start([
          ..."run w1 --read r1 r2 --write w2 --read-node rn --write-node=wn w3 --reason".split(" "),
          " it must --be ",
          ..."-- cat".split(" ")
        ])
        const [entry] = yield* shows(1, 0)
        assert.deepStrictEqual(
          entry?.targets.map(({ mode, path }) => `${mode} ${path}`).sort(),
          ["read r1", "read r2", "readNode rn", "writeNode wn", "write w1", "write w2", "readNode w3"].sort()
        )
        assert.deepStrictEqual([entry?.reason, entry?.label, entry?.pid], [" it must --be ", "cat", running.pid])
        yield* running.closeInput
        yield* running.end
      }),
    timeLimit
  )

  it.scoped(
    "hands the arguments on as they are, with the standard input, and tells of the lease",
    () =>
      Effect.gen(function* () {
        const { start } = yield* hilok
        const args = [
          "a b",
          "",
          "it's",
          '"quoted"',
          "--",
          "-n",
          "--help",
          "$HOME",
          "*",
          "ünï ☂ 漢字",
          "line\nbreak",
          "\\"
        ]
        const script = `process.stdin.on("data", (input) => console.log(JSON.stringify({
          args: process.argv.slice(1), input: String(input),
          env: Object.fromEntries(Object.entries(process.env).filter(([name]) => /^HILOK_(ID|TOKEN|PATHS|WITHIN)$/.test(name)))
        })))`
        const running = yield* start(["run", "-s", "x y", "-x", "z", "--", ...node(script, "--", ...args)])
        yield* running.write("what is typed")
        yield* running.closeInput
        const { code, stderr, stdout } = yield* running.end
        assert.deepStrictEqual([code, stderr], [0, ""])
        const told = JSON.parse(stdout)
        assert.deepStrictEqual(told.args, args)
        assert.strictEqual(told.input, "what is typed")
        assert.match(told.env.HILOK_ID, /^[0-9a-f-]{36}$/)
        assert.isAbove(Number(told.env.HILOK_TOKEN), 1e15)
        assert.strictEqual(told.env.HILOK_PATHS, "x y\nz")
        assert.strictEqual(told.env.HILOK_WITHIN, told.env.HILOK_ID)
      }),
    timeLimit
  )

  it.scoped(
    "neither holds output back nor cuts it",
    () =>
      Effect.gen(function* () {
        const { start } = yield* hilok
        const megabytes = 20
        const script = `
          process.stdout.write("first\\n")
          process.stdin.once("data", () => {
            process.stdin.pause()
            for (let i = 0; i < ${megabytes}; i++) process.stdout.write("x".repeat(2 ** 20))
          })`
        const running = yield* start(["run", "a", "--", ...node(script)])
        yield* running.says("first\n")
        yield* running.write("go on")
        yield* running.closeInput
        const { code, stdout } = yield* running.end
        assert.deepStrictEqual([code, stdout.length], [0, 6 + megabytes * 2 ** 20])
      }),
    timeLimit
  )

  it.scoped(
    "knows the lease that it runs in: no deadlock with its own parent, but with others as ever",
    () =>
      Effect.gen(function* () {
        const { env, file, inspect, run, shows, start } = yield* hilok
        const nested = (...args: ReadonlyArray<string>) => [process.execPath, file, "run", ...args]
        const own = yield* run([
          ...["run", "a", "--", ...nested("-n", "a/b", "--")],
          ...nested("-n", "-s", "/", "--", "sh", "-c", "echo $HILOK_WITHIN,$HILOK_ID")
        ])
        assert.strictEqual(own.code, 0)
        const ids = own.stdout.trim().split(",")
        assert.deepStrictEqual([ids.length, ids[2]], [4, ids[3]])

        const other = yield* start(["run", "b", "--", "cat"])
        yield* shows(1, 0)
        assert.strictEqual((yield* run(["run", "a", "--", ...nested("-n", "b", "--", "true")])).code, 75)
        // What is not live any more encloses nothing.
        const stale = { ...env, HILOK_WITHIN: `${ids[0]},nonsense here,` }
        assert.strictEqual((yield* run(["run", "-n", "b/c", "--", "true"], { env: stale })).code, 75)
        yield* other.closeInput
        yield* other.end
        assert.deepStrictEqual(yield* inspect, [])
      }),
    timeLimit
  )
})
