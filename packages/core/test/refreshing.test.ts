import { assert, describe, it } from "@effect/vitest"
import { type HierarchicalLock, LockStore, MemoryStore } from "@hilok/core"
import { Chunk, Clock, Duration, Effect, Exit, Scope, TestClock } from "effect"
import { down } from "./support/doubles.ts"
import { client, entries } from "./support/locks.ts"
import { skewedClock } from "./support/skewedClock.ts"

type Store = LockStore.LockStore["Type"]
type Locks = HierarchicalLock.Operations<never>

interface Pass {
  readonly at: number
  readonly ids: ReadonlyArray<string>
}

/** The default ttl is 10 s; a lease is refreshed three times in it. */
const interval = 10_000 / 3

/** A service over a store that notes the passes, and refuses them if told to. */
const watched = Effect.gen(function* () {
  const store = yield* Effect.orDie(MemoryStore.make())
  const passes: Array<Pass> = []
  const state = { isDown: false, silence: Duration.zero }
  const refreshAll: Store["refreshAll"] = (leases) =>
    Effect.flatMap(Clock.currentTimeMillis, (at) => {
      passes.push({ at, ids: leases.map(({ id }) => id) })
      const refused = Effect.as(
        Effect.yieldNow(),
        leases.map(() => down("refresh"))
      )
      const answer = state.isDown ? refused : Effect.zipRight(Effect.yieldNow(), store.refreshAll(leases))
      return Duration.greaterThan(state.silence, Duration.zero) ? Effect.delay(answer, state.silence) : answer
    })
  const locks = yield* client(LockStore.LockStore.of({ ...store, refreshAll }))
  const heldNow = Effect.map(entries(store), (all) => all.length)
  return { locks, passes, state, heldNow }
})

/** Takes so many locks, each in a scope of its own. */
const take = (locks: Locks, count: number, ttl?: Duration.DurationInput) =>
  Effect.forEach(
    Array.from({ length: count }, (_, i) => i),
    (i) =>
      Effect.gen(function* () {
        const scope = yield* Scope.make()
        const lease = yield* locks.detached(
          Scope.extend(locks.write(`${crypto.randomUUID()}/${i}`, { onLost: "signal", ttl }), scope)
        )
        return { lease, free: Scope.close(scope, Exit.void) }
      })
  )

/** The longest time between two refreshes of the same lease, or from its start to the first one. */
const longestGap = (passes: ReadonlyArray<Pass>, ids: ReadonlyArray<string>, start: number): number => {
  const last = new Map(ids.map((id) => [id, start]))
  let longest = 0
  for (const { at, ids } of passes) {
    for (const id of ids) {
      longest = Math.max(longest, at - (last.get(id) ?? at))
      last.set(id, at)
    }
  }
  return longest
}

