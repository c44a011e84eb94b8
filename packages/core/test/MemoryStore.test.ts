import { assert, it } from "@effect/vitest"
import { type LockError, LockPath, type LockStore, MemoryStore, Target } from "@hilok/core"
import { Session } from "@hilok/core/testing"
import { Cause, Duration, Effect, Exit, Fiber, Option, Scope, TestClock } from "effect"

const { read, write } = Target

const request = (id: string, targets: ReadonlyArray<Target.Target>): LockStore.LockRequest => {
  const [first, ...rest] = targets.map(Session.region)
  return { id, targets: [first!, ...rest], ttl: Duration.seconds(10), within: [], holder: {} }
}

const storeErrorOf = <A>(exit: Exit.Exit<A, LockError.LockError> | null): LockError.StoreError | undefined => {
  const error =
    exit === null || Exit.isSuccess(exit) ? undefined : Option.getOrUndefined(Cause.failureOption(exit.cause))
  return error?._tag === "StoreError" ? error : undefined
}

const settled = Effect.repeatN(Effect.yieldNow(), 20)

it.scoped("a waiting request gets in when the lease before it expires, by the virtual clock alone", () =>
  Effect.gen(function* () {
    const store = yield* MemoryStore.make()
    yield* store.acquire(request("holder", [write("a")]))
    const waiter = yield* Effect.fork(store.acquire(request("waiter", [write("a/b")])))
    yield* TestClock.adjust("9999 millis")
    assert.isNull(waiter.unsafePoll())
    yield* TestClock.adjust("1 millis")
    const grant = yield* Fiber.join(waiter)
    assert.strictEqual(grant.deadline, 20_000)
  })
)

it.scoped("each of many leases that expire one after the other lets in the next at its own time", () =>
  Effect.gen(function* () {
    const store = yield* MemoryStore.make()
    const granted: Array<readonly [string, number]> = []
    const ids = ["one", "two", "three", "four"]
    yield* Effect.forEach(ids, (id) =>
      store.acquire(request(id, [write("a")])).pipe(
        Effect.tap(({ deadline }) => Effect.sync(() => granted.push([id, deadline]))),
        Effect.fork,
        Effect.zipRight(settled)
      )
    )
    yield* TestClock.adjust("1 minute")
    assert.deepStrictEqual(granted, [
      ["one", 10_000],
      ["two", 20_000],
      ["three", 30_000],
      ["four", 40_000]
    ])
    assert.deepStrictEqual(yield* store.inspect(LockPath.root), [])
  })
)

it.effect("when the store closes, those who wait fail, and so does every later call", () =>
  Effect.gen(function* () {
    const scope = yield* Scope.make()
    const store = yield* Scope.extend(MemoryStore.make(), scope)
    yield* store.acquire(request("holder", [write("a")]))
    const waiter = yield* Effect.fork(store.acquire(request("waiter", [read("a")])))
    yield* settled
    yield* Scope.close(scope, Exit.void)
    assert.isDefined(storeErrorOf(yield* Fiber.await(waiter)))
    const calls: ReadonlyArray<Effect.Effect<unknown, LockError.LockError>> = [
      store.acquire(request("other", [read("b")])),
      store.tryAcquire(request("other", [read("b")])),
      store.restore("holder", Duration.seconds(1), "other"),
      store.giveBack("holder", "other"),
      store.refresh("holder", Duration.seconds(1)),
      store.release("holder"),
      store.downgrade("holder"),
      store.breakLease("holder"),
      store.inspect(LockPath.root),
      store.lookup("holder"),
      store.blockers(["holder"])
    ]
    for (const call of calls) assert.isDefined(storeErrorOf(yield* Effect.exit(call)))
  })
)

it.effect("a store that is closed leaves no timer behind, however it was built", () =>
  Effect.gen(function* () {
    for (const build of [Effect.interruptible, Effect.uninterruptible]) {
      const before = (yield* TestClock.sleeps()).length
      const scope = yield* Scope.make()
      const store = yield* build(Scope.extend(MemoryStore.make(), scope))
      yield* store.acquire(request("holder", [write("a")]))
      const waiter = yield* Effect.fork(store.acquire(request("waiter", [write("a")])))
      yield* settled
      assert.isAbove((yield* TestClock.sleeps()).length, before, "the store watches the holder's deadline")
      yield* Scope.close(scope, Exit.void)
      yield* Fiber.await(waiter)
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(Array.from(yield* TestClock.sleeps()), [])
    }
  })
)

it.scoped("a request that somebody else takes out of the queue fails, rather than to wait for ever", () =>
  Effect.gen(function* () {
    const store = yield* MemoryStore.make()
    yield* store.acquire(request("holder", [write("a")]))
    const waiter = yield* Effect.fork(store.acquire(request("waiter", [write("a")])))
    yield* settled
    assert.isTrue(yield* store.release("waiter"))
    yield* settled
    assert.isDefined(storeErrorOf(waiter.unsafePoll()))
    assert.strictEqual((yield* store.inspect(LockPath.root)).length, 1)
  })
)

it.scoped("a request that is repeated while the first still waits gets the same grant", () =>
  Effect.gen(function* () {
    const store = yield* MemoryStore.make()
    yield* store.acquire(request("holder", [write("a")]))
    const [one, two, three] = yield* Effect.forEach([1, 2, 3], () =>
      Effect.zipLeft(Effect.fork(store.acquire(request("waiter", [write("a")]))), settled)
    )
    yield* Fiber.interrupt(three!)
    assert.strictEqual((yield* store.inspect(LockPath.root)).length, 2)
    yield* store.release("holder")
    yield* settled
    assert.deepStrictEqual(one!.unsafePoll(), Exit.succeed(yield* Fiber.join(two!)))
    yield* store.release("waiter")
    assert.deepStrictEqual(yield* store.inspect(LockPath.root), [])
  })
)

it.scoped("two stores never meet, though their namespace be the same", () =>
  Effect.gen(function* () {
    const [one, two] = [yield* MemoryStore.make({ namespace: "x" }), yield* MemoryStore.make({ namespace: "x" })]
    yield* one.acquire(request("one", [write("")]))
    yield* two.acquire(request("two", [write("")]))
    assert.deepStrictEqual([one.namespace, two.namespace], ["x", "x"])
    assert.strictEqual((yield* two.inspect(LockPath.root)).length, 1)
  })
)

it.scoped("every subscriber hears of every revocation from the time of subscribing on, and of each once", () =>
  Effect.gen(function* () {
    const store = yield* MemoryStore.make()
    const early = yield* store.revocations
    yield* store.acquire(request("one", [write("a")]))
    yield* store.breakLease("one")
    const late = yield* store.revocations
    yield* store.acquire(request("two", [write("a")]))
    yield* TestClock.adjust("10 seconds")
    assert.deepStrictEqual(yield* store.inspect(LockPath.root), [])
    const broken = { id: "one", owner: "one", reason: "broken" } as const
    const expired = { id: "two", owner: "two", reason: "expired" } as const
    assert.deepStrictEqual(Array.from(yield* early.takeAll), [broken, expired])
    assert.deepStrictEqual(Array.from(yield* late.takeAll), [expired])
  })
)
