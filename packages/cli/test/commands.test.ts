import { describe, expect, it } from "@effect/vitest"
import { HierarchicalLock, type LockEntry } from "@hilok/core"
import { Effect } from "effect"
import stringWidth from "string-width"
import { start } from "../../redis/test/support/server.ts"
import * as render from "../src/internal/render.ts"
import { launch, site, timeLimit, until } from "./support/hilok.ts"
import { sharedServer } from "./support/sharedServer.ts"

const server = sharedServer()

/** A site with a writer of `db/users`, whose child runs until the test is over, and a reader of all of `db` behind it. */
const queue = Effect.gen(function* () {
  const all = yield* site(server())
  const writer = yield* all.locks.write("db/users", { label: "migration", reason: "add a column" })
  yield* Effect.forkScoped(HierarchicalLock.detached(all.locks.read("db", { label: "backup" })))
  const entries = yield* until(all.locks.inspect(), ({ length }) => length === 2)
  return { ...all, writer, waiting: entries.find(({ state }) => state === "waiting")!.id }
})

describe("hilok", () => {
  it.scopedLive(
    "tells its version and its options",
    () =>
      Effect.gen(function* () {
        const { hilok } = yield* site(server())
        expect(yield* hilok("--version")).toMatchObject({ code: 0, stdout: "0.1.0\n", stderr: "" })
        const help = yield* hilok("run", "--help")
        expect(help).toMatchObject({ code: 0, stderr: "" })
        expect(help.stdout).toContain("--conflict-exit-code")
        expect(help.stdout).not.toContain("\x1b")
        expect(help.stdout).toContain("hilok run [options] PATH… -- command args…\n")
        expect(yield* hilok("help", "run")).toEqual(help)
        expect((yield* hilok("-V")).stdout).toBe("0.1.0\n")
        for (const text of [help.stdout, (yield* hilok("--help")).stdout]) {
          expect(Math.max(...text.split("\n").map(({ length }) => length))).toBeLessThanOrEqual(80)
        }
      }),
    timeLimit
  )
})

