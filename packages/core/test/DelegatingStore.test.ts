import { assert, describe, it } from "@effect/vitest"
import { DelegatingStore, HierarchicalLock, LockStore, MemoryStore, Target } from "@hilok/core"
import { Cause, ConfigProvider, Deferred, Effect, Either, Exit, Fiber, Layer, Option, Scope, TestClock } from "effect"
import { around, Faults } from "./support/doubles.ts"
import { entries, settle } from "./support/locks.ts"
import { value } from "./support/metrics.ts"

type Store = LockStore.LockStore["Type"]

interface Process {
  readonly locks: HierarchicalLock.Operations<never>
  readonly store: Store
  /** What it asks the store below. */
  readonly faults: Faults
}

/** A process with delegations over a store that it shares with others. */
const process = (
  below: Store,
  options?: DelegatingStore.Options,
  lockOptions?: Parameters<typeof HierarchicalLock.make>[0]
): Effect.Effect<Process, never, Scope.Scope> =>
  Effect.gen(function* () {
    const faults = new Faults()
    const store = yield* Effect.provideService(
      DelegatingStore.make(options),
      LockStore.LockStore,
      around(below, faults.around)
    )
    const locks = yield* Effect.provideService(HierarchicalLock.make(lockOptions), LockStore.LockStore, store)
    return { locks, store, faults }
  }).pipe(Effect.orDie)

/** One that ends without a word: nobody closes it. */
const crashing = (below: Store, options?: DelegatingStore.Options) =>
  Effect.flatMap(Scope.make(), (scope) => Effect.provideService(process(below, options), Scope.Scope, scope))

const two = (options?: DelegatingStore.Options) =>
  Effect.gen(function* () {
    const below = yield* Effect.orDie(MemoryStore.make())
    return { below, one: yield* process(below, options), other: yield* process(below, options) }
  })

const asked = ({ faults }: Process): number => Array.from(faults.calls.values()).reduce((sum, calls) => sum + calls, 0)

/** Holds a lock until it is told to end. */
const hold = <E>(work: (use: Effect.Effect<void>) => Effect.Effect<void, E>) =>
  Effect.gen(function* () {
    const end = yield* Deferred.make<void>()
    const isHeld = yield* Deferred.make<void>()
    const fiber = yield* Effect.fork(work(Effect.zipRight(Deferred.succeed(isHeld, undefined), Deferred.await(end))))
    yield* settle
    return {
      fiber,
      isHeld: Effect.map(Deferred.poll(isHeld), Option.isSome),
      end: Effect.zipRight(Deferred.succeed(end, undefined), settle)
    }
  })

/** Tells whether a timer has had its turn since. */
const turning = Effect.gen(function* () {
  let hasTurned = false
  const timer = setTimeout(() => {
    hasTurned = true
  }, 0)
  yield* Effect.addFinalizer(() => Effect.sync(() => clearTimeout(timer)))
  return () => hasTurned
})

const shown = (store: Store) =>
  Effect.map(entries(store), (all) =>
    all.map(({ delegated, state, targets }) => `${delegated ? "kept" : state} ${Target.format(targets)}`)
  )

