import { assert, describe, it } from "@effect/vitest"
import { HierarchicalLock, LockError, type LockOptions, Target } from "@hilok/core"
import { Effect, Exit, Fiber, Option, TestClock } from "effect"
import { assertEmpty, client, open, settle, stranger } from "./support/locks.ts"
import { narrow } from "./support/narrow.ts"

describe("withXIfAvailable", () => {
  const paths = [
    "withReadIfAvailable",
    "withWriteIfAvailable",
    "withReadNodeIfAvailable",
    "withWriteNodeIfAvailable"
  ] as const
  for (const name of paths) {
    it.effect(`${name} runs the effect when the lock is free, and else does not`, () =>
      Effect.gen(function* () {
        const { locks, store } = yield* open()
        assert.deepStrictEqual(yield* locks[name](Effect.succeed(1), "a"), Option.some(1))
        assert.deepStrictEqual(
          yield* Effect.succeed(2).pipe(locks[name](["a", "b"], { reason: "a reason" })),
          Option.some(2)
        )
        yield* assertEmpty(store)
        const { free } = yield* stranger(store, "a")
        let ran = false
        const run = Effect.sync(() => {
          ran = true
        })
        assert.deepStrictEqual(yield* locks[name](run, "a"), Option.none())
        assert.isFalse(ran)
        yield* free
        yield* assertEmpty(store)
      }).pipe(Effect.scoped)
    )
  }

  it.effect("withLocksIfAvailable takes all or none", () =>
    Effect.gen(function* () {
      const { locks, store } = yield* open()
      yield* stranger(store, "b")
      const targets = [Target.write("a"), Target.read("b")]
      assert.deepStrictEqual(yield* locks.withLocksIfAvailable(Effect.void, targets), Option.none())
      const token = yield* locks.withLocksIfAvailable((lease) => Effect.succeed(lease.token), [Target.write("a")])
      assert.isTrue(Option.isSome(token))
    }).pipe(Effect.scoped)
  )

  it.effect("does not pass those who wait", () =>
    Effect.gen(function* () {
      const { locks, store } = yield* open()
      const { free } = yield* stranger(store, "a", "read")
      const writer = yield* Effect.fork(locks.withWrite(Effect.void, "a"))
      yield* settle
      assert.deepStrictEqual(yield* locks.withReadIfAvailable(Effect.void, "a"), Option.none())
      yield* free
      yield* Fiber.join(writer)
    }).pipe(Effect.scoped)
  )

  it.effect("leaves what the effect itself fails with, a refusal of its own too", () =>
    Effect.gen(function* () {
      const { locks, store } = yield* open()
      yield* stranger(store, "b")
      const inner = locks.withWrite(Effect.void, "b", { block: false })
      const error = yield* Effect.flip(locks.withWriteIfAvailable(inner, "a"))
      assert.strictEqual(error._tag, "WouldBlock")
      const lost = locks.withWriteIfAvailable(({ id }) => Effect.zipRight(locks.breakLease(id), Effect.never), "a")
      assert.strictEqual((yield* Effect.flip(lost))._tag, "LockLost")
    }).pipe(Effect.scoped)
  )

  it.effect("refuses the options of those who wait", () =>
    Effect.gen(function* () {
      const { locks } = yield* open()
      for (const option of ["block", "timeout", "onWait"]) {
        const options = { [option]: option === "block" ? true : 5 } as unknown as LockOptions.IfAvailableOptions
        const error = yield* Effect.flip(locks.withWriteIfAvailable(Effect.void, "a", options))
        assert.strictEqual(narrow(error, LockError.InvalidOptions).option, option)
      }
    }).pipe(Effect.scoped)
  )

  it.effect("works over the accessors", () =>
    Effect.gen(function* () {
      const done = Effect.succeed(1).pipe(HierarchicalLock.withLocksIfAvailable([Target.write("a")]))
      assert.deepStrictEqual(yield* done, Option.some(1))
    }).pipe(Effect.provide(HierarchicalLock.layerMemory()))
  )
})

