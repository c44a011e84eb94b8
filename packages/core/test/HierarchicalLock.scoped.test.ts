import { assert, describe, it } from "@effect/vitest"
import { HierarchicalLock, LockError, MemoryStore, Target } from "@hilok/core"
import { Effect, Exit, Fiber, Layer, Scope, TestClock } from "effect"
import { assertEmpty, client, entries, open, overMemory, settle, stranger } from "./support/locks.ts"
import { narrow } from "./support/narrow.ts"

const modes = ["read", "write", "readNode", "writeNode"] as const

describe("a scoped lock", () => {
  for (const mode of modes) {
    it.effect(`${mode} is held until its scope closes`, () =>
      Effect.gen(function* () {
        const { locks, store } = yield* open()
        yield* Effect.scoped(
          Effect.gen(function* () {
            const lease = yield* locks[mode]("a/b")
            assert.deepStrictEqual(lease.targets, [{ mode, path: "a/b" }])
            const [entry, ...others] = yield* entries(store)
            assert.deepStrictEqual(others, [])
            assert.strictEqual(entry?.id, lease.id)
            assert.strictEqual(entry?.state, "held")
            assert.strictEqual(entry?.token, lease.token)
            assert.deepStrictEqual(entry?.targets, lease.targets)
          })
        )
        yield* assertEmpty(store)
      }).pipe(Effect.scoped)
    )

    it.effect(`${mode} works as an accessor, too`, () =>
      Effect.gen(function* () {
        const lease = yield* HierarchicalLock[mode]("a", { reason: "a reason", label: "me" })
        const [entry] = yield* HierarchicalLock.inspect("a")
        assert.strictEqual(entry?.id, lease.id)
        assert.strictEqual(entry?.reason, "a reason")
        assert.strictEqual(entry?.label, "me")
      }).pipe(Effect.scoped, Effect.provide(overMemory))
    )
  }

  it.effect("several targets are granted all or none", () =>
    Effect.gen(function* () {
      const { locks, store } = yield* open()
      const { free } = yield* stranger(store, "b")
      const targets = [Target.write("a"), Target.read("b"), Target.readNode("c")]
      const waiting = yield* Effect.fork(Effect.scoped(Effect.zipRight(locks.locks(targets), Effect.never)))
      yield* settle
      const refused = yield* Effect.scoped(Effect.flip(locks.locks(targets, { block: false })))
      assert.strictEqual(refused._tag, "WouldBlock")
      // It waits for `b` and holds nothing of the rest.
      const states = (yield* entries(store)).map(({ id, state }) => `${id === "stranger" ? id : "other"} ${state}`)
      assert.deepStrictEqual(states, ["stranger held", "other waiting"])
      yield* free
      yield* settle
      const [entry] = yield* entries(store)
      assert.strictEqual(entry?.state, "held")
      assert.deepStrictEqual(entry?.targets, targets)
      yield* Fiber.interrupt(waiting)
      yield* assertEmpty(store)
    }).pipe(Effect.scoped)
  )

  it.effect("`locks` works as an accessor, and takes the same target twice and a path in two modes", () =>
    Effect.gen(function* () {
      const lease = yield* HierarchicalLock.locks([Target.write("a"), Target.write("a"), Target.read("a")])
      assert.strictEqual(lease.targets.length, 3)
      assert.strictEqual((yield* HierarchicalLock.inspect()).length, 1)
    }).pipe(Effect.scoped, Effect.provide(overMemory))
  )

  it.effect("is kept alive by refresh far longer than its ttl", () =>
    Effect.gen(function* () {
      const { locks, store } = yield* open({ ttl: "10 seconds" })
      const lease = yield* locks.write("a")
      for (let i = 0; i < 20; i++) {
        yield* TestClock.adjust("7 seconds")
        yield* lease.check
      }
      const [entry] = yield* entries(store)
      assert.strictEqual(entry?.id, lease.id)
      assert.strictEqual(entry?.age, 140_000)
    }).pipe(Effect.scoped)
  )

  it.effect("may set its own ttl, and is refreshed by it", () =>
    Effect.gen(function* () {
      const { locks, store } = yield* open({ ttl: "10 minutes" })
      yield* locks.write("a", { ttl: "3 seconds" })
      const [entry] = yield* entries(store)
      assert.strictEqual(entry?.timeLeft, 3000)
      yield* TestClock.adjust("30 seconds")
      assert.strictEqual((yield* entries(store)).length, 1)
    }).pipe(Effect.scoped)
  )

  it.effect("with `block: false` is refused, and names who is in the way", () =>
    Effect.gen(function* () {
      const { locks, store } = yield* open()
      yield* stranger(store, "a")
      const error = yield* Effect.flip(locks.read("a/b", { block: false }))
      assert.strictEqual(error._tag, "WouldBlock")
      const { blocker } = narrow(error, LockError.WouldBlock)
      assert.strictEqual(blocker?.id, "stranger")
      assert.include(error.message, `read "a/b" is not free: blocked by write "a", held by "stranger"`)
      assert.strictEqual((yield* entries(store)).length, 1)
    }).pipe(Effect.scoped)
  )

  it.effect("with a `timeout` gives up after it, and leaves the queue", () =>
    Effect.gen(function* () {
      const { locks, store } = yield* open()
      yield* stranger(store, "a")
      const fiber = yield* Effect.fork(Effect.scoped(Effect.flip(locks.read("a/b", { timeout: "100 millis" }))))
      yield* TestClock.adjust("99 millis")
      assert.isNull(fiber.unsafePoll())
      assert.strictEqual((yield* entries(store)).length, 2)
      yield* TestClock.adjust("1 millis")
      const error = yield* Fiber.join(fiber)
      assert.strictEqual(error._tag, "LockTimeout")
      assert.strictEqual(narrow(error, LockError.LockTimeout).blocker?.id, "stranger")
      assert.include(error.message, `read "a/b" was not granted within 100 ms: blocked by write "a"`)
      assert.strictEqual((yield* entries(store)).length, 1)
    }).pipe(Effect.scoped)
  )

  it.effect("with a `timeout` is granted within it", () =>
    Effect.gen(function* () {
      const { locks, store } = yield* open()
      const { free } = yield* stranger(store, "a")
      const fiber = yield* Effect.fork(Effect.scoped(locks.read("a/b", { timeout: "100 millis" })))
      yield* TestClock.adjust("99 millis")
      yield* free
      const lease = yield* Fiber.join(fiber)
      assert.isAbove(lease.token, 0)
      yield* assertEmpty(store)
    }).pipe(Effect.scoped)
  )

  it.effect("with a `timeout` of zero does not wait", () =>
    Effect.gen(function* () {
      const { locks, store } = yield* open()
      const { free } = yield* stranger(store, "a")
      const error = yield* Effect.flip(locks.write("a", { timeout: 0 }))
      assert.strictEqual(error._tag, "LockTimeout")
      yield* free
      yield* locks.write("a", { timeout: 0 })
      assert.strictEqual((yield* entries(store)).length, 1)
    }).pipe(Effect.scoped)
  )

  it.effect("with a `timeout` that is infinite waits as without", () =>
    Effect.gen(function* () {
      const { locks, store } = yield* open()
      const { free } = yield* stranger(store, "a")
      const fiber = yield* Effect.fork(Effect.scoped(locks.read("a", { timeout: Number.POSITIVE_INFINITY })))
      yield* TestClock.adjust("2 hours")
      assert.isNull(fiber.unsafePoll())
      yield* free
      assert.deepStrictEqual((yield* Fiber.join(fiber)).targets, [Target.read("a")])
    }).pipe(Effect.scoped)
  )

  it.effect("gives its lease a token that rises from grant to grant", () =>
    Effect.gen(function* () {
      const { locks } = yield* open()
      const tokens: Array<number> = []
      for (let i = 0; i < 5; i++) tokens.push((yield* Effect.scoped(locks.write(`a/${i % 2}`))).token)
      assert.deepStrictEqual(
        tokens,
        Array.from(new Set(tokens)).sort((a, b) => a - b)
      )
    }).pipe(Effect.scoped)
  )

  it.effect("is given back at once when its scope was closed while it waited", () =>
    Effect.gen(function* () {
      const { locks, store } = yield* open()
      const { free } = yield* stranger(store, "a")
      const scope = yield* Scope.make()
      const fiber = yield* Effect.fork(Scope.extend(locks.write("a"), scope))
      yield* settle
      yield* Scope.close(scope, Exit.void)
      yield* free
      assert.isTrue(Exit.isInterrupted(yield* Fiber.await(fiber)))
      yield* assertEmpty(store)
    }).pipe(Effect.scoped)
  )

  it.effect("in a scope that was closed before is not asked for", () =>
    Effect.gen(function* () {
      const { locks, store } = yield* open()
      const scope = yield* Scope.make()
      yield* Scope.close(scope, Exit.void)
      const exit = yield* Effect.exit(Scope.extend(locks.write("a"), scope))
      assert.isTrue(Exit.isInterrupted(exit))
      yield* assertEmpty(store)
    }).pipe(Effect.scoped)
  )

  it.effect("lives as long as its scope, which may outlive the fiber that asked for it", () =>
    Effect.gen(function* () {
      const { locks, store } = yield* open({ ttl: "3 seconds" })
      const scope = yield* Scope.make()
      const fiber = yield* Effect.fork(Scope.extend(locks.write("a"), scope))
      yield* Fiber.join(fiber)
      yield* TestClock.adjust("20 seconds")
      assert.strictEqual((yield* entries(store)).length, 1)
      yield* Scope.close(scope, Exit.void)
      yield* assertEmpty(store)
    }).pipe(Effect.scoped)
  )

  it.effect("excludes and admits over separators alike", () =>
    Effect.gen(function* () {
      const { locks, store } = yield* open({ separator: "::" })
      const other = yield* client(store, { separator: ":" })
      const lease = yield* locks.write("::a::b/c::")
      assert.deepStrictEqual(lease.targets, [{ mode: "write", path: "a::b/c" }])
      const error = yield* Effect.flip(other.write("a:b/c:d", { block: false }))
      assert.deepStrictEqual(narrow(error, LockError.WouldBlock).blocker?.targets, [{ mode: "write", path: "a:b/c" }])
      const [entry] = yield* locks.inspect("a")
      assert.deepStrictEqual(entry?.targets, lease.targets)
      yield* other.write("a:b", { block: false, within: [lease.id] })
    }).pipe(Effect.scoped)
  )
})

