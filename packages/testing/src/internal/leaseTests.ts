import { assert } from "@effect/vitest"
import * as LockPath from "@hilok/core/LockPath"
import * as Target from "@hilok/core/Target"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import { due, region } from "../Session.ts"
import type { Test } from "./kit.ts"

const { read, readNode, write, writeNode } = Target

const minute = Duration.minutes(1)

const monotonic = Effect.map(Clock.currentTimeNanos, (nanos) => Number(nanos) / 1e6)

export const leaseTests = (test: Test): void => {
  test("a repeated acquire of a live lease answers with what the first one got", ({ session, store }) =>
    Effect.gen(function* () {
      const request = session.request([write("a"), read("b")])
      const first = yield* store.acquire(request)
      const second = yield* due(store.acquire(request), "the repeated answer")
      const third = Either.getOrThrow(yield* store.tryAcquire(request))
      assert.deepStrictEqual([second.token, third.token], [first.token, first.token])
      assert.strictEqual((yield* store.inspect(LockPath.root)).length, 1)
      assert.isTrue(yield* store.release(request.id, request.id))
      yield* session.held([write("")])
    }))

  test("a second release changes nothing and says so", ({ session, store }) =>
    Effect.gen(function* () {
      const first = yield* session.held([write("a")])
      assert.isTrue(yield* store.release(first.id, first.id))
      yield* session.held([write("a")])
      assert.isFalse(yield* store.release(first.id, first.id))
      assert.isTrue(Either.isLeft(yield* session.attempt(session.request([read("a")]))))
    }))

  test("an unknown id changes nothing, and every operation says so", ({ session, store }) =>
    Effect.gen(function* () {
      yield* session.held([write("a")])
      for (const id of [session.request([read("a")]).id, "unknown"]) {
        for (const owner of [id, "another", undefined]) {
          assert.isFalse(yield* store.release(id, owner))
          assert.isFalse(yield* store.downgrade(id, owner))
          assert.isTrue(Option.isNone(yield* store.refresh(id, minute, owner)))
        }
        assert.isFalse(yield* store.breakLease(id))
        assert.isTrue(Option.isNone(yield* store.restore(id, minute, id)))
        assert.isFalse(yield* store.giveBack(id, id))
        assert.deepStrictEqual(yield* store.blockers([id]), [Option.none()])
        assert.isTrue(Option.isNone(yield* store.lookup(id)))
      }
      assert.strictEqual((yield* store.inspect(LockPath.root)).length, 1)
    }))

  test("a waiting request is no lease: refresh, restore, downgrade and break say so and change nothing", ({
    advance,
    session,
    store,
    ttl
  }) =>
    Effect.gen(function* () {
      const holder = yield* session.held([write("a")])
      const waiter = yield* session.queued([write("a")])
      assert.isTrue(Option.isNone(yield* store.refresh(waiter.id, Duration.millis(1), waiter.id)))
      assert.isTrue(Option.isNone(yield* store.refresh(waiter.id, Duration.millis(1))))
      assert.isTrue(Option.isNone(yield* store.restore(waiter.id, Duration.millis(1), waiter.id)))
      assert.isFalse(yield* store.downgrade(waiter.id, waiter.id))
      assert.isFalse(yield* store.breakLease(waiter.id))
      yield* advance(ttl)
      assert.strictEqual(Option.getOrThrow(yield* store.lookup(waiter.id)).state, "waiting")
      yield* store.release(holder.id, holder.id)
      yield* session.granted(waiter)
      assert.isTrue(Either.isLeft(yield* session.attempt(session.request([read("a")]))))
    }))

  test("a release takes a waiting request out of the queue and lets in those behind it", ({ session, store }) =>
    Effect.gen(function* () {
      yield* session.held([read("a")])
      const writer = yield* session.queued([write("a")])
      const reader = yield* session.queued([read("a/b")])
      assert.isTrue(yield* store.release(writer.id, writer.id))
      yield* session.granted(reader)
      yield* session.cancel(writer.id)
      assert.isTrue(Option.isNone(yield* store.lookup(writer.id)))
    }))

  test("fencing tokens grow from grant to grant, on every path and however the lock was asked for", ({
    session,
    store
  }) =>
    Effect.gen(function* () {
      const tokens: Array<number> = []
      for (let round = 0; round < 5; round++) {
        const held = yield* session.held([write("a")])
        const waiter = yield* session.queued([write("a/b")])
        const other = Either.getOrThrow(yield* session.attempt(session.request([write("c")], { id: `${held.id}.try` })))
        yield* store.release(held.id, held.id)
        const handed = yield* session.granted(waiter)
        tokens.push(held.token, other.token, handed.token)
        yield* store.release(waiter.id, waiter.id)
        yield* store.release(`${held.id}.try`, `${held.id}.try`)
      }
      assert.deepStrictEqual(
        tokens,
        Array.from(new Set(tokens)).sort((a, b) => a - b)
      )
    }))

  test("the local deadline is reckoned from before the store granted", ({ session, store }) =>
    Effect.gen(function* () {
      const ttl = Duration.seconds(20)
      const asked = yield* monotonic
      const request = session.request([write("a")], { ttl })
      const grant = yield* store.acquire(request)
      const answered = yield* monotonic
      assert.isAtMost(grant.deadline, answered + 20_000)
      assert.isAbove(grant.deadline, asked)
      const refreshed = Option.getOrThrow(yield* store.refresh(request.id, minute, request.id))
      assert.isAtMost(refreshed, (yield* monotonic) + 60_000)
      assert.isAbove(refreshed, answered)
      const restored = Option.getOrThrow(yield* store.restore(request.id, minute, request.id))
      assert.isAtMost(restored.deadline, (yield* monotonic) + 60_000)
      assert.isAbove(restored.deadline, answered)
      yield* store.release(request.id, request.id)
    }))

  test("many leases are refreshed as each by itself, and the answers come in their order", ({ session, store }) =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* store.refreshAll([]), [])
      const held: Array<{ readonly id: string }> = []
      for (let i = 0; i < 300; i++) held.push(yield* session.held([read("a/b")]))
      const waiter = yield* session.queued([write("a")])
      const before = yield* monotonic
      const names = held.flatMap(({ id }, i) => [
        { id, owner: i % 7 === 0 ? undefined : id },
        // In between those that are not live, that wait, and that are another's.
        { id: ["unknown", waiter.id, id][i % 3]!, owner: "nobody" }
      ])
      const answers = yield* store.refreshAll(names.map((name) => ({ ...name, ttl: minute })))
      assert.strictEqual(answers.length, names.length)
      for (const [i, { owner }] of names.entries()) {
        const answer = answers[i]!
        const deadline = Option.isOption(answer) ? Option.getOrUndefined(answer) : assert.fail(answer.message)
        if (owner === "nobody") assert.isUndefined(deadline)
        else assert.isAbove(deadline ?? 0, before + 50_000)
      }
    }))

  test("an id has up to 64 characters, letters, digits and _ . : -", ({ session, store }) =>
    Effect.gen(function* () {
      const id = `${session.request([read("a")]).id}-A_z.0:9-`.padEnd(64, "x")
      yield* session.held([write("a")], { id })
      assert.strictEqual(Option.getOrThrow(yield* store.lookup(id)).id, id)
      assert.isTrue(yield* store.release(id, id))
    }))

  // -- Downgrade

  test("a downgrade lets in the readers that wait, and keeps out the writers and those behind them", ({
    inOne,
    session,
    store
  }) =>
    Effect.gen(function* () {
      const held = yield* session.held(inOne([write("a"), writeNode("b"), read("c")]))
      const one = yield* session.queued(inOne([read("a/b"), readNode("b")]))
      const two = yield* session.queued(inOne([readNode("a")]))
      const writer = yield* session.queued(inOne([write("a/c")]))
      const three = yield* session.queued(inOne([read("b")]))
      yield* session.queued(inOne([read("a")]))
      assert.isTrue(yield* store.downgrade(held.id, held.id))
      assert.deepStrictEqual((yield* session.observe).granted, [one.id, two.id, three.id])
      assert.deepStrictEqual(
        Option.getOrThrow(yield* store.lookup(held.id)).targets.map(region),
        inOne([read("a"), readNode("b"), read("c")]).map(region)
      )
      yield* store.release(held.id, held.id)
      assert.deepStrictEqual((yield* session.observe).granted, [writer.id])
    }))

  test("a downgrade of a shared lease, or a second one, changes nothing", ({ session, store }) =>
    Effect.gen(function* () {
      const held = yield* session.held([write("a")])
      assert.isTrue(yield* store.downgrade(held.id, held.id))
      assert.isTrue(yield* store.downgrade(held.id, held.id))
      yield* session.held([read("a")])
      yield* session.queued([write("a")])
      const again = yield* store.acquire(session.request([write("a")], { id: held.id }))
      assert.strictEqual(again.token, held.token)
    }))

  // -- Break

  test("the holder of a broken lease is told so, and the next one is let in", ({ session, store }) =>
    Effect.gen(function* () {
      const held = yield* session.held([write("a")])
      const next = yield* session.queued([write("a/b")])
      assert.isTrue(yield* store.breakLease(held.id))
      assert.deepStrictEqual(yield* session.revocation, { id: held.id, owner: held.id, reason: "broken" })
      yield* session.granted(next)
      assert.isTrue(Option.isNone(yield* store.refresh(held.id, minute, held.id)))
      assert.isTrue(Option.isNone(yield* store.restore(held.id, minute, held.id)))
      assert.isFalse(yield* store.breakLease(held.id))
      assert.isFalse(yield* store.downgrade(held.id, held.id))
      assert.isFalse(yield* store.release(held.id, held.id))
      assert.strictEqual(yield* session.pendingRevocations, 0)
    }))

  test("a release, a refusal and a give-up are nobody's revocation", ({ session, store }) =>
    Effect.gen(function* () {
      const held = yield* session.held([write("a")])
      yield* session.attempt(session.request([write("a")]))
      const waiter = yield* session.queued([write("a")])
      yield* session.cancel(waiter.id)
      yield* store.release(held.id, held.id)
      // The revocation of a later lease comes after all that came before.
      const last = yield* session.held([write("a")])
      yield* store.breakLease(last.id)
      assert.deepStrictEqual(yield* session.revocation, { id: last.id, owner: last.id, reason: "broken" })
    }))

  // -- Time

  test("a lease that is not refreshed ends at its deadline and lets in the one that waits, without being asked", ({
    advance,
    exactTime,
    session,
    store,
    ttl
  }) =>
    Effect.gen(function* () {
      const held = yield* session.held([write("a")], { ttl })
      const next = yield* session.queued([read("a/b")])
      if (exactTime) {
        yield* advance(Duration.subtract(ttl, Duration.millis(1)))
        assert.isNull(next.fiber.unsafePoll())
        yield* advance(Duration.millis(1))
      } else {
        yield* advance(ttl)
      }
      yield* session.granted(next)
      assert.deepStrictEqual(yield* session.revocation, { id: held.id, owner: held.id, reason: "expired" })
      assert.isTrue(Option.isNone(yield* store.lookup(held.id)))
    }))

  test("an expired lease is gone, its holder is told so, and nothing revives it", ({ advance, session, store, ttl }) =>
    Effect.gen(function* () {
      const held = yield* session.held([write("a"), read("b")], { ttl })
      yield* advance(ttl)
      assert.deepStrictEqual(yield* store.inspect(LockPath.root), [])
      assert.deepStrictEqual(yield* session.revocation, { id: held.id, owner: held.id, reason: "expired" })
      assert.isTrue(Option.isNone(yield* store.refresh(held.id, minute, held.id)))
      assert.isTrue(Option.isNone(yield* store.restore(held.id, minute, held.id)))
      assert.isFalse(yield* store.release(held.id, held.id))
      assert.isFalse(yield* store.breakLease(held.id))
      assert.isFalse(yield* store.downgrade(held.id, held.id))
      const other = yield* session.held([write("")])
      assert.isAbove(other.token, held.token)
    }))

  test("a refresh moves the deadline to its ttl from now", ({ advance, session, store, ttl }) =>
    Effect.gen(function* () {
      const held = yield* session.held([write("a")], { ttl })
      const part = Duration.times(ttl, 0.6)
      yield* advance(part)
      assert.isTrue(Option.isSome(yield* store.refresh(held.id, ttl, held.id)))
      yield* advance(part)
      assert.isTrue(Option.isSome(yield* store.lookup(held.id)))
      assert.isTrue(Option.isSome(yield* store.refresh(held.id, Duration.times(ttl, 0.5), held.id)))
      yield* advance(part)
      assert.isTrue(Option.isNone(yield* store.refresh(held.id, ttl, held.id)))
      assert.deepStrictEqual(yield* session.revocation, { id: held.id, owner: held.id, reason: "expired" })
    }))

  test("the one that waits for a lease that was refreshed is let in at the new deadline, without being asked", ({
    advance,
    session,
    store,
    ttl: shortest
  }) =>
    Effect.gen(function* () {
      // On a real clock the refresh has to come in time, also on a machine that is busy.
      const ttl = Duration.times(shortest, 3)
      const held = yield* session.held([write("a")], { ttl })
      const next = yield* session.queued([write("a")])
      const part = Duration.times(ttl, 0.6)
      yield* advance(part)
      assert.isTrue(Option.isSome(yield* store.refresh(held.id, ttl, held.id)))
      yield* advance(part)
      assert.isNull(next.fiber.unsafePoll())
      yield* advance(part)
      yield* session.granted(next)
      assert.deepStrictEqual(yield* session.revocation, { id: held.id, owner: held.id, reason: "expired" })
    }))

  test("a refresh can bring the deadline nearer", ({ advance, session, store, ttl }) =>
    Effect.gen(function* () {
      const held = yield* session.held([write("a")])
      const next = yield* session.queued([write("a")])
      assert.isTrue(Option.isSome(yield* store.refresh(held.id, ttl, held.id)))
      yield* advance(ttl)
      // Those who wait may have reckoned with the old one: what is asked of the store next makes it look.
      assert.isTrue(Option.isNone(yield* store.lookup(held.id)))
      yield* session.granted(next)
      assert.deepStrictEqual(yield* session.revocation, { id: held.id, owner: held.id, reason: "expired" })
    }))

  test("a request outlives its own ttl in the queue, and then is granted for all of it", ({
    advance,
    session,
    store,
    ttl
  }) =>
    Effect.gen(function* () {
      const held = yield* session.held([write("a")])
      const waiter = yield* session.queued([write("a")], { ttl })
      yield* advance(Duration.times(ttl, 2))
      assert.strictEqual(Option.getOrThrow(yield* store.lookup(waiter.id)).state, "waiting")
      yield* store.release(held.id, held.id)
      yield* session.granted(waiter)
      yield* advance(Duration.times(ttl, 0.6))
      assert.isTrue(Option.isSome(yield* store.lookup(waiter.id)))
      yield* advance(Duration.times(ttl, 0.6))
      assert.isTrue(Option.isNone(yield* store.lookup(waiter.id)))
    }))

  test("restore by the owner moves the deadline of a live lease on, and answers with what it is", ({
    advance,
    session,
    store,
    ttl
  }) =>
    Effect.gen(function* () {
      const held = yield* session.held([write("a/b"), readNode("%/c")], { ttl })
      yield* advance(Duration.times(ttl, 0.6))
      const restored = Option.getOrThrow(yield* store.restore(held.id, ttl, held.id))
      assert.strictEqual(restored.token, held.token)
      assert.deepStrictEqual(Array.from(restored.targets), [write("a/b"), readNode("%/c")].map(region))
      yield* advance(Duration.times(ttl, 0.6))
      assert.isTrue(Option.isSome(yield* store.lookup(held.id)))
      assert.isTrue(yield* store.breakLease(held.id))
      assert.deepStrictEqual(yield* session.revocation, { id: held.id, owner: held.id, reason: "broken" })
    }))
}