describe("the refreshing of many leases", () => {
  it.effect("is spread evenly over the interval, when all were taken in the same moment", () =>
    Effect.gen(function* () {
      const { heldNow, locks, passes } = yield* watched
      const held = yield* take(locks, 1_000)
      yield* TestClock.adjust("20 seconds")
      assert.strictEqual(yield* heldNow, 1_000)
      assert.isAtMost(Math.max(...passes.map(({ ids }) => ids.length)), 400)
      // Nobody is refreshed late, and in each interval there are no more passes than full ones.
      const ids = held.map(({ lease }) => lease.id)
      assert.isAtMost(longestGap(passes, ids, 0), Math.ceil(interval))
      const later = passes.filter(({ at }) => at > interval && at <= 4 * interval)
      assert.isAtMost(later.length, 3 * 3)
      assert.strictEqual(new Set(later.map(({ at }) => at)).size, later.length, "one pass at a time")
      yield* Effect.forEach(held, ({ free }) => free, { discard: true })
      assert.strictEqual(yield* heldNow, 0)
    }).pipe(Effect.scoped)
  )

  it.effect("shares commands, when they were taken one by one", () =>
    Effect.gen(function* () {
      const { heldNow, locks, passes } = yield* watched
      const ids: Array<string> = []
      for (let i = 0; i < 300; i++) {
        const [one] = yield* take(locks, 1)
        ids.push(one!.lease.id)
        yield* TestClock.adjust("11 millis")
      }
      const start = yield* Clock.currentTimeMillis
      yield* TestClock.adjust("20 seconds")
      assert.strictEqual(yield* heldNow, 300)
      const later = passes.filter(({ at }) => at > start + interval && at <= start + 4 * interval)
      assert.isAtMost(later.length, 3 * 9)
      assert.strictEqual(
        later.reduce((sum, { ids }) => sum + ids.length, 0),
        3 * 300
      )
      assert.isAtMost(longestGap(later, ids, start + 4 * interval), Math.ceil(interval))
    }).pipe(Effect.scoped)
  )

  it.effect("goes on for those that stay when others come and go, whatever their ttl", () =>
    Effect.gen(function* () {
      const { heldNow, locks } = yield* watched
      const ttls = ["1 second", "7 seconds", "10 seconds", "1 minute"] as const
      let held: Array<Effect.Effect.Success<ReturnType<typeof take>>[number]> = []
      // The same at each run: a generator of Park and Miller.
      let seed = 42
      const random = (below: number) => {
        seed = (seed * 48_271) % 2_147_483_647
        return seed % below
      }
      for (let step = 0; step < 40; step++) {
        held.push(...(yield* take(locks, random(6), ttls[random(ttls.length)])))
        const [leaving, staying] = [
          held.filter((_, i) => i % 9 === step % 9),
          held.filter((_, i) => i % 9 !== step % 9)
        ]
        yield* Effect.forEach(leaving, ({ free }) => free, { discard: true })
        held = staying
        yield* TestClock.adjust(Duration.millis(random(800)))
        assert.strictEqual(yield* heldNow, held.length)
      }
      yield* TestClock.adjust("30 seconds")
      assert.strictEqual(yield* heldNow, held.length)
      assert.isAbove(held.length, 5)
    }).pipe(Effect.scoped)
  )

  it.effect("stops when they are released, and leaves nothing that runs", () =>
    Effect.gen(function* () {
      const { locks, passes } = yield* watched
      const held = yield* take(locks, 100)
      yield* TestClock.adjust("10 seconds")
      yield* Effect.forEach(held, ({ free }) => free, { discard: true })
      const before = passes.length
      assert.isAbove(before, 0)
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(passes.length, before)
      assert.strictEqual(Chunk.size(yield* TestClock.sleeps()), 0)
    }).pipe(Effect.scoped)
  )

  it.effect("that fails is tried again, until each is lost at its own deadline", () =>
    Effect.gen(function* () {
      const { locks, passes, state } = yield* watched
      const first = yield* take(locks, 30)
      yield* TestClock.adjust("1 second")
      const second = yield* take(locks, 30)
      // Half of an interval later it works again.
      state.isDown = true
      yield* TestClock.adjust("5 seconds")
      state.isDown = false
      yield* TestClock.adjust("1 minute")
      for (const { lease } of [...first, ...second]) yield* lease.check
      state.isDown = true
      const failing = passes.length
      const losses = yield* Effect.forEach([...first, ...second], ({ lease }) =>
        Effect.fork(Effect.zip(Effect.flip(lease.lost), Clock.currentTimeMillis))
      )
      const from = yield* Clock.currentTimeMillis
      yield* TestClock.adjust("10 seconds")
      const lost = yield* Effect.forEach(losses, (fiber) => fiber.await)
      for (const exit of lost) {
        assert.isTrue(Exit.isSuccess(exit))
        if (!Exit.isSuccess(exit)) continue
        const [{ reason }, at] = exit.value
        assert.strictEqual(reason, "unreachable")
        // It was refreshed within an interval before that.
        assert.isAtLeast(at, from + 10_000 - Math.ceil(interval))
        assert.isAtMost(at, from + 10_000)
      }
      // Four times an interval, and not in a rush.
      assert.isAbove(passes.length - failing, 8)
      assert.isAtMost(passes.length - failing, 200)
    }).pipe(Effect.scoped)
  )

  for (const isDown of [false, true]) {
    it.effect(`goes on when ${isDown ? "an error" : "an answer"} comes later than the next pass is due`, () =>
      Effect.gen(function* () {
        const { heldNow, locks, passes, state } = yield* watched
        yield* take(locks, 3)
        state.silence = Duration.millis(interval * 1.5)
        state.isDown = isDown
        yield* TestClock.adjust("4 seconds")
        assert.strictEqual(passes.length, 1)
        state.silence = Duration.zero
        // The error is that of the pass which is under way.
        yield* TestClock.adjust("5 seconds")
        state.isDown = false
        yield* TestClock.adjust("1 minute")
        assert.strictEqual(yield* heldNow, 3)
        assert.isAbove(passes.length, 15)
      }).pipe(Effect.scoped)
    )
  }

  it.effect("comes in turns, too, after the process was held up", () =>
    Effect.gen(function* () {
      const clock = yield* skewedClock
      const { heldNow, locks, passes } = yield* Effect.withClock(watched, clock)
      yield* take(locks, 600)
      yield* TestClock.adjust("10 seconds")
      const before = passes.length
      clock.jump(5_000)
      yield* TestClock.adjust("4 seconds")
      // All are overdue when the first of them wakes up, and do not come at once.
      const late = passes.slice(before)
      assert.isAtLeast(new Set(late.flatMap(({ ids }) => ids)).size, 600)
      assert.isAtMost(Math.max(...late.map(({ ids }) => ids.length)), 400)
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(yield* heldNow, 600)
    }).pipe(Effect.scoped)
  )
})
