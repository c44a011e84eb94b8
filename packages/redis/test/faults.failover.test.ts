/**
 * Another server takes over, behind the same address or as Sentinels say; or the one that is there can do nothing for now.
 */
import { assert } from "@effect/vitest"
import { LockStore, Target } from "@hilok/core"
import { RedisStore } from "@hilok/redis"
import { Session } from "@hilok/testing"
import { Cause, Context, Effect, Exit, Fiber, Layer, type Scope } from "effect"
import { Redis } from "ioredis"
import { assertRising, hold, open, soon, timeLimit, until, watch } from "./support/faults.ts"
import { connections, type Fixture, leavesNothing, withOwnServer } from "./support/fixture.ts"
import * as Proxy from "./support/proxy.ts"
import { copied, follow, told } from "./support/replication.ts"
import * as Server from "./support/server.ts"

/** A ttl that is not over within a test. */
const long = 120_000

const r = [Target.write("r")]
const x = [Target.write("x")]

const test = (body: (fixture: Fixture) => Effect.Effect<void, unknown, Scope.Scope>) => () => leavesNothing(body)

const reasonOf = <A, E>(exit: Exit.Exit<A, E>): string => (Exit.isFailure(exit) ? Cause.pretty(exit.cause) : "success")

withOwnServer("when another server takes over", undefined, (it) => {
  /** What becomes of the former primary, which goes on to answer on the connections that there are. */
  const ends: ReadonlyArray<
    readonly [what: string, end: (old: Server.Server, fresh: Server.Server) => Effect.Effect<unknown>]
  > = [
    ["is a replica now", (old, fresh) => Effect.promise(() => old.admin.replicaof("127.0.0.1", fresh.port))],
    [
      "is a replica that has lost its primary",
      (old) =>
        Effect.promise(async () => {
          await old.admin.config("SET", "replica-serve-stale-data", "no")
          await old.admin.replicaof("127.0.0.1", 1)
        })
    ],
    ["has no replicas left", (old) => Effect.promise(() => old.admin.config("SET", "min-replicas-to-write", "1"))]
  ]
  for (const [what, end] of ends) {
    it.effect(
      `behind the same address, and the former one ${what}, those who hold, wait and ask go on`,
      test((fixture) =>
        Effect.gen(function* () {
          const old = yield* Server.start()
          const fresh = yield* follow(old)
          const proxy = yield* Proxy.start(old.url)
          const store = { url: proxy.url }
          const locks = yield* open(fixture, { ttl: 8000, refreshInterval: 100, store })
          const other = yield* open(fixture, { ttl: long, store })
          const holder = yield* hold(locks, r)
          const before = yield* holder.entered
          const waiter = yield* hold(other, r)
          yield* until(
            Effect.map(Effect.orDie(other.inspect()), (all) => all.length === 2),
            "a queue of one"
          )
          yield* copied(old)
          yield* Effect.promise(() => fresh.admin.replicaof("NO", "ONE"))
          yield* end(old, fresh)
          proxy.target = fresh.url
          // Asked for on the connection that leads to the former one.
          const asked = yield* hold(other, x, { timeout: 25_000 })
          const at = yield* asked.entered
          const direct = yield* open(fixture, { ttl: long, store: { url: fresh.url } })
          const tried = yield* hold(direct, r, { block: false })
          assert.strictEqual(yield* tried.outcome, "WouldBlock")
          assert.isTrue(holder.isIn())
          assert.isFalse(waiter.isIn())
          // It has been refreshed there.
          const refreshed = Effect.map(Effect.orDie(direct.inspect()), (all) =>
            all.some(({ id, timeLeft }) => id === before.lease.id && (timeLeft ?? 0) > 7000)
          )
          yield* until(refreshed, "a refresh at the new server")
          assert.strictEqual(yield* holder.leave, "done")
          const after = yield* waiter.entered
          assertRising(before.lease.token, after.lease.token)
          assertRising(before.lease.token, at.lease.token)
          assert.strictEqual(yield* waiter.leave, "done")
          assert.strictEqual(yield* asked.leave, "done")
          assert.deepStrictEqual(yield* Effect.promise(() => fresh.admin.keys("*")), [])
        })
      ),
      timeLimit
    )
  }

  it.effect(
    "behind the same address, the application's client is told to reconnect, too",
    test((fixture) =>
      Effect.gen(function* () {
        const old = yield* Server.start()
        const fresh = yield* follow(old)
        const proxy = yield* Proxy.start(old.url)
        const client = yield* Effect.acquireRelease(
          Effect.sync(() => new Redis(proxy.url)),
          (made) => Effect.sync(() => made.disconnect())
        )
        const { namespace } = fixture
        const store = Context.get(
          yield* Effect.orDie(Layer.build(RedisStore.layerClient(client, { namespace }))),
          LockStore.LockStore
        )
        const session = yield* Session.make(store)
        const first = yield* session.held([Target.write("a")])
        yield* copied(old)
        yield* Effect.promise(() => fresh.admin.replicaof("NO", "ONE"))
        yield* Effect.promise(() => old.admin.replicaof("127.0.0.1", fresh.port))
        proxy.target = fresh.url
        const second = yield* session.held([Target.write("b")])
        assert.isAbove(second.token, first.token)
        yield* session.end
        assert.strictEqual(yield* Effect.promise(() => client.ping()), "PONG")
      })
    ),
    timeLimit
  )

  it.effect(
    "for the connection for commands alone, the one that listens follows when a message did not come",
    test((fixture) =>
      Effect.gen(function* () {
        const proxy = yield* Proxy.start(fixture.server.url)
        const fresh = yield* Server.start()
        const locks = yield* open(fixture, { ttl: 1500, store: { url: proxy.url } })
        const direct = yield* open(fixture, { ttl: long, store: { url: fresh.url } })
        proxy.target = fresh.url
        proxy.cut("commands")
        const holder = yield* hold(direct, r)
        yield* holder.entered
        const waiter = yield* hold(locks, r)
        yield* until(
          Effect.map(Effect.orDie(direct.inspect()), (all) => all.length === 2),
          "a queue of one"
        )
        assert.strictEqual(yield* holder.leave, "done")
        // A look finds this one.
        yield* waiter.entered
        const heard = Effect.promise(() => fresh.admin.pubsub("CHANNELS", "*") as Promise<ReadonlyArray<string>>)
        yield* until(
          Effect.map(heard, (all) => all.length === 2),
          "the subscription at the new server"
        )
        assert.strictEqual(yield* waiter.leave, "done")
      })
    ),
    timeLimit
  )

  it.effect(
    "by a planned failover of Sentinel, clients leave the former primary before it is told, and nobody else gets in",
    test((fixture) =>
      Effect.gen(function* () {
        const old = yield* Server.start()
        const fresh = yield* follow(old)
        const port = yield* Server.startSentinel("locks", old)
        const sentinel = yield* Effect.acquireRelease(
          Effect.sync(() => fixture.admin.duplicate({ path: undefined as never, host: "127.0.0.1", port })),
          (client) => Effect.sync(() => client.disconnect())
        )
        sentinel.options.enableReadyCheck = false
        const sentinels = [{ host: "127.0.0.1", port }]
        const store = (connectionName: string) => ({
          url: undefined,
          redis: { sentinels, name: "locks", connectionName }
        })
        const known = Effect.promise(async () =>
          /master-link-status,ok/.test(String(await sentinel.call("SENTINEL", "replicas", "locks")))
        )
        yield* until(known, "what the Sentinel knows of the replica")
        const locks = yield* open(fixture, { ttl: 8000, refreshInterval: 100, store: store("one") })
        const holder = yield* hold(locks, r)
        const before = yield* holder.entered
        yield* copied(old)
        yield* Effect.promise(() => sentinel.call("SENTINEL", "failover", "locks"))
        const left = Effect.map(connections(old.admin), (names) => !names.includes("one"))
        yield* until(left, "the departure from the former primary")
        assert.isTrue(
          yield* told(old.admin, "replication", /role:master/),
          "it would still have granted what the new one grants, too"
        )
        const other = yield* open(fixture, { ttl: long, store: store("two") })
        const refused = yield* hold(other, r, { block: false })
        assert.strictEqual(yield* refused.outcome, "WouldBlock")
        const mine = yield* hold(locks, x)
        yield* mine.entered
        const theirs = yield* hold(other, x, { block: false })
        assert.strictEqual(yield* theirs.outcome, "WouldBlock")
        const next = yield* hold(other, r)
        assert.isTrue(holder.isIn())
        assert.strictEqual(yield* holder.leave, "done")
        assertRising(before.lease.token, (yield* next.entered).lease.token)
        yield* next.leave
        yield* mine.leave
        assert.deepStrictEqual((yield* connections(fresh.admin)).filter((name) => name === "one").length, 2)
      })
    ),
    timeLimit
  )
})

