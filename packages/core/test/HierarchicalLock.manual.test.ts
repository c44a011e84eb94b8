import { assert, describe, it } from "@effect/vitest"
import { HierarchicalLock, Lease, LockError, LockPath, Target } from "@hilok/core"
import { Cause, Effect, Exit, Fiber, Schema, TestClock } from "effect"
import { Faults } from "./support/doubles.ts"
import { assertEmpty, client, entries, open, overMemory, settle, stranger } from "./support/locks.ts"
import * as metrics from "./support/metrics.ts"
import { narrow } from "./support/narrow.ts"

describe("a lease by hand", () => {
  it.effect("is not refreshed, and lasts for its ttl", () =>
    Effect.gen(function* () {
      const { locks, store } = yield* open()
      const lease = yield* locks.acquire([Target.write("a")], { ttl: "4 seconds" })
      yield* TestClock.adjust("3999 millis")
      assert.strictEqual((yield* entries(store))[0]?.id, lease.id)
      yield* lease.check
      yield* TestClock.adjust("1 millis")
      yield* assertEmpty(store)
      assert.strictEqual((yield* Effect.flip(lease.check)).reason, "expired")
    }).pipe(Effect.scoped)
  )

  it.effect("lasts from refresh to refresh, by lease or by id", () =>
    Effect.gen(function* () {
      const { locks, store } = yield* open()
      const lease = yield* locks.acquire([Target.write("a")], { ttl: "4 seconds" })
      yield* TestClock.adjust("3 seconds")
      yield* locks.refresh(lease)
      assert.strictEqual((yield* entries(store))[0]?.timeLeft, 10_000)
      yield* locks.refresh(lease.id, { ttl: "2 seconds" })
      assert.strictEqual((yield* entries(store))[0]?.timeLeft, 2000)
      yield* TestClock.adjust("2 seconds")
      const error = yield* Effect.flip(locks.refresh(lease))
      assert.strictEqual(error._tag, "LockLost")
      assert.include(error.message, `write "a" is not held`)
      yield* assertEmpty(store)
    }).pipe(Effect.scoped)
  )

  it.effect("is refreshed and released by another client, which knows only its id", () =>
    Effect.gen(function* () {
      const { locks, store } = yield* open()
      const other = yield* client(store)
      const lease = yield* locks.acquire([Target.write("a")], { ttl: "4 seconds" })
      yield* other.refresh(lease.id, { ttl: "1 minute" })
      assert.strictEqual((yield* entries(store))[0]?.timeLeft, 60_000)
      // It never brings the deadline nearer: that is for the owner to do.
      yield* other.refresh(lease)
      assert.strictEqual((yield* entries(store))[0]?.timeLeft, 60_000)
      yield* locks.refresh(lease, { ttl: "10 seconds" })
      assert.strictEqual((yield* entries(store))[0]?.timeLeft, 10_000)
      assert.isTrue(yield* other.release(lease))
      yield* assertEmpty(store)
    }).pipe(Effect.scoped)
  )

  it.effect("is released once: the second time nothing changes, and it says so", () =>
    Effect.gen(function* () {
      const { locks, store } = yield* open()
      const lease = yield* locks.acquire([Target.write("a")])
      assert.isTrue(yield* locks.release(lease.id))
      assert.isFalse(yield* locks.release(lease.id))
      assert.isFalse(yield* locks.release(lease))
      yield* assertEmpty(store)
    }).pipe(Effect.scoped)
  )

  it.effect("does not enclose what its fiber asks for later", () =>
    Effect.gen(function* () {
      const { locks } = yield* open({ reentrant: true })
      yield* locks.acquire([Target.write("a")])
      const error = yield* Effect.flip(locks.read("a/b", { block: false }))
      assert.strictEqual(error._tag, "WouldBlock")
    }).pipe(Effect.scoped)
  )

  it.effect("waits, is refused and times out as the others", () =>
    Effect.gen(function* () {
      const { locks, store } = yield* open()
      const { free } = yield* stranger(store, "a")
      assert.strictEqual((yield* Effect.flip(locks.acquire([Target.read("a")], { block: false })))._tag, "WouldBlock")
      const late = yield* Effect.fork(Effect.flip(locks.acquire([Target.read("a")], { timeout: "1 second" })))
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* Fiber.join(late))._tag, "LockTimeout")
      const waiting = yield* Effect.fork(locks.acquire([Target.read("a")]))
      yield* settle
      yield* free
      const lease = yield* Fiber.join(waiting)
      assert.isTrue(yield* locks.release(lease))
      yield* assertEmpty(store)
    }).pipe(Effect.scoped)
  )

  it.effect("times out in an uninterruptible region, too, and is then not interrupted before", () =>
    Effect.gen(function* () {
      const { locks, store } = yield* open()
      yield* stranger(store, "a")
      const attempt = locks.acquire([Target.read("a")], { timeout: "1 second" })
      const fiber = yield* Effect.fork(Effect.exit(Effect.uninterruptible(Effect.flip(attempt))))
      yield* settle
      fiber.unsafeInterruptAsFork(fiber.id())
      yield* TestClock.adjust("999 millis")
      assert.isNull(fiber.unsafePoll())
      assert.strictEqual((yield* entries(store)).length, 2)
      yield* TestClock.adjust("1 millis")
      yield* Fiber.await(fiber)
      assert.strictEqual((yield* entries(store)).length, 1)
      const resource = Effect.acquireRelease(attempt, (lease) => Effect.orDie(locks.release(lease)))
      const late = yield* Effect.fork(Effect.flip(Effect.scoped(resource)))
      yield* TestClock.adjust("1 second")
      const error = yield* Fiber.join(late)
      assert.strictEqual(error._tag, "LockTimeout")
      assert.strictEqual(narrow(error, LockError.LockTimeout).blocker?.id, "stranger")
    }).pipe(Effect.scoped)
  )

  it.effect("`lost` fails when it expires, is broken, or is found to be gone, and not when it is released", () =>
    Effect.gen(function* () {
      const { locks, store } = yield* open()
      const wait = (lease: Lease.Lease) => Effect.fork(Effect.flip(lease.lost))
      const expiring = yield* locks.acquire([Target.write("a")], { ttl: "4 seconds" })
      const expired = yield* wait(expiring)
      yield* TestClock.adjust("3 seconds")
      yield* locks.refresh(expiring, { ttl: "4 seconds" })
      yield* TestClock.adjust("3 seconds")
      assert.isNull(expired.unsafePoll())
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* Fiber.join(expired)).reason, "expired")
      assert.strictEqual((yield* Effect.flip(expiring.lost)).reason, "expired")

      const breaking = yield* locks.acquire([Target.write("b")])
      const broken = yield* wait(breaking)
      yield* settle
      assert.isTrue(yield* locks.breakLease(breaking))
      assert.strictEqual((yield* Fiber.join(broken)).reason, "broken")

      const releasing = yield* locks.acquire([Target.write("c")])
      const released = yield* wait(releasing)
      yield* settle
      assert.isTrue(yield* locks.release(releasing))
      yield* TestClock.adjust("1 minute")
      assert.isNull(released.unsafePoll())
      yield* Fiber.interrupt(released)
      yield* assertEmpty(store)
    }).pipe(Effect.scoped)
  )

  it.effect("works over the accessors", () =>
    Effect.gen(function* () {
      const lease = yield* HierarchicalLock.acquire([Target.write("a")])
      yield* HierarchicalLock.refresh(lease)
      yield* Effect.scoped(HierarchicalLock.restore(lease.id))
      assert.isFalse(yield* HierarchicalLock.release(lease))
      const second = yield* HierarchicalLock.acquire([Target.write("a")])
      const down = yield* HierarchicalLock.downgrade(second)
      assert.deepStrictEqual(down.targets, [Target.read("a")])
      assert.isTrue(yield* HierarchicalLock.breakLease(second.id))
      assert.deepStrictEqual(yield* HierarchicalLock.inspect(), [])
    }).pipe(Effect.provide(overMemory))
  )

  it.effect("that was abandoned is forgotten, however many others are held", () =>
    Effect.gen(function* () {
      const { locks } = yield* open()
      const gauge = metrics.value("hilok_held")
      yield* locks.write("kept/1")
      yield* locks.write("kept/2")
      yield* locks.write("kept/3")
      const before = yield* gauge
      for (let i = 0; i < 50; i++) {
        yield* locks.acquire([Target.write(`a/${i}`)], { ttl: "1 second" })
        yield* TestClock.adjust("1 second")
      }
      assert.isAtMost((yield* gauge) - before, 2)
    }).pipe(Effect.scoped)
  )
})

