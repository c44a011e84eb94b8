/**
 * What the store costs its server, in commands and in memory. No test of time: the counts are the server's own.
 */
import { assert, describe } from "@effect/vitest"
import { HierarchicalLock, LockPath, LockStore, Target } from "@hilok/core"
import { Session } from "@hilok/testing"
import { Deferred, Duration, Effect, Fiber, Option } from "effect"
import type { Redis } from "ioredis"
import { type Fixture, leavesNothing, scriptCalls, until, withOwnServer } from "./support/fixture.ts"

const { read, write } = Target

const reset = (admin: Redis) => Effect.promise(() => admin.config("RESETSTAT"))

const times = <A, E, R>(count: number, make: (i: number) => Effect.Effect<A, E, R>) =>
  Effect.forEach(Array.from({ length: count }), (_, i) => make(i), { concurrency: "unbounded" })

const service = ({ store }: Fixture, options?: Parameters<typeof HierarchicalLock.make>[0]) =>
  Effect.flatMap(store(), (made) => Effect.provideService(HierarchicalLock.make(options), LockStore.LockStore, made))

const report = (what: string) => Effect.sync(() => console.log(what))

describe("RedisStore, what it costs", () => {
  withOwnServer("in commands", undefined, (it) => {
    it.effect("taking and giving back a free lock is two commands, at any depth", () =>
      leavesNothing((fixture) =>
        Effect.gen(function* () {
          const locks = yield* service(fixture)
          for (const depth of [1, 3, 12, 128]) {
            const path = Array.from({ length: depth }, (_, i) => `${i}`)
            yield* reset(fixture.admin)
            yield* locks.withWrite(Effect.void, path)
            yield* locks.withRead(Effect.void, path)
            assert.strictEqual(yield* scriptCalls(fixture.admin), 4, `at depth ${depth}`)
          }
          yield* reset(fixture.admin)
          yield* locks.withLocks(Effect.void, [write("a/b/c"), read("d"), write("e/f")])
          assert.strictEqual(yield* scriptCalls(fixture.admin), 2, "three targets at once")
        })
      )
    )

    it.effect("what is asked for in the same moment shares commands", () =>
      leavesNothing((fixture) =>
        Effect.gen(function* () {
          const locks = yield* service(fixture)
          yield* reset(fixture.admin)
          yield* times(320, (i) => locks.withWrite(Effect.void, `a/${i}`))
          assert.isAtMost(yield* scriptCalls(fixture.admin), 2 * Math.ceil(320 / 32))
        })
      )
    )

    it.effect("a hand-over is at most three commands, whatever the number of those who wait", () =>
      leavesNothing((fixture) =>
        Effect.gen(function* () {
          for (const waiters of [2, 16, 128]) {
            // In two processes, as it were: a grant that is the caller's own comes with the answer.
            const [one, two] = [yield* service(fixture), yield* service(fixture)]
            const start = yield* Deferred.make<void>()
            const inside = yield* Effect.makeLatch()
            const first = yield* Effect.fork(
              one.withWrite(Effect.zipRight(Deferred.succeed(start, undefined), inside.await), "a/b")
            )
            yield* Deferred.await(start)
            const queued = yield* Effect.fork(
              times(waiters, (i) => (i % 2 === 0 ? one : two).withWrite(Effect.void, "a/b"))
            )
            const waiting = Effect.map(one.inspect(), (entries) => entries.length === waiters + 1)
            yield* until(waiting, "all of them in the queue")
            yield* reset(fixture.admin)
            yield* inside.open
            yield* Session.due(Fiber.join(queued), "the end of the queue")
            yield* Fiber.join(first)
            const calls = yield* scriptCalls(fixture.admin)
            yield* report(`${waiters} in a queue: ${(calls / (waiters + 1)).toFixed(2)} commands for each`)
            // Their requests were sent before.
            assert.isAtMost(calls, 2 * (waiters + 1))
          }
        })
      )
    )

    it.effect(
      "a thousand leases are kept by at most twenty commands per refresh interval",
      () =>
        leavesNothing((fixture) =>
          Effect.gen(function* () {
            const locks = yield* service(fixture, { ttl: "3 seconds", refreshInterval: "1 second" })
            const close = yield* Deferred.make<void>()
            const held = yield* Effect.fork(
              times(1000, (i) => locks.withWrite(Deferred.await(close), `a/${i % 10}/${i}`))
            )
            yield* until(
              Effect.map(
                locks.inspect("a/9"),
                (entries) => entries.length === 100 && entries.every((e) => e.state === "held")
              ),
              "all leases"
            )
            yield* reset(fixture.admin)
            const intervals = 3
            yield* Effect.sleep(Duration.seconds(intervals))
            const calls = yield* scriptCalls(fixture.admin)
            yield* report(`1,000 leases held: ${(calls / intervals).toFixed(1)} commands per refresh interval`)
            assert.isAtMost(calls, 20 * intervals)
            assert.isAtLeast(calls, 2)
            assert.strictEqual((yield* locks.inspect("a")).length, 1000)
            yield* Deferred.succeed(close, undefined)
            yield* Fiber.join(held)
          })
        ),
      15_000
    )

    it.effect("who waits for a lease that is kept asks three times per ttl, together with all others", () =>
      leavesNothing((fixture) =>
        Effect.gen(function* () {
          const { session, store } = yield* fixture.client()
          const held = yield* session.held([write("a")], { ttl: "2 seconds" })
          const ttl = Duration.millis(900)
          const wait = () => store.acquire(session.request([write("a")], { ttl }))
          // They come one after the other, and look together all the same.
          const waiters = yield* times(50, (i) => Effect.fork(Effect.delay(wait(), Duration.millis(5 * i))))
          const waiting = Effect.map(store.inspect(LockPath.root), (entries) => entries.length === 51)
          yield* until(waiting, "all of them in the queue")
          yield* reset(fixture.admin)
          const kept = Effect.zipRight(Effect.sleep("100 millis"), store.refresh(held.id, Duration.seconds(2), held.id))
          const [elapsed] = yield* Effect.timed(Effect.repeatN(kept, 8))
          const refreshes = 9
          const looks = (yield* scriptCalls(fixture.admin)) - refreshes
          yield* report(`50 waiting for a lease that is kept: ${looks} commands in one ttl`)
          assert.isAtLeast(looks, 2)
          assert.isAtMost(looks, 2 + 3 * (Duration.toMillis(elapsed) / Duration.toMillis(ttl)))
          assert.isTrue(yield* waiting)
          yield* Fiber.interruptAll(waiters)
          yield* session.end
        })
      )
    )

    it.effect("who waits to hold a lock for a moment asks no more often than others", () =>
      leavesNothing((fixture) =>
        Effect.gen(function* () {
          const { session, store } = yield* fixture.client()
          const held = yield* session.held([write("a")])
          const waiter = yield* session.queued([write("a")], { ttl: "50 millis", waitTtl: "3 seconds" })
          const { ticket } = Option.getOrThrow(yield* store.lookup(waiter.id))
          yield* reset(fixture.admin)
          yield* Effect.sleep("2 seconds")
          const looks = yield* scriptCalls(fixture.admin)
          yield* report(`waiting for 2 s to hold a lock for 50 ms: ${looks} commands`)
          assert.isAtMost(looks, 3)
          assert.strictEqual(Option.getOrThrow(yield* store.lookup(waiter.id)).ticket, ticket)
          yield* store.release(held.id, held.id)
          yield* session.granted(waiter)
          yield* session.end
        })
      )
    )

    it.effect(
      "the blockers of thousands are named by a command for every fifty, and so are those looked up at once",
      () =>
        leavesNothing((fixture) =>
          Effect.gen(function* () {
            const { session, store } = yield* fixture.client()
            const held = yield* session.held([write("a")])
            const waiting = yield* times(2000, () => session.ask(session.request([write("a")])))
            const ids = waiting.map(({ id }) => id)
            yield* reset(fixture.admin)
            const [took, blockers] = yield* Effect.timed(store.blockers(ids))
            yield* report(`the blockers of 2,000: ${Math.round(Duration.toMillis(took))} ms`)
            assert.isTrue(blockers.every(Option.isSome))
            assert.strictEqual(yield* scriptCalls(fixture.admin), 40)
            yield* reset(fixture.admin)
            yield* times(100, (i) => store.lookup(ids[i]!))
            assert.strictEqual(yield* scriptCalls(fixture.admin), 2)
            yield* times(2000, (i) => session.cancel(ids[i]!))
            yield* store.release(held.id, held.id)
            yield* session.end
          })
        )
    )
  })

  withOwnServer("in memory", undefined, (it) => {
    it.effect(
      "a lease with a short path takes at most 600 bytes",
      () =>
        leavesNothing((fixture) =>
          Effect.gen(function* () {
            const { admin, keys } = fixture
            const store = yield* fixture.store()
            const count = 10_000
            for (const [name, path] of [
              ["a/<n>/", (i: number) => `a/${i}`],
              ["reports/2026/<n>/", (i: number) => `reports/2026/${i}`]
            ] as const) {
              const id = yield* Effect.sync(() => crypto.randomUUID().slice(0, 28))
              const holder = { label: undefined, reason: undefined, host: "host-1", pid: 12345 }
              const request = (i: number): LockStore.LockRequest => ({
                id: `${id}${String(i).padStart(8, "0")}`,
                targets: [Session.region(write(path(i)))],
                ttl: Duration.minutes(1),
                within: [],
                holder
              })
              yield* times(count, (i) => store.acquire(request(i)))
              const bytes = yield* Effect.promise(async () => {
                const sizes = await Promise.all(keys.map((key) => admin.memory("USAGE", key, "SAMPLES", 0)))
                return sizes.map((size) => Number(size ?? 0))
              })
              const total = bytes.reduce((a, b) => a + b, 0)
              yield* report(`${name}: ${Math.round(total / count)} bytes for each of ${count} leases`)
              if (name.length < 8) assert.isAtMost(total / count, 600)
              yield* times(count, (i) => store.release(request(i).id))
            }
          })
        ),
      120_000
    )
  })
})
