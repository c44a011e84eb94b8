import { assert, describe, it } from "@effect/vitest"
import { type HierarchicalLock, type Lease, LockError, type LockStore } from "@hilok/core"
import { Cause, Deferred, Effect, Exit, Fiber, Queue, Scope, TestClock } from "effect"
import { type Around, Faults } from "./support/doubles.ts"
import { assertEmpty, client, entries, gate, open, settle, stranger } from "./support/locks.ts"
import { narrow } from "./support/narrow.ts"

type Store = LockStore.LockStore["Type"]

const timeLeft = (store: Store) => Effect.map(entries(store), ([entry]) => entry?.timeLeft)

/** Two services over one store, as two processes would have them. */
const two = Effect.gen(function* () {
  const { locks, store } = yield* open({ ttl: "9 seconds" })
  return { store, a: locks, b: yield* client(store, { ttl: "9 seconds" }) }
})

/** A holds `write "a"`, until it is told that it may end or until it loses it. */
const holding = (a: HierarchicalLock.Operations<never>) =>
  Effect.gen(function* () {
    const { open: end, pass } = yield* gate
    const lease = yield* Deferred.make<Lease.Lease>()
    const fiber = yield* Effect.fork(
      Effect.exit(a.withWrite((held) => Effect.zipRight(Deferred.succeed(lease, held), Effect.as(pass, "done")), "a"))
    )
    return { fiber, end, lease: yield* Deferred.await(lease) }
  })

/** The store as a client meets it that no message reaches. */
const deaf = (store: Store): Store => ({ ...store, revocations: Queue.unbounded<LockStore.Revocation>() })

const lossOf = (exit: Exit.Exit<unknown, unknown>): LockError.LockLost => {
  assert.isTrue(Exit.isFailure(exit))
  return narrow(Cause.squash((exit as Exit.Failure<unknown, unknown>).cause) as LockError.LockError, LockError.LockLost)
}

