import { assert, describe, it } from "@effect/vitest"
import { type HierarchicalLock, LockError, Target } from "@hilok/core"
import { Effect, Either, Exit, Fiber, type FiberRef, FiberRefs, HashSet, Scope, TestClock } from "effect"
import * as nesting from "../src/internal/nesting.ts"
import { assertEmpty, client, entries, gate, open, settle, stranger } from "./support/locks.ts"
import { narrow } from "./support/narrow.ts"

type Locks = HierarchicalLock.Operations<never>

/** The places of leases that the fiber knows of. */
const keptPlaces = Effect.map(Effect.getFiberRefs, (refs) =>
  Array.from(HashSet.toValues(FiberRefs.fiberRefs(refs))).flatMap((ref) => {
    const value: unknown = FiberRefs.getOrDefault(refs, ref as FiberRef.FiberRef<unknown>)
    return Array.isArray(value) ? value.filter((place) => place instanceof nesting.Place) : []
  })
)

/** Waits for an effect while the clock moves on. */
const within = <A, E, R>(time: string & Parameters<typeof TestClock.adjust>[0], effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const context = yield* Effect.fork(TestClock.adjust(time))
    const result = yield* effect
    yield* Fiber.join(context)
    return result
  })

describe("the examples of RedisHiLok, in one fiber", () => {
  it.effect("a read inside one's own read", () =>
    Effect.gen(function* () {
      const { locks, store } = yield* open()
      yield* Effect.scoped(
        Effect.gen(function* () {
          yield* locks.read("a")
          yield* locks.read("a/b/c")
          assert.strictEqual((yield* entries(store)).length, 2)
        })
      )
      yield* assertEmpty(store)
    }).pipe(Effect.scoped)
  )

  for (const reentrant of [false, true]) {
    const outcome = reentrant ? "is granted" : "is refused"

    it.effect(`a write that may not wait, above one's own read, ${outcome} (reentrant: ${reentrant})`, () =>
      Effect.gen(function* () {
        const { locks } = yield* open({ reentrant })
        const own = yield* locks.read("a/b")
        const answer = yield* Effect.either(locks.write("a", { block: false }))
        if (answer._tag === "Right") return assert.isTrue(reentrant)
        assert.isFalse(reentrant)
        assert.strictEqual(answer.left._tag, "WouldBlock")
        assert.strictEqual(narrow(answer.left, LockError.WouldBlock).blocker?.id, own.id)
      }).pipe(Effect.scoped)
    )

    it.effect(`a read with a timeout, below one's own write, ${outcome} (reentrant: ${reentrant})`, () =>
      Effect.gen(function* () {
        const { locks } = yield* open()
        const own = yield* locks.write("a")
        const options = { timeout: "100 millis", reentrant } as const
        const answer = yield* within("100 millis", Effect.either(locks.read("a/b/c", options)))
        if (answer._tag === "Right") return assert.isTrue(reentrant)
        assert.isFalse(reentrant)
        assert.strictEqual(answer.left._tag, "LockTimeout")
        assert.strictEqual(narrow(answer.left, LockError.LockTimeout).blocker?.id, own.id)
      }).pipe(Effect.scoped)
    )

    it.effect(`a custom separator (reentrant: ${reentrant})`, () =>
      Effect.gen(function* () {
        const { locks } = yield* open({ separator: ".", reentrant })
        yield* locks.read("a")
        yield* locks.read("a.b.c")
        const answer = yield* Effect.either(locks.write("a.b", { block: false }))
        assert.strictEqual(answer._tag, reentrant ? "Right" : "Left")
        // A slash is a character like any other.
        assert.deepStrictEqual((yield* locks.write("x/y", { block: false })).targets, [Target.write("x/y")])
        assert.isTrue(Exit.isSuccess(yield* Effect.exit(locks.write("x", { block: false }))))
      }).pipe(Effect.scoped)
    )

    it.effect(`a hold far longer than the ttl (reentrant: ${reentrant})`, () =>
      Effect.gen(function* () {
        const { locks, store } = yield* open({ ttl: "2 seconds", reentrant })
        const lease = yield* locks.write("a")
        yield* TestClock.adjust("1 minute")
        yield* lease.check
        assert.strictEqual((yield* entries(store)).length, 1)
      }).pipe(Effect.scoped)
    )

    it.effect(`manual handles resumed by id in another client (reentrant: ${reentrant})`, () =>
      Effect.gen(function* () {
        const { locks, store } = yield* open({ ttl: "4 seconds", reentrant })
        const { id } = yield* locks.acquire([Target.write("a/b")])
        const other = yield* client(store, { ttl: "4 seconds", reentrant })
        yield* Effect.scoped(
          Effect.gen(function* () {
            const lease = yield* other.restore(id)
            yield* TestClock.adjust("1 minute")
            yield* lease.check
          })
        )
        yield* assertEmpty(store)
      }).pipe(Effect.scoped)
    )
  }
})

