import { assert, describe, it } from "@effect/vitest"
import { type HierarchicalLock, type Lease, LockError } from "@hilok/core"
import { Cause, Deferred, Effect, Exit, Fiber, FiberId, Option, type Scope, TestClock } from "effect"
import { type Around, Faults, remote } from "./support/doubles.ts"
import { assertEmpty, client, entries, open, settle } from "./support/locks.ts"
import * as metrics from "./support/metrics.ts"
import { narrow } from "./support/narrow.ts"
import { skewedClock } from "./support/skewedClock.ts"

type Locks = HierarchicalLock.Operations<never>

/** Breaks every lease on the path. */
const breakAll = (locks: Locks, path: string) =>
  Effect.flatMap(Effect.orDie(locks.inspect(path)), (found) =>
    Effect.forEach(found, ({ id }) => Effect.orDie(locks.breakLease(id)), { discard: true })
  )

/** Asserts that the fiber can go on as if it had never been interrupted. */
const assertGoesOn = (locks: Locks) =>
  Effect.gen(function* () {
    yield* Effect.yieldNow()
    const child = yield* Effect.fork(Effect.zipRight(Effect.yieldNow(), Effect.succeed("child")))
    assert.strictEqual(yield* Fiber.join(child), "child")
    assert.strictEqual(
      yield* locks.withWrite(Effect.zipRight(Effect.yieldNow(), Effect.succeed("again")), "a"),
      "again"
    )
    assert.deepStrictEqual(
      yield* Effect.all([Effect.succeed(1), Effect.zipRight(Effect.yieldNow(), Effect.succeed(2))], { concurrency: 2 }),
      [1, 2]
    )
    const asleep = yield* Effect.fork(Effect.as(Effect.sleep("1 second"), "slept"))
    yield* TestClock.adjust("1 second")
    assert.strictEqual(yield* Fiber.join(asleep), "slept")
  })

const reasonOf = (exit: Exit.Exit<unknown, unknown>) =>
  Exit.isFailure(exit)
    ? Option.match(Cause.failureOption(exit.cause), {
        onNone: () => Cause.pretty(exit.cause),
        onSome: (error) =>
          narrow(error, LockError.LockLost)._tag === "LockLost" ? narrow(error, LockError.LockLost).reason : error
      })
    : exit.value

describe("a lease whose refresh is not answered is kept when meanwhile", () => {
  /** A scoped lease (ttl 9 s, refresh every 3 s) whose first refresh never ends; `act` in the fourth second. */
  const keeping = (act: (locks: Locks, lease: Lease.Lease) => Effect.Effect<Lease.Lease, unknown, Scope.Scope>) =>
    Effect.gen(function* () {
      const faults = new Faults()
      const { locks, store } = yield* open({ ttl: "9 seconds", refreshInterval: "3 seconds" }, faults.around)
      yield* Effect.scoped(
        Effect.gen(function* () {
          const lease = yield* locks.write("a", { onLost: "signal" })
          faults.set("refresh", "hangs")
          yield* TestClock.adjust("4 seconds")
          assert.strictEqual(faults.calls.get("refresh"), 1)
          faults.set("refresh", "none")
          const kept = yield* act(locks, lease)
          const lost = yield* Effect.fork(Effect.flip(kept.lost))
          yield* TestClock.adjust("7 seconds")
          assert.isNull(lost.unsafePoll())
          yield* kept.check
          yield* Fiber.interrupt(lost)
        })
      )
      yield* assertEmpty(store)
    }).pipe(Effect.scoped)

  it.effect("its holder refreshes it by hand", () => keeping((locks, lease) => Effect.as(locks.refresh(lease), lease)))

  it.effect("it is taken over in the same service", () =>
    keeping((locks, lease) => locks.restore(lease.id, { onLost: "signal" }))
  )
})