describe("the layer", () => {
  it.effect("closed, its service grants nothing any more", () =>
    Effect.gen(function* () {
      const store = yield* MemoryStore.make()
      const scope = yield* Scope.make()
      const locks = yield* Scope.extend(client(store), scope)
      yield* locks.withWrite(Effect.void, "a")
      yield* Scope.close(scope, Exit.void)
      for (const attempt of [
        Effect.scoped(locks.write("a")),
        locks.withWrite(Effect.void, "a"),
        locks.acquire([Target.write("a")]),
        Effect.scoped(locks.restore("some-id"))
      ]) {
        const error: LockError.LockError = yield* Effect.flip(attempt)
        assert.strictEqual(error._tag, "StoreError")
        assert.include(error.message, "the lock service is closed")
      }
      yield* assertEmpty(store)
    }).pipe(Effect.scoped)
  )

  it.effect("of the store closed, those who wait and those who come fail", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const store = yield* Scope.extend(MemoryStore.make(), scope)
      const locks = yield* client(store)
      yield* stranger(store, "a")
      const waiting = yield* Effect.fork(Effect.flip(locks.withWrite(Effect.void, "a")))
      yield* settle
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual((yield* Fiber.join(waiting))._tag, "StoreError")
      assert.strictEqual((yield* Effect.flip(locks.withWrite(Effect.void, "b")))._tag, "StoreError")
    }).pipe(Effect.scoped)
  )

  it.effect("refuses wrong options when it is built", () =>
    Effect.gen(function* () {
      const layer = HierarchicalLock.layer({ ttl: 0 }).pipe(Layer.provide(MemoryStore.layer()))
      const error = yield* Effect.flip(Effect.scoped(Layer.build(layer)))
      assert.strictEqual(error._tag, "InvalidOptions")
      assert.strictEqual(error.option, "ttl")
    })
  )
})
