import { spawn } from "node:child_process"
import { fileURLToPath } from "node:url"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect } from "effect"

const root = fileURLToPath(new URL("../../..", import.meta.url))
const job = fileURLToPath(new URL("./support/job.ts", import.meta.url))

/** Far longer than any of these takes. */
const limit = 120_000

interface Ended {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

/** Runs a program of Node to its end. `onOutput` sees what it has printed so far. */
const run = (
  args: ReadonlyArray<string>,
  env: Readonly<Record<string, string>> = {},
  onOutput: (stdout: string, kill: (signal: NodeJS.Signals) => void) => void = () => {}
) =>
  Effect.async<Ended>((resume) => {
    const { REDIS_URL: _, ...inherited } = process.env
    const child = spawn(process.execPath, args, {
      env: { ...inherited, ...env },
      cwd: root,
      stdio: ["ignore", "pipe", "pipe"]
    })
    let stdout = ""
    let stderr = ""
    child.stdout.setEncoding("utf8").on("data", (text) => {
      stdout += text
      onOutput(stdout, (signal) => child.kill(signal))
    })
    child.stderr.setEncoding("utf8").on("data", (text) => {
      stderr += text
    })
    child.once("close", (code, signal) => resume(Effect.succeed({ code, signal, stdout, stderr })))
    return Effect.sync(() => child.kill("SIGKILL"))
  })

describe("a job whose lease is broken", () => {
  const tsx = ["--import", "tsx", "--conditions", "@hilok/source"]

  for (const [how, kind] of [
    ["Effect.scoped", "plain"],
    ["HierarchicalLock.scoped", "typed"]
  ] as const) {
    it.live(
      `ends with exit code 1, and prints the loss: in ${how}`,
      () =>
        Effect.gen(function* () {
          const { code, signal, stderr, stdout } = yield* run([...tsx, job, kind])
          // The logger of `runMain` prints to stdout, unless it is told otherwise.
          const printed = stdout + stderr
          assert.deepStrictEqual([code, signal], [1, null], printed)
          assert.match(
            printed,
            /ERROR.*\n.*LockLost: The lock on write "jobs\/nightly" was broken by an operator \(lease [-\w]+\)/
          )
          // The service has told it, too.
          assert.match(printed, /WARN.*The lock on write "jobs\/nightly" was broken by an operator/)
          assert.notInclude(stdout, "done")
        }),
      limit
    )
  }
})

describe("npm run demo -- documents", () => {
  const demo = ["scripts/run.mjs", "demo", "documents"]

  it.live(
    "serves until Ctrl-C, which ends it at once though a page watches and a request waits",
    () =>
      Effect.gen(function* () {
        const started = yield* Deferred.make<{ url: string; kill: (signal: NodeJS.Signals) => void }>()
        const server = yield* Effect.fork(
          run(demo, { PORT: "0" }, (stdout, kill) => {
            const url = /at (http:\S+)/.exec(stdout)?.[1]
            if (url !== undefined) Deferred.unsafeDone(started, Effect.succeed({ url, kill }))
          })
        )
        const { kill, url } = yield* Deferred.await(started)
        const page = yield* Effect.promise(() => fetch(url).then((response) => response.text()))
        assert.include(page, "<h1>Documents</h1>")
        const events = yield* Effect.promise(() => fetch(`${url}/events`))
        assert.isTrue(events.ok)
        const reader = events.body!.getReader()
        yield* Effect.promise(() => reader.read())
        const edit = fetch(`${url}/document?path=plans/notes&takes=60`, {
          method: "PUT",
          headers: { "content-type": "application/json" },
          body: JSON.stringify({ content: "" })
        }).then(
          ({ status }) => status,
          () => "disconnected"
        )
        // The next thing that is seen is that the edit holds its lock.
        const seen = yield* Effect.promise(() => reader.read())
        assert.include(new TextDecoder().decode(seen.value), "edit plans/notes")
        const asked = performance.now()
        kill("SIGINT")
        const { code, signal, stderr } = yield* server
        assert.deepStrictEqual([code, signal, stderr], [0, null, ""])
        assert.isBelow(performance.now() - asked, 30_000, "the edit would have taken a minute")
        assert.strictEqual(yield* Effect.promise(() => edit), "disconnected")
        yield* Effect.promise(() =>
          reader.read().then(
            () => {},
            () => {}
          )
        )
      }),
    limit
  )

  it.live(
    "says how it is used to whoever uses it differently",
    () =>
      Effect.gen(function* () {
        const wrong = yield* run([...demo, "--redis"])
        assert.deepStrictEqual([wrong.code, wrong.stdout], [64, ""])
        assert.include(wrong.stderr, "npm run demo -- documents")
      }),
    limit
  )
})
