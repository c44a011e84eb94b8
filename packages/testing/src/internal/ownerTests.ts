import { assert } from "@effect/vitest"
import * as Target from "@hilok/core/Target"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import { due, eventually, region } from "../Session.ts"
import type { Kit, Test } from "./kit.ts"

const { read, write, writeNode } = Target

const minute = Duration.minutes(1)

const isHeld = ({ store }: Kit, id: string) =>
  Effect.map(store.lookup(id), (entry) => Option.getOrUndefined(entry)?.state === "held")

/** What is left to a lease, in milliseconds. */
const timeLeft = ({ store }: Kit, id: string) =>
  Effect.map(store.lookup(id), (entry) => Option.getOrThrow(entry).timeLeft ?? 0)

export const ownerTests = (test: Test): void => {
  // -- Taking over

  test("restore by another name takes a lease over as it is, and the former owner is told", (kit) =>
    Effect.gen(function* () {
      const { session, store } = kit
      const held = yield* session.held([write("a/b"), writeNode("%/c")])
      const restored = Option.getOrThrow(yield* store.restore(held.id, minute, "second"))
      assert.strictEqual(restored.token, held.token)
      assert.deepStrictEqual(Array.from(restored.targets), [write("a/b"), writeNode("%/c")].map(region))
      assert.deepStrictEqual(yield* session.revocation, { id: held.id, owner: held.id, reason: "taken" })
      yield* store.restore(held.id, minute, "third")
      assert.deepStrictEqual(yield* session.revocation, { id: held.id, owner: "second", reason: "taken" })
      assert.isTrue(yield* isHeld(kit, held.id))
      assert.isTrue(yield* store.release(held.id, "third"))
      assert.strictEqual(yield* session.pendingRevocations, 0)
    }))

  test("restore by the same name again tells nobody and changes no owner", (kit) =>
    Effect.gen(function* () {
      const { session, store } = kit
      const held = yield* session.held([write("a")])
      assert.isTrue(Option.isSome(yield* store.restore(held.id, minute, held.id)))
      assert.strictEqual(yield* session.pendingRevocations, 0)
      yield* store.restore(held.id, minute, "second")
      yield* session.revocation
      assert.isTrue(Option.isSome(yield* store.restore(held.id, minute, "second")))
      assert.strictEqual(yield* session.pendingRevocations, 0)
      // The one before can still have it back.
      assert.isTrue(yield* store.giveBack(held.id, "second"))
      assert.isTrue(yield* store.release(held.id, held.id))
    }))

  test("restore never moves a deadline back, whoever owns the lease", (kit) =>
    Effect.gen(function* () {
      const { session, store, ttl } = kit
      const held = yield* session.held([write("a")], { ttl: "1 minute" })
      for (const owner of [held.id, "second", "second", "third"]) {
        const before = yield* timeLeft(kit, held.id)
        const { deadline } = Option.getOrThrow(yield* store.restore(held.id, Duration.millis(1), owner))
        assert.isAbove(yield* timeLeft(kit, held.id), before - 5000)
        assert.isAbove(deadline, held.deadline - 5000, `by ${owner}`)
      }
      yield* kit.advance(ttl)
      assert.isTrue(yield* isHeld(kit, held.id))
      assert.isAbove(Option.getOrThrow(yield* store.restore(held.id, Duration.minutes(2), "third")).deadline, 0)
      assert.isAbove(yield* timeLeft(kit, held.id), 90_000)
    }))

  test("nothing that the former owner sends changes anything: refresh, downgrade, release", (kit) =>
    Effect.gen(function* () {
      const { session, store, ttl } = kit
      const held = yield* session.held([write("a")])
      yield* session.queued([read("a")])
      yield* store.restore(held.id, minute, "second")
      for (const former of [held.id, "nobody"]) {
        assert.isTrue(Option.isNone(yield* store.refresh(held.id, Duration.millis(1), former)))
        assert.isFalse(yield* store.downgrade(held.id, former))
        assert.isFalse(yield* store.release(held.id, former))
        assert.isFalse(yield* store.giveBack(held.id, former))
      }
      yield* kit.advance(ttl)
      assert.isTrue(yield* isHeld(kit, held.id))
      assert.deepStrictEqual((yield* session.observe).granted, [])
      assert.isTrue(Option.isSome(yield* store.refresh(held.id, minute, "second")))
      assert.isTrue(yield* store.downgrade(held.id, "second"))
      assert.strictEqual((yield* session.observe).granted.length, 1)
      assert.isTrue(yield* store.release(held.id, "second"))
      assert.isFalse(yield* isHeld(kit, held.id))
    }))

  test("the owner of a restored lease is told when it is broken or expires, by its name", (kit) =>
    Effect.gen(function* () {
      const { advance, session, store, ttl } = kit
      const broken = yield* session.held([write("a")])
      yield* store.restore(broken.id, minute, "second")
      yield* session.revocation
      assert.isTrue(yield* store.breakLease(broken.id))
      assert.deepStrictEqual(yield* session.revocation, { id: broken.id, owner: "second", reason: "broken" })
      const expires = yield* session.held([write("a")])
      yield* store.restore(expires.id, minute, "third")
      yield* session.revocation
      assert.isTrue(Option.isSome(yield* store.refresh(expires.id, ttl, "third")))
      const next = yield* session.queued([write("a")])
      yield* advance(ttl)
      yield* session.granted(next)
      assert.deepStrictEqual(yield* session.revocation, { id: expires.id, owner: "third", reason: "expired" })
    }))

  test("a restored lease is handed over to the next in the queue by its owner's release alone", (kit) =>
    Effect.gen(function* () {
      const { session, store } = kit
      const held = yield* session.held([write("a/b")])
      const next = yield* session.queued([write("a/b")])
      const last = yield* session.queued([write("a/b")])
      yield* store.restore(held.id, minute, "second")
      assert.isFalse(yield* store.release(held.id, held.id))
      assert.deepStrictEqual((yield* session.observe).granted, [])
      assert.isTrue(yield* store.release(held.id, "second"))
      yield* session.granted(next)
      assert.isTrue(yield* store.release(next.id, next.id))
      yield* session.granted(last)
    }))

  test("of several releases in the same moment only the owners' count", ({ session, store }) =>
    Effect.gen(function* () {
      const [one, two, three] = [
        yield* session.held([write("a")]),
        yield* session.held([write("b")]),
        yield* session.held([write("c")])
      ]
      yield* store.restore(two.id, minute, "second")
      const releases = [
        store.release(one.id, one.id),
        store.release(two.id, two.id),
        store.release(two.id, "second"),
        store.release(two.id, "second"),
        store.release(three.id, "second")
      ]
      assert.deepStrictEqual(yield* Effect.all(releases, { concurrency: "unbounded" }), [
        true,
        false,
        true,
        false,
        false
      ])
      const left = yield* session.observe
      assert.deepStrictEqual(
        left.entries.map(({ id }) => id),
        [three.id]
      )
    }))

  test("an acquire with the id of a restored lease answers with it, and does not take it back", ({ session, store }) =>
    Effect.gen(function* () {
      const request = session.request([write("a")])
      const { token } = yield* store.acquire(request)
      yield* store.restore(request.id, minute, "second")
      yield* session.revocation
      assert.strictEqual((yield* due(store.acquire(request), "the repeated answer")).token, token)
      assert.isFalse(yield* store.downgrade(request.id, request.id))
      assert.isTrue(yield* store.downgrade(request.id, "second"))
      assert.strictEqual(yield* session.pendingRevocations, 0)
      yield* store.release(request.id, "second")
    }))

  // -- Giving back

  test("giveBack undoes a restore: the former owner and its deadline are as they were", (kit) =>
    Effect.gen(function* () {
      const { session, store } = kit
      const held = yield* session.held([write("a")])
      yield* store.restore(held.id, Duration.minutes(5), "second")
      assert.isAbove(yield* timeLeft(kit, held.id), 200_000)
      assert.isTrue(yield* store.giveBack(held.id, "second"))
      assert.isAtMost(yield* timeLeft(kit, held.id), 60_000)
      assert.isFalse(yield* store.giveBack(held.id, "second"), "once only")
      assert.isTrue(Option.isNone(yield* store.refresh(held.id, minute, "second")))
      assert.isFalse(yield* store.release(held.id, "second"))
      assert.isTrue(Option.isSome(yield* store.refresh(held.id, minute, held.id)))
      assert.isTrue(yield* store.release(held.id, held.id))
    }))

  test("giveBack gives a lease that was restored twice to the one in between", (kit) =>
    Effect.gen(function* () {
      const { session, store } = kit
      const held = yield* session.held([write("a")])
      yield* store.restore(held.id, minute, "second")
      yield* store.restore(held.id, minute, "third")
      assert.isFalse(yield* store.giveBack(held.id, "second"))
      assert.isTrue(yield* store.giveBack(held.id, "third"))
      assert.isTrue(Option.isSome(yield* store.refresh(held.id, minute, "second")))
      assert.isFalse(yield* store.giveBack(held.id, "second"))
      assert.isTrue(yield* store.release(held.id, "second"))
    }))

  test("giveBack does nothing once the owner has refreshed the lease, and never for one that did not restore it", (kit) =>
    Effect.gen(function* () {
      const { session, store } = kit
      const held = yield* session.held([write("a")])
      assert.isFalse(yield* store.giveBack(held.id, held.id))
      assert.isFalse(yield* store.giveBack(held.id, "second"))
      yield* store.restore(held.id, minute, "second")
      // By hand is not by the owner.
      assert.isTrue(Option.isSome(yield* store.refresh(held.id, minute)))
      assert.isTrue(yield* store.giveBack(held.id, "second"))
      yield* store.restore(held.id, minute, "third")
      assert.isTrue(Option.isSome(yield* store.refresh(held.id, minute, "third")))
      assert.isFalse(yield* store.giveBack(held.id, "third"))
      assert.isTrue(yield* store.release(held.id, "third"))
      assert.isFalse(yield* store.giveBack(held.id, "third"))
      const waiter = yield* session.held([write("b")])
      const waiting = yield* session.queued([write("b")])
      assert.isFalse(yield* store.giveBack(waiting.id, waiting.id))
      yield* store.release(waiter.id, waiter.id)
      yield* session.granted(waiting)
    }))

  test("a lease that is given back after its former deadline has passed ends at once", (kit) =>
    Effect.gen(function* () {
      const { advance, session, store, ttl } = kit
      const held = yield* session.held([write("a")], { ttl })
      const next = yield* session.queued([write("a")])
      yield* store.restore(held.id, minute, "second")
      yield* session.revocation
      yield* advance(ttl)
      assert.isTrue(yield* isHeld(kit, held.id))
      assert.isTrue(yield* store.giveBack(held.id, "second"))
      yield* session.granted(next)
      assert.deepStrictEqual(yield* session.revocation, { id: held.id, owner: held.id, reason: "expired" })
    }))

  test("a restore that is interrupted is undone by giveBack, however far it has come", (kit) =>
    Effect.gen(function* () {
      const { session, store } = kit
      for (let step = 0; step < 30; step++) {
        const held = yield* session.held([write("a")])
        const name = `owner-${step}`
        const fiber = yield* Effect.fork(store.restore(held.id, Duration.minutes(5), name))
        yield* Effect.repeatN(Effect.yieldNow(), step)
        yield* due(Fiber.interrupt(fiber), "the interruption")
        yield* due(store.giveBack(held.id, name), "the return")
        assert.isAtMost(yield* timeLeft(kit, held.id), 60_000)
        assert.isTrue(Option.isSome(yield* store.refresh(held.id, minute, held.id)), "it is the former owner's")
        assert.isTrue(yield* store.release(held.id, held.id))
      }
    }))

  // -- By hand

  test("a refresh by hand never brings a deadline nearer; by the owner it does", (kit) =>
    Effect.gen(function* () {
      const { advance, session, store, ttl } = kit
      const held = yield* session.held([write("a")])
      yield* session.queued([write("a")])
      const before = yield* timeLeft(kit, held.id)
      const deadline = Option.getOrThrow(yield* store.refresh(held.id, Duration.millis(1)))
      assert.isAbove(yield* timeLeft(kit, held.id), before - 5000)
      assert.isAbove(deadline, held.deadline - 5000)
      yield* advance(ttl)
      assert.isTrue(yield* isHeld(kit, held.id))
      assert.isTrue(Option.isSome(yield* store.refresh(held.id, Duration.minutes(2))))
      assert.isAbove(yield* timeLeft(kit, held.id), 90_000)
      assert.isTrue(Option.isSome(yield* store.refresh(held.id, ttl, held.id)))
      yield* advance(ttl)
      yield* eventually(
        Effect.map(isHeld(kit, held.id), (yes) => !yes),
        "the end of the lease"
      )
    }))

  test("a release by hand is an order: it ends the lease, and the owner is told, whoever that is", (kit) =>
    Effect.gen(function* () {
      const { session, store } = kit
      const held = yield* session.held([write("a")])
      const next = yield* session.queued([write("a")])
      assert.isTrue(yield* store.release(held.id))
      yield* session.granted(next)
      assert.deepStrictEqual(yield* session.revocation, { id: held.id, owner: held.id, reason: "released" })
      assert.isTrue(Option.isNone(yield* store.refresh(held.id, minute, held.id)))
      assert.isFalse(yield* store.release(held.id))
      yield* store.restore(next.id, minute, "second")
      yield* session.revocation
      assert.isTrue(yield* store.release(next.id))
      assert.deepStrictEqual(yield* session.revocation, { id: next.id, owner: "second", reason: "released" })
      assert.strictEqual(yield* session.pendingRevocations, 0)
    }))

  test("a release by hand takes a waiting request out of the queue, and whoever waits for it fails", (kit) =>
    Effect.gen(function* () {
      const { session, store } = kit
      const held = yield* session.held([read("a")])
      const writer = yield* session.queued([write("a")])
      const reader = yield* session.queued([read("a")])
      assert.isFalse(yield* store.release(writer.id, held.id), "not by another name")
      assert.isTrue(yield* store.release(writer.id))
      yield* session.granted(reader)
      const error = yield* due(Effect.flip(Fiber.join(writer.fiber)), "the end of the wait")
      assert.strictEqual(error._tag, "StoreError")
      assert.strictEqual(yield* session.pendingRevocations, 0, "a request is no lease")
      yield* session.cancel(writer.id)
    }))

  test("a downgrade by hand is done, whoever the owner is", ({ session, store }) =>
    Effect.gen(function* () {
      const held = yield* session.held([write("a")])
      yield* store.restore(held.id, minute, "second")
      const next = yield* session.queued([read("a")])
      assert.isTrue(yield* store.downgrade(held.id))
      yield* session.granted(next)
      assert.isTrue(Either.isLeft(yield* session.attempt(session.request([write("a")]))))
    }))

  // -- While it waits

  test("a request stays in the queue for its waitTtl, and holds for its ttl", (kit) =>
    Effect.gen(function* () {
      const { advance, session, store, ttl } = kit
      const held = yield* session.held([write("a")])
      const short = Duration.times(ttl, 0.2)
      const waiter = yield* session.queued([write("a")], { ttl: short, waitTtl: "1 minute" })
      const { ticket } = Option.getOrThrow(yield* store.lookup(waiter.id))
      yield* advance(ttl)
      const still = Option.getOrThrow(yield* store.lookup(waiter.id))
      assert.deepStrictEqual([still.state, still.ticket], ["waiting", ticket], "it has kept its place")
      if (still.timeLeft !== undefined) assert.isAbove(still.timeLeft, 30_000)
      yield* store.release(held.id, held.id)
      yield* session.granted(waiter)
      yield* advance(ttl)
      assert.isTrue(Option.isNone(yield* store.lookup(waiter.id)))
      assert.deepStrictEqual(yield* session.revocation, { id: waiter.id, owner: waiter.id, reason: "expired" })
    }))
}