describe("strict", () => {
  it.effect(
    "a request that conflicts with one's own lease, and would wait for ever, fails at once with `Deadlock`",
    () =>
      Effect.gen(function* () {
        const { locks, store } = yield* open()
        const own = yield* locks.write("a", { reason: "the outer work" })
        const error = yield* Effect.flip(locks.withRead(Effect.void, "a/b"))
        assert.strictEqual(error._tag, "Deadlock")
        const { cycle, enclosing } = narrow(error, LockError.Deadlock)
        assert.deepStrictEqual(cycle, [own.id])
        assert.strictEqual(enclosing?.id, own.id)
        assert.include(error.message, `the caller itself holds write "a", held, for "the outer work"`)
        assert.include(error.message, "`reentrant: true`")
        assert.strictEqual((yield* entries(store)).length, 1)
      }).pipe(Effect.scoped)
  )

  it.effect("a request that does not conflict with one's own leases is within them, and does not queue", () =>
    Effect.gen(function* () {
      const { locks } = yield* open()
      yield* locks.read("a")
      const writer = yield* Effect.fork(locks.detached(locks.withWrite(Effect.void, "a")))
      yield* settle
      // The writer waits for the outer read; the inner one waiting for the writer would never end.
      const inner = yield* locks.read("a/b")
      assert.isNull(writer.unsafePoll())
      assert.deepStrictEqual(inner.targets, [Target.read("a/b")])
      yield* Fiber.interrupt(writer)
    }).pipe(Effect.scoped)
  )

  it.effect("a request with a timeout waits like an outsider, and is granted when its own lease ends meanwhile", () =>
    Effect.gen(function* () {
      const { locks, store } = yield* open()
      const scope = yield* Scope.make()
      yield* Scope.extend(locks.write("a"), scope)
      const fiber = yield* Effect.fork(locks.withRead(Effect.succeed("in"), "a", { timeout: "1 minute" }))
      yield* TestClock.adjust("30 seconds")
      assert.isNull(fiber.unsafePoll())
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual(yield* Fiber.join(fiber), "in")
      yield* assertEmpty(store)
    }).pipe(Effect.scoped)
  )

  it.effect("a lease that ended, here or in the store alone, is not in the way", () =>
    Effect.gen(function* () {
      const { locks, store } = yield* open()
      yield* Effect.scoped(locks.write("a"))
      yield* locks.withWrite(Effect.void, "a")
      // Ended by another client: this one has not heard of it yet.
      const lease = yield* locks.write("a", { onLost: "signal" })
      yield* Effect.orDie(store.release(lease.id))
      yield* locks.withWrite(Effect.void, "a/b")
      assert.strictEqual((yield* Effect.flip(lease.lost)).reason, "expired")
      yield* assertEmpty(store)
    }).pipe(Effect.scoped)
  )

  it.effect("`locks` over nested paths does not conflict with itself", () =>
    Effect.gen(function* () {
      const { locks } = yield* open()
      const lease = yield* locks.locks([Target.write("a"), Target.write("a/b"), Target.read("")], { block: false })
      assert.strictEqual(lease.targets.length, 3)
    }).pipe(Effect.scoped)
  )
})

