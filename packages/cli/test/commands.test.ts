import { spawnSync } from "node:child_process"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { describe, expect, it } from "@effect/vitest"
import { HierarchicalLock } from "@hilok/core"
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
        expect(help.stdout).toMatch(/^\$ hilok run [\s\S]* <path>\.\.\. -- command args…$/m)
        for (const text of [help.stdout, (yield* hilok("--help")).stdout]) {
          expect(Math.max(...text.split("\n").map(({ length }) => length))).toBeLessThanOrEqual(80)
        }
      }),
    timeLimit
  )

  it.scopedLive(
    "completes words",
    () =>
      Effect.gen(function* () {
        const { hilok } = yield* site(server())
        const script = (shell: string) => Effect.map(hilok("--completions", shell), ({ stdout }) => stdout)
        const folder = yield* Effect.acquireRelease(
          Effect.sync(() => mkdtempSync(join(tmpdir(), "hilok-completions-"))),
          (made) => Effect.sync(() => rmSync(made, { recursive: true }))
        )
        /** What a shell prints that runs the text, where there is one. */
        const ask = (shell: string, args: ReadonlyArray<string>, text: string) => {
          const file = join(folder, shell)
          writeFileSync(file, text)
          const { error, stderr, stdout } = spawnSync(shell, [...args, file], { encoding: "utf8" })
          if (error === undefined) return stdout + stderr
          console.warn(`There is no ${shell} here to try its completions`)
        }
        const bash = `COMP_WORDS=(hilok run --ki); COMP_CWORD=2; _hilok_bash_completions hilok; echo "$COMPREPLY"`
        const [inBash, inZsh, inFish] = [yield* script("bash"), yield* script("zsh"), yield* script("fish")]
        expect(inBash).toContain("complete -F _hilok_bash_completions")
        expect(ask("bash", [], `${inBash}\n${bash}`) ?? "--kill-after\n").toBe("--kill-after\n")
        expect(inZsh).toContain("'--kill-after[")
        expect(ask("zsh", ["-n"], inZsh) ?? "").toBe("")
        expect(inFish).toContain("-l kill-after")
        const fish = `complete -C "hilok run --kill-a"`
        expect(ask("fish", [], `${inFish}\n${fish}`) ?? "--kill-after").toContain("--kill-after")
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
            `^ {3}│ ○ 1\\. read {2}backup {2}waits [\\d.]+s {2}behind migration \\(${writer.id.slice(0, 8)}\\) {2}${waiting}`
          )
        )
        expect(lines[3]).toBe("   └─ users")
        expect(lines[4]).toMatch(
          new RegExp(`^ {8}● write {2}migration {2}for [\\d.]+s, [\\d.]+s left {2}"add a column" {2}${writer.id}`)
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
        expect(table.stdout).toMatch(/^PATH +MODE +STATE +AGE +LEFT +WHO +BLOCKED BY +WHY +WHERE +ID\n/)
        expect(table.stdout.trimEnd().split("\n")).toHaveLength(3)
        const entries = JSON.parse((yield* hilok("ls", "-o", "json")).stdout)
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
    "shows hundreds of them",
    () =>
      Effect.gen(function* () {
        const { hilok, locks } = yield* site(server())
        yield* Effect.forEach(Array(300).keys(), (i) => locks.read(`a/${i}`), { concurrency: "unbounded" })
        expect((yield* hilok("ls", "-o", "table")).stdout.split("\n")).toHaveLength(302)
      }),
    timeLimit
  )

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
        const lines = draw([entry], new Map(), "/", { columns, color: false })
        expect(Math.max(...lines.map((line) => stringWidth(line)))).toBeLessThanOrEqual(columns)
        expect(lines.join("")).not.toContain("\x1b")
      }
    }
    const [head, row] = render.table([entry, { ...entry, label: "x" }], new Map(), "/", {
      columns: undefined,
      color: false
    })
    const at = head!.indexOf("WHY")
    expect(stringWidth(row!.slice(0, row!.indexOf("毎")))).toBe(stringWidth(head!.slice(0, at)))
    expect(render.tree([entry], new Map(), "/", { columns: undefined, color: true }).join("")).toContain(
      "\x1b[31m● \x1b[0m"
    )
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
          "scripts",
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