describe("a lock that nobody else asks for", () => {
  it.scoped("is decided here the second time, and the store below is asked nothing", () =>
    Effect.gen(function* () {
      const { one } = yield* two()
      const tokens: Array<number> = []
      const note = (lease: { readonly token: number }) => Effect.sync(() => void tokens.push(lease.token))
      yield* one.locks.withWrite(note, "a")
      const before = asked(one)
      for (let i = 0; i < 10; i++) {
        yield* one.locks.withWrite(note, "a")
        yield* one.locks.withRead(note, "a/b")
        yield* one.locks.withLocks(note, [Target.read("a/b"), Target.writeNode("a")])
      }
      assert.strictEqual(asked(one), before)
      assert.deepStrictEqual(
        tokens,
        Array.from({ length: 31 }, (_, i) => tokens[0]! + i)
      )
    })
  )

  it.scoped("is queued for here, in order", () =>
    Effect.gen(function* () {
      const { below, one } = yield* two()
      const order: Array<number> = []
      const first = yield* hold((use) => one.locks.withWrite(use, "a"))
      const before = asked(one)
      const others = yield* Effect.forEach([1, 2, 3], (i) =>
        Effect.fork(
          one.locks.withWrite(
            Effect.sync(() => void order.push(i)),
            i === 2 ? "a/b" : "a"
          )
        )
      )
      yield* settle
      assert.deepStrictEqual(order, [])
      assert.deepStrictEqual(yield* shown(below), ['kept write "a"'])
      yield* first.end
      yield* Fiber.joinAll(others)
      assert.deepStrictEqual(order, [1, 2, 3])
      assert.strictEqual(asked(one), before)
    })
  )

  it.scoped("is asked for below with `delegate: false`, by hand, with `within`, and in another region", () =>
    Effect.gen(function* () {
      const { below, one } = yield* two()
      yield* one.locks.withWrite(Effect.void, "a")
      yield* one.locks.withWrite(
        Effect.gen(function* () {
          assert.deepStrictEqual(yield* shown(below), ['held write "a"'])
        }),
        "a",
        { delegate: false }
      )
      const lease = yield* one.locks.acquire([Target.write("a/b")])
      assert.deepStrictEqual(yield* shown(below), ['held write "a/b"'])
      yield* one.locks.withWrite(
        Effect.flatMap(shown(below), (all) =>
          Effect.sync(() => assert.deepStrictEqual(all, ['held write "a/b"', 'held write "a/b/c"']))
        ),
        "a/b/c",
        { within: [lease.id] }
      )
      yield* one.locks.release(lease)
    })
  )

  it.scoped("lets the event loop turn, however many are granted one after the other", () =>
    Effect.gen(function* () {
      const { one } = yield* two()
      const hasTurned = yield* turning
      let granted = 0
      const lock = (i: number) =>
        one.locks.withWrite(
          Effect.sync(() => void granted++),
          `a/${i}`
        )
      const loop = (i: number) => Effect.repeat(lock(i), { until: () => hasTurned() || granted >= 100_000 })
      yield* Effect.forEach(
        Array.from({ length: 64 }, (_, i) => i),
        loop,
        { concurrency: "unbounded" }
      )
      assert.isTrue(hasTurned(), `a timer has had no turn in ${granted} locks`)
    })
  )

  it.scoped("lets the event loop turn, however many are refused one after the other", () =>
    Effect.gen(function* () {
      const { one } = yield* two()
      yield* hold((use) => one.locks.withWrite(use, "a"))
      const hasTurned = yield* turning
      let refused = 0
      yield* Effect.repeat(
        Effect.map(one.locks.withWriteIfAvailable(Effect.void, "a"), (held) => {
          if (Option.isNone(held)) refused++
        }),
        { until: () => hasTurned() || refused >= 100_000 }
      )
      assert.isTrue(hasTurned(), `a timer has had no turn in ${refused} refusals`)
    })
  )

  it.scoped("lets in first whoever has asked first, however many ask again and again", () =>
    Effect.gen(function* () {
      const { one } = yield* two()
      let asked = 0
      const entered: Array<number> = []
      const lock = Effect.suspend(() => {
        const number = asked++
        return one.locks.withWrite(
          Effect.sync(() => void entered.push(number)),
          "a"
        )
      })
      yield* Effect.replicateEffect(Effect.replicateEffect(lock, 20, { discard: true }), 128, {
        concurrency: "unbounded",
        discard: true
      }).pipe(
        // So that nothing comes between the number and the request.
        Effect.withMaxOpsBeforeYield(Number.MAX_SAFE_INTEGER)
      )
      assert.lengthOf(entered, 128 * 20)
      assert.deepStrictEqual(
        entered,
        Array.from(entered, (_, i) => i)
      )
    })
  )

  it.scoped("leaves nothing behind when the wait for it is interrupted", () =>
    Effect.gen(function* () {
      const { below, one } = yield* two({ linger: "1 second" })
      const first = yield* hold((use) => one.locks.withWrite(use, "a"))
      const waiting = yield* Effect.fork(one.locks.withWrite(Effect.void, "a"))
      const behind = yield* Effect.fork(one.locks.withRead(Effect.void, "a"))
      yield* settle
      yield* Fiber.interrupt(waiting)
      yield* first.end
      yield* Fiber.join(behind)
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* shown(below), [])
      assert.deepStrictEqual(yield* shown(one.store), [])
    })
  )

  it.scoped("times out in the queue here, and says who is in the way", () =>
    Effect.gen(function* () {
      const { one } = yield* two()
      yield* hold((use) => one.locks.withWrite(use, "a", { reason: "first" }))
      const late = yield* Effect.fork(Effect.flip(one.locks.withWrite(Effect.void, "a", { timeout: "1 second" })))
      yield* settle
      yield* TestClock.adjust("1 second")
      const error = yield* Fiber.join(late)
      assert.strictEqual(error._tag, "LockTimeout")
      if (error._tag === "LockTimeout") assert.strictEqual(error.blocker?.reason, "first")
    })
  )

  it.scoped("is let in by a downgrade here", () =>
    Effect.gen(function* () {
      const { below, one } = yield* two()
      const isRead = yield* Deferred.make<void>()
      yield* one.locks.withWrite(
        (lease) =>
          Effect.gen(function* () {
            yield* Effect.fork(one.locks.detached(one.locks.withRead(Deferred.succeed(isRead, undefined), "a")))
            yield* settle
            assert.isTrue(Option.isNone(yield* Deferred.poll(isRead)))
            yield* one.locks.downgrade(lease)
            yield* settle
            assert.isTrue(Option.isSome(yield* Deferred.poll(isRead)))
          }),
        "a"
      )
      assert.deepStrictEqual(yield* shown(below), ['kept write "a"'])
    })
  )
})

