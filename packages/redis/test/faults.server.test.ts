import { assert } from "@effect/vitest"
import { Target } from "@hilok/core"
import { Effect, type Scope } from "effect"
import * as Script from "../src/internal/script.ts"
import { assertRising, hold, open, soon, timeLimit, until, watch } from "./support/faults.ts"
import { type Fixture, leavesNothing, withOwnServer } from "./support/fixture.ts"
import * as History from "./support/history.ts"
import * as Proxy from "./support/proxy.ts"
import * as Server from "./support/server.ts"

/** A ttl that is not over within a test. */
const long = 60_000

const r = [Target.write("r")]

const test = (body: (fixture: Fixture) => Effect.Effect<void, unknown, Scope.Scope>) => () => leavesNothing(body)

const channels = ({ admin, namespace }: Fixture) =>
  Effect.promise(() => admin.pubsub("CHANNELS", `hilok:{${namespace}}:client:*`) as Promise<Array<string>>)

withOwnServer("when the server", undefined, (it) => {
  it.effect(
    "ends the connections that listen while one waits, and a hand-over happens meanwhile, it is granted",
    test((fixture) =>
      Effect.gen(function* () {
        const holder = yield* open(fixture, { ttl: long })
        const locks = yield* open(fixture, { ttl: long })
        const { waiting } = yield* watch(fixture)
        let last = 0
        for (let i = 0; i < 3; i++) {
          const first = yield* hold(holder, r)
          const before = yield* first.entered
          const waiter = yield* hold(locks, r)
          yield* waiting(1)
          const killed = yield* Effect.promise(() => fixture.admin.client("KILL", "TYPE", "pubsub"))
          assert.isAtLeast(Number(killed), 1)
          // With a ttl of a minute there is no sign of life that would find the grant.
          assert.strictEqual(yield* first.leave, "done")
          const after = yield* waiter.entered
          assertRising(last, before.lease.token, after.lease.token)
          last = after.lease.token
          assert.strictEqual(yield* waiter.leave, "done")
          // The connections that listen are there again.
          yield* until(
            Effect.map(channels(fixture), (all) => all.length === 3),
            "the subscriptions"
          )
        }
      })
    ),
    timeLimit
  )

  it.effect(
    "ends all connections, holders and those who wait go on",
    test((fixture) =>
      Effect.gen(function* () {
        const holder = yield* open(fixture, { ttl: long })
        const locks = yield* open(fixture, { ttl: long })
        const { waiting } = yield* watch(fixture)
        const first = yield* hold(holder, r)
        yield* first.entered
        const waiter = yield* hold(locks, r)
        yield* waiting(1)
        yield* Effect.promise(() => fixture.admin.client("KILL", "TYPE", "normal", "SKIPME", "yes"))
        yield* Effect.promise(() => fixture.admin.client("KILL", "TYPE", "pubsub"))
        assert.strictEqual(yield* first.leave, "done")
        yield* waiter.entered
        assert.strictEqual(yield* waiter.leave, "done")
      })
    ),
    timeLimit
  )

  it.effect(
    "passes on messages that are not its own scripts', nothing comes of them",
    test((fixture) =>
      Effect.gen(function* () {
        const locks = yield* open(fixture, { ttl: long })
        const first = yield* hold(locks, r)
        const before = yield* first.entered
        const waiter = yield* hold(locks, r)
        const { entries, waiting } = yield* watch(fixture)
        yield* waiting(1)
        const [held, waits] = yield* entries
        const time = String(Number.MAX_SAFE_INTEGER)
        const id = waits!.id
        const garbage = [
          "",
          "\n",
          "\n\n\n",
          "nonsense",
          "\u0000\u00ff\n\u0001",
          `${time}\n`,
          `${time}\ng`,
          `${time}\ng ${id}`,
          `${time}\ng ${id} x y`,
          `${time}\ng ${id} 1e400 1e400`,
          `${time}\ng ${id} 1 NaN`,
          // A grant that is over, or that is older than what is known.
          `${time}\ng ${id} 1 1`,
          `1\ng ${id} 1 ${time}`,
          `g ${id} 1 ${time}`,
          `yesterday\ng ${id} 1 ${time}`,
          `yesterday\nd ${id}`,
          `1\nx ${id}`,
          `${time}\nx ${id}`,
          `${time}\nx ${id}\nx ${id}\nl ${id}`,
          `${time}\n? ${id}`,
          `${time}\ng nobody 1 ${time}`,
          `${time}\nb nobody\ne nobody\ne\nb`,
          `${time}\ng ${held!.id} 1 ${time}\nx ${held!.id}\nd ${held!.id}`,
          `${time}\ng __proto__ 1 ${time}`,
          "x".repeat(100_000)
        ]
        const names = yield* channels(fixture)
        for (const message of garbage) {
          for (const name of names) yield* Effect.promise(() => fixture.admin.publish(name, message))
        }
        // Behind them comes a real one, of a request between the two.
        const other = yield* hold(locks, [Target.write("x")])
        yield* other.entered
        const next = yield* hold(yield* open(fixture, { ttl: long }), [Target.write("x")])
        yield* waiting(2)
        yield* other.leave
        yield* next.entered
        yield* next.leave
        assert.isTrue(first.isIn())
        assert.isFalse(waiter.isIn())
        const [stillHeld, stillWaits] = yield* entries
        assert.deepStrictEqual(
          [stillHeld?.id, stillHeld?.state, stillWaits?.id, stillWaits?.ticket],
          [held!.id, "held", id, waits!.ticket]
        )
        assert.strictEqual(yield* first.leave, "done")
        const after = yield* waiter.entered
        assertRising(before.lease.token, after.lease.token)
        assert.strictEqual(yield* waiter.leave, "done")
      })
    ),
    timeLimit
  )

  it.effect(
    "passes a real message on once more, later, nothing comes of it",
    test((fixture) =>
      Effect.gen(function* () {
        const locks = yield* open(fixture, { ttl: long })
        const other = yield* open(fixture, { ttl: long })
        const { entries, waiting } = yield* watch(fixture)
        const heard: Array<readonly [channel: string, message: string]> = []
        const listener = yield* Effect.acquireRelease(
          Effect.sync(() => fixture.admin.duplicate({ connectionName: `${fixture.namespace} listener` })),
          (client) => Effect.sync(() => client.disconnect())
        )
        listener.on("pmessage", (_pattern: string, channel: string, message: string) => heard.push([channel, message]))
        yield* Effect.promise(() => listener.psubscribe("*"))
        const first = yield* hold(other, r)
        yield* first.entered
        const second = yield* hold(locks, r)
        yield* waiting(1)
        const third = yield* hold(locks, r)
        yield* waiting(2)
        yield* first.leave
        const { lease } = yield* second.entered
        yield* until(
          Effect.sync(() => heard.length > 0),
          "the message of the grant"
        )
        const copies = heard.length
        const again = Effect.forEach(
          heard.slice(0, copies),
          ([channel, message]) => Effect.promise(() => fixture.admin.publish(channel, message)),
          { discard: true }
        )
        yield* again
        yield* until(
          Effect.sync(() => heard.length >= 2 * copies),
          "the messages again"
        )
        assert.isTrue(second.isIn())
        assert.isFalse(third.isIn())
        yield* second.leave
        const last = yield* third.entered
        yield* again
        assertRising(lease.token, last.lease.token)
        assert.deepStrictEqual(
          (yield* entries).map(({ id }) => id),
          [last.lease.id]
        )
        assert.strictEqual(yield* third.leave, "done")
      })
    ),
    timeLimit
  )

  it.effect(
    "stands still for longer than a command may take, a lease is kept, and an acquire fails and leaves nothing",
    test((fixture) =>
      Effect.gen(function* () {
        const store = { commandTimeout: 200 }
        const locks = yield* open(fixture, { ttl: 4000, refreshInterval: 200, store })
        const { entries } = yield* watch(fixture)
        const held = yield* hold(locks, r)
        const { lease } = yield* held.entered
        yield* Effect.promise(() => fixture.admin.client("PAUSE", 900, "ALL"))
        const paused = History.now()
        const failed = yield* hold(locks, [Target.write("x")])
        assert.strictEqual(yield* failed.outcome, "StoreError")
        const refused = yield* hold(locks, [Target.write("x")], { block: false })
        assert.strictEqual(yield* refused.outcome, "StoreError")
        yield* Effect.promise(() => fixture.admin.ping())
        assert.isAtLeast(History.now() - paused, 600_000, "it did stand still")
        const next = yield* hold(yield* open(fixture, { ttl: long }), [Target.write("x")])
        yield* next.entered
        yield* next.leave
        assert.isTrue(held.isIn())
        assert.deepStrictEqual(
          (yield* entries).map(({ id }) => id),
          [lease.id]
        )
        assert.strictEqual(yield* held.leave, "done")
      })
    ),
    timeLimit
  )

  it.effect(
    "stands still when a lease is given back, a store that closes waits until it goes on",
    test((fixture) =>
      Effect.gen(function* () {
        yield* Effect.scoped(
          Effect.gen(function* () {
            const locks = yield* open(fixture, { ttl: long, store: { commandTimeout: 100 } })
            const held = yield* hold(locks, r)
            yield* held.entered
            yield* Effect.promise(() => fixture.admin.client("PAUSE", 300, "ALL"))
            // The holder does not wait for the server, and its release is not lost for that.
            assert.strictEqual(yield* held.leave, "done")
          })
        )
        assert.deepStrictEqual(yield* Effect.promise(() => fixture.admin.keys("*")), [])
      })
    ),
    timeLimit
  )

  it.effect(
    "forgets everything, a holder learns it, those who wait queue anew, and tokens rise",
    test((fixture) =>
      Effect.gen(function* () {
        const locks = yield* open(fixture, { ttl: 900 })
        const other = yield* open(fixture, { ttl: 900 })
        const { waiting } = yield* watch(fixture)
        const holder = yield* hold(locks, r)
        const before = yield* holder.entered
        const first = yield* hold(other, r)
        yield* waiting(1)
        const second = yield* hold(locks, r)
        yield* waiting(2)
        yield* Effect.promise(() => fixture.admin.flushall())
        assert.strictEqual(yield* holder.outcome, "LockLost expired")
        // They may come in another order: the queue is gone as well.
        const [one, two] = yield* soon(
          Effect.raceFirst(
            Effect.as(first.entered, [first, second] as const),
            Effect.as(second.entered, [second, first] as const)
          ),
          "one of those who wait"
        )
        const then = yield* one.entered
        yield* waiting(1)
        assert.isFalse(two.isIn())
        assert.strictEqual(yield* one.leave, "done")
        const last = yield* two.entered
        assertRising(before.lease.token, then.lease.token, last.lease.token)
        assert.strictEqual(yield* two.leave, "done")
      })
    ),
    timeLimit
  )

  it.effect(
    "forgets its scripts, nobody notices",
    test((fixture) =>
      Effect.gen(function* () {
        const locks = yield* open(fixture, { ttl: 2000, refreshInterval: 100 })
        const proxy = yield* Proxy.start(fixture.server.url)
        const other = yield* open(fixture, { ttl: long, store: { url: proxy.url } })
        const held = yield* hold(locks, r)
        yield* held.entered
        const { waiting } = yield* watch(fixture)
        const waiter = yield* hold(other, r)
        yield* waiting(1)
        yield* Effect.promise(() => fixture.admin.script("FLUSH"))
        assert.strictEqual(yield* held.leave, "done")
        yield* waiter.entered
        yield* Effect.promise(() => fixture.admin.script("FLUSH"))
        assert.strictEqual(yield* waiter.leave, "done")
        assert.isAtLeast(proxy.sent(Script.release), 1)
      })
    ),
    timeLimit
  )

  it.effect(
    "is started anew without what it knew, a lease is lost, those who wait queue anew, and tokens rise",
    test((fixture) =>
      Effect.gen(function* () {
        // The test's server is left alone: this one may end.
        const old = yield* Server.start()
        const proxy = yield* Proxy.start(old.url)
        const store = { url: proxy.url }
        const locks = yield* open(fixture, { ttl: 1200, store })
        const other = yield* open(fixture, { ttl: 1200, store })
        const holder = yield* hold(locks, r)
        const before = yield* holder.entered
        const first = yield* hold(other, [Target.read("r/a")])
        const second = yield* hold(other, r)
        const queued = Effect.map(Effect.orDie(other.inspect()), (all) => all.length === 3)
        yield* until(queued, "a queue of two")
        yield* old.kill
        const fresh = yield* Server.start()
        proxy.target = fresh.url
        assert.include(["LockLost expired", "LockLost unreachable"], yield* holder.outcome)
        const both = [first, second]
        const one = yield* soon(
          Effect.raceAll(both.map((waiter) => Effect.as(waiter.entered, waiter))),
          "one of those who wait"
        )
        const two = one === first ? second : first
        const then = yield* one.entered
        assert.isFalse(two.isIn())
        assert.strictEqual(yield* one.leave, "done")
        const last = yield* two.entered
        assertRising(before.lease.token, then.lease.token, last.lease.token)
        assert.strictEqual(yield* two.leave, "done")
        // The first holder is a client like any other again.
        const again = yield* hold(locks, r)
        assertRising(last.lease.token, (yield* again.entered).lease.token)
        assert.strictEqual(yield* again.leave, "done")
        assert.deepStrictEqual(yield* Effect.promise(() => fresh.admin.keys("*")), [])
      })
    ),
    timeLimit
  )

  it.effect(
    "is started anew with what it knew, a holder keeps its lease, and those who wait keep their places",
    test((fixture) =>
      Effect.gen(function* () {
        const args = ["--appendonly", "yes"]
        const old = yield* Server.start({ args })
        const folder = (yield* Effect.promise(() => old.admin.config("GET", "dir") as Promise<Array<string>>))[1]!
        const proxy = yield* Proxy.start(old.url)
        const store = { url: proxy.url }
        const locks = yield* open(fixture, { ttl: long, refreshInterval: 100, store })
        const other = yield* open(fixture, { ttl: long, store })
        const holder = yield* hold(locks, r)
        const { lease } = yield* holder.entered
        const waiters = [yield* hold(other, [Target.read("r/a")]), yield* hold(other, r)] as const
        const queued = Effect.map(Effect.orDie(other.inspect()), (all) => all.length === 3)
        yield* until(queued, "a queue of two")
        yield* old.kill
        const again = yield* Server.start({ args: [...args, "--dir", folder] })
        proxy.target = again.url
        const direct = yield* open(fixture, { ttl: long, store: { url: again.url } })
        const entries = yield* direct.inspect()
        assert.deepStrictEqual(
          entries.map(({ id, state }) => (state === "held" ? id : state)),
          [lease.id, "waiting", "waiting"]
        )
        assert.strictEqual(yield* holder.leave, "done")
        assertRising(lease.token, (yield* waiters[0].entered).lease.token)
        assert.isFalse(waiters[1].isIn())
        assert.strictEqual(yield* waiters[0].leave, "done")
        yield* waiters[1].entered
        assert.strictEqual(yield* waiters[1].leave, "done")
      })
    ),
    timeLimit
  )
})
