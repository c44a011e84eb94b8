/**
 * The binary on a Redis Cluster.
 */
import { describe, expect, layer } from "@effect/vitest"
import { Effect } from "effect"
import { TestCluster } from "../../redis/test/support/clusterFixture.ts"
import { launch, timeLimit } from "./support/hilok.ts"

const secret = "se-cret"

/** Runs the binary to its end. */
const hilok = (variables: NodeJS.ProcessEnv, ...args: ReadonlyArray<string>) =>
  Effect.scoped(Effect.flatMap(launch(args, { PATH: process.env.PATH, ...variables }), ({ exit }) => exit))

describe("hilok", () => {
  layer(TestCluster.layer({ password: secret }), { excludeTestServices: true, timeout: 60_000 })(
    "on a Redis Cluster",
    (it) => {
      const site = Effect.map(TestCluster, (cluster) => {
        const [one = "", two = ""] = cluster.addresses
        const password = { REDIS_PASSWORD: secret }
        return { cluster, one, two, password, env: { ...password, REDIS_CLUSTER_NODES: cluster.addresses.join(",") } }
      })

      it.scoped(
        "runs commands and shows locks, by its nodes in options or the environment",
        () =>
          Effect.gen(function* () {
            const { env, one, password, two } = yield* site
            const args = ["run", "db/users", "--", "echo", "done"]
            const done = { code: 0, stdout: "done\n", stderr: "" }
            expect(yield* hilok(env, ...args)).toMatchObject(done)
            // An option goes before the variables, and one that is away does no harm.
            const elsewhere = { ...password, REDIS_URL: "redis://127.0.0.1:1" }
            expect(yield* hilok(elsewhere, "--cluster", "127.0.0.1:1", "--cluster", two, ...args)).toMatchObject(done)
            expect(yield* hilok(elsewhere, "--cluster", `redis://:${secret}@${one}`, ...args)).toMatchObject(done)
            expect((yield* hilok(env, "-u", "redis://127.0.0.1:1", ...args)).code).toBe(69)
            const running = yield* launch(["run", "db", "--label", "x", "--", "sh", "-c", "echo in; sleep 600"], {
              PATH: process.env.PATH,
              ...env
            })
            yield* running.prints(/in/)
            const { stdout } = yield* hilok(env, "ls", "-o", "table")
            expect(stdout).toMatch(/db .*write .*held .*x/)
            expect((yield* hilok(env, "run", "-n", "db/users", "--", "true")).code).toBe(75)
            const id = stdout.split("\n")[1]?.split(" ")[0] ?? ""
            expect((yield* hilok(env, "show", id)).stdout).toMatch(/state +held/)
            expect((yield* hilok(env, "break", "--yes", id)).code).toBe(0)
            expect((yield* running.exit).code).toBe(79)
          }),
        timeLimit
      )

      it.scoped(
        "says what is wrong with where it is, and shows no password",
        () =>
          Effect.gen(function* () {
            const { env, one, password } = yield* site
            const args = ["ls"]
            const wrong: ReadonlyArray<readonly [NodeJS.ProcessEnv, ReadonlyArray<string>, number, RegExp]> = [
              [env, ["--cluster", one, "-u", "redis://h", ...args], 64, /--url and --cluster are two ways/],
              [{ ...env, REDIS_URL: "redis://h" }, args, 64, /REDIS_URL and REDIS_CLUSTER_NODES are two ways/],
              [password, ["--cluster", `${one},:${secret}@x`, ...args], 64, /node 2 of 2/],
              [password, ["--cluster", "127.0.0.1:1,127.0.0.1:2", ...args], 69, /127\.0\.0\.1:1, 127\.0\.0\.1:2/],
              [{ REDIS_PASSWORD: "other" }, ["--cluster", one, ...args], 69, /refuses the user or the password/],
              [password, ["-u", `redis://${one}`, ...args], 69, /part of a Redis Cluster: name its nodes by/]
            ]
            for (const [variables, words, code, says] of wrong) {
              const result = yield* hilok(variables, ...words)
              expect(result.stderr).toMatch(says)
              expect(result.code).toBe(code)
              expect(result.stderr).not.toContain(secret)
            }
          }),
        timeLimit
      )

      it.scoped(
        "the doctor has a line for each node, and says what to do where there is a cross",
        () =>
          Effect.gen(function* () {
            const { cluster, env, one, password } = yield* site
            const healthy = yield* hilok(env, "doctor")
            const lines = healthy.stdout.split("\n")
            expect(healthy.stdout).not.toContain("✗")
            expect(lines[0]).toMatch(/^✓ reachable: the Cluster of 127\.0\.0\.1:/)
            const nodes = lines.filter((line) => line.startsWith("✓ node "))
            expect(nodes).toHaveLength(6)
            expect(nodes.filter((line) => /primary of 546[12] slots, \S+ \S+, scripts run/.test(line))).toHaveLength(3)
            expect(nodes.filter((line) => /replica of \S+, in sync, \d+ bytes behind/.test(line))).toHaveLength(3)
            expect(nodes.filter((line) => !/, scripts run (as functions|by EVALSHA)$/.test(line))).toEqual([])
            expect(lines).toContain("✓ slots: 16384 of 16384 are served")
            expect(healthy.stdout).toMatch(/✓ namespace: slot \d+, at 127\.0\.0\.1:\d+, with 1 replica in sync\n/)
            expect(healthy.stdout).toContain("✓ a lock: taken and released\n")
            expect(healthy).toMatchObject({ code: 0, stderr: "" })

            const alone = yield* hilok(password, "doctor", "-u", `redis://${one}`)
            expect(alone.stdout).toMatch(/✗ cluster: .*\n.*--cluster/)
            expect(alone.code).toBe(1)

            const { primary, replicas } = yield* cluster.serving("hilok:{default}:table")
            yield* replicas[0]!.kill
            const other = cluster.nodes.find((node, i) => i < 3 && node !== primary)!
            yield* Effect.promise(() => other.admin.config("SET", "cluster-require-full-coverage", "no"))
            yield* Effect.promise(() => primary.admin.config("SET", "cluster-require-full-coverage", "no"))
            const [[slot = 0] = []] = (yield* Effect.promise(() => other.admin.cluster("SLOTS"))) as Array<
              Array<number>
            >
            for (const { admin } of cluster.nodes) {
              if (admin.status === "ready") {
                yield* Effect.promise(() => admin.cluster("DELSLOTS", slot).catch(() => undefined))
              }
            }
            const ill = yield* hilok(env, "doctor")
            expect(ill.code).toBe(1)
            expect(ill.stdout).toMatch(new RegExp(`✗ node ${replicas[0]!.address}: .*\\n  Start it again`))
            expect(ill.stdout).toMatch(new RegExp(`✗ slots: 16383 of 16384 are served, not ${slot}\\n.*--cluster fix`))
            expect(ill.stdout).toMatch(/✗ namespace: slot \d+, at \S+, with no replicas in sync\n {2}When that node/)
            const asJson = yield* hilok(env, "doctor", "--json")
            expect((JSON.parse(asJson.stdout) as ReadonlyArray<object>).length).toBeGreaterThan(12)
            expect(yield* hilok(password, "doctor", "--cluster", "127.0.0.1:1")).toMatchObject({
              code: 69,
              stdout: expect.stringMatching(/✗ reachable: the Cluster of 127\.0\.0\.1:1: .*\n.*--cluster/)
            })
          }),
        timeLimit
      )
    }
  )
})