describe("a lease that is restored by another client", () => {
  it.effect("is lost at once for the one that had it, whose end changes nothing", () =>
    Effect.gen(function* () {
      const { a, b, store } = yield* two
      const { fiber, lease } = yield* holding(a)
      const scope = yield* Scope.make()
      const restored = yield* Scope.extend(b.restore(lease.id), scope)
      const lost = lossOf(yield* Fiber.join(fiber))
      assert.strictEqual(lost.reason, "taken")
      assert.include(lost.message, `The lock on write "a" was taken over`)
      yield* TestClock.adjust("1 minute")
      yield* restored.check
      assert.strictEqual((yield* entries(store)).length, 1)
      yield* Scope.close(scope, Exit.void)
      yield* assertEmpty(store)
    }).pipe(Effect.scoped)
  )

  it.effect("is not refreshed, released or downgraded by the one that had it, who hears nothing of it", () =>
    Effect.gen(function* () {
      const { store } = yield* open()
      const a = yield* client(deaf(store))
      const b = yield* client(store)
      const held = yield* holding(a)
      yield* Effect.scoped(
        Effect.gen(function* () {
          const restored = yield* b.restore(held.lease.id)
          assert.strictEqual((yield* Effect.flip(a.downgrade(held.lease)))._tag, "LockLost")
          assert.deepStrictEqual((yield* entries(store))[0]?.targets, [{ mode: "write", path: "a" }])
          assert.strictEqual(lossOf(yield* Fiber.join(held.fiber)).reason, "taken")
          yield* TestClock.adjust("1 minute")
          yield* restored.check
        })
      )
      yield* assertEmpty(store)
    }).pipe(Effect.scoped)
  )

  it.effect("is found to be taken at the next refresh when the message is lost", () =>
    Effect.gen(function* () {
      const { store } = yield* open()
      const a = yield* client(deaf(store), { ttl: "9 seconds" })
      const b = yield* client(store)
      const held = yield* holding(a)
      yield* b.restore(held.lease.id)
      yield* settle
      assert.isNull(held.fiber.unsafePoll())
      yield* TestClock.adjust("3 seconds")
      assert.strictEqual(lossOf(yield* Fiber.join(held.fiber)).reason, "taken")
    }).pipe(Effect.scoped)
  )

  it.effect("gets no earlier deadline by that, nor by a refresh of anybody but its owner", () =>
    Effect.gen(function* () {
      const { a, b, store } = yield* two
      const lease = yield* a.acquire([{ mode: "write", path: "a" }], { ttl: "1 hour" })
      yield* b.refresh(lease.id, { ttl: "1 second" })
      assert.strictEqual(yield* timeLeft(store), 3_600_000)
      yield* Effect.scoped(
        Effect.gen(function* () {
          yield* b.restore(lease.id, { ttl: "1 second" })
          assert.strictEqual(yield* timeLeft(store), 3_600_000)
        })
      )
      yield* assertEmpty(store)
    }).pipe(Effect.scoped)
  )

  it.effect("stays with its owner when the restore is interrupted before the store has it", () =>
    Effect.gen(function* () {
      for (const method of ["lookup", "restore"] as const) {
        const faults = new Faults()
        const { locks: a, store } = yield* open({ ttl: "9 seconds" })
        const b = yield* client(store, { ttl: "1 hour" }, faults.around)
        const held = yield* holding(a)
        faults.set(method, "hangs")
        const restoring = yield* Effect.fork(Effect.scoped(b.restore(held.lease.id)))
        yield* settle
        yield* Fiber.interrupt(restoring)
        assert.strictEqual(yield* timeLeft(store), 9000)
        yield* TestClock.adjust("1 minute")
        yield* held.end
        assert.deepStrictEqual(yield* Fiber.join(held.fiber), Exit.succeed("done"))
        yield* assertEmpty(store)
      }
    }).pipe(Effect.scoped)
  )

  for (const fault of ["lost", "late"] as const) {
    it.effect(
      `is given back when its answer is ${fault === "lost" ? "lost" : "a failure"}, and belongs to nobody else`,
      () =>
        Effect.gen(function* () {
          const faults = new Faults()
          const { store } = yield* open()
          // What the former owner hears comes too late to matter.
          const a = yield* client(deaf(store), { ttl: "9 seconds" })
          const b = yield* client(store, { ttl: "1 hour" }, faults.around)
          const held = yield* holding(a)
          faults.set("restore", fault)
          const restoring = yield* Effect.fork(Effect.scoped(b.restore(held.lease.id)))
          yield* settle
          yield* Fiber.interrupt(restoring)
          assert.strictEqual(yield* timeLeft(store), 9000)
          yield* TestClock.adjust("1 minute")
          yield* held.end
          assert.deepStrictEqual(yield* Fiber.join(held.fiber), Exit.succeed("done"))
          yield* assertEmpty(store)
        }).pipe(Effect.scoped)
    )

    it.effect(
      `leaves nothing behind when its answer is ${fault === "lost" ? "lost" : "a failure"} and its owner was told`,
      () =>
        Effect.gen(function* () {
          const faults = new Faults()
          const { locks: a, store } = yield* open({ ttl: "9 seconds" })
          const b = yield* client(store, { ttl: "1 hour" }, faults.around)
          const held = yield* holding(a)
          faults.set("restore", fault)
          const restoring = yield* Effect.fork(Effect.scoped(b.restore(held.lease.id)))
          yield* settle
          yield* Fiber.interrupt(restoring)
          yield* settle
          const exit = yield* Fiber.poll(held.fiber)
          if (exit._tag === "Some") {
            assert.strictEqual(lossOf(Exit.flatten(exit.value)).reason, "taken")
            yield* TestClock.adjust("9 seconds")
          } else yield* held.end
          yield* Fiber.join(held.fiber)
          yield* assertEmpty(store)
        }).pipe(Effect.scoped)
    )
  }
})