withOwnServer("when the connection that listens", undefined, (it) => {
  it.effect(
    "is dead without a word, it is made anew within seconds, and a grant is found",
    test((fixture) =>
      Effect.gen(function* () {
        const proxy = yield* Proxy.start(fixture.server.url)
        const locks = yield* open(fixture, { ttl: long, store: { url: proxy.url } })
        const other = yield* open(fixture, { ttl: long })
        const { waiting } = yield* watch(fixture)
        for (let round = 0; round < 2; round++) {
          const holder = yield* hold(other, r)
          yield* holder.entered
          const waiter = yield* hold(locks, r)
          yield* waiting(1)
          proxy.silence(false, "listening")
          assert.strictEqual(yield* holder.leave, "done")
          // With a ttl of two minutes, no look would find it in time.
          yield* waiter.entered
          assert.strictEqual(yield* waiter.leave, "done")
        }
      })
    ),
    timeLimit
  )
})

withOwnServer("when the server is busy with a script", { args: ["--lua-time-limit", "50"] }, (it) => {
  it.effect(
    "what may wait does, and what may not says so in time",
    test((fixture) =>
      Effect.gen(function* () {
        const { admin, namespace, server } = fixture
        const locks = yield* open(fixture, { ttl: long, store: { commandTimeout: 400 } })
        const holder = yield* hold(locks, r)
        yield* holder.entered
        const slow = yield* Effect.acquireRelease(
          Effect.sync(() => admin.duplicate({ connectionName: `${namespace} slow` })),
          (client) => Effect.sync(() => client.disconnect())
        )
        const stuck = slow.eval("while true do end", 0).catch(() => "killed")
        yield* until(
          Effect.promise(() =>
            admin.ping().then(
              () => false,
              (error: Error) => error.message.startsWith("BUSY")
            )
          ),
          "a busy server"
        )
        const forever = yield* hold(locks, x)
        const inTime = yield* hold(locks, [Target.write("y")], { timeout: 25_000 })
        const tooLong = yield* hold(locks, [Target.write("z")], { timeout: 600 })
        const atOnce = yield* Effect.exit(locks.withLocks(Effect.void, [Target.write("z")], { block: false }))
        assert.match(reasonOf(atOnce), /busy with a script/)
        const make = (connectTimeout: number) => RedisStore.make({ ...fixture.options, connectTimeout })
        const built = yield* Effect.fork(Effect.scoped(Effect.asVoid(make(25_000))))
        assert.match(reasonOf(yield* Effect.exit(Effect.scoped(make(300)))), /busy with a script/)
        assert.strictEqual(yield* tooLong.outcome, "LockTimeout")
        assert.isFalse(forever.isIn() || inTime.isIn())
        // Given back while the server is busy, and not left to its ttl.
        assert.strictEqual(yield* holder.leave, "done")
        yield* Effect.promise(() => admin.script("KILL"))
        assert.strictEqual(yield* Effect.promise(() => stuck), "killed")
        yield* forever.entered
        yield* inTime.entered
        yield* soon(Fiber.join(built), "the store")
        assert.strictEqual(yield* forever.leave, "done")
        assert.strictEqual(yield* inTime.leave, "done")
        assert.isAbove(server.pid, 0)
      })
    ),
    timeLimit
  )
})