describe("restore", () => {
  it.effect("takes over a lease by its id in another client, refreshes it and releases it", () =>
    Effect.gen(function* () {
      const { locks, store } = yield* open({ ttl: "4 seconds" })
      const lease = yield* locks.acquire([Target.write("a/b"), Target.read("c")])
      // Over the wire, to another process.
      const text = JSON.stringify(yield* Schema.encode(Lease.Lease)(lease))
      const received = yield* Schema.decodeUnknown(Lease.Lease)(JSON.parse(text))
      assert.deepStrictEqual({ ...received }, { ...lease })
      const other = yield* client(store, { ttl: "4 seconds", separator: ":" })
      yield* Effect.scoped(
        Effect.gen(function* () {
          const restored = yield* other.restore(received.id)
          assert.strictEqual(restored.id, lease.id)
          assert.strictEqual(restored.token, lease.token)
          assert.deepStrictEqual(restored.targets, [Target.write("a:b"), Target.read("c")])
          yield* TestClock.adjust("1 minute")
          yield* restored.check
          assert.strictEqual((yield* entries(store)).length, 1)
          // It encloses what is asked for inside.
          yield* other.read("a:b:c", { block: false, reentrant: true })
        })
      )
      yield* assertEmpty(store)
    }).pipe(Effect.scoped)
  )

  it.effect("fails with `LockLost` for an id that is not live", () =>
    Effect.gen(function* () {
      const { locks, store } = yield* open()
      const unknown = yield* Effect.flip(Effect.scoped(locks.restore("no-such-id")))
      assert.strictEqual(unknown._tag, "LockLost")
      assert.include(unknown.message, "The lease no-such-id is not held")
      const lease = yield* locks.acquire([Target.write("a")], { ttl: "1 second" })
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* Effect.flip(Effect.scoped(locks.restore(lease.id))))._tag, "LockLost")
      // A request that waits is not a lease.
      const { free } = yield* stranger(store, "b")
      const waiting = yield* Effect.fork(locks.withWrite(Effect.void, "b"))
      yield* settle
      const queued = (yield* entries(store)).find(({ state }) => state === "waiting")
      assert.strictEqual((yield* Effect.flip(Effect.scoped(locks.restore(queued!.id))))._tag, "LockLost")
      yield* free
      yield* Fiber.join(waiting)
      yield* assertEmpty(store)
    }).pipe(Effect.scoped)
  )

  it.effect("in the client that holds it by hand, ends with the scope, and counts as one lease", () =>
    Effect.gen(function* () {
      const { locks, store } = yield* open()
      const gauge = metrics.value("hilok_held")
      const before = yield* gauge
      const lease = yield* locks.acquire([Target.write("a")])
      yield* Effect.scoped(
        Effect.gen(function* () {
          yield* locks.restore(lease.id)
          assert.strictEqual(yield* gauge, before + 1)
          yield* TestClock.adjust("1 minute")
          yield* lease.check
        })
      )
      yield* assertEmpty(store)
      assert.strictEqual(yield* gauge, before)
    }).pipe(Effect.scoped)
  )

  it.effect("tells the former holder, too, when the lease is lost", () =>
    Effect.gen(function* () {
      const { locks, store } = yield* open()
      const lease = yield* locks.acquire([Target.write("a")])
      const lost = yield* Effect.fork(Effect.flip(lease.lost))
      const restored = yield* locks.restore(lease.id, { onLost: "signal" })
      yield* settle
      yield* locks.breakLease(lease.id)
      assert.strictEqual((yield* Effect.flip(restored.lost)).reason, "broken")
      assert.strictEqual((yield* Fiber.join(lost)).reason, "broken")
      yield* assertEmpty(store)
    }).pipe(Effect.scoped)
  )

  it.effect("inside the hold it takes over leaves the rest of that hold unharmed, and interrupted by a loss", () =>
    Effect.gen(function* () {
      const { locks, store } = yield* open()
      const done = yield* locks.withWrite((lease) => Effect.as(Effect.scoped(locks.restore(lease.id)), "done"), "a")
      assert.strictEqual(done, "done")
      yield* assertEmpty(store)
      const error = yield* Effect.flip(
        locks.withWrite(
          (lease) =>
            Effect.scoped(
              Effect.zipRight(
                Effect.zipRight(locks.restore(lease.id, { onLost: "signal" }), locks.breakLease(lease.id)),
                Effect.never
              )
            ),
          "a"
        )
      )
      assert.strictEqual(narrow(error, LockError.LockLost).reason, "broken")
      yield* assertEmpty(store)
    }).pipe(Effect.scoped)
  )

  it.effect("whose reply is lost leaves nothing behind", () =>
    Effect.gen(function* () {
      const faults = new Faults()
      const { locks, store } = yield* open({}, faults.around)
      const lease = yield* locks.acquire([Target.write("a")])
      faults.set("restore", "late")
      assert.strictEqual((yield* Effect.flip(Effect.scoped(locks.restore(lease.id))))._tag, "StoreError")
      // The lease is still that of its holder.
      yield* locks.refresh(lease)
      faults.set("restore", "hangs")
      const fiber = yield* Effect.fork(Effect.scoped(locks.restore(lease.id)))
      yield* settle
      assert.isTrue(Exit.isInterrupted(yield* Fiber.interrupt(fiber)))
      yield* locks.refresh(lease)
      assert.isTrue(yield* locks.release(lease))
      yield* assertEmpty(store)
    }).pipe(Effect.scoped)
  )

  it.effect("refuses wrong options and ids", () =>
    Effect.gen(function* () {
      const { locks } = yield* open()
      const ttl = yield* Effect.flip(Effect.scoped(locks.restore("x", { ttl: -1 })))
      assert.strictEqual(narrow(ttl, LockError.InvalidOptions).option, "ttl")
      assert.strictEqual((yield* Effect.flip(Effect.scoped(locks.restore("no such\nid"))))._tag, "LockLost")
    }).pipe(Effect.scoped)
  )
})