describe("a delegation", () => {
  it.scoped("is kept for `linger`, and then given back", () =>
    Effect.gen(function* () {
      const { below, one } = yield* two({ linger: "2 seconds" })
      yield* one.locks.withWrite(Effect.void, "a")
      yield* TestClock.adjust("1999 millis")
      yield* one.locks.withWrite(Effect.void, "a")
      yield* TestClock.adjust("1999 millis")
      assert.deepStrictEqual(yield* shown(below), ['kept write "a"'])
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(yield* shown(below), [])
    })
  )

  it.scoped(
    "is given back for another when there are more than `maxIdle`, many that have lingered in one command",
    () =>
      Effect.gen(function* () {
        const { below, one } = yield* two({ maxIdle: 3 })
        for (const path of ["a", "b", "c", "a", "d"]) yield* one.locks.withWrite(Effect.void, path)
        assert.deepStrictEqual(yield* shown(below), ['kept write "a"', 'kept write "c"', 'kept write "d"'])
        const before = one.faults.calls.get("settle")!
        yield* TestClock.adjust("2 seconds")
        assert.deepStrictEqual(yield* shown(below), [])
        assert.strictEqual(one.faults.calls.get("settle"), before + 1)
      })
  )

  it.scoped("is refreshed for as long as a lease under it is held, and lasts as long as the longest of them", () =>
    Effect.gen(function* () {
      const { below, one } = yield* two()
      yield* one.locks.withWrite(Effect.void, "a")
      const held = yield* hold((use) => one.locks.withWrite(use, "a", { ttl: "1 minute" }))
      yield* TestClock.adjust("5 minutes")
      assert.isNull(held.fiber.unsafePoll())
      const [kept] = yield* entries(below)
      assert.isAbove(kept?.timeLeft ?? 0, 39_000)
      yield* held.end
      assert.isTrue(Exit.isSuccess(yield* Fiber.await(held.fiber)))
    })
  )

  it.scoped("is given back when its store closes, and what is held then goes on below", () =>
    Effect.gen(function* () {
      const below = yield* Effect.orDie(MemoryStore.make())
      yield* Effect.scoped(
        Effect.gen(function* () {
          const one = yield* process(below)
          yield* one.locks.withWrite(Effect.void, "a")
          assert.deepStrictEqual(yield* shown(below), ['kept write "a"'])
        })
      )
      assert.deepStrictEqual(yield* shown(below), [])
    })
  )

  it.scoped("counts its tokens so that they rise from one process to the next", () =>
    Effect.gen(function* () {
      const { one, other } = yield* two()
      const tokens: Array<number> = []
      for (let i = 0; i < 5; i++) {
        for (const { locks } of [one, other]) {
          for (let j = 0; j < 4; j++) yield* locks.withWrite(({ token }) => Effect.sync(() => tokens.push(token)), "a")
        }
      }
      for (const [i, token] of tokens.entries()) if (i > 0) assert.isAbove(token, tokens[i - 1]!)
      assert.strictEqual(tokens.length, 40)
    })
  )
})

