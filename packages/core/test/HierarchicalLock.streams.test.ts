import { assert, describe, it } from "@effect/vitest"
import { HierarchicalLock, LockError, Target } from "@hilok/core"
import { Chunk, Deferred, Effect, Exit, Fiber, Ref, Stream, TestClock } from "effect"
import { assertEmpty, entries, open, settle, stranger } from "./support/locks.ts"
import { narrow } from "./support/narrow.ts"

const targets = [Target.write("table")]

describe("a stream under locks", () => {
  it.effect("holds them from its first element to its end, whatever the end is", () =>
    Effect.gen(function* () {
      const { locks, store } = yield* open()
      const held = Stream.repeatEffect(Effect.map(entries(store), (all) => all.map(({ state }) => state)))
      const under = locks.streamLocks(targets)
      const found = yield* held.pipe(Stream.take(2), under, Stream.runCollect)
      assert.deepStrictEqual([...found], [["held"], ["held"]])
      yield* assertEmpty(store, "after its end")

      // Taken further down, it ends early.
      yield* held.pipe(under, Stream.take(1), Stream.runDrain)
      yield* assertEmpty(store, "after an early end")

      const failed = yield* Effect.flip(Stream.runDrain(under(Stream.fail("no"))))
      assert.strictEqual(failed, "no")
      yield* assertEmpty(store, "after a failure")

      const fiber = yield* Effect.fork(Stream.runDrain(under(Stream.never)))
      yield* settle
      assert.strictEqual((yield* entries(store)).length, 1)
      yield* Fiber.interrupt(fiber)
      yield* assertEmpty(store, "after an interruption")
    }).pipe(Effect.scoped)
  )

  it.effect("takes the stream first, too, and waits for its turn", () =>
    Effect.gen(function* () {
      const { locks, store } = yield* open()
      const { free } = yield* stranger(store, "table")
      const rows = locks.streamLocks(Stream.make(1, 2), targets, { timeout: "1m", reason: "rows" })
      const fiber = yield* Effect.fork(Stream.runCollect(rows))
      yield* settle
      const [, waiting] = yield* entries(store)
      assert.deepStrictEqual([waiting?.state, waiting?.reason], ["waiting", "rows"])
      yield* free
      assert.deepStrictEqual([...(yield* Fiber.join(fiber))], [1, 2])
      yield* assertEmpty(store)
    }).pipe(Effect.scoped)
  )

  it.effect("fails with LockLost when the lease is lost, and with nothing else", () =>
    Effect.gen(function* () {
      const { locks, store } = yield* open()
      const seen = yield* Ref.make<ReadonlyArray<number>>([])
      const first = yield* Deferred.make<void>()
      const interrupted = yield* Deferred.make<void>()
      const rows = Stream.concat(
        Stream.make(1),
        Stream.fromEffect(
          Effect.zipRight(Deferred.succeed(first, undefined), Effect.never).pipe(
            Effect.onInterrupt(() => Deferred.succeed(interrupted, undefined))
          )
        )
      )
      const fiber = yield* rows.pipe(
        locks.streamLocks(targets),
        Stream.runForEach((row) => Ref.update(seen, (all) => [...all, row])),
        Effect.fork
      )
      yield* Deferred.await(first)
      const [held] = yield* entries(store)
      assert.isTrue(yield* locks.breakLease(held!.id))
      const exit = yield* Fiber.await(fiber)
      const error = Exit.isFailure(exit) ? exit.cause : assert.fail("it must fail")
      assert.strictEqual(error._tag, "Fail")
      const lost = narrow((error as { readonly error: unknown }).error as LockError.LockError, LockError.LockLost)
      assert.strictEqual(lost.reason, "broken")
      assert.isTrue(yield* Deferred.isDone(interrupted))
      assert.deepStrictEqual(yield* Ref.get(seen), [1])
      yield* assertEmpty(store)
    }).pipe(Effect.scoped)
  )

  it.effect("fails with LockLost also when its last step could not be interrupted", () =>
    Effect.gen(function* () {
      const { locks, store } = yield* open()
      const last = Effect.gen(function* () {
        const [held] = yield* entries(store)
        yield* locks.breakLease(held!.id)
        yield* settle
        return "done"
      }).pipe(Effect.orDie, Effect.uninterruptible)
      const error = yield* Effect.flip(Stream.runCollect(locks.streamLocks(Stream.fromEffect(last), targets)))
      assert.strictEqual(error._tag, "LockLost")
    }).pipe(Effect.scoped)
  )

  it.effect("encloses what it asks for", () =>
    Effect.gen(function* () {
      const { locks } = yield* open()
      const inside = Stream.fromEffect(locks.withRead(Effect.succeed("inside"), "table/1", { reentrant: true }))
      const found = yield* inside.pipe(locks.streamLocks(targets, { reentrant: true }), Stream.runCollect)
      assert.deepStrictEqual(Chunk.toReadonlyArray(found), ["inside"])
      const strict = Stream.fromEffect(locks.withRead(Effect.void, "table/1", { block: false }))
      const refused = yield* Effect.flip(Stream.runDrain(locks.streamLocks(strict, targets)))
      assert.strictEqual(refused._tag, "WouldBlock")
    }).pipe(Effect.scoped)
  )

  it.effect("refuses what cannot be before anything is sent", () =>
    Effect.gen(function* () {
      const { locks, store } = yield* open()
      type Loose = (...args: ReadonlyArray<unknown>) => Stream.Stream<never, LockError.LockError>
      const loose = locks.streamLocks as unknown as Loose
      const problems = [
        [loose(Stream.empty, targets, { onLost: "interrupt" }), "there is no such option"],
        [loose(targets, Stream.empty), "the stream comes before the targets"],
        [(loose(targets) as unknown as Loose)(Effect.void), "what is put under locks is a stream"],
        [loose(Stream.empty, []), "at least one target is needed"]
      ] as const
      for (const [stream, part] of problems) {
        const error = yield* Effect.flip(Stream.runDrain(stream))
        assert.include(narrow(error, LockError.InvalidOptions).message, part)
      }
      yield* assertEmpty(store)
    }).pipe(Effect.scoped)
  )
})