describe("hilok ls", () => {
  it.scopedLive(
    "shows holders and the queue, without colours where there is no terminal",
    () =>
      Effect.gen(function* () {
        const { hilok, waiting, writer } = yield* queue
        const { code, stderr, stdout } = yield* hilok("ls")
        expect({ code, stderr }).toEqual({ code: 0, stderr: "" })
        const lines = stdout.trimEnd().split("\n")
        expect(lines).toHaveLength(5)
        expect(lines[0]).toBe("/")
        expect(lines[1]).toBe("└─ db")
        expect(lines[2]).toMatch(
          new RegExp(
            `^ {3}│ ○ 1\\. ${waiting.slice(0, 8)} read {2}backup {2}waits [\\d.]+s {2}behind migration \\(${writer.id.slice(0, 8)}\\)`
          )
        )
        expect(lines[3]).toBe("   └─ users")
        expect(lines[4]).toMatch(
          new RegExp(
            `^ {8}● ${writer.id.slice(0, 8)} write {2}migration {2}for [\\d.]+s, [\\d.]+s left {2}"add a column"`
          )
        )
      }),
    timeLimit
  )

  it.scopedLive(
    "as a table and as JSON, of a prefix, of what is old",
    () =>
      Effect.gen(function* () {
        const { hilok, waiting, writer } = yield* queue
        const table = yield* hilok("ls", "-o", "table")
        expect(table.stdout).toMatch(/^ID +PATH +MODE +STATE +AGE +LEFT +WHO +BLOCKED BY +WHERE +WHY\n/)
        expect(table.stdout.trimEnd().split("\n")).toHaveLength(3)
        expect(table.stdout).toContain(`\n${writer.id.slice(0, 8)}  `)
        expect((yield* hilok("ls", "-o", "table", "--wide")).stdout).toContain(`\n${writer.id}  `)
        const entries = JSON.parse((yield* hilok("ls", "--json")).stdout)
        expect(entries).toMatchObject([
          { id: writer.id, state: "held", targets: [{ mode: "write", path: "db/users" }], token: writer.token },
          { id: waiting, state: "waiting", blockedBy: writer.id }
        ])
        expect(JSON.parse((yield* hilok("ls", "db/users", "-o", "json")).stdout)).toHaveLength(1)
        expect(JSON.parse((yield* hilok("ls", "-o", "json", "--older-than", "1h")).stdout)).toEqual([])
        expect((yield* hilok("ls", "elsewhere")).stdout).toBe("Nothing is held, and nobody waits.\n")
        expect((yield* hilok("ls", "--watch")).code).toBe(64)
      }),
    timeLimit
  )

  it.scopedLive(
    "names who is in the way elsewhere in the tree, or is left out",
    () =>
      Effect.gen(function* () {
        const { hilok, locks } = yield* site(server())
        yield* locks.write("db", { label: "migration" })
        yield* Effect.forkScoped(HierarchicalLock.detached(locks.read("db/users")))
        yield* until(locks.inspect(), ({ length }) => length === 2)
        for (const output of ["tree", "table"]) {
          expect((yield* hilok("ls", "db/users", "-o", output)).stdout).toMatch(/migration \([\w-]{8}\)/)
        }
      }),
    timeLimit
  )

  it.scopedLive(
    "tells what a process only keeps from what it holds, and ends both",
    () =>
      Effect.gen(function* () {
        const { hilok, locks } = yield* site(server(), { delegates: true })
        // Kept, and nobody is in it.
        yield* locks.withWrite(Effect.void, "a")
        expect((yield* hilok("ls")).stdout).toMatch(/◌ [\w-]{8} write {2}test {2}kept for/)
        expect((yield* hilok("ls", "-o", "table")).stdout).toMatch(/ kept /)
        const [kept] = JSON.parse((yield* hilok("ls", "--json")).stdout)
        expect(kept).toMatchObject({ delegated: true, state: "held", targets: [{ mode: "write", path: "a" }] })
        expect((yield* hilok("show", kept.id)).stdout).toMatch(
          /^state +kept: a delegation, given back when somebody else asks$/m
        )
        // It is given back for one who does not wait.
        expect(yield* hilok("run", "-n", "a/b", "--", "echo", "mine")).toMatchObject({ code: 0, stdout: "mine\n" })
        expect((yield* hilok("ls")).stdout).toBe("Nothing is held, and nobody waits.\n")
        // Whoever works under it is stopped when it is broken.
        const work = yield* Effect.fork(Effect.flip(locks.withWrite(Effect.never, "b")))
        yield* until(hilok("ls"), ({ stdout }) => stdout.includes("◌"))
        expect((yield* hilok("break", "--all", "b", "--yes")).code).toBe(0)
        expect(yield* work).toMatchObject({ _tag: "LockLost", reason: "broken" })
      }),
    timeLimit
  )

  it.scopedLive(
    "shows hundreds of them",
    () =>
      Effect.gen(function* () {
        const { hilok, locks } = yield* site(server())
        yield* Effect.forEach(Array(300).keys(), (i) => locks.read(`a/${i}`), { concurrency: "unbounded" })
        expect((yield* hilok("ls", "-o", "table")).stdout.split("\n")).toHaveLength(302)
      }),
    timeLimit
  )

  const picture = (entries: ReadonlyArray<LockEntry.LockEntry>, columns?: number, color = false): render.Picture => ({
    entries,
    byId: new Map(),
    separator: "/",
    screen: { columns, color },
    wide: false
  })

  it("an id that can be given to break is on every line of 80 columns, and on those of a long path both its ends", () => {
    const entry = (id: string, path: string): LockEntry.LockEntry => ({
      ...{ id, state: "held", targets: [{ mode: "write", path }], ticket: 1, since: 0, age: 5_000, timeLeft: 8_300 },
      ...{ within: [], label: "nightly export", reason: "of all tenants", host: "machine-1", pid: 1234 }
    })
    const ids = ["c15da806-0000-4000-8000-000000000000", "c15da806-1000-4000-8000-000000000000"]
    const paths = [
      "tenants/acme-corporation/contracts/many-parties.pdf",
      "tenants/acme-corporation/contracts/other.pdf"
    ]
    const entries = ids.map((id, i) => entry(id, paths[i]!))
    const table = render.table(picture(entries, 80)).slice(1)
    expect(table.map((line) => line.slice(0, 10))).toEqual(["c15da806-0", "c15da806-1"])
    expect(table[0]).toMatch(/tenants?.*….*pdf/)
    const tree = render.tree(picture(entries, 80))
    expect(tree.slice(0, 3)).toEqual(["/", "└─ tenants/acme-corporation/contracts", "   ├─ many-parties.pdf"])
    expect(tree[3]).toMatch(/^ {3}│ {4}● c15da806-0 write {2}nightly export/)
    expect(render.table({ ...picture(entries, 80), wide: true })[1]).toContain(`${ids[0]}  ${paths[0]}`)
  })

  it("lines fit the terminal, wide characters included, and names cannot command it", () => {
    const entry = {
      id: "0a000565-2e32-4e39-8e8e-01dfb1b851f0",
      state: "held" as const,
      targets: [{ mode: "write" as const, path: ["倉庫", "a".repeat(200), "🐢\x1b[31m"] }],
      ticket: 1,
      token: 5,
      since: 0,
      age: 61_000,
      timeLeft: 3_000,
      within: [],
      label: "夜間バックアップ",
      reason: "毎晩の仕事".repeat(10),
      host: "host",
      pid: 12
    }
    for (const columns of [5, 20, 41, 80, 133]) {
      for (const draw of [render.tree, render.table]) {
        const lines = draw(picture([entry], columns))
        expect(Math.max(...lines.map((line) => stringWidth(line)))).toBeLessThanOrEqual(columns)
        expect(lines.join("")).not.toContain("\x1b")
      }
    }
    const [head, row] = render.table(picture([entry, { ...entry, label: "x" }]))
    const at = head!.indexOf("WHY")
    expect(stringWidth(row!.slice(0, row!.indexOf("毎")))).toBe(stringWidth(head!.slice(0, at)))
    expect(render.tree(picture([entry], undefined, true)).join("")).toContain("\x1b[31m● \x1b[39m")
  })
})