describe("when another process asks", () => {
  it.scoped("it gets at once what is only kept", () =>
    Effect.gen(function* () {
      const { below, one, other } = yield* two()
      yield* one.locks.withWrite(Effect.void, "a")
      yield* other.locks.withWrite(
        Effect.flatMap(shown(below), (all) => Effect.sync(() => assert.deepStrictEqual(all, ['kept write "a/b"']))),
        "a/b"
      )
    })
  )

  it.scoped(
    "a lease of the delegation's own region goes on under it, and what waits here waits below from then on",
    () =>
      Effect.gen(function* () {
        const { below, one, other } = yield* two()
        const order: Array<string> = []
        const note = (name: string) => Effect.sync(() => void order.push(name))
        const held = yield* hold((use) => one.locks.withWrite(use, "a"))
        const before = yield* Effect.fork(one.locks.withWrite(note("before"), "a"))
        yield* settle
        const theirs = yield* Effect.fork(other.locks.withWrite(note("other"), "a"))
        yield* settle
        const after = yield* Effect.fork(one.locks.withWrite(note("after"), "a"))
        yield* settle
        assert.deepStrictEqual(yield* shown(below), [
          'kept write "a"',
          'waiting write "a"',
          'waiting write "a"',
          'waiting write "a"'
        ])
        yield* held.end
        yield* Fiber.joinAll([before, theirs, after])
        assert.deepStrictEqual(order, ["other", "before", "after"])
      })
  )

  it.scoped("a lease that goes on under its delegation is made known when it is downgraded, and readers get in", () =>
    Effect.gen(function* () {
      const { below, one, other } = yield* two()
      const goOn = yield* Deferred.make<void>()
      const end = yield* Deferred.make<void>()
      const held = yield* Effect.fork(
        one.locks.withWrite(
          (lease) =>
            Deferred.await(goOn).pipe(
              Effect.zipRight(one.locks.downgrade(lease)),
              Effect.zipRight(Deferred.await(end))
            ),
          "a"
        )
      )
      yield* settle
      const reader = yield* hold((use) => other.locks.withRead(use, "a"))
      assert.isFalse(yield* reader.isHeld)
      assert.include(yield* shown(below), 'kept write "a"')
      yield* Deferred.succeed(goOn, undefined)
      yield* settle
      assert.isTrue(yield* reader.isHeld)
      assert.sameMembers([...(yield* shown(below))], ['held read "a"', 'kept read "a"'])
      yield* Deferred.succeed(end, undefined)
      yield* Fiber.join(held)
      yield* reader.end
    })
  )

  it.scoped("no more leases than `maxLocal` are under one delegation", () =>
    Effect.gen(function* () {
      const { below, one } = yield* two({ maxLocal: 2 })
      yield* one.locks.withRead(Effect.void, "a")
      const readers = yield* Effect.forEach([1, 2, 3], () => hold((use) => one.locks.withRead(use, "a")))
      assert.deepStrictEqual(yield* Effect.all(readers.map(({ isHeld }) => isHeld)), [true, true, true])
      assert.deepStrictEqual(yield* shown(below), ['kept read "a"', 'kept read "a"'])
      for (const { end } of readers) yield* end
    })
  )

  it.scoped("other leases are made known below, and the rest is given back", () =>
    Effect.gen(function* () {
      const { below, one, other } = yield* two()
      yield* one.locks.withWrite(Effect.void, "a")
      const b = yield* hold((use) => one.locks.withWrite(use, "a/b"))
      const c = yield* hold((use) => one.locks.withRead(use, "a/c"))
      const theirs = yield* hold((use) => other.locks.withRead(use, "a/c"))
      assert.isTrue(yield* theirs.isHeld)
      assert.deepStrictEqual(yield* shown(below), ['kept read "a/c"', 'held write "a/b"', 'held read "a/c"'])
      const writer = yield* hold((use) => other.locks.withWrite(use, "a/b"))
      assert.isFalse(yield* writer.isHeld)
      yield* b.end
      assert.isTrue(yield* writer.isHeld)
      yield* Effect.all([c.end, theirs.end, writer.end])
      assert.isTrue(Exit.isSuccess(yield* Fiber.await(c.fiber)))
    })
  )

  it.scoped("without waiting, it gets what is only kept, and is refused what is held", () =>
    Effect.gen(function* () {
      const { one, other } = yield* two()
      yield* one.locks.withWrite(Effect.void, "a")
      assert.deepStrictEqual(yield* other.locks.withWriteIfAvailable(Effect.succeed(1), "a"), Option.some(1))
      const held = yield* hold((use) => one.locks.withWrite(use, "b", { reason: "mine" }))
      const refused = yield* Effect.flip(other.locks.withWrite(Effect.void, "b", { block: false }))
      assert.strictEqual(refused._tag === "WouldBlock" && refused.blocker?.reason, "mine")
      yield* held.end
      yield* other.locks.withWrite(Effect.void, "b", { timeout: 0 })
      const again = yield* hold((use) => one.locks.withWrite(use, "c"))
      const own = yield* Effect.flip(one.locks.withWrite(Effect.void, "c", { block: false }))
      assert.strictEqual(own._tag, "WouldBlock")
      yield* again.end
    })
  )

  it.scoped("without waiting, so does a process that has no delegations itself", () =>
    Effect.gen(function* () {
      const { below, one } = yield* two()
      const plain = yield* Effect.provideService(HierarchicalLock.make(), LockStore.LockStore, below)
      yield* one.locks.withWrite(Effect.void, "a")
      assert.deepStrictEqual(yield* plain.withWriteIfAvailable(Effect.succeed(1), "a"), Option.some(1))
      yield* one.locks.withWrite(Effect.void, "b")
      assert.strictEqual(yield* Effect.uninterruptible(plain.withRead(Effect.succeed(2), "b", { block: false })), 2)
      const held = yield* hold((use) => one.locks.withWrite(use, "c", { reason: "mine" }))
      const refused = yield* Effect.flip(plain.withWrite(Effect.void, "c", { timeout: 0 }))
      assert.strictEqual(refused._tag === "LockTimeout" && refused.blocker?.reason, "mine")
      yield* held.end
      // One that does not answer is waited for no longer than a second.
      const silent = yield* crashing(below, { linger: "1 hour" })
      yield* silent.locks.withWrite(Effect.void, "d")
      silent.faults.set("settle", "hangs")
      const late = yield* Effect.fork(Effect.flip(plain.withWrite(Effect.void, "d", { block: false })))
      yield* settle
      yield* TestClock.adjust("999 millis")
      assert.isNull(late.unsafePoll())
      yield* TestClock.adjust("1 millis")
      const error = yield* Fiber.join(late)
      assert.isTrue(error._tag === "WouldBlock" && error.blocker?.delegated)
      assert.isTrue(
        (yield* entries(below)).every(({ state }) => state === "held"),
        "nobody is left in the queue"
      )
    })
  )

  it.scoped("without waiting, it is refused after `recallTimeout` by a process that does not answer", () =>
    Effect.gen(function* () {
      const { below, other } = yield* two()
      const one = yield* crashing(below, { linger: "1 hour" })
      yield* one.locks.withWrite(Effect.void, "a")
      one.faults.set("settle", "hangs")
      const refused = yield* Effect.fork(Effect.flip(other.locks.withWrite(Effect.void, "a", { block: false })))
      yield* settle
      yield* TestClock.adjust("999 millis")
      assert.isNull(refused.unsafePoll())
      yield* TestClock.adjust("1 millis")
      const error = yield* Fiber.join(refused)
      assert.isTrue(error._tag === "WouldBlock" && error.blocker?.delegated)
    })
  )

  it.scoped("a process that has crashed is waited for no longer than its ttl", () =>
    Effect.gen(function* () {
      const { below, other } = yield* two()
      const one = yield* crashing(below, { linger: "1 hour" })
      yield* one.locks.withWrite(Effect.void, "a")
      for (const method of ["settle", "refreshDelegation", "release"] as const) one.faults.set(method, "hangs")
      const theirs = yield* Effect.fork(other.locks.withWrite(Effect.void, "a"))
      yield* settle
      yield* TestClock.adjust("9999 millis")
      assert.isNull(theirs.unsafePoll())
      yield* TestClock.adjust("1 millis")
      yield* Fiber.join(theirs)
    })
  )

  it.scoped("a settlement that fails is done again, and its leases go on meanwhile", () =>
    Effect.gen(function* () {
      const { one, other } = yield* two()
      yield* one.locks.withWrite(Effect.void, "a")
      const held = yield* hold((use) => one.locks.withWrite(use, "a/b"))
      one.faults.set("settle", "late")
      const theirs = yield* hold((use) => other.locks.withWrite(use, "a/c"))
      yield* TestClock.adjust("1 second")
      assert.isNull(held.fiber.unsafePoll())
      one.faults.set("settle", "none")
      yield* TestClock.adjust("1 minute")
      assert.isTrue(yield* theirs.isHeld)
      assert.isNull(held.fiber.unsafePoll())
      yield* held.end
      assert.isTrue(Exit.isSuccess(yield* Fiber.await(held.fiber)))
      yield* theirs.end
    })
  )
})