describe("a lease that is lost interrupts the effect, which fails with `LockLost`", () => {
  /** Runs an effect under `write "a"` (ttl 9 s, refresh every 3 s) and then checks that its fiber goes on. */
  const losing = (faults: Faults, act: (locks: Locks) => Effect.Effect<void>) =>
    Effect.gen(function* () {
      const { locks, store } = yield* open({ ttl: "9 seconds", refreshInterval: "3 seconds" }, faults.around)
      let interrupted = false
      const fiber = yield* Effect.fork(
        Effect.gen(function* () {
          const body = Effect.onInterrupt(Effect.never, () => Effect.sync(() => (interrupted = true)))
          const error = yield* Effect.flip(locks.withWrite(body, "a"))
          const goesOn = yield* Effect.as(Effect.yieldNow(), true)
          return { error, goesOn }
        })
      )
      yield* TestClock.adjust("4 seconds")
      yield* act(locks)
      const { error, goesOn } = yield* Fiber.join(fiber)
      assert.strictEqual(error._tag, "LockLost")
      assert.isTrue(interrupted)
      assert.isTrue(goesOn)
      yield* TestClock.adjust("9 seconds")
      yield* assertEmpty(store)
      return narrow(error, LockError.LockLost)
    }).pipe(Effect.scoped)

  it.effect("broken by an operator, at once", () =>
    Effect.gen(function* () {
      const error = yield* losing(new Faults(), (locks) => breakAll(locks, "a"))
      assert.strictEqual(error.reason, "broken")
      assert.include(error.message, `The lock on write "a" was broken by an operator`)
    })
  )

  it.effect("released by somebody else, at once", () =>
    Effect.gen(function* () {
      const { locks, store } = yield* open({ ttl: "9 seconds", refreshInterval: "3 seconds" })
      const other = yield* client(store)
      const fiber = yield* Effect.fork(Effect.flip(locks.withWrite(Effect.never, "a")))
      yield* TestClock.adjust("4 seconds")
      const [entry] = yield* entries(store)
      assert.isTrue(yield* other.release(entry!.id))
      assert.strictEqual(narrow(yield* Fiber.join(fiber), LockError.LockLost).reason, "released")
    }).pipe(Effect.scoped)
  )

  it.effect("when the service is closed, which releases it", () =>
    Effect.gen(function* () {
      const { store } = yield* open()
      const fiber = yield* Effect.scoped(
        Effect.gen(function* () {
          const locks = yield* client(store, { ttl: "3 seconds" })
          const fiber = yield* Effect.forkDaemon(Effect.flip(locks.withWrite(Effect.never, "a")))
          yield* settle
          return fiber
        })
      )
      yield* assertEmpty(store)
      const error = narrow(yield* Fiber.join(fiber), LockError.LockLost)
      assert.strictEqual(error.reason, "closed")
      assert.include(error.message, "the lock service was closed while it was held")
    }).pipe(Effect.scoped)
  )

  it.effect("not refreshed, as the store was down past the local deadline", () =>
    Effect.gen(function* () {
      const faults = new Faults()
      const error = yield* losing(faults, () =>
        Effect.sync(() => faults.set("refresh", "down")).pipe(Effect.zipRight(TestClock.adjust("9 seconds")))
      )
      assert.strictEqual(error.reason, "unreachable")
      assert.include(error.message, "the store was not reached before the lease's deadline")
      assert.isAbove(faults.calls.get("refresh") ?? 0, 4, "it tried several times")
    })
  )

  it.effect("not refreshed, as the store did not answer until the local deadline", () =>
    Effect.gen(function* () {
      const faults = new Faults()
      const error = yield* losing(faults, () =>
        Effect.sync(() => faults.set("refresh", "hangs")).pipe(Effect.zipRight(TestClock.adjust("9 seconds")))
      )
      assert.strictEqual(error.reason, "unreachable")
    })
  )

  it.effect("not released in time either, as nothing answers", () =>
    Effect.gen(function* () {
      const faults = new Faults()
      const error = yield* losing(faults, () =>
        Effect.sync(() => {
          faults.set("refresh", "hangs")
          faults.set("release", "hangs")
        }).pipe(Effect.zipRight(TestClock.adjust("9 seconds")))
      )
      assert.strictEqual(error.reason, "unreachable")
    })
  )

  it.effect("held longer than `maxHold`, however well it is refreshed", () =>
    Effect.gen(function* () {
      const { locks, store } = yield* open({ ttl: "9 seconds" })
      const fiber = yield* Effect.fork(Effect.flip(locks.withWrite(Effect.never, "a", { maxHold: "20 seconds" })))
      yield* TestClock.adjust("19999 millis")
      assert.isNull(fiber.unsafePoll())
      yield* TestClock.adjust("1 millis")
      const lost = narrow(yield* Fiber.join(fiber), LockError.LockLost)
      assert.strictEqual(lost.reason, "expired")
      assert.strictEqual(lost.maxHold, 20_000)
      assert.include(lost.message, "its `maxHold` of 20 s is over")
      yield* assertEmpty(store)
      const short = yield* Effect.fork(Effect.flip(locks.withWrite(Effect.never, "a", { maxHold: "10 millis" })))
      yield* TestClock.adjust("10 millis")
      assert.strictEqual(narrow(yield* Fiber.join(short), LockError.LockLost).maxHold, 10)
      yield* assertEmpty(store)
    }).pipe(Effect.scoped)
  )

  it.effect.each(["hangs", "down"] as const)("held longer than `maxHold`, though the last refresh %s", (fault) =>
    Effect.gen(function* () {
      const faults = new Faults()
      const { locks } = yield* open({ ttl: "9 seconds" }, faults.around)
      const fiber = yield* Effect.fork(Effect.flip(locks.withWrite(Effect.never, "a", { maxHold: "20 seconds" })))
      // By now it has been refreshed for as long as it may be held.
      yield* TestClock.adjust("16 seconds")
      faults.set("refresh", fault)
      yield* TestClock.adjust("4 seconds")
      const lost = narrow(yield* Fiber.join(fiber), LockError.LockLost)
      assert.deepStrictEqual([lost.reason, lost.maxHold], ["expired", 20_000])
    }).pipe(Effect.scoped)
  )

  it.effect("expired, as the process was paused past the deadline", () =>
    Effect.gen(function* () {
      const clock = yield* skewedClock
      const { locks, store } = yield* Effect.withClock(open({ ttl: "9 seconds", refreshInterval: "3 seconds" }), clock)
      const waking = yield* Effect.fork(locks.withWrite(Effect.never, "a"))
      yield* TestClock.adjust("1 second")
      clock.jump(60_000)
      yield* TestClock.adjust("3 seconds")
      assert.strictEqual(reasonOf(yield* Fiber.await(waking)), "expired")
      // The effect completes before the loop is woken.
      const completing = Effect.sync(() => clock.jump(60_000)).pipe(Effect.as("done"))
      assert.strictEqual(reasonOf(yield* Effect.exit(locks.withWrite(completing, "a"))), "expired")
      yield* assertGoesOn(locks)
      yield* assertEmpty(store)
    }).pipe(Effect.scoped)
  )

  it.effect("found out by `check`", () =>
    Effect.gen(function* () {
      const { locks, store } = yield* open({ ttl: "9 seconds" })
      const error = yield* Effect.flip(
        locks.withWrite((lease) => Effect.zipRight(Effect.orDie(store.release(lease.id)), lease.check), "a")
      )
      assert.strictEqual(narrow(error, LockError.LockLost).reason, "expired")
      yield* assertGoesOn(locks)
    }).pipe(Effect.scoped)
  )
})

