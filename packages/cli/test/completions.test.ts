import { execFile, spawnSync } from "node:child_process"
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { bin, site, timeLimit } from "./support/hilok.ts"
import { sharedServer } from "./support/sharedServer.ts"

const server = sharedServer()

const held = Effect.gen(function* () {
  const all = yield* site(server())
  const first = yield* all.locks.write("db/users/42", { label: "migration" })
  yield* all.locks.read("db/orders", { label: "report" })
  yield* all.locks.read("other")
  const complete = (...words: ReadonlyArray<string>) =>
    Effect.map(all.hilok("__complete", ...words), ({ stdout }) => {
      const [how, ...lines] = stdout.trimEnd().split("\n")
      return { how, words: lines.map((line) => line.split("\t")[0]) }
    })
  return { ...all, first, complete }
})

describe("what may stand at the end of a command line", () => {
  it.scopedLive(
    "commands, options and the values of options, one by one",
    () =>
      Effect.gen(function* () {
        const { complete } = yield* held
        expect((yield* complete("")).words).toEqual([
          ...["run", "ls", "show", "break", "acquire", "refresh", "release", "doctor", "help"]
        ])
        expect((yield* complete("re")).words).toEqual(["refresh", "release"])
        expect((yield* complete("help", "r")).words).toEqual(["run", "refresh", "release"])
        expect((yield* complete("run", "--ki")).words).toEqual(["--kill-after"])
        expect((yield* complete("ls", "--wi")).words).toEqual(["--wide"])
        expect((yield* complete("ls", "-o", "")).words).toEqual(["tree", "table", "json"])
        expect((yield* complete("ls", "--output=t")).words).toEqual(["--output=tree", "--output=table"])
        expect((yield* complete("ls", "--output", "=", "t")).words).toEqual(["tree", "table"])
        expect((yield* complete("ls", "--cacert", "")).how).toBe(":files")
        expect((yield* complete("run", "-w", "")).words).toEqual([])
        expect((yield* complete("doctor", "")).words).toEqual([])
      }),
    timeLimit
  )

  it.scopedLive(
    "paths and ids come from the server that the line names",
    () =>
      Effect.gen(function* () {
        const { complete, first, hilok } = yield* held
        const short = first.id.slice(0, 8)
        expect(yield* complete("run", "-s", "")).toEqual({ how: ":nospace", words: ["db", "other"] })
        expect((yield* complete("ls", "db/")).words).toEqual(["db/orders", "db/users"])
        expect((yield* complete("break", "--all", "db/u")).words).toEqual(["db/users"])
        expect((yield* complete("break", short.slice(0, 4))).words).toContain(short)
        expect((yield* complete("show", "")).words).toHaveLength(5)
        expect((yield* hilok("__complete", "release", short)).stdout).toContain(
          `${short}\twrite "db/users/42", held, migration\n`
        )
        expect((yield* complete("ls", "--namespace", "elsewhere", "")).words).toEqual([])
        expect((yield* complete("ls", "-u", "redis://127.0.0.1:1", "")).words).toEqual([])
      }),
    timeLimit
  )
})

describe("the shells", () => {
  const files = Effect.acquireRelease(
    Effect.sync(() => {
      const folder = mkdtempSync(join(tmpdir(), "hilok-completions-"))
      symlinkSync(bin, join(folder, "hilok"))
      return folder
    }),
    (made) => Effect.sync(() => rmSync(made, { recursive: true }))
  )

  /** What each shell is told to do, once it has read the script, and what it prints. Only bash is everywhere. */
  const asks = {
    bash: (words: ReadonlyArray<string>) => {
      const quoted = words.map((word) => `'${word}'`).join(" ")
      return `COMP_WORDS=(hilok ${quoted}); COMP_CWORD=${words.length}; _hilok hilok; printf '%s\\n' "\${COMPREPLY[@]}"`
    },
    fish: (words: ReadonlyArray<string>) => `complete -C "hilok ${words.join(" ")}"`,
    zsh: (words: ReadonlyArray<string>) =>
      // Without a line editor there is no completion, so what it would be given is printed.
      `_describe() { print -l -- "\${(@)shown}" }; words=(hilok ${words.map((word) => `'${word}'`).join(" ")}); CURRENT=${
        words.length + 1
      }; _hilok`
  }
  const cases: ReadonlyArray<readonly [words: ReadonlyArray<string>, wanted: RegExp]> = [
    [["run", "--ki"], /^--kill-after/m],
    [["ls", "-o", "t"], /^tree/m],
    [["ls", "-o", "t"], /^table/m],
    [["ls", "db/u"], /^db\/users/m]
  ]

  for (const shell of ["bash", "fish", "zsh"] as const) {
    const isHere = spawnSync(shell, ["--version"]).error === undefined
    if (!isHere) console.warn(`There is no ${shell} here to try its completions`)
    it.scopedLive(
      `${shell} completes by its script`,
      () =>
        Effect.gen(function* () {
          const { env, hilok } = yield* held
          const folder = yield* files
          const { stdout: script } = yield* hilok("--completions", shell)
          for (const [words, wanted] of cases) {
            const file = join(folder, shell)
            const define = shell === "zsh" ? "compdef() { : }\n" : ""
            writeFileSync(file, `${define}${script}\n${asks[shell](words)}\n`)
            const printed = yield* Effect.async<string>((resume) => {
              const path = `${folder}:${env.PATH}`
              execFile(shell, [file], { env: { ...env, PATH: path } }, (_, stdout, stderr) =>
                resume(Effect.succeed(stdout + stderr))
              )
            })
            expect(printed).toMatch(wanted)
          }
        }),
      { timeout: timeLimit, skip: shell !== "bash" && !isHere }
    )
  }
})