describe("hilok show", () => {
  it.scopedLive(
    "tells all of a lease, of a waiting request, and of what is at a path",
    () =>
      Effect.gen(function* () {
        const { hilok, waiting, writer } = yield* queue
        const held = yield* hilok("show", writer.id)
        expect(held.code).toBe(0)
        expect(held.stdout).toMatch(/^state +held$/m)
        expect(held.stdout).toMatch(/^write +db\/users$/m)
        expect(held.stdout).toMatch(/^why +add a column$/m)
        expect(held.stdout).toMatch(new RegExp(`^token +${writer.token}$`, "m"))
        expect((yield* hilok("show", waiting)).stdout).toMatch(new RegExp(`^blocked by +${writer.id} migration$`, "m"))
        expect(JSON.parse((yield* hilok("show", "db", "--json")).stdout)).toHaveLength(2)
        expect((yield* hilok("show", "elsewhere")).code).toBe(1)
      }),
    timeLimit
  )
})

describe("what others have written", () => {
  it.scopedLive(
    "never reaches a terminal raw, whichever command prints it; in JSON it is escaped",
    () =>
      Effect.gen(function* () {
        const { env, hilok, locks } = yield* site(server())
        const evil = "a\u001b[31mb\u009b2Jc\u202ed\u200fe\u061cf"
        yield* locks.write(evil, { label: evil, reason: evil, onLost: "signal" })
        // A tabulator stands between a completion and what it is.
        // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
        const raw = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u202a-\u202e]/
        const lines = [
          ["ls"],
          ["ls", "-o", "table"],
          ["ls", "--json"],
          ["show", "/"],
          ["show", "/", "--json"],
          ["ls", `${evil}/..`],
          ["show", "nothing\u001b[0m"],
          ["release", "nothing\u001b[0m"],
          ["break", "nothing\u001b[0m", "--yes"],
          [evil],
          ["__complete", "ls", ""],
          ["doctor", "-u", `redis://127.0.0.1/${evil}`],
          ["break", "--all", "/", "--yes"]
        ]
        for (const line of lines) {
          const { stderr, stdout } = yield* hilok(...line)
          expect(stdout + stderr).not.toMatch(raw)
          expect(stdout + stderr).not.toBe("")
        }
        const busy = yield* locks.write(evil, { label: evil, onLost: "signal" })
        const refused = yield* Effect.flatMap(launch(["run", "-n", evil, "--", "true"], env), ({ exit }) => exit)
        expect(refused.code).toBe(75)
        expect(refused.stderr).toContain("\\u001b")
        expect(refused.stderr).not.toMatch(raw)
        const [entry] = JSON.parse((yield* hilok("ls", "--json")).stdout)
        expect(entry.label).toBe(evil)
        yield* locks.release(busy)
      }),
    timeLimit
  )
})

