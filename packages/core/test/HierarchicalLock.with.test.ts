import { assert, describe, it } from "@effect/vitest"
import { HierarchicalLock, type LockError, Target } from "@hilok/core"
import { Cause, Context, Effect, Exit, Fiber, FiberRef, TestClock } from "effect"
import { Faults } from "./support/doubles.ts"
import { assertEmpty, entries, open, overMemory, settle, stranger } from "./support/locks.ts"

const cases = [
  ["withRead", "read"],
  ["withWrite", "write"],
  ["withReadNode", "readNode"],
  ["withWriteNode", "writeNode"]
] as const

class Thing extends Context.Tag("test/Thing")<Thing, number>() {}

describe("an effect under a lock", () => {
  for (const [name, mode] of cases) {
    it.effect(`${name} holds it while the effect runs, in either order of arguments`, () =>
      Effect.gen(function* () {
        const { locks, store } = yield* open()
        const modeHeld = Effect.map(entries(store), (held) => held.map(({ state, targets }) => ({ state, targets })))
        const expected = [{ state: "held" as const, targets: [{ mode, path: "a" }] }]
        assert.deepStrictEqual(yield* locks[name](modeHeld, "a"), expected)
        assert.deepStrictEqual(yield* modeHeld.pipe(locks[name]("a")), expected)
        assert.deepStrictEqual(yield* locks[name](modeHeld, "a", { reason: "x" }), expected)
        assert.deepStrictEqual(yield* modeHeld.pipe(locks[name]("a", { timeout: "1 second" })), expected)
        assert.deepStrictEqual(yield* locks[name](() => modeHeld, ["a"]), expected)
        yield* assertEmpty(store)
      }).pipe(Effect.scoped)
    )

    it.effect(`${name} works as an accessor, in either order of arguments`, () =>
      Effect.gen(function* () {
        const count = Effect.map(HierarchicalLock.inspect("a"), (held) => held.map(({ targets }) => targets[0]?.mode))
        assert.deepStrictEqual(yield* HierarchicalLock[name](count, "a"), [mode])
        assert.deepStrictEqual(yield* count.pipe(HierarchicalLock[name]("a")), [mode])
        assert.deepStrictEqual(yield* HierarchicalLock[name](() => count, "a", { block: false }), [mode])
        const ofLease = (lease: { readonly id: string }) => Effect.succeed(lease.id)
        assert.isString(yield* HierarchicalLock[name]("a", { block: false })(ofLease))
        assert.deepStrictEqual(yield* HierarchicalLock.inspect(), [])
      }).pipe(Effect.provide(overMemory))
    )
  }

  it.effect("withLocks holds several, in either order of arguments", () =>
    Effect.gen(function* () {
      const targets = [Target.write("a"), Target.read("b")]
      const held = Effect.map(HierarchicalLock.inspect(), (found) => found.map((entry) => entry.targets))
      assert.deepStrictEqual(yield* HierarchicalLock.withLocks(held, targets), [targets])
      assert.deepStrictEqual(yield* held.pipe(HierarchicalLock.withLocks(targets, { reason: "both" })), [targets])
      assert.deepStrictEqual(yield* HierarchicalLock.inspect(), [])
    }).pipe(Effect.provide(overMemory))
  )

  it.effect("a function of the lease gets it", () =>
    Effect.gen(function* () {
      const { locks, store } = yield* open()
      const seen = yield* locks.withWrite((lease) => Effect.map(entries(store), ([entry]) => ({ lease, entry })), "a/b")
      assert.strictEqual(seen.entry?.id, seen.lease.id)
      assert.strictEqual(seen.entry?.token, seen.lease.token)
    }).pipe(Effect.scoped)
  )

  it.effect("its success, failure, defect and interruption come through, and the lock is free", () =>
    Effect.gen(function* () {
      const { locks, store } = yield* open()
      assert.strictEqual(yield* locks.withWrite(Effect.succeed(1), "a"), 1)
      yield* assertEmpty(store, "after a success")
      assert.strictEqual(yield* Effect.flip(locks.withWrite(Effect.fail("no"), "a")), "no")
      yield* assertEmpty(store, "after a failure")
      const thrown = yield* Effect.exit(
        locks.withWrite((): Effect.Effect<void> => {
          throw new Error("thrown")
        }, "a")
      )
      assert.isTrue(Exit.isFailure(thrown) && Cause.isDie(thrown.cause))
      yield* assertEmpty(store, "after a defect")
      const interrupted = yield* Effect.exit(locks.withWrite(Effect.interrupt, "a"))
      assert.isTrue(Exit.isInterrupted(interrupted))
      yield* assertEmpty(store, "after an interruption from within")
      const fiber = yield* Effect.fork(locks.withWrite(Effect.never, "a"))
      yield* settle
      assert.strictEqual((yield* entries(store)).length, 1)
      assert.isTrue(Exit.isInterrupted(yield* Fiber.interrupt(fiber)))
      yield* assertEmpty(store, "after an interruption from without")
    }).pipe(Effect.scoped)
  )

  it.effect("runs in the caller's fiber, with its services and its fiber refs", () =>
    Effect.gen(function* () {
      const { locks } = yield* open()
      const ref = FiberRef.unsafeMake("before")
      const caller = yield* Effect.fiberId
      const inside = yield* locks.withWrite(
        Effect.all([Effect.fiberId, Thing, Effect.as(FiberRef.set(ref, "after"), 0)]),
        "a"
      )
      assert.deepStrictEqual(inside, [caller, 7, 0])
      assert.strictEqual(yield* FiberRef.get(ref), "after")
    }).pipe(Effect.provideService(Thing, 7), Effect.scoped)
  )

  it.effect("is not started before the lock is granted", () =>
    Effect.gen(function* () {
      const { locks, store } = yield* open()
      const { free } = yield* stranger(store, "a")
      let started = 0
      const fiber = yield* Effect.fork(
        locks.withWrite(
          Effect.sync(() => ++started),
          "a"
        )
      )
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(started, 0)
      yield* free
      assert.strictEqual(yield* Fiber.join(fiber), 1)
      yield* assertEmpty(store)
    }).pipe(Effect.scoped)
  )

  it.effect("keeps its lease alive far longer than the ttl", () =>
    Effect.gen(function* () {
      const { locks, store } = yield* open({ ttl: "5 seconds" })
      const fiber = yield* Effect.fork(locks.withRead(Effect.sleep("1 minute"), "a"))
      yield* TestClock.adjust("59 seconds")
      assert.strictEqual((yield* entries(store)).length, 1)
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(fiber)
      yield* assertEmpty(store)
    }).pipe(Effect.scoped)
  )

  it.effect("with `block: false` and with a `timeout` fails as a scoped lock does", () =>
    Effect.gen(function* () {
      const { locks, store } = yield* open()
      yield* stranger(store, "a")
      const refused = yield* Effect.flip(locks.withRead(Effect.void, "a", { block: false }))
      assert.strictEqual(refused._tag, "WouldBlock")
      const fiber = yield* Effect.fork(Effect.flip(locks.withRead(Effect.void, "a", { timeout: "2 seconds" })))
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual((yield* Fiber.join(fiber))._tag, "LockTimeout")
      assert.strictEqual((yield* entries(store)).length, 1)
    }).pipe(Effect.scoped)
  )

  it.effect("a release that fails does not change the result", () =>
    Effect.gen(function* () {
      const faults = new Faults()
      const { locks } = yield* open({}, faults.around)
      faults.set("release", "down")
      assert.strictEqual(yield* locks.withWrite(Effect.succeed(1), "a"), 1)
      assert.strictEqual(yield* Effect.flip(locks.withWrite(Effect.fail("no"), "b")), "no")
      assert.strictEqual(faults.calls.get("release"), 2)
      // The ttl ends what could not be given back.
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(yield* locks.withWrite(Effect.succeed(2), "a", { block: false }), 2)
    }).pipe(Effect.scoped)
  )

  it.effect("a lease released by hand before its end does not make it fail", () =>
    Effect.gen(function* () {
      const { locks, store } = yield* open()
      const released = yield* locks.withWrite((lease) => Effect.zipLeft(locks.release(lease), Effect.yieldNow()), "a")
      assert.isTrue(released)
      yield* assertEmpty(store)
    }).pipe(Effect.scoped)
  )

  it.effect("a store that fails makes it fail, and the effect is not run", () =>
    Effect.gen(function* () {
      const faults = new Faults()
      const { locks, store } = yield* open({}, faults.around)
      faults.set("acquire", "late")
      let ran = false
      const error: LockError.LockError = yield* Effect.flip(
        locks.withWrite(
          Effect.sync(() => {
            ran = true
          }),
          "a"
        )
      )
      assert.strictEqual(error._tag, "StoreError")
      assert.isFalse(ran)
      // What was granted though the reply was lost has been given back.
      yield* assertEmpty(store)
    }).pipe(Effect.scoped)
  )
})