describe("an id that no lease has", () => {
  it.effect("changes nothing, and says so", () =>
    Effect.gen(function* () {
      const { locks, store } = yield* open()
      yield* stranger(store, "a")
      const before = yield* entries(store)
      assert.strictEqual((yield* Effect.flip(locks.refresh("unknown")))._tag, "LockLost")
      assert.isFalse(yield* locks.release("unknown"))
      assert.isFalse(yield* locks.breakLease("unknown"))
      const lease = new Lease.Lease({ id: "unknown", token: 1, targets: [Target.write("a")] })
      assert.strictEqual((yield* Effect.flip(locks.downgrade(lease)))._tag, "LockLost")
      assert.strictEqual((yield* Effect.flip(Effect.scoped(locks.restore("unknown"))))._tag, "LockLost")
      assert.deepStrictEqual(yield* entries(store), before)
    }).pipe(Effect.scoped)
  )

  it.effect("a decoded lease is not kept here: its `lost` and `check` say what to do", () =>
    Effect.gen(function* () {
      const lease = new Lease.Lease({ id: "somewhere", token: 1, targets: [Target.write("a")] })
      for (const effect of [lease.lost, lease.check]) {
        const exit = yield* Effect.exit(effect)
        assert.isTrue(Exit.isFailure(exit))
        if (Exit.isFailure(exit)) assert.include(Cause.pretty(exit.cause), "HierarchicalLock.restore(lease.id)")
      }
    })
  )
})