describe("re-entrant", () => {
  it.effect("per call: a child is let in under its parent, by scope and around effects", () =>
    Effect.gen(function* () {
      const { locks, store } = yield* open()
      const depth = yield* Effect.map(entries(store), (held) => held.length).pipe(
        locks.withWrite("a/b/c", { reentrant: true }),
        locks.withRead("a/b", { reentrant: true }),
        locks.withWrite("a")
      )
      assert.strictEqual(depth, 3)
      yield* assertEmpty(store)
    }).pipe(Effect.scoped)
  )

  it.effect("per layer, and turned off per call", () =>
    Effect.gen(function* () {
      const { locks } = yield* open({ reentrant: true })
      yield* locks.write("a")
      yield* locks.write("a/b")
      assert.strictEqual((yield* Effect.flip(locks.write("a/b/c", { reentrant: false })))._tag, "Deadlock")
    }).pipe(Effect.scoped)
  )

  it.effect("an upgrade is a write inside one's own read", () =>
    Effect.gen(function* () {
      const { locks, store } = yield* open({ reentrant: true })
      const other = yield* client(store)
      yield* locks.read("a")
      const reader = yield* Effect.fork(Effect.scoped(Effect.zipRight(other.read("a"), Effect.sleep("1 second"))))
      yield* settle
      const upgrade = yield* Effect.fork(locks.withWrite(Effect.succeed("upgraded"), "a"))
      yield* TestClock.adjust("999 millis")
      assert.isNull(upgrade.unsafePoll())
      yield* TestClock.adjust("1 millis")
      assert.strictEqual(yield* Fiber.join(upgrade), "upgraded")
      yield* Fiber.join(reader)
    }).pipe(Effect.scoped)
  )

  it.effect("siblings inside one lease still exclude each other", () =>
    Effect.gen(function* () {
      const { locks } = yield* open({ reentrant: true })
      let inside = 0
      let most = 0
      const work = locks.withWrite(
        Effect.gen(function* () {
          most = Math.max(most, ++inside)
          yield* Effect.repeatN(Effect.yieldNow(), 5)
          inside--
        }),
        "a/b"
      )
      yield* locks.withWrite(Effect.all([work, work, work], { concurrency: "unbounded" }), "a")
      assert.strictEqual(most, 1)
    }).pipe(Effect.scoped)
  )

  it.effect("`within` lets in under a lease that is held elsewhere", () =>
    Effect.gen(function* () {
      const { locks, store } = yield* open()
      const parent = yield* client(store)
      const lease = yield* parent.acquire([Target.write("a")])
      assert.strictEqual((yield* Effect.flip(locks.write("a/b", { block: false })))._tag, "WouldBlock")
      const inner = yield* locks.write("a/b", { block: false, within: [lease.id] })
      assert.deepStrictEqual((yield* entries(store))[1]?.within, [lease.id])
      assert.strictEqual(inner.targets.length, 1)
    }).pipe(Effect.scoped)
  )

  it.effect("two readers that both upgrade: one fails with `Deadlock`, the other is granted", () =>
    Effect.gen(function* () {
      const { locks, store } = yield* open({ reentrant: true })
      const both = yield* gate
      let ready = 0
      const upgrade = locks.withRead(
        Effect.gen(function* () {
          if (++ready === 2) yield* both.open
          yield* both.pass
          return yield* locks.withWrite(Effect.succeed("upgraded"), "a", { reason: "mend" })
        }),
        "a",
        { reason: "look" }
      )
      const exits = yield* Effect.all([Effect.either(upgrade), Effect.either(upgrade)], { concurrency: 2 })
      const granted = exits.filter(({ _tag }) => _tag === "Right")
      const failed = exits.flatMap((exit) => (exit._tag === "Left" ? [exit.left] : []))
      assert.strictEqual(granted.length, 1)
      assert.isTrue(failed[0] instanceof LockError.Deadlock)
      const { cycle, members, message } = narrow(failed[0], LockError.Deadlock)
      assert.deepStrictEqual(
        members?.map(({ id }) => id),
        cycle.slice(1)
      )
      assert.include(
        message,
        `it closes the cycle this request, id ${cycle[0]} -> read "a", held, for "look", id ${cycle[1]} -> ` +
          `write "a", waited for, for "mend", id ${cycle[2]} -> read "a", held, for "look", id ${cycle[3]} -> this request`
      )
      yield* assertEmpty(store)
    }).pipe(Effect.scoped)
  )

  it.effect("two fibers that take a and b in opposite order: one fails with `Deadlock`", () =>
    Effect.gen(function* () {
      const { locks, store } = yield* open()
      const both = yield* gate
      let ready = 0
      const work = (first: string, second: string) =>
        locks.withWrite(
          Effect.gen(function* () {
            if (++ready === 2) yield* both.open
            yield* both.pass
            return yield* locks.withWrite(Effect.succeed("done"), second)
          }),
          first
        )
      const exits = yield* Effect.all([Effect.either(work("a", "b")), Effect.either(work("b", "a"))], {
        concurrency: 2
      })
      assert.deepStrictEqual(exits.map((exit) => (exit._tag === "Left" ? exit.left._tag : exit.right)).sort(), [
        "Deadlock",
        "done"
      ])
      yield* assertEmpty(store)
    }).pipe(Effect.scoped)
  )
})