describe("nested requests", () => {
  it.scoped("are let in here under what encloses them, and wait below", () =>
    Effect.gen(function* () {
      const { below, one } = yield* two()
      const inner = yield* Deferred.make<void>()
      const reader = yield* hold((use) => one.locks.withRead(use, "a"))
      const upgrade = yield* Effect.fork(
        one.locks.withRead(one.locks.withWrite(Deferred.succeed(inner, undefined), "a", { reentrant: true }), "a")
      )
      yield* settle
      assert.isTrue((yield* shown(below)).includes('waiting write "a"'))
      yield* reader.end
      yield* Fiber.join(upgrade)
      assert.isTrue(Option.isSome(yield* Deferred.poll(inner)))
    })
  )

  it.scoped("inside a lease that goes on under a recalled delegation make it known, so that a deadlock is seen", () =>
    Effect.gen(function* () {
      const { one, other } = yield* two()
      const goOn = yield* Deferred.make<void>()
      const mine = yield* Effect.fork(
        one.locks.withWrite(Effect.zipRight(Deferred.await(goOn), one.locks.withWrite(Effect.void, "b")), "a")
      )
      yield* settle
      // This recalls what is kept for `a`, which then serves its one lease.
      const theirs = yield* Effect.fork(other.locks.withWrite(other.locks.withWrite(Effect.void, "a"), "b"))
      yield* settle
      assert.isNull(theirs.unsafePoll())
      yield* Deferred.succeed(goOn, undefined)
      const exits = yield* Effect.all([Fiber.await(mine), Fiber.await(theirs)])
      const failures = exits.flatMap((exit) => (Exit.isFailure(exit) ? [Cause.squash(exit.cause)] : []))
      assert.deepStrictEqual(
        failures.map((error) => (error as { readonly _tag: string })._tag),
        ["Deadlock"]
      )
    })
  )

  it.scoped("that wait for each other in two processes are a deadlock", () =>
    Effect.gen(function* () {
      const { one, other } = yield* two()
      const both = yield* Deferred.make<void>()
      const cross = ({ locks }: Process, first: string, second: string, ready: Effect.Effect<unknown>) =>
        locks.withWrite(Effect.zipRight(ready, locks.withWrite(Effect.void, second)), first)
      const a = yield* Effect.fork(cross(one, "a", "b", Deferred.await(both)))
      const b = yield* Effect.fork(cross(other, "b", "a", Deferred.await(both)))
      yield* settle
      yield* Deferred.succeed(both, undefined)
      const exits = yield* Effect.all([Fiber.await(a), Fiber.await(b)])
      const failures = exits.flatMap((exit) => (Exit.isFailure(exit) ? [Cause.squash(exit.cause)] : []))
      assert.deepStrictEqual(
        failures.map((error) => (error as { readonly _tag: string })._tag),
        ["Deadlock"]
      )
    })
  )
})

describe("the loss of a delegation", () => {
  it.scoped("by order is that of the leases under it; what waits here is asked for below", () =>
    Effect.gen(function* () {
      const { below, one } = yield* two()
      const held = yield* hold((use) => one.locks.withWrite(use, "a"))
      const waiting = yield* hold((use) => one.locks.withWrite(use, "a/b"))
      const [kept] = yield* entries(below)
      assert.isTrue(kept?.delegated)
      assert.isTrue(yield* one.locks.breakLease(kept!.id))
      yield* settle
      const error = yield* Effect.flip(Fiber.join(held.fiber))
      assert.strictEqual((error as { readonly reason?: string }).reason, "broken")
      assert.isTrue(yield* waiting.isHeld)
      assert.deepStrictEqual(yield* shown(below), ['kept write "a/b"'])
    })
  )

  it.scoped("to a store that does not answer is noticed at its deadline", () =>
    Effect.gen(function* () {
      const { one } = yield* two()
      const held = yield* hold((use) => one.locks.withWrite(use, "a"))
      one.faults.set("refreshDelegation", "down")
      yield* TestClock.adjust("9999 millis")
      assert.isNull(held.fiber.unsafePoll())
      yield* TestClock.adjust("1 millis")
      yield* settle
      const error = yield* Effect.flip(Fiber.join(held.fiber))
      assert.strictEqual((error as { readonly reason?: string }).reason, "unreachable")
    })
  )

  it.scoped("is found by `lease.check`", () =>
    Effect.gen(function* () {
      const { below, one } = yield* two()
      const lost = yield* one.locks
        .withWrite(
          (lease) =>
            Effect.gen(function* () {
              yield* lease.check
              const [kept] = yield* entries(below)
              yield* below.release(kept!.id, kept!.id)
              yield* lease.check
            }),
          "a"
        )
        .pipe(Effect.flip)
      assert.strictEqual(lost._tag, "LockLost")
    })
  )
})