describe("no loss", () => {
  it.effect("is a refresh that fails for a while and recovers", () =>
    Effect.gen(function* () {
      const faults = new Faults()
      const { locks, store } = yield* open({ ttl: "9 seconds", refreshInterval: "3 seconds" }, faults.around)
      const fiber = yield* Effect.fork(locks.withWrite(Effect.as(Effect.sleep("1 minute"), "done"), "a"))
      const scoped = yield* locks.read("b")
      for (let i = 0; i < 3; i++) {
        yield* TestClock.adjust("10 seconds")
        faults.set("refresh", "down")
        yield* TestClock.adjust("5 seconds")
        assert.strictEqual((yield* entries(store)).length, 2)
        faults.set("refresh", "none")
      }
      yield* TestClock.adjust("15 seconds")
      assert.strictEqual(yield* Fiber.join(fiber), "done")
      yield* scoped.check
    }).pipe(Effect.scoped)
  )
})

describe("a loss", () => {
  it.effect("leaves the fiber as if it had not been interrupted", () =>
    Effect.gen(function* () {
      const { locks, store } = yield* open()
      for (let i = 0; i < 3; i++) {
        const exit = yield* Effect.exit(locks.withWrite(Effect.zipRight(breakAll(locks, "a"), Effect.never), "a"))
        assert.strictEqual(reasonOf(exit), "broken")
        yield* assertGoesOn(locks)
      }
      const finalized = yield* Deferred.make<string>()
      yield* Effect.scoped(Effect.addFinalizer(() => Deferred.succeed(finalized, "later finalizers run as well")))
      assert.strictEqual(yield* Deferred.await(finalized), "later finalizers run as well")
      yield* assertEmpty(store)
    }).pipe(Effect.scoped)
  )

  it.effect("spares the children that the fiber had forked before, and no others", () =>
    Effect.gen(function* () {
      const { locks } = yield* open()
      const parent = yield* Effect.fork(
        Effect.gen(function* () {
          const before = yield* Effect.fork(Effect.never)
          const inside = yield* Deferred.make<Fiber.RuntimeFiber<never>>()
          const body = Effect.zipRight(
            Effect.flatMap(Effect.fork(Effect.never), (child) => Deferred.succeed(inside, child)),
            Effect.zipRight(breakAll(locks, "a"), Effect.never)
          )
          const error = yield* Effect.flip(locks.withWrite(body, "a"))
          assert.strictEqual(error._tag, "LockLost")
          assert.isTrue(Exit.isInterrupted(yield* Fiber.await(yield* Deferred.await(inside))))
          yield* settle
          assert.isNull(before.unsafePoll())
          return before
        })
      )
      // It is still a child: it ends with its parent.
      const before = yield* Fiber.join(parent)
      assert.isTrue(Exit.isInterrupted(yield* Fiber.await(before)))
    }).pipe(Effect.scoped)
  )

  it.effect("together with an interruption from elsewhere stays an interruption", () =>
    Effect.gen(function* () {
      const { locks, store } = yield* open({}, remote)
      for (const lossFirst of [true, false]) {
        let wentOn = false
        const work = Effect.exit(locks.withWrite(Effect.never, "a")).pipe(
          Effect.zipRight(Effect.yieldNow()),
          Effect.zipRight(Effect.sync(() => (wentOn = true)))
        )
        const fiber = yield* Effect.fork(work)
        yield* settle
        if (lossFirst) yield* breakAll(locks, "a")
        fiber.unsafeInterruptAsFork(FiberId.none)
        if (!lossFirst) yield* breakAll(locks, "a")
        assert.isTrue(Exit.isInterrupted(yield* Fiber.await(fiber)))
        assert.isFalse(wentOn)
        yield* settle
        yield* assertEmpty(store)
      }
    }).pipe(Effect.scoped)
  )

  it.effect("together with a failure of the effect has both in its cause, the loss first", () =>
    Effect.gen(function* () {
      const { locks } = yield* open()
      const body = Effect.zipRight(breakAll(locks, "a"), Effect.never).pipe(
        Effect.ensuring(Effect.dieMessage("the clean-up failed"))
      )
      const exit = yield* Effect.exit(locks.withWrite(body, "a"))
      assert.strictEqual(reasonOf(exit), "broken")
      assert.isTrue(Exit.isFailure(exit) && Cause.pretty(exit.cause).includes("the clean-up failed"))
      yield* assertGoesOn(locks)
      const failing = Effect.uninterruptible(
        Effect.zipRight(Effect.zipRight(breakAll(locks, "a"), settle), Effect.fail("failed"))
      )
      const second = yield* Effect.exit(locks.withWrite(failing, "a"))
      assert.strictEqual(reasonOf(second), "broken")
      assert.isTrue(Exit.isFailure(second) && Array.from(Cause.failures(second.cause)).includes("failed"))
      yield* assertGoesOn(locks)
    }).pipe(Effect.scoped)
  )

  it.effect("in an uninterruptible region shows at its end", () =>
    Effect.gen(function* () {
      const { locks } = yield* open()
      let completed = false
      const body = breakAll(locks, "a").pipe(
        Effect.zipRight(settle),
        Effect.zipRight(Effect.sync(() => (completed = true)))
      )
      const inside = yield* Effect.exit(locks.withWrite(Effect.uninterruptible(body), "a"))
      assert.strictEqual(reasonOf(inside), "broken")
      assert.isTrue(completed)
      yield* assertGoesOn(locks)
      completed = false
      const around = yield* Effect.exit(Effect.uninterruptible(locks.withWrite(body, "a")))
      assert.strictEqual(reasonOf(around), "broken")
      assert.isTrue(completed)
      yield* assertGoesOn(locks)
    }).pipe(Effect.scoped)
  )

  it.effect("that comes as the effect completes is a loss, whatever the order", () =>
    Effect.gen(function* () {
      const { locks, store } = yield* open({ ttl: "9 seconds" })
      for (let steps = 0; steps < 12; steps++) {
        const fiber = yield* Effect.fork(
          Effect.gen(function* () {
            const exit = yield* Effect.exit(
              locks.withWrite(Effect.repeatN(Effect.yieldNow(), 6).pipe(Effect.as("done")), "a")
            )
            yield* Effect.yieldNow()
            return reasonOf(exit)
          })
        )
        for (let step = 0; step < steps; step++) yield* Effect.yieldNow()
        yield* breakAll(locks, "a")
        assert.include(["done", "broken"], yield* Fiber.join(fiber))
        yield* assertEmpty(store)
      }
    }).pipe(Effect.scoped)
  )

  it.effect("in nested locks stops the inner one, the outer one, or both", () =>
    Effect.gen(function* () {
      const { locks, store } = yield* open({ reentrant: true })
      const nested = (lose: Effect.Effect<void>) =>
        Effect.exit(
          locks.withWrite(
            Effect.gen(function* () {
              const inner = yield* Effect.exit(locks.withWrite(Effect.zipRight(lose, Effect.never), "a/b"))
              yield* Effect.yieldNow()
              return `the outer goes on, the inner was ${reasonOf(inner)}`
            }),
            "a"
          )
        )
      assert.strictEqual(reasonOf(yield* nested(breakAll(locks, "a/b"))), "the outer goes on, the inner was broken")
      yield* assertGoesOn(locks)
      const outer = Effect.flatMap(Effect.orDie(locks.inspect("a")), ([first]) =>
        Effect.asVoid(Effect.orDie(locks.breakLease(first!.id)))
      )
      assert.strictEqual(reasonOf(yield* nested(outer)), "broken")
      yield* assertGoesOn(locks)
      const both = yield* nested(breakAll(locks, "a"))
      assert.strictEqual(reasonOf(both), "broken")
      assert.isTrue(Exit.isFailure(both) && !Cause.isInterrupted(both.cause))
      yield* assertGoesOn(locks)
      yield* assertEmpty(store)
    }).pipe(Effect.scoped)
  )

  it.effect("inside Effect.all stops the rest, as any failure does", () =>
    Effect.gen(function* () {
      const { locks, store } = yield* open()
      const parts = [
        locks.withWrite(Effect.zipRight(Effect.zipRight(settle, breakAll(locks, "b")), Effect.never), "a"),
        locks.withWrite(Effect.never, "b"),
        locks.withRead(Effect.never, "c")
      ]
      const exit = yield* Effect.exit(Effect.all(parts, { concurrency: "unbounded" }))
      assert.strictEqual(reasonOf(exit), "broken")
      yield* assertGoesOn(locks)
      yield* assertEmpty(store)
      // The loss of the lock around it stops all parts.
      const inside = Effect.all([Effect.never, Effect.zipRight(breakAll(locks, "a"), Effect.never)], { concurrency: 2 })
      assert.strictEqual(reasonOf(yield* Effect.exit(locks.withWrite(inside, "a"))), "broken")
      yield* assertGoesOn(locks)
    }).pipe(Effect.scoped)
  )

  it.effect("comes with `lost`, for effects that want to know without being interrupted", () =>
    Effect.gen(function* () {
      const { locks } = yield* open()
      const lease = yield* locks.write("a", { onLost: "signal" })
      const watch = yield* Effect.fork(Effect.flip(lease.lost))
      yield* settle
      assert.isNull(watch.unsafePoll())
      yield* breakAll(locks, "a")
      assert.strictEqual((yield* Fiber.join(watch)).reason, "broken")
      assert.strictEqual((yield* Effect.flip(lease.lost)).reason, "broken")
      assert.strictEqual(narrow(yield* Effect.flip(lease.check), LockError.LockLost).reason, "broken")
      // With "signal" nothing is interrupted.
      yield* assertGoesOn(locks)
    }).pipe(Effect.scoped)
  )

  it.effect("is counted, and leaves the gauges as they were", () =>
    Effect.gen(function* () {
      const before = [yield* metrics.value("hilok_held"), yield* metrics.value("hilok_lost_total")]
      const { locks } = yield* open()
      yield* Effect.exit(locks.withWrite(Effect.zipRight(breakAll(locks, "a"), Effect.never), "a"))
      const after = [yield* metrics.value("hilok_held"), yield* metrics.value("hilok_lost_total")]
      assert.deepStrictEqual(after, [before[0], before[1]! + 1])
    }).pipe(Effect.scoped)
  )
})