describe("enclosing leases", () => {
  it.effect("are inherited by child fibers", () =>
    Effect.gen(function* () {
      const { locks } = yield* open({ reentrant: true })
      yield* locks.write("a")
      const child = yield* Effect.fork(locks.withWrite(Effect.succeed("in"), "a/b", { block: false }))
      assert.strictEqual(yield* Fiber.join(child), "in")
      const daemon = yield* Effect.forkDaemon(locks.withWrite(Effect.succeed("in"), "a/c", { block: false }))
      assert.strictEqual(yield* Fiber.join(daemon), "in")
    }).pipe(Effect.scoped)
  )

  it.effect("that children acquired for the scope of their parent enclose it once they are joined", () =>
    Effect.gen(function* () {
      const { locks } = yield* open()
      const leases = yield* Effect.all([locks.read("a"), locks.write("b"), locks.write("c")], {
        concurrency: "unbounded"
      })
      const inner = yield* locks.write("d")
      const [entry] = yield* locks.inspect("d")
      assert.strictEqual(entry?.id, inner.id)
      assert.sameMembers(
        [...(entry?.within ?? [])],
        leases.map(({ id }) => id)
      )
      for (const path of ["a", "b", "c"]) assert.strictEqual((yield* Effect.flip(locks.write(path)))._tag, "Deadlock")
    }).pipe(Effect.scoped)
  )

  it.effect("of one sibling do not enclose another", () =>
    Effect.gen(function* () {
      const { locks } = yield* open({ reentrant: true })
      const both = yield* gate
      const first = locks.withWrite(both.pass, "a")
      const second = Effect.zipRight(both.reached, Effect.flip(locks.write("a", { block: false }))).pipe(
        Effect.zipLeft(both.open)
      )
      const [, error] = yield* Effect.all([first, second], { concurrency: 2 })
      assert.strictEqual(error._tag, "WouldBlock")
    }).pipe(Effect.scoped)
  )

  it.effect("drop out when they end, and are not kept", () =>
    Effect.gen(function* () {
      const { locks } = yield* open()
      yield* Effect.scoped(locks.write("a"))
      const lease = yield* locks.write("a")
      assert.deepStrictEqual((yield* locks.inspect("a"))[0]?.within, [])
      yield* locks.release(lease)
      // What children add is merged into the parent when they are joined: it must not pile up there.
      yield* Effect.forEach(
        Array.from({ length: 50 }, (_, i) => i),
        (i) => locks.withWrite(Effect.yieldNow(), `b/${i}`),
        {
          concurrency: 10
        }
      )
      const refs = yield* Effect.getFiberRefs
      const sizes = Array.from(HashSet.toValues(FiberRefs.fiberRefs(refs))).map((ref) => {
        const value: unknown = FiberRefs.getOrDefault(refs, ref as FiberRef.FiberRef<unknown>)
        return Array.isArray(value) ? value.length : 0
      })
      assert.isAtMost(Math.max(...sizes), 2)
    }).pipe(Effect.scoped)
  )

  it.effect("are not reached from what a fiber keeps, once they have ended", () =>
    Effect.gen(function* () {
      const { locks } = yield* open()
      const inside = yield* locks.withWrite(keptPlaces, "a")
      assert.lengthOf(inside, 1)
      assert.isUndefined(inside[0]?.lease)
      yield* Effect.scoped(locks.write("a"))
      const lost = yield* Effect.flip(
        locks.withWrite(({ id }) => Effect.zipRight(locks.breakLease(id), Effect.never), "a")
      )
      assert.strictEqual(lost._tag, "LockLost")
      for (const { lease } of yield* keptPlaces) assert.isUndefined(lease)
      yield* locks.withWrite(
        Effect.map(keptPlaces, (places) => {
          assert.lengthOf(places, 1)
          assert.isDefined(places[0]?.lease)
        }),
        "a"
      )
    }).pipe(Effect.scoped)
  )

  it.effect("still enclose what was begun in them when they were taken over, and the first to hold them is gone", () =>
    Effect.gen(function* () {
      const { locks } = yield* open({ reentrant: true })
      const go = yield* gate
      const [first, second] = [yield* Scope.make(), yield* Scope.make()]
      const lease = yield* Scope.extend(locks.write("a"), first)
      const child = yield* Effect.forkDaemon(
        Effect.zipRight(go.pass, Effect.either(locks.withWrite(Effect.succeed("in"), "a/b", { block: false })))
      )
      yield* go.reached
      yield* Scope.extend(locks.restore(lease.id), second)
      yield* Scope.close(first, Exit.void)
      yield* go.open
      assert.deepStrictEqual(yield* Fiber.join(child), Either.right("in"))
      yield* Scope.close(second, Exit.void)
      assert.deepStrictEqual(yield* locks.inspect(""), [])
      for (const { lease } of yield* keptPlaces) assert.isUndefined(lease)
    }).pipe(Effect.scoped)
  )

  it.effect("of one service are not those of another", () =>
    Effect.gen(function* () {
      const { locks, store } = yield* open({ reentrant: true })
      const other = yield* client(store, { reentrant: true })
      yield* locks.write("a")
      assert.strictEqual((yield* Effect.flip(other.write("a/b", { block: false })))._tag, "WouldBlock")
    }).pipe(Effect.scoped)
  )

  it.effect("do not hold for what runs detached, and hold again after it", () =>
    Effect.gen(function* () {
      const { locks, store } = yield* open({ reentrant: true })
      const outer = yield* locks.read("a")
      const refused = yield* Effect.flip(locks.detached(locks.write("a/b", { block: false })))
      assert.strictEqual(refused._tag, "WouldBlock")
      const { free } = yield* stranger(store, "b")
      const queued = yield* Effect.fork(locks.detached(locks.withWrite(Effect.succeed("later"), "b")))
      yield* settle
      const waiting = (yield* entries(store)).find(({ state }) => state === "waiting")
      assert.deepStrictEqual(waiting?.within, [])
      yield* free
      assert.strictEqual(yield* Fiber.join(queued), "later")
      yield* locks.detached(locks.read("c"))
      const inner = yield* locks.write("a/b", { block: false })
      const entry = (yield* entries(store)).find(({ id }) => id === inner.id)
      assert.deepStrictEqual(entry?.within, [outer.id])
    }).pipe(Effect.scoped)
  )
})

