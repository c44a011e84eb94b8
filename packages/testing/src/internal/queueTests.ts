import { assert } from "@effect/vitest"
import * as LockMode from "@hilok/core/LockMode"
import * as LockPath from "@hilok/core/LockPath"
import * as Target from "@hilok/core/Target"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as FastCheck from "effect/FastCheck"
import * as Fiber from "effect/Fiber"
import { due, eventually, region } from "../Session.ts"
import type { Test } from "./kit.ts"

const { read, readNode, write, writeNode } = Target

export const queueTests = (test: Test): void => {
  test("a reader that comes after a waiting writer waits behind it", ({ session, store }) =>
    Effect.gen(function* () {
      const first = yield* session.held([read("a/b")])
      const writer = yield* session.queued([write("a")])
      const late = yield* session.queued([read("a/b/c")])
      assert.isTrue(yield* store.release(first.id, first.id))
      yield* session.granted(writer)
      assert.deepStrictEqual((yield* session.observe).granted, [])
      assert.isTrue(yield* store.release(writer.id, writer.id))
      yield* session.granted(late)
    }))

  test("a writer gets in as soon as the readers before it are gone, while more readers keep coming", ({
    session,
    store
  }) =>
    Effect.gen(function* () {
      const readers = [yield* session.held([read("a")]), yield* session.held([read("a/b")])]
      const writer = yield* session.queued([write("a/b")])
      const later = [
        yield* session.queued([read("a")]),
        yield* session.queued([read("a/b/c")]),
        yield* session.queued([readNode("a/b")])
      ]
      yield* store.release(readers[0]!.id, readers[0]!.id)
      assert.deepStrictEqual((yield* session.observe).granted, [])
      yield* store.release(readers[1]!.id, readers[1]!.id)
      assert.deepStrictEqual((yield* session.observe).granted, [writer.id])
      yield* store.release(writer.id, writer.id)
      assert.deepStrictEqual(
        (yield* session.observe).granted,
        later.map(({ id }) => id)
      )
    }))

  test("readers that wait one behind the other are let in together, up to the next writer", ({ session, store }) =>
    Effect.gen(function* () {
      const holder = yield* session.held([write("a")])
      const one = yield* session.queued([read("a")])
      const two = yield* session.queued([read("a/b")])
      const writer = yield* session.queued([writeNode("a/b")])
      yield* session.queued([read("a")])
      yield* store.release(holder.id, holder.id)
      assert.deepStrictEqual((yield* session.observe).granted, [one.id, two.id])
      yield* store.release(one.id, one.id)
      yield* store.release(two.id, two.id)
      assert.deepStrictEqual((yield* session.observe).granted, [writer.id])
    }))

  test("nobody waits behind those whom it does not conflict with", ({ session }) =>
    Effect.gen(function* () {
      yield* session.held([write("a/b")])
      yield* session.queued([write("a")])
      yield* session.queued([read("a/c")])
      yield* session.held([write("ab")])
      yield* session.held([readNode("")])
    }))

  test("a request that must not wait is refused while another waits that it conflicts with", ({ session, store }) =>
    Effect.gen(function* () {
      const reader = yield* session.held([read("a")])
      const writer = yield* session.queued([write("a")])
      const refusal = yield* session.attempt(session.request([read("a/b")]))
      assert.isTrue(Either.isLeft(refusal) && refusal.left.id === writer.id && refusal.left.state === "waiting")
      const other = session.request([read("b")])
      assert.isTrue(Either.isRight(yield* session.attempt(other)))
      yield* store.release(reader.id, reader.id)
      assert.deepStrictEqual((yield* session.observe).granted, [writer.id])
    }))

  test("a refusal names the one that is in the way, with who it is and why", ({ session }) =>
    Effect.gen(function* () {
      const holder = { label: "nightly", reason: "rebuild of the index", host: "db-1", pid: 4711 }
      const held = yield* session.held([write("a/b")], { holder })
      const refusal = yield* session.attempt(session.request([read("a")]))
      const blocker = Either.getOrThrow(Either.flip(refusal))
      const { host, id, label, pid, reason, state, targets, token } = blocker
      assert.deepStrictEqual({ host, label, pid, reason }, holder)
      assert.deepStrictEqual({ id, state, token }, { id: held.id, state: "held" as const, token: held.token })
      assert.deepStrictEqual(targets.map(region), [region(write("a/b"))])
    }))

  test("a refused request leaves nothing behind", ({ session, store }) =>
    Effect.gen(function* () {
      yield* session.held([write("a")])
      const request = session.request([write("b"), read("a")])
      assert.isTrue(Either.isLeft(yield* session.attempt(request)))
      assert.strictEqual((yield* store.inspect(LockPath.root)).length, 1)
      assert.isFalse(yield* store.release(request.id, request.id))
      yield* session.held([write("b")])
    }))

  test("several targets are granted all or none", ({ inOne, session, store }) =>
    Effect.gen(function* () {
      const held = yield* session.held(inOne([write("a")]))
      const both = yield* session.queued(inOne([write("b"), read("a/x")]))
      // It holds nothing yet, but it is its turn before others on both.
      yield* session.queued(inOne([readNode("b/c")]))
      yield* session.held(inOne([readNode("c")]))
      yield* store.release(held.id, held.id)
      yield* session.granted(both)
      assert.isTrue(Either.isLeft(yield* session.attempt(session.request(inOne([read("b")])))))
      assert.isTrue(Either.isLeft(yield* session.attempt(session.request(inOne([write("a")])))))
      yield* store.release(both.id, both.id)
      assert.strictEqual((yield* session.observe).granted.length, 1)
      yield* session.held(inOne([write("a")]))
    }))

  test("one request never conflicts with itself: the same target twice, one path in two modes", ({ session, store }) =>
    Effect.gen(function* () {
      const targets = [write("a"), write("a"), read("a"), writeNode("a"), readNode("a"), read("a/b"), write("a/b")]
      const held = yield* session.held(targets)
      const again = yield* session.queued(targets)
      yield* store.release(held.id, held.id)
      yield* session.granted(again)
      yield* store.downgrade(again.id, again.id)
      yield* session.held([read("a")])
      yield* store.release(again.id, again.id)
      yield* session.queued([write("a/b")])
    }))

  test("200 that wait for one lock are served strictly in the order of their arrival", ({ session, store }) =>
    Effect.gen(function* () {
      const holder = yield* session.held([write("a")])
      const served: Array<string> = []
      const waiters = yield* Effect.forEach(
        Array.from({ length: 200 }, () => session.request([write("a")])),
        (request) =>
          Effect.fork(
            Effect.gen(function* () {
              yield* store.acquire(request)
              served.push(request.id)
              yield* store.release(request.id, request.id)
            })
          )
      )
      const all = waiters.length + 1
      yield* eventually(
        Effect.map(store.inspect(LockPath.root), (entries) => entries.length === all),
        "the place of each in the queue"
      )
      const arrived = (yield* store.inspect(LockPath.root)).filter(({ state }) => state === "waiting")
      yield* store.release(holder.id, holder.id)
      yield* due(Fiber.joinAll(waiters), "the end of the queue")
      assert.deepStrictEqual(
        served,
        arrived.map(({ id }) => id)
      )
    }))

  test("of many that ask at the same time for the same lock, one at a time holds it, and each gets it", ({
    session,
    store
  }) =>
    Effect.gen(function* () {
      let inside = 0
      let most = 0
      let lastToken = 0
      const work = (request = session.request([write("a/b")])) =>
        Effect.gen(function* () {
          const { token } = yield* store.acquire(request)
          most = Math.max(most, ++inside)
          assert.isAbove(token, lastToken, "a later holder has a greater token")
          lastToken = token
          yield* Effect.yieldNow()
          inside--
          yield* store.release(request.id, request.id)
        })
      const all = Effect.all(
        Array.from({ length: 60 }, () => work()),
        { concurrency: "unbounded" }
      )
      yield* due(all, "the end of all")
      assert.strictEqual(most, 1)
    }))

  test("many locks that do not conflict are granted at the same time", ({ session, store }) =>
    Effect.gen(function* () {
      const requests = Array.from({ length: 100 }, (_, i) => session.request([write(`a/${i}`), read(`b/${i % 7}`)]))
      const grants = yield* due(
        Effect.forEach(requests, (request) => store.acquire(request), { concurrency: "unbounded" }),
        "every grant"
      )
      assert.strictEqual(new Set(grants.map(({ token }) => token)).size, 100)
      assert.strictEqual((yield* store.inspect(LockPath.root)).length, 100)
      const released = yield* Effect.forEach(requests, ({ id }) => store.release(id, id), { concurrency: "unbounded" })
      assert.isTrue(released.every((yes) => yes))
    }))

  test("no two conflicting locks are held at the same time, whatever many clients do on a tree", ({ session, store }) =>
    Effect.gen(function* () {
      const target = FastCheck.record({
        mode: FastCheck.constantFrom(...LockMode.all),
        path: FastCheck.constantFrom("", "a", "a/b", "a/b/c", "a/c", "ab", "d/e")
      })
      const plans = FastCheck.sample(FastCheck.array(target, { minLength: 1, maxLength: 2 }), { numRuns: 200, seed: 1 })
      const inside = new Map<string, ReadonlyArray<LockMode.Region>>()
      let holds = 0
      const client = (own: ReadonlyArray<ReadonlyArray<Target.Target>>) =>
        Effect.forEach(own, (targets) =>
          Effect.gen(function* () {
            const request = session.request(targets)
            yield* store.acquire(request)
            for (const [id, others] of inside) {
              assert.isFalse(LockMode.anyConflict(request.targets, others), `${request.id} is in along with ${id}`)
            }
            inside.set(request.id, request.targets)
            holds++
            yield* Effect.yieldNow()
            yield* Effect.yieldNow()
            inside.delete(request.id)
            yield* store.release(request.id, request.id)
          })
        )
      const clients = Array.from({ length: 20 }, (_, i) => client(plans.slice(i * 10, i * 10 + 10)))
      yield* due(Effect.all(clients, { concurrency: "unbounded" }), "the end of all clients")
      assert.strictEqual(holds, 200)
    }))
}