describe("a short id", () => {
  it.scopedLive(
    "is taken by show, refresh, release and break, when there is only one that begins so",
    () =>
      Effect.gen(function* () {
        const { hilok, locks } = yield* site(server())
        const ids: Array<string> = []
        for (const path of ["a", "b"]) ids.push((yield* hilok("acquire", path, "--ttl", "1m")).stdout.trim())
        const [first, second] = ids.map((id) => id.slice(0, 8))
        expect((yield* hilok("show", first!)).stdout).toContain(ids[0])
        expect((yield* hilok("refresh", first!, "--ttl", "1h")).code).toBe(0)
        expect(yield* hilok("release", first!, "--json")).toMatchObject({
          code: 0,
          stdout: `{"id":"${ids[0]}","held":true}\n`
        })
        expect(JSON.parse((yield* hilok("break", second!, "--yes", "--json")).stdout)).toMatchObject([
          { id: ids[1], broken: true }
        ])
        expect(yield* locks.inspect()).toEqual([])
        expect((yield* hilok("release", first!)).code).toBe(79)
        expect((yield* hilok("show", first!)).code).toBe(1)
        // Seventeen ids: two begin with the same digit, and none is found by so little.
        yield* Effect.forEach(Array(17).keys(), (i) => locks.read(`c/${i}`))
        const starts = (yield* locks.inspect()).map(({ id }) => id[0]!)
        const twice = starts.find((start, i) => starts.indexOf(start) !== i)!
        expect(yield* hilok("break", twice, "--yes")).toMatchObject({
          code: 1,
          stderr: `hilok: ${twice} is not held\n`
        })
      }),
    timeLimit
  )
})

describe("hilok break", () => {
  it.scopedLive(
    "does nothing without --yes where nobody can be asked",
    () =>
      Effect.gen(function* () {
        const { hilok, locks, writer } = yield* queue
        const { code, stderr } = yield* hilok("break", writer.id)
        expect(code).toBe(64)
        expect(stderr).toContain("--yes")
        expect(yield* locks.inspect()).toHaveLength(2)
        expect((yield* hilok("break", "--yes")).code).toBe(64)
        expect((yield* hilok("break", "no-such-id", "--yes")).code).toBe(1)
      }),
    timeLimit
  )

  it.scopedLive(
    "--all ends every lease at or below a path, and no other",
    () =>
      Effect.gen(function* () {
        const { hilok, locks } = yield* site(server())
        for (const path of ["a/b", "a/c", "ab"]) yield* locks.write(path, { onLost: "signal" })
        const { code, stderr } = yield* hilok("break", "--all", "a", "--yes")
        expect(code).toBe(0)
        expect(stderr).toContain("2 of 2 broken")
        expect((yield* locks.inspect()).map(({ targets }) => targets[0]!.path)).toEqual(["ab"])
      }),
    timeLimit
  )
})