describe("onWait", () => {
  const recorder = () => {
    const told: Array<string> = []
    const ids = new Set<string>()
    const onWait: LockOptions.OnWait = ({ ahead, blocker, id, targets }) =>
      Effect.sync(() => {
        ids.add(id)
        told.push(`${Target.format(targets)} behind ${blocker.label ?? "?"} (${blocker.state}), ${ahead} ahead`)
      })
    return { told, ids, onWait }
  }

  it.effect("tells who is in the way and how many are ahead, when the request waits and when that changes", () =>
    Effect.gen(function* () {
      const { store } = yield* open()
      const one = yield* client(store, { label: "one" })
      const two = yield* client(store, { label: "two" })
      const { told, ids, onWait } = recorder()
      const { free } = yield* stranger(store, "a")
      const first = yield* Effect.fork(one.withWrite(Effect.sleep("5 seconds"), "a"))
      yield* settle
      const second = yield* Effect.fork(two.withWrite(Effect.succeed("done"), "a/b", { onWait }))
      yield* settle
      assert.deepStrictEqual(told, [`write "a/b" behind one (waiting), 1 ahead`])
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(told.length, 1)
      yield* free
      yield* TestClock.adjust("1 seconds")
      assert.deepStrictEqual(told.slice(1), [`write "a/b" behind one (held), 0 ahead`])
      const waiting = (yield* one.inspect()).find(({ state }) => state === "waiting")
      assert.deepStrictEqual([...ids], [waiting?.id])
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual(yield* Fiber.join(second), "done")
      yield* Fiber.join(first)
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(told.length, 2)
      yield* assertEmpty(store)
    }).pipe(Effect.scoped)
  )

  it.effect("is not called for a lock that is free", () =>
    Effect.gen(function* () {
      const { locks } = yield* open()
      const { told, onWait } = recorder()
      yield* locks.withWrite(Effect.sleep("5 seconds"), "a", { onWait }).pipe(Effect.fork)
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(told, [])
    }).pipe(Effect.scoped)
  )

  it.effect("is interrupted when the wait is over, however it ends, and its failure harms nobody", () =>
    Effect.gen(function* () {
      const { locks, store } = yield* open()
      const { free } = yield* stranger(store, "a")
      let running = 0
      const onWait: LockOptions.OnWait = () =>
        Effect.ensuring(
          Effect.zipRight(
            Effect.sync(() => running++),
            Effect.never
          ),
          Effect.sync(() => running--)
        )
      const interrupted = yield* Effect.fork(locks.withWrite(Effect.void, "a", { onWait }))
      const late = yield* Effect.fork(Effect.exit(locks.withWrite(Effect.void, "a", { onWait, timeout: "2 seconds" })))
      const granted = yield* Effect.fork(locks.withWrite(Effect.void, "a", { onWait }))
      const failing = yield* Effect.fork(locks.withWrite(Effect.void, "a", { onWait: () => Effect.die("broken") }))
      yield* settle
      assert.strictEqual(running, 3)
      yield* Fiber.interrupt(interrupted)
      yield* settle
      assert.strictEqual(running, 2)
      yield* TestClock.adjust("2 seconds")
      assert.isTrue(Exit.isFailure(yield* Fiber.join(late)))
      yield* settle
      assert.strictEqual(running, 1)
      yield* free
      yield* Fiber.join(granted)
      yield* Fiber.join(failing)
      yield* settle
      assert.strictEqual(running, 0)
      yield* assertEmpty(store)
    }).pipe(Effect.scoped)
  )

  it.effect("must be a function", () =>
    Effect.gen(function* () {
      const { locks } = yield* open()
      const options = { onWait: "tell me" } as unknown as LockOptions.AcquireOptions
      const error = yield* Effect.flip(locks.withWrite(Effect.void, "a", options))
      assert.strictEqual(narrow(error, LockError.InvalidOptions).option, "onWait")
    }).pipe(Effect.scoped)
  )
})

describe("a request of another fiber inside a lease", () => {
  it.effect("is told of `detached` when it could only wait for that lease", () =>
    Effect.gen(function* () {
      const { locks, store } = yield* open()
      const seen = yield* locks.withWrite(
        Effect.gen(function* () {
          const daemon = yield* Effect.forkDaemon(Effect.flip(locks.withWrite(Effect.void, "a")))
          return narrow(yield* Fiber.join(daemon), LockError.Deadlock)
        }),
        "a"
      )
      assert.isTrue(seen.isForked)
      assert.include(seen.message, "HierarchicalLock.detached")
      const own = yield* Effect.flip(locks.withWrite(locks.withWrite(Effect.void, "a"), "a"))
      assert.isFalse(narrow(own, LockError.Deadlock).isForked)
      assert.notInclude(own.message, "detached")
      // As an outsider it waits, and is let in once the lease has ended.
      const daemon = yield* locks.withWrite(
        Effect.forkDaemon(locks.detached(locks.withWrite(Effect.succeed("in"), "a"))),
        "a"
      )
      assert.strictEqual(yield* Fiber.join(daemon), "in")
      yield* assertEmpty(store)
    }).pipe(Effect.scoped)
  )
})

describe("a request that is too large", () => {
  it.effect("is refused before anything is sent", () =>
    Effect.gen(function* () {
      const { locks } = yield* open()
      const deep = Array.from({ length: 128 }, (_, i) => `${i}`)
      const many = (count: number) => Array.from({ length: count }, (_, i) => Target.write([`${i}`, ...deep.slice(1)]))
      const error = yield* Effect.flip(Effect.scoped(locks.locks(many(40))))
      assert.strictEqual(narrow(error, LockError.InvalidOptions).option, "targets")
      assert.include(error.message, "segments")
      yield* Effect.scoped(locks.locks(many(30)))
      const flat = Array.from({ length: 3901 }, (_, i) => Target.write(`${i}`))
      assert.include((yield* Effect.flip(Effect.scoped(locks.locks(flat)))).message, "3900")
      const within = Array.from({ length: 101 }, (_, i) => `id-${i}`)
      const outside = yield* Effect.flip(Effect.scoped(locks.write("a", { within })))
      assert.strictEqual(narrow(outside, LockError.InvalidOptions).option, "within")
    }).pipe(Effect.scoped)
  )
})