describe("the id of a lease", () => {
  it.scoped("is known in its process: break, release and refresh by it", () =>
    Effect.gen(function* () {
      const { one } = yield* two()
      const broken = yield* one.locks
        .withWrite((lease) => Effect.zipRight(one.locks.breakLease(lease.id), Effect.never), "a")
        .pipe(Effect.flip)
      assert.strictEqual((broken as { readonly reason?: string }).reason, "broken")
      yield* one.locks.withWrite(
        (lease) =>
          Effect.gen(function* () {
            yield* one.locks.refresh(lease.id)
            const found = (yield* one.locks.inspect("a")).find(({ id }) => id === lease.id)
            assert.strictEqual(found?.token, lease.token)
            assert.isTrue(yield* one.locks.release(lease))
            assert.isFalse(yield* one.locks.release(lease))
          }),
        "a"
      )
    })
  )

  it.scoped("is known to others after `share`, and not before", () =>
    Effect.gen(function* () {
      const { one, other } = yield* two()
      yield* one.locks.withWrite(
        (lease) =>
          Effect.gen(function* () {
            const before = yield* Effect.flip(Effect.scoped(other.locks.restore(lease.id)))
            assert.strictEqual(before._tag, "LockLost")
            yield* one.locks.share(lease)
            yield* other.locks.refresh(lease.id)
            yield* lease.check
          }),
        "a"
      )
      // It is the other one's until that ends it, and nothing is decided above it here.
      const taken = yield* Effect.scoped(
        Effect.gen(function* () {
          const lease = yield* one.locks.write("a", { onLost: "signal" })
          yield* one.locks.share(lease)
          yield* other.locks.restore(lease.id)
          yield* settle
          return yield* Effect.flip(one.locks.detached(one.locks.withWrite(Effect.void, "a", { block: false })))
        })
      )
      assert.strictEqual(taken._tag, "WouldBlock")
    })
  )
})

describe("where others ask for the same all the time", () => {
  it.scoped("a request goes to the store below as it is, for a while", () =>
    Effect.gen(function* () {
      const { below, one, other } = yield* two()
      const first = yield* hold((use) => one.locks.withWrite(use, "a"))
      const second = yield* hold((use) => other.locks.withWrite(use, "a"))
      yield* first.end
      // The delegation was good for one lease.
      const third = yield* hold((use) => one.locks.withWrite(use, "a"))
      yield* second.end
      assert.isTrue(yield* third.isHeld)
      assert.deepStrictEqual(yield* shown(below), ['held write "a"'])
      yield* third.end
      assert.deepStrictEqual(yield* shown(below), [])
      yield* TestClock.adjust("10 millis")
      yield* one.locks.withWrite(Effect.void, "a")
      assert.deepStrictEqual(yield* shown(below), ['kept write "a"'])
    })
  )

  it.scoped("until the others are gone, however busy this process is there itself", () =>
    Effect.gen(function* () {
      const { one, other } = yield* two()
      const first = yield* hold((use) => one.locks.withWrite(use, "a"))
      const second = yield* hold((use) => other.locks.withWrite(use, "a"))
      yield* first.end
      // At any time one holds it, and three of this process wait for it.
      const loop = Effect.forever(one.locks.withWrite(Effect.sleep("5 millis"), "a"))
      yield* Effect.forkScoped(Effect.replicateEffect(loop, 4, { concurrency: "unbounded" }))
      yield* second.end
      for (let i = 0; i < 400; i++) yield* TestClock.adjust("5 millis")
      const before = one.faults.calls.get("acquire")
      for (let i = 0; i < 40; i++) yield* TestClock.adjust("5 millis")
      assert.strictEqual(one.faults.calls.get("acquire"), before)
    })
  )

  it.scoped("not where a delegation was good for several leases, nor where it was this process that asked", () =>
    Effect.gen(function* () {
      const { below, one, other } = yield* two()
      for (let i = 0; i < 4; i++) yield* one.locks.withWrite(Effect.void, "a")
      yield* other.locks.withWrite(Effect.void, "a")
      yield* one.locks.withWrite(Effect.void, "a")
      assert.deepStrictEqual(yield* shown(below), ['kept write "a"'])
      const reader = yield* hold((use) => one.locks.withRead(use, "b"))
      const writer = yield* hold((use) => one.locks.withWrite(use, "b"))
      yield* reader.end
      assert.isTrue(yield* writer.isHeld)
      assert.includeMembers(yield* shown(below), ['kept write "b"'])
    })
  )
})