describe("a lease that is restored inside its own hold", () => {
  it.effect("goes back to that hold when the inner scope closes", () =>
    Effect.gen(function* () {
      const { a, b, store } = yield* two
      let entered = false
      const inside = (lease: Lease.Lease) =>
        Effect.zipRight(Effect.scoped(a.restore(lease.id)), Effect.sleep("4 seconds"))
      const fiber = yield* Effect.fork(a.withWrite(inside, "x"))
      yield* settle
      const next = yield* Effect.fork(
        b.withWrite(
          Effect.sync(() => (entered = true)),
          "x"
        )
      )
      yield* TestClock.adjust("3 seconds")
      assert.isFalse(entered)
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(fiber)
      yield* Fiber.join(next)
      assert.isTrue(entered)
      yield* assertEmpty(store)
    }).pipe(Effect.scoped)
  )

  it.effect("lasts until the last of its holders ends, whichever that is", () =>
    Effect.gen(function* () {
      const { a, store } = yield* two
      const [first, second] = [yield* Scope.make(), yield* Scope.make()]
      const lease = yield* Scope.extend(a.write("a"), first)
      yield* Scope.extend(a.restore(lease.id), second)
      yield* Scope.close(first, Exit.void)
      yield* TestClock.adjust("1 minute")
      yield* lease.check
      yield* Scope.close(second, Exit.void)
      yield* assertEmpty(store)
    }).pipe(Effect.scoped)
  )

  it.effect("has the same regions for all its holders after a downgrade", () =>
    Effect.gen(function* () {
      const { a, store } = yield* two
      yield* a.withWrite(
        (lease) =>
          Effect.gen(function* () {
            yield* Effect.scoped(
              Effect.flatMap(a.restore(lease.id), (restored) =>
                Effect.gen(function* () {
                  yield* a.downgrade(restored)
                  assert.deepStrictEqual(restored.targets, [{ mode: "read", path: "a" }])
                })
              )
            )
            assert.deepStrictEqual(lease.targets, [{ mode: "read", path: "a" }])
            // What is read may be read below: no deadlock with oneself.
            yield* a.withRead(Effect.void, "a/b")
          }),
        "a"
      )
      yield* assertEmpty(store)
    }).pipe(Effect.scoped)
  )

  it.effect("is lost for all of them", () =>
    Effect.gen(function* () {
      const { a, store } = yield* two
      const lease = yield* Deferred.make<Lease.Lease>()
      const outer = yield* Effect.fork(
        Effect.exit(a.withWrite((held) => Effect.zipRight(Deferred.succeed(lease, held), Effect.never), "a"))
      )
      const { id } = yield* Deferred.await(lease)
      const inner = yield* Effect.fork(Effect.scoped(Effect.zipRight(a.restore(id), Effect.never)))
      yield* settle
      yield* a.breakLease(id)
      assert.strictEqual(lossOf(yield* Fiber.join(outer)).reason, "broken")
      assert.isTrue(Exit.isFailure(yield* Fiber.await(inner)))
      yield* assertEmpty(store)
    }).pipe(Effect.scoped)
  )

  it.effect("keeps its `maxHold`, which does not begin anew", () =>
    Effect.gen(function* () {
      const { locks: a, store } = yield* open({ ttl: "9 seconds", maxHold: "5 seconds" })
      const fiber = yield* Effect.fork(
        Effect.exit(
          a.withWrite(
            (lease) =>
              Effect.sleep("4 seconds").pipe(
                Effect.zipRight(Effect.scoped(Effect.zipRight(a.restore(lease.id), Effect.sleep("500 millis")))),
                Effect.zipRight(Effect.never)
              ),
            "a"
          )
        )
      )
      yield* TestClock.adjust("4999 millis")
      assert.isNull(fiber.unsafePoll())
      yield* TestClock.adjust("1 millis")
      const lost = lossOf(yield* Fiber.join(fiber))
      assert.deepStrictEqual([lost.reason, lost.maxHold], ["expired", 5000])
      yield* assertEmpty(store)
    }).pipe(Effect.scoped)
  )

  it.effect("stays with the hold when the inner restore is interrupted", () =>
    Effect.gen(function* () {
      const faults = new Faults()
      const { locks: a, store } = yield* open({ ttl: "9 seconds" }, faults.around)
      const held = yield* holding(a)
      faults.set("restore", "lost")
      const restoring = yield* Effect.fork(Effect.scoped(a.restore(held.lease.id)))
      yield* settle
      yield* Fiber.interrupt(restoring)
      yield* TestClock.adjust("1 minute")
      yield* held.lease.check
      yield* held.end
      assert.deepStrictEqual(yield* Fiber.join(held.fiber), Exit.succeed("done"))
      yield* assertEmpty(store)
    }).pipe(Effect.scoped)
  )

  it.effect("is released once when the hold ends while the restore is under way", () =>
    Effect.gen(function* () {
      const faults = new Faults()
      const { locks: a, store } = yield* open({ ttl: "9 seconds" }, faults.around)
      const held = yield* holding(a)
      faults.set("restore", "lost")
      const restoring = yield* Effect.fork(Effect.scoped(a.restore(held.lease.id)))
      yield* settle
      yield* held.end
      assert.deepStrictEqual(yield* Fiber.join(held.fiber), Exit.succeed("done"))
      assert.strictEqual((yield* entries(store)).length, 1)
      yield* Fiber.interrupt(restoring)
      yield* assertEmpty(store)
    }).pipe(Effect.scoped)
  )
})

describe("an order by hand", () => {
  for (const [order, reason] of [
    ["release", "released"],
    ["breakLease", "broken"]
  ] as const) {
    it.effect(`\`${order}\` ends a lease whoever gives it, and its owner is told at once`, () =>
      Effect.gen(function* () {
        const { a, b, store } = yield* two
        for (const by of [a, b]) {
          const { fiber, lease } = yield* holding(a)
          assert.isTrue(yield* by[order](lease.id))
          assert.strictEqual(lossOf(yield* Fiber.join(fiber)).reason, reason)
          yield* assertEmpty(store)
        }
      }).pipe(Effect.scoped)
    )
  }

  it.effect("`release` by the work itself ends its lease without a loss", () =>
    Effect.gen(function* () {
      const { a, store } = yield* two
      const work = (lease: Lease.Lease) => Effect.zipRight(a.release(lease), Effect.as(assertEmpty(store), "done"))
      assert.strictEqual(yield* a.withWrite(work, "a"), "done")
      const scoped = Effect.flatMap(a.write("a"), (lease) => Effect.zipRight(a.release(lease), Effect.yieldNow()))
      yield* Effect.scoped(scoped)
      yield* assertEmpty(store)
    }).pipe(Effect.scoped)
  )
})