describe("a grant that comes when its deadline has passed", () => {
  const slow: Around = (method, call) =>
    method === "acquire" ? Effect.zipLeft(call, Effect.sleep("10 seconds")) : call

  it.effect("starts no work", () =>
    Effect.gen(function* () {
      const { locks, store } = yield* open({ ttl: "9 seconds" }, slow)
      let worked = false
      const work = Effect.sync(() => (worked = true))
      const around = yield* Effect.fork(Effect.exit(locks.withWrite(work, "a")))
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(reasonOf(yield* Fiber.join(around)), "expired")
      const scoped = yield* Effect.fork(Effect.scoped(Effect.zipRight(locks.write("a"), work)))
      yield* TestClock.adjust("10 seconds")
      assert.isTrue(Exit.isInterrupted(yield* Fiber.await(scoped)))
      assert.isFalse(worked)
      yield* assertEmpty(store)
    }).pipe(Effect.scoped)
  )
})

describe("a scoped lease that is lost", () => {
  it.effect("interrupts the fiber that acquired it", () =>
    Effect.gen(function* () {
      const { locks, store } = yield* open()
      const fiber = yield* Effect.fork(Effect.scoped(Effect.zipRight(locks.write("a"), Effect.never)))
      yield* settle
      yield* breakAll(locks, "a")
      assert.isTrue(Exit.isInterrupted(yield* Fiber.await(fiber)))
      yield* assertEmpty(store)
    }).pipe(Effect.scoped)
  )

  it.effect("past its local deadline interrupts it, too", () =>
    Effect.gen(function* () {
      const faults = new Faults()
      const { locks, store } = yield* open({ ttl: "9 seconds" }, faults.around)
      const reasons: Array<string> = []
      const record = (lease: Lease.Lease) =>
        Effect.map(Effect.flip(lease.lost), ({ reason }) => {
          reasons.push(reason)
        })
      const fiber = yield* Effect.fork(
        Effect.scoped(
          Effect.flatMap(locks.write("a"), (lease) => Effect.onInterrupt(Effect.never, () => record(lease)))
        )
      )
      yield* TestClock.adjust("4 seconds")
      faults.set("refresh", "down")
      yield* TestClock.adjust("9 seconds")
      assert.isTrue(Exit.isInterrupted(yield* Fiber.await(fiber)))
      assert.deepStrictEqual(reasons, ["unreachable"])
      yield* assertEmpty(store)
    }).pipe(Effect.scoped)
  )

  it.effect("does nothing any more once its scope is closed", () =>
    Effect.gen(function* () {
      const { locks } = yield* open()
      const lease = yield* Effect.scoped(locks.write("a"))
      assert.isFalse(yield* locks.breakLease(lease))
      yield* assertGoesOn(locks)
    }).pipe(Effect.scoped)
  )
})