describe("widening", () => {
  it.scoped("a process that is alone below a node gets its subtree, and asks nothing more there", () =>
    Effect.gen(function* () {
      const { below, one } = yield* two({ widen: true })
      for (const i of [1, 2, 3, 4]) yield* one.locks.withWrite(Effect.void, `tenant/7/${i}`)
      yield* settle
      assert.deepStrictEqual(yield* shown(below), ['kept write "tenant/7"'])
      const before = asked(one)
      for (const i of [5, 6, 7]) yield* one.locks.withWrite(Effect.void, `tenant/7/${i}`)
      assert.strictEqual(asked(one), before)
    })
  )

  it.scoped("what was given back, and the store below has not heard of, is no obstacle", () =>
    Effect.gen(function* () {
      const { below, one } = yield* two({ widen: true, widenAfter: 2, linger: "1 second" })
      one.faults.set("settle", "down")
      yield* one.locks.withWrite(Effect.void, "a/1")
      yield* TestClock.adjust("1 second")
      yield* one.locks.withWrite(Effect.void, "a/2")
      yield* one.locks.withWrite(Effect.void, "a/3")
      yield* settle
      assert.includeMembers(yield* shown(below), ['kept write "a/1"', 'kept write "a"'])
    })
  )

  it.scoped("whoever asks while a wider one is on its way waits for that, also a writer for one to read", () =>
    Effect.gen(function* () {
      const { below, one } = yield* two({ widen: true, widenAfter: 2 })
      one.faults.set("tryAcquire", "hangs")
      yield* one.locks.withRead(Effect.void, "a/1")
      yield* one.locks.withRead(Effect.void, "a/2")
      const writer = yield* hold((use) => one.locks.withWrite(use, "a/3"))
      assert.isFalse(yield* writer.isHeld)
      assert.deepStrictEqual(yield* shown(below), ['kept read "a/1"', 'kept read "a/2"'])
    })
  )

  it.scoped("two nodes are asked for at the same time", () =>
    Effect.gen(function* () {
      const { one } = yield* two({ widen: true, widenAfter: 2 })
      one.faults.set("tryAcquire", "hangs")
      for (const path of ["a/1", "a/2", "b/1", "b/2"]) yield* one.locks.withWrite(Effect.void, path)
      yield* settle
      assert.strictEqual(one.faults.calls.get("tryAcquire"), 2)
    })
  )

  it.scoped("what is held below goes on under the wide one; readers ask for `read`", () =>
    Effect.gen(function* () {
      const { below, one, other } = yield* two({ widen: true, widenAfter: 2 })
      const held = yield* hold((use) => one.locks.withRead(use, "a/1"))
      yield* one.locks.withRead(Effect.void, "a/2")
      yield* settle
      assert.deepStrictEqual(yield* shown(below), ['kept read "a"'])
      yield* other.locks.withWrite(Effect.void, "a/2")
      assert.deepStrictEqual(yield* shown(below), ['kept write "a/2"', 'held read "a/1"'])
      yield* held.end
      assert.isTrue(Exit.isSuccess(yield* Fiber.await(held.fiber)))
    })
  )

  it.scoped("where others are, too, it is tried again after a second, and then after two", () =>
    Effect.gen(function* () {
      const { one, other } = yield* two({ widen: true, widenAfter: 2, linger: "1 hour" })
      const theirs = yield* hold((use) => other.locks.withWrite(use, "a/x"))
      const tries = () => one.faults.calls.get("tryAcquire") ?? 0
      let next = 0
      const lock = Effect.suspend(() => one.locks.withWrite(Effect.void, `a/${next++}`))
      yield* lock
      yield* lock
      assert.strictEqual(tries(), 1)
      yield* lock
      assert.strictEqual(tries(), 1)
      yield* TestClock.adjust("1 second")
      yield* lock
      assert.strictEqual(tries(), 2)
      yield* TestClock.adjust("1999 millis")
      yield* lock
      assert.strictEqual(tries(), 2)
      yield* TestClock.adjust("1 millis")
      yield* lock
      assert.strictEqual(tries(), 3)
      yield* theirs.end
    })
  )

  it.scoped("takes in what this process asks for meanwhile, however much that is", () =>
    Effect.gen(function* () {
      const { below, one } = yield* two({ widen: true })
      const paths = Array.from({ length: 200 }, (_, i) => `tenant/7/${i}`)
      yield* Effect.forEach(paths, (path) => one.locks.withWrite(Effect.yieldNow(), path), { concurrency: 64 })
      yield* settle
      assert.deepStrictEqual(yield* shown(below), ['kept write "tenant/7"'])
      assert.strictEqual(one.faults.calls.get("tryAcquire"), 1)
    })
  )

  it.scoped("requests of this process that conflict make it ask for one delegation over all of them", () =>
    Effect.gen(function* () {
      const { below, one } = yield* two({ widen: true })
      const held = yield* hold((use) => one.locks.withRead(use, "a/1/x"))
      const writes = yield* Effect.fork(one.locks.withWrite(Effect.void, "a/1"))
      yield* settle
      assert.deepStrictEqual(yield* shown(below), ['kept write "a/1"'])
      assert.isTrue(Option.isNone(yield* writes.poll), "it waits here")
      yield* held.end
      yield* Fiber.join(writes)
      const before = asked(one)
      for (let i = 0; i < 5; i++) {
        yield* one.locks.withWrite(Effect.void, "a/1")
        yield* one.locks.withRead(Effect.void, "a/1/x")
      }
      assert.strictEqual(asked(one), before)
      yield* one.locks.withWrite(Effect.void, "a")
      assert.deepStrictEqual(yield* shown(below), ['kept write "a"'])
    })
  )

  it.scoped("where it is refused, those that waited for it are asked for by themselves, in their order", () =>
    Effect.gen(function* () {
      const { below, one, other } = yield* two({ widen: true })
      const theirs = yield* hold((use) => other.locks.withRead(use, "a/2"))
      yield* one.locks.withRead(Effect.void, "a/1")
      const order: Array<number> = []
      const fibers = yield* Effect.forEach([1, 2, 3], (i) =>
        Effect.fork(
          one.locks.withWrite(
            Effect.sync(() => void order.push(i)),
            "a"
          )
        )
      )
      yield* settle
      assert.deepStrictEqual(order, [])
      assert.include(yield* shown(below), 'waiting write "a"')
      yield* theirs.end
      yield* TestClock.adjust("2 seconds")
      yield* Fiber.joinAll(fibers)
      assert.deepStrictEqual(order, [1, 2, 3])
    })
  )

  it.scoped("what waits for it can be given up, and ends with the store", () =>
    Effect.gen(function* () {
      const below = yield* Effect.orDie(MemoryStore.make())
      const scope = yield* Scope.make()
      const one = yield* Effect.provideService(process(below, { widen: true }), Scope.Scope, scope)
      yield* one.locks.withRead(Effect.void, "a/1")
      one.faults.set("tryAcquire", "lost")
      const waits = () => Effect.fork(Effect.exit(one.locks.withWrite(Effect.void, "a/1")))
      const [given, ends] = [yield* waits(), yield* waits()]
      yield* settle
      yield* Fiber.interrupt(given)
      yield* Scope.close(scope, Exit.void)
      const exit = yield* Fiber.join(ends)
      assert.match(Exit.isFailure(exit) ? Cause.pretty(exit.cause) : "it was granted", /it is closed/)
      yield* settle
      assert.deepStrictEqual(yield* shown(below), [])
    })
  )

  it.scoped("never reaches the root, nor above `widenTo`", () =>
    Effect.gen(function* () {
      const { below, one } = yield* two({ widen: true, widenAfter: 2, widenTo: 2 })
      for (const path of ["x", "y", "z", "a/1", "a/2", "a/b/1", "a/b/2"]) yield* one.locks.withWrite(Effect.void, path)
      yield* settle
      assert.includeMembers(yield* shown(below).pipe(Effect.map(Array.from<string>)), [
        'kept write "x"',
        'kept write "y"',
        'kept write "z"',
        'kept write "a/1"',
        'kept write "a/2"',
        'kept write "a/b"'
      ])
    })
  )
})