withOwnServer("when the server is loading its data", undefined, (it) => {
  it.effect(
    "what may wait does, and what may not says so in time",
    test((fixture) =>
      Effect.gen(function* () {
        const first = yield* Server.start()
        const folder = (yield* Effect.promise(() => first.admin.config("GET", "dir") as Promise<Array<string>>))[1]!
        const url = `redis://127.0.0.1:${first.port}`
        const locks = yield* open(fixture, { ttl: long, refreshInterval: 200, store: { url, commandTimeout: 1500 } })
        const holder = yield* hold(locks, r)
        yield* holder.entered
        // 20 ms for each key, when it is loaded.
        const filler = Array.from({ length: 500 }, (_, i) => [`filler-${i}`, "x".repeat(2000)]).flat()
        yield* Effect.promise(() => first.admin.config("SET", "rdbcompression", "no"))
        yield* Effect.promise(() => first.admin.mset(...filler))
        yield* Effect.promise(() => first.admin.save())
        yield* first.kill
        const slowly = ["--dir", folder, "--dbfilename", "dump.rdb", "--key-load-delay", "20000"]
        const args = [...slowly, "--loading-process-events-interval-bytes", "1024"]
        const again = yield* Effect.forkScoped(Server.start({ port: first.port, args }))
        const looker = yield* Effect.acquireRelease(
          Effect.sync(() => first.admin.duplicate({ port: first.port, host: "127.0.0.1", path: undefined as never })),
          (client) => Effect.sync(() => client.disconnect())
        )
        looker.on("error", () => undefined)
        looker.options.enableReadyCheck = false
        yield* until(told(looker, "persistence", /^loading:1/m), "a server that loads")
        const waits = yield* hold(locks, x)
        const atOnce = yield* Effect.exit(locks.withLocks(Effect.void, [Target.write("z")], { block: false }))
        assert.match(reasonOf(atOnce), /loading its data/)
        const make = (connectTimeout: number) => RedisStore.make({ ...fixture.options, url, connectTimeout })
        assert.match(reasonOf(yield* Effect.exit(Effect.scoped(make(1500)))), /loading its data/)
        const built = yield* Effect.fork(Effect.scoped(Effect.asVoid(make(25_000))))
        assert.isTrue(yield* told(looker, "persistence", /^loading:1/m), "it still does")
        assert.isFalse(waits.isIn())
        yield* waits.entered
        yield* soon(Fiber.join(built), "the store")
        yield* Fiber.join(again)
        assert.isTrue(holder.isIn())
        assert.strictEqual(yield* holder.leave, "done")
        assert.strictEqual(yield* waits.leave, "done")
      })
    ),
    timeLimit
  )
})