describe("fairness", () => {
  /** Starts workers one by one, each of which notes when it is in, and holds its lock until it is told to go. */
  const crowd = (locks: Locks) => {
    const order: Array<string> = []
    const start = (name: string, mode: "withRead" | "withWrite", path: string) =>
      Effect.gen(function* () {
        const hold = yield* gate
        const body = Effect.zipRight(
          Effect.sync(() => order.push(name)),
          hold.pass
        )
        const fiber = yield* Effect.fork(locks[mode](body, path))
        yield* settle
        return { leave: Effect.zipRight(hold.open, Effect.zipRight(Fiber.join(fiber), settle)) }
      })
    return { order, start }
  }

  it.effect("a writer among overlapping readers gets in after those before it, and never later", () =>
    Effect.gen(function* () {
      const { locks, store } = yield* open()
      const { order, start } = crowd(locks)
      const r1 = yield* start("r1", "withRead", "a")
      const r2 = yield* start("r2", "withRead", "a/b")
      const writer = yield* start("writer", "withWrite", "a")
      const r3 = yield* start("r3", "withRead", "a")
      const r4 = yield* start("r4", "withRead", "a/b/c")
      assert.deepStrictEqual(order, ["r1", "r2"])
      // Whoever does not conflict goes past.
      const other = yield* start("other", "withWrite", "b")
      yield* r1.leave
      assert.deepStrictEqual(order, ["r1", "r2", "other"])
      yield* r2.leave
      assert.deepStrictEqual(order, ["r1", "r2", "other", "writer"])
      const r5 = yield* start("r5", "withRead", "a")
      assert.deepStrictEqual(order, ["r1", "r2", "other", "writer"])
      yield* writer.leave
      assert.deepStrictEqual(order, ["r1", "r2", "other", "writer", "r3", "r4", "r5"])
      for (const worker of [r3, r4, r5, other]) yield* worker.leave
      yield* assertEmpty(store)
    }).pipe(Effect.scoped)
  )

  it.effect("a stream of overlapping readers does not starve a writer", () =>
    Effect.gen(function* () {
      const { locks, store } = yield* open()
      const { order, start } = crowd(locks)
      let last = yield* start("r0", "withRead", "a")
      const writer = yield* start("writer", "withWrite", "a")
      const later: Array<typeof last> = []
      for (let i = 1; i <= 10; i++) later.push(yield* start(`r${i}`, "withRead", "a/b"))
      yield* last.leave
      assert.deepStrictEqual(order, ["r0", "writer"])
      yield* writer.leave
      assert.strictEqual(order.length, 12)
      for (last of later) yield* last.leave
      yield* assertEmpty(store)
    }).pipe(Effect.scoped)
  )

  it.effect("writers get in one by one, in the order in which they came", () =>
    Effect.gen(function* () {
      const { locks, store } = yield* open()
      const { order, start } = crowd(locks)
      const workers = [yield* start("0", "withWrite", "a")]
      for (let i = 1; i < 8; i++) workers.push(yield* start(String(i), "withWrite", i % 2 === 0 ? "a" : "a/b"))
      for (const [i, worker] of workers.entries()) {
        assert.deepStrictEqual(order.at(-1), String(i))
        yield* worker.leave
      }
      assert.deepStrictEqual(order, ["0", "1", "2", "3", "4", "5", "6", "7"])
      yield* assertEmpty(store)
    }).pipe(Effect.scoped)
  )

  it.effect("who may not wait does not go past those who do", () =>
    Effect.gen(function* () {
      const { locks } = yield* open()
      const { start } = crowd(locks)
      const reader = yield* start("reader", "withRead", "a")
      const writer = yield* start("writer", "withWrite", "a")
      assert.strictEqual((yield* Effect.flip(locks.read("a", { block: false })))._tag, "WouldBlock")
      yield* reader.leave
      yield* writer.leave
    }).pipe(Effect.scoped)
  )
})