it.scoped("is counted", () =>
  Effect.gen(function* () {
    const below = yield* Effect.orDie(MemoryStore.make({ namespace: "counted" }))
    const one = yield* process(below, { widen: true, widenAfter: 2 })
    const other = yield* process(below)
    for (const path of ["a/1", "a/1", "a/2", "a/3"]) yield* one.locks.withWrite(Effect.void, path)
    yield* settle
    const label = "namespace=counted"
    assert.strictEqual(yield* value("hilok_delegations", label), 1)
    assert.strictEqual(yield* value("hilok_widenings_total", label, "result=granted"), 1)
    yield* other.locks.withWrite(Effect.void, "a/1")
    yield* TestClock.adjust("2 seconds")
    assert.strictEqual(yield* value("hilok_recalls_total", label), 1)
    assert.strictEqual(yield* value("hilok_recall_answer_seconds", label), 1)
    assert.strictEqual(yield* value("hilok_local_grants_total", label), 5)
    assert.strictEqual(yield* value("hilok_delegations", label), 0)
    assert.strictEqual(yield* value("hilok_delegations_idle", label), 0)
  })
)

describe("options", () => {
  const problem = (options: Record<string, unknown>) =>
    DelegatingStore.make(options).pipe(
      Effect.provide(MemoryStore.layer()),
      Effect.scoped,
      Effect.flip,
      Effect.map(({ message }) => message)
    )

  it.effect("that are wrong are refused, and what is allowed is said", () =>
    Effect.gen(function* () {
      assert.include(yield* problem({ linger: -1 }), "zero or more and finite")
      assert.include(yield* problem({ maxIdle: 1.5 }), "a whole number from 0 to 1000000")
      assert.include(yield* problem({ maxLocal: 0 }), "a whole number from 1 to 10000")
      assert.include(yield* problem({ widenAfter: 1 }), "a whole number from 2 to 1000")
      assert.include(yield* problem({ widenTo: 0 }), "a whole number from 1 to 128")
      assert.include(yield* problem({ widen: "yes" }), "true or false")
      assert.include(yield* problem({ recallTimeout: "soon" }), "recallTimeout")
      assert.include(yield* problem({ lingr: 1 }), "did you mean `linger`?")
    })
  )

  it.effect("come from the environment, and a wrong one is named by its variable", () =>
    Effect.gen(function* () {
      const build = (variables: ReadonlyArray<readonly [string, string]>) =>
        Layer.build(Layer.provide(DelegatingStore.layerConfig(), MemoryStore.layer())).pipe(
          Effect.scoped,
          Effect.withConfigProvider(ConfigProvider.fromMap(new Map(variables))),
          Effect.either
        )
      const right = yield* build([
        ["HILOK_DELEGATION_LINGER", "5s"],
        ["HILOK_DELEGATION_MAX_IDLE", "10"],
        ["HILOK_DELEGATION_MAX_LOCAL", "10"],
        ["HILOK_DELEGATION_WIDEN", "true"],
        ["HILOK_DELEGATION_WIDEN_AFTER", "3"],
        ["HILOK_DELEGATION_WIDEN_TO", "2"],
        ["HILOK_DELEGATION_RECALL_TIMEOUT", "2s"]
      ])
      assert.isTrue(Either.isRight(right))
      const wrong = yield* build([["HILOK_DELEGATION_MAX_LOCAL", "0"]])
      assert.include(String(Either.getOrThrow(Either.flip(wrong))), "HILOK_DELEGATION_MAX_LOCAL")
    })
  )

  it.scoped("a store that cannot delegate is refused", () =>
    Effect.gen(function* () {
      const below = yield* Effect.orDie(MemoryStore.make())
      const error = yield* DelegatingStore.make().pipe(
        Effect.provideService(LockStore.LockStore, { ...below, delegations: undefined }),
        Effect.flip
      )
      assert.include(error.message, "cannot give delegations")
    })
  )
})