describe("a downgrade", () => {
  const isRead = (lease: Lease.Lease) => lease.targets.every(({ mode }) => mode === "read")

  it.effect("that is interrupted goes on, and both sides know what is held", () =>
    Effect.gen(function* () {
      const faults = new Faults()
      const { locks, store } = yield* open({ ttl: "9 seconds" }, faults.around)
      const lease = yield* locks.write("a")
      faults.set("downgrade", "lost")
      const fiber = yield* Effect.fork(locks.downgrade(lease))
      yield* settle
      yield* Fiber.interrupt(fiber)
      assert.deepStrictEqual((yield* entries(store))[0]?.targets, [{ mode: "read", path: "a" }])
      faults.set("downgrade", "none")
      yield* locks.downgrade(lease)
      assert.isTrue(isRead(lease))
    }).pipe(Effect.scoped)
  )

  for (const [fault, done] of [
    ["down", false],
    ["late", true]
  ] as const) {
    it.effect(`that fails ${done ? "after" : "before"} it was done leaves what \`targets\` say`, () =>
      Effect.gen(function* () {
        const faults = new Faults()
        const { locks, store } = yield* open({ ttl: "9 seconds" }, faults.around)
        const lease = yield* locks.write("a")
        faults.set("downgrade", fault)
        faults.set("lookup", "down")
        assert.strictEqual((yield* Effect.flip(locks.downgrade(lease)))._tag, "StoreError")
        faults.set("lookup", "none")
        yield* TestClock.adjust("3 seconds")
        assert.strictEqual(isRead(lease), done)
        assert.deepStrictEqual((yield* entries(store))[0]?.targets, [{ mode: done ? "read" : "write", path: "a" }])
        const reader = yield* Effect.exit(locks.detached(Effect.scoped(locks.read("a", { block: false }))))
        assert.strictEqual(Exit.isSuccess(reader), done)
      }).pipe(Effect.scoped)
    )
  }
})

describe("`maxHold`", () => {
  it.effect("limits the hold and not the wait: the request keeps its place", () =>
    Effect.gen(function* () {
      const seen: Array<unknown> = []
      const { store } = yield* open()
      const watched: Store = {
        ...store,
        acquire: (request) =>
          Effect.zipRight(
            Effect.sync(() => seen.push([request.ttl, request.waitTtl])),
            store.acquire(request)
          )
      }
      const locks = yield* client(watched, { ttl: "9 seconds", maxHold: "50 millis" })
      const { free } = yield* stranger(store, "a")
      const fiber = yield* Effect.fork(locks.withWrite(Effect.as(Effect.sleep("40 millis"), "done"), "a"))
      yield* TestClock.adjust("1 minute")
      yield* free
      yield* settle
      yield* TestClock.adjust("40 millis")
      assert.strictEqual(yield* Fiber.join(fiber), "done")
      assert.deepStrictEqual(JSON.parse(JSON.stringify(seen)), [
        [
          { _id: "Duration", _tag: "Millis", millis: 50 },
          { _id: "Duration", _tag: "Millis", millis: 9000 }
        ]
      ])
    }).pipe(Effect.scoped)
  )
})

describe("leases by hand", () => {
  it.effect("that are left to expire are forgotten when their time is over", () =>
    Effect.gen(function* () {
      const { locks, store } = yield* open({ ttl: "4 seconds" })
      const asked: Array<string> = []
      const watching: Around = (method, call) =>
        Effect.zipRight(
          Effect.sync(() => asked.push(method)),
          call
        )
      const locks2 = yield* client(store, { ttl: "4 seconds" }, watching)
      const lease = yield* locks2.acquire([{ mode: "write", path: "a" }])
      yield* locks.acquire([{ mode: "write", path: "b" }])
      yield* TestClock.adjust("4 seconds")
      yield* assertEmpty(store)
      // A lease that is known is lost without asking the store.
      asked.length = 0
      assert.strictEqual((yield* Effect.flip(locks2.refresh(lease)))._tag, "LockLost")
      assert.deepStrictEqual(asked, ["refresh"])
    }).pipe(Effect.scoped)
  )
})