describe("downgrade", () => {
  it.effect("turns write into read and writeNode into readNode, in place, and lets in who may enter", () =>
    Effect.gen(function* () {
      const { locks, store } = yield* open()
      const lease = yield* locks.locks([Target.write("a"), Target.writeNode("b"), Target.read("c")])
      const reader = yield* Effect.fork(locks.detached(locks.withRead(Effect.never, "a/x")))
      const writer = yield* Effect.fork(locks.detached(locks.withWrite(Effect.never, "b")))
      yield* settle
      const down = yield* locks.downgrade(lease)
      assert.strictEqual(down.id, lease.id)
      assert.strictEqual(down.token, lease.token)
      assert.deepStrictEqual(down.targets, [Target.read("a"), Target.readNode("b"), Target.read("c")])
      yield* down.check
      yield* settle
      const states = (yield* entries(store)).map(({ state, targets }) => `${state} ${targets[0]?.mode}`)
      assert.deepStrictEqual(states, ["held read", "held read", "waiting write"])
      yield* Fiber.interruptAll([reader, writer])
      assert.strictEqual((yield* entries(store)).length, 1)
    }).pipe(Effect.scoped)
  )

  it.effect("makes room for one's own reads, in strict mode too", () =>
    Effect.gen(function* () {
      const { locks } = yield* open()
      const lease = yield* locks.write("a")
      assert.strictEqual((yield* Effect.flip(locks.read("a/b")))._tag, "Deadlock")
      yield* locks.downgrade(lease)
      const inner = yield* locks.read("a/b")
      assert.deepStrictEqual(inner.targets, [Target.read("a/b")])
    }).pipe(Effect.scoped)
  )

  it.effect("of a lease that is gone fails with `LockLost`", () =>
    Effect.gen(function* () {
      const { locks } = yield* open()
      const lease = yield* locks.acquire([Target.write("a")])
      yield* locks.release(lease)
      const error = yield* Effect.flip(locks.downgrade(lease))
      assert.strictEqual(error._tag, "LockLost")
      assert.include(error.message, `write "a"`)
    }).pipe(Effect.scoped)
  )

  it.effect("works in another client than the one that acquired", () =>
    Effect.gen(function* () {
      const { locks, store } = yield* open()
      const other = yield* client(store)
      const lease = yield* locks.acquire([Target.writeNode("a")])
      assert.deepStrictEqual((yield* other.downgrade(lease)).targets, [Target.readNode("a")])
      assert.deepStrictEqual((yield* entries(store))[0]?.targets, [Target.readNode("a")])
    }).pipe(Effect.scoped)
  )
})