describe("hilok acquire, refresh, release", () => {
  it.scopedLive(
    "a script keeps a lease by its id",
    () =>
      Effect.gen(function* () {
        const { hilok, locks } = yield* site(server())
        const acquired = yield* hilok("acquire", "a", "-s", "b", "--ttl", "1m", "--json")
        const { id, token, targets } = JSON.parse(acquired.stdout)
        expect(targets).toEqual([
          { mode: "write", path: "a" },
          { mode: "read", path: "b" }
        ])
        expect(token).toBeGreaterThan(0)
        expect((yield* hilok("acquire", "-n", "a")).code).toBe(75)
        expect((yield* hilok("refresh", id, "--ttl", "1h")).code).toBe(0)
        expect((yield* locks.inspect())[0]!.timeLeft).toBeGreaterThan(3_000_000)
        expect(yield* hilok("release", id, "--json")).toMatchObject({ code: 0, stdout: `{"id":"${id}","held":true}\n` })
        expect((yield* hilok("release", id)).code).toBe(79)
        expect((yield* hilok("refresh", id)).code).toBe(79)
        expect((yield* hilok("acquire", "a")).stdout).toMatch(/^[\w-]{36}\n$/)
        // The process that goes on is the one that started it.
        expect((yield* locks.inspect("a"))[0]!.pid).toBe(process.pid)
      }),
    timeLimit
  )
})

describe("hilok doctor", () => {
  it.scopedLive(
    "a fit server has ticks only",
    () =>
      Effect.gen(function* () {
        const { hilok } = yield* site(server())
        const { code, stdout } = yield* hilok("doctor")
        expect(stdout).not.toContain("✗")
        for (const what of [
          "reachable",
          "version",
          "eviction policy: noeviction",
          "latency",
          "commands",
          "clock",
          "a lock"
        ]) {
          expect(stdout).toContain(`✓ ${what}`)
        }
        expect(code).toBe(0)
      }),
    timeLimit
  )

  it.scopedLive(
    "what is wrong has a cross and an advice, a server that is not there is 69, and no password is shown",
    () =>
      Effect.gen(function* () {
        const own = yield* start({ password: "se-cret", args: ["--maxmemory-policy", "allkeys-lru"] })
        const { env, hilok } = yield* site(server())
        const url = `redis://:se-cret@127.0.0.1:${own.port}`
        const evicting = yield* hilok("doctor", "-u", url)
        expect(evicting.code).toBe(1)
        expect(evicting.stdout).toMatch(/✗ eviction policy: allkeys-lru\n {2}.*noeviction/)
        expect(evicting.stdout + evicting.stderr).not.toContain("se-cret")
        const elsewhere = yield* hilok("doctor", "-u", `${url}/20`)
        expect(elsewhere.code).toBe(1)
        expect(elsewhere.stdout).toMatch(/✗ database: .*out of range\n {2}Name one that the server has/)
        expect(elsewhere.stdout).toMatch(/✗ a lock: .*does not let the client into database 20/)
        expect(elsewhere.stdout + elsewhere.stderr).not.toContain("se-cret")
        const user = ["on", "nopass", "~*", "&*", "+@all", "-fcall", "-eval", "-evalsha"]
        const scriptless = yield* start({ args: ["--user", "scriptless", ...user] })
        const denied = yield* hilok("doctor", "-u", `redis://scriptless:x@127.0.0.1:${scriptless.port}`)
        expect(denied.code).toBe(1)
        expect(denied.stdout).toMatch(/✗ scripts: .*NOPERM .*\n {2}Let this user run FCALL and FUNCTION LOAD, or EVAL/)
        expect(yield* hilok("doctor", "-u", "redis://127.0.0.1/x")).toMatchObject({ code: 64, stdout: "" })
        yield* own.kill
        const gone = yield* Effect.flatMap(launch(["doctor"], { ...env, REDIS_URL: url }), ({ exit }) => exit)
        expect(gone.code).toBe(69)
        expect(gone.stdout).toMatch(/^✗ reachable: .*ECONNREFUSED/)
        expect(gone.stdout + gone.stderr).not.toContain("se-cret")
      }),
    timeLimit
  )
})
