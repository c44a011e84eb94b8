import { assert } from "@effect/vitest"
import * as Target from "@hilok/core/Target"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import { due, region } from "../Session.ts"
import type { Test } from "./kit.ts"

const { read, write, writeNode } = Target

export const nestingTests = (test: Test): void => {
  test("a request is let in under the leases that enclose it, and under no others", ({ session, store }) =>
    Effect.gen(function* () {
      const parent = yield* session.held([write("a")])
      const child = yield* session.held([write("a/b")], { within: [parent.id] })
      yield* session.held([read("a/b/c")], { within: [parent.id, child.id] })
      const sibling = yield* session.attempt(session.request([read("a/b")], { within: [parent.id] }))
      assert.isTrue(Either.isLeft(sibling) && sibling.left.id === child.id)
      const outsider = yield* session.attempt(session.request([read("a/x")]))
      assert.isTrue(Either.isLeft(outsider) && outsider.left.id === parent.id)
      // The parent's end leaves the child where it is.
      yield* store.release(parent.id, parent.id)
      yield* session.held([write("a/x")])
      yield* session.queued([write("a")])
    }))

  test("a nested request does not queue behind those who may be waiting for what encloses it", ({ session, store }) =>
    Effect.gen(function* () {
      const parent = yield* session.held([read("a")])
      const writer = yield* session.queued([write("a")])
      const child = yield* session.held([read("a/b")], { within: [parent.id] })
      yield* session.queued([read("a/b")])
      yield* store.release(parent.id, parent.id)
      assert.deepStrictEqual((yield* session.observe).granted, [])
      yield* store.release(child.id, child.id)
      assert.deepStrictEqual((yield* session.observe).granted, [writer.id])
    }))

  test("a read is upgraded by a write inside it, once the other readers are gone", ({ session, store }) =>
    Effect.gen(function* () {
      const own = yield* session.held([read("a")])
      const other = yield* session.held([read("a/b")])
      const upgrade = yield* session.queued([write("a")], { within: [own.id] })
      yield* store.release(other.id, other.id)
      yield* session.granted(upgrade)
    }))

  test("a deadlock names the cycle, from the request that failed on, and its targets", ({ inOne, session }) =>
    Effect.gen(function* () {
      const one = yield* session.held(inOne([write("a")]))
      const two = yield* session.held(inOne([write("b")]))
      const first = yield* session.queued(inOne([read("b/x")]), { within: [one.id] })
      const second = yield* session.ask(session.request(inOne([writeNode(["a"])]), { within: [two.id] }))
      const exit = yield* due(Fiber.await(second.fiber), "the answer")
      const error = Exit.isFailure(exit) ? Option.getOrUndefined(Cause.failureOption(exit.cause)) : undefined
      assert.deepStrictEqual(error?._tag === "Deadlock" ? error.cycle : [], [second.id, one.id, first.id, two.id])
      assert.deepStrictEqual(
        error?._tag === "Deadlock" ? error.targets.map(region) : [],
        inOne([writeNode("a")]).map(region)
      )
    }))

  test("a request that failed with a deadlock has left the queue", ({ session, store }) =>
    Effect.gen(function* () {
      const one = yield* session.held([read("a")])
      const two = yield* session.held([read("a")])
      const first = yield* session.queued([write("a")], { within: [one.id] })
      const second = yield* session.ask(session.request([write("a")], { within: [two.id] }))
      yield* due(Fiber.await(second.fiber), "the answer")
      assert.isTrue(Option.isNone(yield* store.lookup(second.id)))
      assert.isFalse(yield* store.release(second.id, second.id))
      yield* store.release(two.id, two.id)
      yield* session.granted(first)
    }))

  test("a cycle is found at the latest when nothing else is in the way, and lets in those behind the one that fails", ({
    session,
    store
  }) =>
    Effect.gen(function* () {
      const other = yield* session.held([read("a")])
      const one = yield* session.held([read("a")])
      const two = yield* session.held([read("a")])
      const first = yield* session.ask(session.request([write("a"), write("y")], { within: [one.id] }))
      const behindFirst = yield* session.queued([write("y/1")])
      const second = yield* session.ask(session.request([write("a"), write("z")], { within: [two.id] }))
      const behindSecond = yield* session.ask(session.request([write("z/1")]))
      const before = yield* session.observe
      yield* store.release(other.id, other.id)
      const after = yield* session.observe
      const failed = [...before.deadlocks, ...after.deadlocks].map(({ cycle }) => cycle[0])
      assert.strictEqual(failed.length, 1, "one of the two has failed by now, and not both")
      const [lease, left, freed] = failed[0] === first.id ? [one, second, behindFirst] : [two, first, behindSecond]
      assert.deepStrictEqual([...before.granted, ...after.granted], [freed.id])
      yield* store.release(freed.id, freed.id)
      yield* store.release(lease.id, lease.id)
      yield* session.granted(left)
    }))

  test("a request that waits inside a lease goes on waiting when the lease ends", ({ session, store }) =>
    Effect.gen(function* () {
      const parent = yield* session.held([read("a")])
      const other = yield* session.held([write("b")])
      const child = yield* session.queued([write("b")], { within: [parent.id] })
      yield* store.breakLease(parent.id)
      assert.deepStrictEqual(yield* session.revocation, { id: parent.id, owner: parent.id, reason: "broken" })
      assert.strictEqual(Option.getOrThrow(yield* store.lookup(child.id)).state, "waiting")
      yield* store.release(other.id, other.id)
      yield* session.granted(child)
    }))
}