describe("inspect", () => {
  it.effect("shows what is held and who waits, in order, below a path", () =>
    Effect.gen(function* () {
      const { locks } = yield* open({ label: "worker", host: "here", pid: 7 })
      const lease = yield* locks.acquire([Target.write("a/b")], { reason: "repair" })
      yield* locks.acquire([Target.write("c")])
      const fiber = yield* Effect.fork(Effect.scoped(locks.read("a", { label: "other" })))
      yield* TestClock.adjust("2 seconds")
      const all = yield* locks.inspect()
      assert.deepStrictEqual(
        all.map(({ state }) => state),
        ["held", "held", "waiting"]
      )
      const [held, waiting] = yield* locks.inspect("a")
      assert.strictEqual(held?.id, lease.id)
      assert.strictEqual(held?.reason, "repair")
      assert.deepStrictEqual([held?.label, held?.host, held?.pid], ["worker", "here", 7])
      assert.strictEqual(held?.age, 2000)
      assert.strictEqual(held?.timeLeft, 8000)
      assert.strictEqual(waiting?.blockedBy, lease.id)
      assert.strictEqual(waiting?.label, "other")
      assert.deepStrictEqual(yield* locks.inspect("a/b/c"), [])
      yield* Fiber.interrupt(fiber)
    }).pipe(Effect.scoped)
  )

  it.effect("takes a path as segments", () =>
    Effect.gen(function* () {
      const { locks, store } = yield* open()
      yield* locks.acquire([Target.write(["a/b", "c"])])
      const [entry] = yield* locks.inspect(["a/b"])
      assert.deepStrictEqual(entry?.targets, [Target.write(["a/b", "c"])])
      assert.strictEqual((yield* store.inspect(LockPath.root)).length, 1)
    }).pipe(Effect.scoped)
  )
})

describe("breakLease", () => {
  it.effect("ends a lease of another client, and lets in who waits", () =>
    Effect.gen(function* () {
      const { locks, store } = yield* open()
      const other = yield* client(store)
      const victim = yield* Effect.fork(locks.withWrite(Effect.never, "a"))
      yield* settle
      const next = yield* Effect.fork(other.withWrite(Effect.succeed("in"), "a"))
      yield* settle
      const [entry] = yield* other.inspect("a")
      assert.isTrue(yield* other.breakLease(entry!.id))
      assert.strictEqual(yield* Fiber.join(next), "in")
      const error = yield* Effect.flip(Fiber.join(victim))
      assert.strictEqual(error._tag, "LockLost")
      assert.strictEqual(narrow(error, LockError.LockLost).reason, "broken")
      assert.isFalse(yield* other.breakLease(entry!.id))
      yield* assertEmpty(store)
    }).pipe(Effect.scoped)
  )

  it.effect("does not end a request that waits", () =>
    Effect.gen(function* () {
      const { locks, store } = yield* open()
      yield* stranger(store, "a")
      const fiber = yield* Effect.fork(locks.withWrite(Effect.void, "a"))
      yield* settle
      const queued = (yield* entries(store)).find(({ state }) => state === "waiting")
      assert.isFalse(yield* locks.breakLease(queued!.id))
      assert.isNull(fiber.unsafePoll())
      yield* Fiber.interrupt(fiber)
    }).pipe(Effect.scoped)
  )
})
