import { assert } from "@effect/vitest"
import * as LockPath from "@hilok/core/LockPath"
import * as Target from "@hilok/core/Target"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import { due, eventually } from "../Session.ts"
import type { Kit, Test } from "./kit.ts"

const { read, write } = Target

const yields = (times: number) => Effect.repeatN(Effect.yieldNow(), times)

/** Waits until so much is left: what an interruption takes back may go on in the background. */
const left = ({ store }: Kit, count: number, what: string) =>
  eventually(
    Effect.map(store.inspect(LockPath.root), ({ length }) => length === count),
    what
  )

/** What a client does that is interrupted: when it has the answer, it gives the lease back. */
const giveBack = (kit: Kit, id: string, exit: Exit.Exit<unknown, unknown>) =>
  Effect.gen(function* () {
    if (Exit.isSuccess(exit)) assert.isTrue(yield* kit.store.release(id, id), "a grant that was answered is live")
    yield* left(kit, 0, `the end of all that is left by ${id}, which ${exit._tag},`)
  })

export const interruptionTests = (test: Test): void => {
  test("a request that is interrupted while it waits leaves the queue and lets in those behind it", ({
    session,
    store
  }) =>
    Effect.gen(function* () {
      yield* session.held([read("a")])
      const writer = yield* session.queued([write("a")])
      const one = yield* session.queued([read("a/b")])
      const two = yield* session.queued([read("a")])
      yield* session.cancel(writer.id)
      assert.deepStrictEqual((yield* session.observe).granted, [one.id, two.id])
      assert.isFalse(yield* store.release(writer.id, writer.id))
    }))

  test("a request that is interrupted in the middle of the queue leaves the order of the others as it was", ({
    session,
    store
  }) =>
    Effect.gen(function* () {
      let holder: string = (yield* session.held([write("a")])).id
      const queue = yield* Effect.forEach(Array.from({ length: 6 }), () => session.queued([write("a")]))
      for (const at of [1, 4, 5]) yield* session.cancel(queue[at]!.id)
      for (const at of [0, 2, 3]) {
        yield* store.release(holder, holder)
        assert.deepStrictEqual((yield* session.observe).granted, [queue[at]!.id])
        holder = queue[at]!.id
      }
    }))

  test("a request that is interrupted on its way to a free lock leaves nothing behind", (kit) =>
    Effect.gen(function* () {
      for (let step = 0; step < 40; step++) {
        const request = kit.session.request([write("a"), read("b")])
        const fiber = yield* Effect.fork(kit.store.acquire(request))
        yield* yields(step)
        yield* giveBack(kit, request.id, yield* due(Fiber.interrupt(fiber), "the interruption"))
      }
    }))

  test("a request that is interrupted on its way into the queue leaves nothing behind", (kit) =>
    Effect.gen(function* () {
      for (let step = 0; step < 40; step++) {
        const held = yield* kit.session.held([write("a")])
        const request = kit.session.request([read("a/b")])
        const fiber = yield* Effect.fork(kit.store.acquire(request))
        yield* yields(step)
        const exit = yield* due(Fiber.interrupt(fiber), "the interruption")
        assert.isTrue(Exit.isInterrupted(exit))
        yield* left(kit, 1, `the end of ${request.id}`)
        yield* kit.store.release(held.id, held.id)
        yield* giveBack(kit, request.id, exit)
      }
    }))

  test("a request that is interrupted while its grant is under way leaves nothing behind", (kit) =>
    Effect.gen(function* () {
      for (let step = 0; step < 80; step++) {
        const held = yield* kit.session.held([write("a")])
        const waiter = yield* kit.session.queued([write("a/b")])
        const release = yield* Effect.fork(kit.store.release(held.id, held.id))
        // First the one is ahead of the other, later the other way round.
        yield* yields(step >> 1)
        const interrupt = yield* Effect.fork(Fiber.interrupt(waiter.fiber))
        if (step % 2 === 0) yield* Effect.yieldNow()
        assert.isTrue(yield* due(Fiber.join(release), "the release"))
        yield* giveBack(kit, waiter.id, yield* due(Fiber.join(interrupt), "the interruption"))
      }
    }))

  test("a request that must not wait and is interrupted leaves nothing, or a lease that a release ends", (kit) =>
    Effect.gen(function* () {
      for (let step = 0; step < 40; step++) {
        const request = kit.session.request([write("a")])
        const fiber = yield* Effect.fork(kit.store.tryAcquire(request))
        yield* yields(step)
        yield* due(Fiber.interrupt(fiber), "the interruption")
        yield* kit.store.release(request.id, request.id)
        yield* left(kit, 0, `the end of ${request.id}`)
      }
    }))

  test("a release that is interrupted has released, or can be repeated", (kit) =>
    Effect.gen(function* () {
      for (let step = 0; step < 20; step++) {
        const held = yield* kit.session.held([write("a")])
        const next = yield* kit.session.queued([write("a")])
        const fiber = yield* Effect.fork(kit.store.release(held.id, held.id))
        yield* yields(step)
        yield* due(Fiber.interrupt(fiber), "the interruption")
        yield* kit.store.release(held.id, held.id)
        yield* kit.session.granted(next)
        assert.isTrue(yield* kit.store.release(next.id, next.id))
      }
    }))
}
