/**
 * Ways to the server: Sentinel, TLS, passwords, unix sockets. And what the doctor says of it.
 */
import { execFileSync } from "node:child_process"
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { beforeAll, describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { start, startSentinel } from "../../redis/test/support/server.ts"
import { samples } from "../src/internal/doctorCommands.ts"
import { launch, site, timeLimit } from "./support/hilok.ts"
import { sharedServer } from "./support/sharedServer.ts"
import { ensure } from "./support/tools.ts"

const server = sharedServer()
beforeAll(() => ensure("openssl"), 300_000)

/** A key and its certificate for this machine, made for one test. */
const keyPair = Effect.acquireRelease(
  Effect.sync(() => {
    const folder = mkdtempSync(join(tmpdir(), "hilok-tls-"))
    const [cert, key] = [join(folder, "cert.pem"), join(folder, "key.pem")]
    const about = ["-days", "1", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    const kind = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    execFileSync("openssl", ["req", ...kind, ...about, "-keyout", key, "-out", cert], { stdio: "pipe" })
    return { folder, cert, key }
  }),
  ({ folder }) => Effect.sync(() => rmSync(folder, { recursive: true }))
)

/** Runs the binary with other variables than the site's. */
const bare = (variables: NodeJS.ProcessEnv, ...args: ReadonlyArray<string>) =>
  Effect.scoped(Effect.flatMap(launch(args, { PATH: process.env.PATH, ...variables }), ({ exit }) => exit))

describe("the way to the server", () => {
  it.scopedLive(
    "Sentinels name it",
    () =>
      Effect.gen(function* () {
        const own = yield* start()
        const port = yield* startSentinel("locks", own)
        const args = ["run", "a", "--", "echo", "done"]
        const nobody = "127.0.0.1:1"
        const byOptions = ["--sentinel", `${nobody},127.0.0.1:${port}`, "--master", "locks"]
        expect(yield* bare({ REDIS_URL: "redis://127.0.0.1:1" }, ...byOptions, ...args)).toMatchObject({
          code: 0,
          stdout: "done\n"
        })
        const variables = { HILOK_SENTINEL: `127.0.0.1:${port}`, HILOK_MASTER: "locks" }
        expect(yield* bare(variables, ...args)).toMatchObject({ code: 0, stdout: "done\n" })
        // A URL on the command line goes before them.
        expect((yield* bare(variables, "-u", "redis://127.0.0.1:1", ...args)).code).toBe(69)
        expect((yield* bare(variables, "doctor")).stdout).toMatch(/^✓ reachable: locks, by the Sentinels 127\.0\.0\.1:/)
        expect((yield* bare(variables, "doctor", "--master", "nobody")).code).toBe(69)
      }),
    timeLimit
  )

  it.scopedLive(
    "in partitions, of which all commands have the same number",
    () =>
      Effect.gen(function* () {
        const { url: REDIS_URL } = yield* start()
        const args = ["run", "--partitions", "3", "/", "--", "echo", "done"]
        expect(yield* bare({ REDIS_URL }, ...args)).toMatchObject({ code: 0, stdout: "done\n" })
        expect(yield* bare({ REDIS_URL, HILOK_PARTITIONS: "3" }, "ls")).toMatchObject({ code: 0 })
        expect(yield* bare({ REDIS_URL }, "ls")).toMatchObject({
          code: 64,
          stderr: expect.stringMatching(/it is 1, but .* in 3 partitions.*delete the key hilok:\{default\}:table/)
        })
        expect(yield* bare({ REDIS_URL }, "ls", "--partitions", "0")).toMatchObject({
          code: 64,
          stderr: expect.stringMatching(/from 1 to 64/)
        })
        const wrong = yield* bare({ REDIS_URL, HILOK_PARTITIONS: "many" }, "ls")
        expect([wrong.code, wrong.stderr]).toEqual([64, expect.stringMatching(/HILOK_PARTITIONS/)])
      }),
    timeLimit
  )

  it.scopedLive(
    "TLS with certificates of one's own, for both sides",
    () =>
      Effect.gen(function* () {
        const { cert, key } = yield* keyPair
        const plain = yield* start()
        const files = ["tls-cert-file", cert, "tls-key-file", key, "tls-ca-cert-file", cert]
        // The server says when a port is taken.
        const port = yield* Effect.firstSuccessOf(
          Array.from({ length: 50 }, (_, i) => ((plain.port + 1 + i) % 60_000) + 5_000).map((free) =>
            Effect.as(
              Effect.tryPromise(() => plain.admin.config("SET", ...(files as [string]), "tls-port", String(free))),
              free
            )
          )
        )
        const args = ["run", "a", "--", "echo", "done"]
        const url = `rediss://127.0.0.1:${port}`
        const all = ["--cacert", cert, "--cert", cert, "--key", key]
        expect(yield* bare({}, "-u", url, ...all, ...args)).toMatchObject({ code: 0, stdout: "done\n" })
        expect((yield* bare({}, "-u", url.replace("rediss", "redis"), ...all, ...args)).code).toBe(0)
        const variables = { REDIS_URL: url, HILOK_CACERT: cert, HILOK_CERT: cert, HILOK_KEY: key }
        expect((yield* bare(variables, ...args)).code).toBe(0)
        const stranger = yield* bare({}, "-u", url, "--cert", cert, "--key", key, ...args)
        expect(stranger.code).toBe(69)
        expect(stranger.stderr).toMatch(/self.signed/)
        expect((yield* bare({}, "-u", url, "--cacert", cert, ...args)).code).toBe(69)
        expect(yield* bare({}, "-u", url, "--cert", cert, ...args)).toMatchObject({ code: 64 })
      }),
    timeLimit
  )

  it.scopedLive(
    "a password and a user from the environment, which a URL's own go before",
    () =>
      Effect.gen(function* () {
        const own = yield* start({ password: "se-cret" })
        const url = `redis://127.0.0.1:${own.port}`
        const args = ["run", "a", "--", "true"]
        expect((yield* bare({ REDIS_URL: url, REDIS_PASSWORD: "se-cret" }, ...args)).code).toBe(0)
        const named = { REDIS_URL: url, REDIS_USERNAME: "default", REDIS_PASSWORD: "se-cret" }
        expect((yield* bare(named, ...args)).code).toBe(0)
        expect((yield* bare({ REDIS_URL: url, REDIS_PASSWORD: "wrong" }, ...args)).code).toBe(69)
        const inUrl = url.replace("//", "//:se-cret@")
        expect((yield* bare({ REDIS_URL: inUrl, REDIS_PASSWORD: "wrong" }, ...args)).code).toBe(0)
      }),
    timeLimit
  )

  it.scopedLive(
    "a unix socket, by its path or as a URL",
    () =>
      Effect.gen(function* () {
        const own = yield* start({ password: "se-cret" })
        const args = ["run", "a", "--", "echo", "done"]
        for (const url of [
          `unix://:se-cret@${own.url}`,
          `unix://:se-cret@${own.url}?db=1`,
          `${own.url}?password=se-cret`
        ]) {
          expect(yield* bare({ REDIS_URL: url }, ...args)).toMatchObject({ code: 0, stdout: "done\n", stderr: "" })
          const { stdout } = yield* bare({ REDIS_URL: url }, "doctor")
          expect(stdout).toContain(`✓ reachable: ${own.url}`)
          expect(stdout).not.toContain("se-cret")
        }
        expect((yield* bare({ REDIS_URL: `unix://${own.url}` }, ...args)).code).toBe(69)
      }),
    timeLimit
  )
})

describe("the doctor", () => {
  const names = samples("hash", "set", "channel").map(([name]) => name)

  it("knows every command of the scripts", () => {
    const lua = fileURLToPath(new URL("../../redis/lua", import.meta.url))
    const texts = readdirSync(lua, { recursive: true, encoding: "utf8" })
      .filter((name) => name.endsWith(".lua"))
      .map((name) => readFileSync(join(lua, name), "utf8"))
    const used = new Set(
      texts.flatMap((text) => Array.from(text.matchAll(/\bp?call(?:_with)?\(\s*['"]([A-Za-z]+)/g), ([, name]) => name!))
    )
    expect(used.size).toBeGreaterThan(10)
    for (const name of used) expect(names).toContain(name.toLowerCase())
  })

  it.scopedLive(
    "a user that may do no more than that is enough; of one that may not do something it is told what",
    () =>
      Effect.gen(function* () {
        const rules = (without: ReadonlyArray<string>, ...more: ReadonlyArray<string>) =>
          ["on", "nopass", "~hilok:*", "&hilok:*", "-@all", "+info", "+fcall", "+function|load", ...more].concat(
            names.filter((name) => !without.includes(name)).map((name) => `+${name}`)
          )
        const own = yield* start()
        const user = (name: string, ...words: ReadonlyArray<string>) =>
          Effect.as(
            Effect.promise(() => own.admin.call("acl", "setuser", name, ...words)),
            `redis://${name}:x@127.0.0.1:${own.port}`
          )
        const enough = yield* bare({ REDIS_URL: yield* user("enough", ...rules([])) }, "doctor")
        expect(enough.stdout).not.toContain("✗")
        expect(enough).toMatchObject({ code: 0, stderr: "" })
        for (const [i, more] of [[], ["+acl|whoami", "+acl|dryrun"]].entries()) {
          const url = yield* user(`less${i}`, ...rules(["time", "zscore", "subscribe"], ...more))
          const { code, stdout } = yield* bare({ REDIS_URL: url }, "doctor")
          expect(code).toBe(1)
          expect(stdout).toContain("✗ commands: this user may not run time, zscore, subscribe\n")
          expect(stdout).toContain("ACL SETUSER … +time +zscore +subscribe\n")
        }
        const elsewhere = yield* user("elsewhere", "on", "nopass", "~other:*", "&hilok:*", "+@all")
        expect((yield* bare({ REDIS_URL: elsewhere }, "doctor")).stdout).toMatch(
          /✗ keys and channels: .*\n {2}.*~hilok:/
        )
        // In several partitions the keys have other names.
        const here = yield* user("here", "on", "nopass", "~hilok:{default}:*", "&hilok:{default}:*", "+@all")
        expect((yield* bare({ REDIS_URL: here }, "doctor")).code).toBe(0)
        const apart = yield* bare({ REDIS_URL: here }, "doctor", "--partitions", "3")
        expect(apart.stdout).toMatch(/✗ keys and channels: .*\n {2}.* ~hilok:\{default:\* &hilok:\{default:\*\n/)
        // Nothing of the trial is left.
        expect(yield* Effect.promise(() => own.admin.keys("*doctor*"))).toEqual([])
      }),
    timeLimit
  )

  it.scopedLive(
    "the number of partitions is told, and that of others when it is another one",
    () =>
      Effect.gen(function* () {
        const { env } = yield* site(server())
        const own = { ...env, HILOK_NAMESPACE: `test-${crypto.randomUUID()}` }
        const first = yield* bare({ ...own, HILOK_PARTITIONS: "3" }, "doctor")
        expect(first.stdout).toContain("✓ partitions: 3, as the server has noted\n✓ a lock: taken and released\n")
        expect(first.code).toBe(0)
        for (const [args, ours] of [
          [[], 1],
          [["--partitions", "8"], 8]
        ] as const) {
          const { code, stdout } = yield* bare(own, "doctor", ...args)
          expect(code).toBe(1)
          expect(stdout).toMatch(
            new RegExp(`✗ partitions: it is ${ours}, but .* in 3 partitions.*\\n {2}.*--partitions`)
          )
          expect(stdout.match(/✗/g)).toHaveLength(1)
        }
        yield* Effect.promise(() => server().admin.del(`hilok:{${own.HILOK_NAMESPACE}}:table`))
      }),
    timeLimit
  )

  it.scopedLive(
    "a database that the server does not have, a node of a Cluster; as JSON, too",
    () =>
      Effect.gen(function* () {
        const { env } = yield* site(server())
        const url = `redis://127.0.0.1:${server().port}/99`
        const wrong = yield* bare({ ...env, REDIS_URL: url }, "doctor")
        expect(wrong.stdout + wrong.stderr).toMatch(/✗ .*(database 99|out of range)/)
        expect(wrong.code).not.toBe(0)
        const cluster = yield* start({ args: ["--cluster-enabled", "yes"] })
        const node = yield* bare({ REDIS_URL: `redis://127.0.0.1:${cluster.port}` }, "doctor", "--json")
        expect(node.code).toBe(1)
        expect(JSON.parse(node.stdout)).toContainEqual(
          expect.objectContaining({ ok: false, text: "cluster: the server is a node of a Redis Cluster" })
        )
      }),
    timeLimit
  )
})
