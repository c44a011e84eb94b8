/**
 * A server that can do nothing for now: with `-w` it is waited for, without it is not.
 */
import { describe, expect, it } from "@effect/vitest"
import { Effect } from "effect"
import { Redis } from "ioredis"
import { start, startSentinel } from "../../redis/test/support/server.ts"
import { launch, timeLimit, until } from "./support/hilok.ts"

const variables = (port: number, more?: NodeJS.ProcessEnv): NodeJS.ProcessEnv => ({
  PATH: process.env.PATH,
  REDIS_URL: `redis://127.0.0.1:${port}`,
  ...more
})

const done = { code: 0, stdout: "done\n" }
const command = ["a", "--", "echo", "done"]

const isBusy = ({ admin }: Effect.Effect.Success<ReturnType<typeof start>>) =>
  Effect.promise(() =>
    admin.ping().then(
      () => false,
      (error: Error) => error.message.startsWith("BUSY")
    )
  )

describe("a server that can do nothing for now", () => {
  it.scopedLive(
    "is not there yet",
    () =>
      Effect.gen(function* () {
        const own = yield* start()
        yield* own.kill
        const waiting = yield* launch(["run", "-w", "60", ...command], variables(own.port))
        // It looks for one that is not there no longer than this, unless it may wait.
        const impatient = yield* launch(["run", ...command], variables(own.port))
        expect((yield* impatient.exit).code).toBe(69)
        yield* start({ port: own.port })
        expect(yield* waiting.exit).toMatchObject(done)
      }),
    timeLimit
  )

  it.scopedLive(
    "is busy with a script",
    () =>
      Effect.gen(function* () {
        const own = yield* start({ args: ["--lua-time-limit", "50"] })
        const slow = yield* Effect.acquireRelease(
          Effect.sync(() => own.admin.duplicate({ connectionName: "slow" })),
          (client) => Effect.sync(() => client.disconnect())
        )
        const stuck = slow.eval("while true do end", 0).catch(() => "killed")
        yield* until(isBusy(own), (busy) => busy)
        const env = variables(own.port, { HILOK_CONNECT_TIMEOUT: "500ms" })
        const waiting = yield* launch(["run", "-w", "60", ...command], env)
        const byHand = yield* launch(["acquire", "-w", "60", "b"], env)
        const impatient = yield* (yield* launch(["run", ...command], env)).exit
        expect(impatient.code).toBe(69)
        expect(impatient.stderr).toContain("busy with a script")
        const inTime = yield* (yield* launch(["run", "-w", "1", ...command], env)).exit
        expect(inTime.code).toBe(69)
        yield* Effect.promise(() => own.admin.script("KILL"))
        expect(yield* Effect.promise(() => stuck)).toBe("killed")
        expect(yield* waiting.exit).toMatchObject(done)
        expect((yield* byHand.exit).code).toBe(0)
      }),
    timeLimit
  )

  it.scopedLive(
    "goes away while the lock is waited for, and comes back without it",
    () =>
      Effect.gen(function* () {
        const own = yield* start()
        const holder = yield* launch(
          ["run", "--ttl", "1h", "a", "--", "sh", "-c", "echo mine; sleep 60"],
          variables(own.port)
        )
        yield* holder.prints(/mine/)
        const waiting = yield* launch(["run", "-v", "-w", "50", ...command], variables(own.port))
        yield* waiting.prints(/waiting for write "a": held by "sh"/)
        yield* own.kill
        yield* start({ port: own.port })
        expect(yield* waiting.exit).toMatchObject(done)
        yield* holder.kill("SIGTERM")
        yield* holder.exit
      }),
    timeLimit
  )

  it.scopedLive(
    "is down, and its Sentinel has not named another yet",
    () =>
      Effect.gen(function* () {
        const primary = yield* start()
        const replica = yield* start({ args: ["--replicaof", "127.0.0.1", String(primary.port)] })
        const role = (server: typeof replica) =>
          Effect.promise(async () => (await server.admin.role()) as ReadonlyArray<unknown>)
        yield* until(role(replica), (found) => found[3] === "connected")
        const port = yield* startSentinel("locks", primary)
        const sentinel = yield* Effect.acquireRelease(
          Effect.sync(() => new Redis(port, "127.0.0.1")),
          (client) => Effect.sync(() => client.disconnect())
        )
        yield* Effect.promise(() => sentinel.call("sentinel", "set", "locks", "down-after-milliseconds", "1000"))
        yield* until(
          Effect.promise(() => sentinel.call("sentinel", "replicas", "locks") as Promise<ReadonlyArray<unknown>>),
          ({ length }) => length === 1
        )
        yield* primary.kill
        const bySentinel = ["--sentinel", `127.0.0.1:${port}`, "--master", "locks"]
        const waiting = yield* launch(["run", "-w", "50", ...bySentinel, ...command], { PATH: process.env.PATH })
        expect(yield* waiting.exit).toMatchObject(done)
        expect((yield* role(replica))[0]).toBe("master")
      }),
    timeLimit
  )
})