describe("changes", () => {
  it.effect("shows what is held and waits now, and then each time that it has changed", () =>
    Effect.gen(function* () {
      const { locks, store } = yield* open()
      const seen: Array<ReadonlyArray<string>> = []
      const watch = locks
        .changes("a", { every: "200ms" })
        .pipe(
          Stream.runForEach((entries) => Effect.sync(() => seen.push(entries.map(({ id, state }) => `${id} ${state}`))))
        )
      yield* Effect.fork(watch)
      const pass = Effect.zipRight(TestClock.adjust("1 second"), settle)
      yield* pass
      assert.deepStrictEqual(seen, [[]])
      const { free } = yield* stranger(store, "a/b", "write", "one")
      yield* stranger(store, "elsewhere", "write", "other")
      yield* pass
      yield* pass
      assert.deepStrictEqual(seen, [[], ["one held"]], "time that goes by is no change, nor is what lies elsewhere")
      const reader = yield* Effect.fork(locks.withRead(Effect.never, "a"))
      yield* settle
      yield* pass
      assert.strictEqual(seen.length, 3)
      assert.strictEqual(seen[2]?.length, 2)
      assert.include(seen[2]?.[1], "waiting")
      yield* free
      yield* pass
      assert.include(seen[3]?.[0], "held")
      yield* Fiber.interrupt(reader)
      yield* pass
      assert.deepStrictEqual(seen.slice(4), [[]])
    }).pipe(Effect.scoped)
  )

  it.effect("shows a lease that is refreshed once, and once more when it is downgraded", () =>
    Effect.gen(function* () {
      const { locks } = yield* open({ ttl: "3 seconds" })
      const seen: Array<string | undefined> = []
      yield* locks.changes("").pipe(
        Stream.runForEach(([entry]) => Effect.sync(() => seen.push(entry?.targets[0]?.mode))),
        Effect.fork
      )
      const lease = yield* locks.write("a")
      yield* TestClock.adjust("30 seconds")
      yield* locks.downgrade(lease)
      yield* TestClock.adjust("30 seconds")
      assert.deepStrictEqual(seen.slice(-2), ["write", "read"])
      assert.isAtMost(seen.length, 3)
    }).pipe(Effect.scoped)
  )

  it.effect("shows each refresh to those who ask for that", () =>
    Effect.gen(function* () {
      const { locks } = yield* open({ ttl: "3 seconds" })
      const left: Array<number | undefined> = []
      yield* locks.changes("", { refreshes: true }).pipe(
        Stream.runForEach(([entry]) => Effect.sync(() => left.push(entry?.timeLeft))),
        Effect.fork
      )
      yield* locks.write("a", { refreshInterval: "2 seconds" })
      yield* TestClock.adjust("10 seconds")
      assert.isAtLeast(left.length, 5)
      assert.isAtMost(left.length, 7, "and not each look")
    }).pipe(Effect.scoped)
  )

  it.effect("refuses a path and an interval that cannot be", () =>
    Effect.gen(function* () {
      const { locks } = yield* open()
      const path = yield* Effect.flip(Stream.runDrain(locks.changes("a\0")))
      assert.strictEqual(path._tag, "InvalidPath")
      for (const options of [{ every: 0 }, { every: "soon" as "1s" }, { evry: 5 } as object]) {
        const error = yield* Effect.flip(Stream.runDrain(locks.changes("a", options)))
        assert.strictEqual(error._tag, "InvalidOptions")
      }
    }).pipe(Effect.scoped)
  )
})

it.effect("both are there for the service in the context", () =>
  Effect.gen(function* () {
    const watched = HierarchicalLock.changes("a").pipe(Stream.take(1), HierarchicalLock.streamLocks([Target.read("a")]))
    const [found] = yield* Effect.map(Stream.runCollect(watched), Chunk.toReadonlyArray)
    assert.strictEqual(found?.length, 1)
  }).pipe(Effect.provide(HierarchicalLock.layerMemory()))
)
