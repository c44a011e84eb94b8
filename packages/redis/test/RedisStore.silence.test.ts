/**
 * A server that is silent, because its process is stopped: whoever is interrupted goes on at once, and what has to be taken
 * back is taken back when the server goes on.
 */
import { assert, describe } from "@effect/vitest"
import { type LockError, LockPath, type LockStore, Target } from "@hilok/core"
import { Cause, Duration, Effect, Exit, Fiber, Option } from "effect"
import { leavesNothing, until, withOwnServer } from "./support/fixture.ts"

const { read, write } = Target

type Store = LockStore.LockStore["Type"]

const minute = Duration.minutes(1)
/** How long an interruption may take: far longer than it does, and far shorter than any time limit of the store. */
const atOnce = 2000

const signal = (pid: number, name: "SIGSTOP" | "SIGCONT") => Effect.sync(() => process.kill(pid, name))

/** Runs an effect while the server's process is stopped. */
const stopped = <A, E, R>(pid: number, during: Effect.Effect<A, E, R>) =>
  Effect.acquireUseRelease(
    signal(pid, "SIGSTOP"),
    () => during,
    () => signal(pid, "SIGCONT")
  )

const count = (store: Store, wanted: number, what: string) =>
  until(
    Effect.map(store.inspect(LockPath.root), ({ length }) => length === wanted),
    what
  )

/** Interrupts, and answers with how long that takes. */
const interrupted = <A, E>(fibers: ReadonlyArray<Fiber.RuntimeFiber<A, E>>) =>
  Effect.gen(function* () {
    const [took, exits] = yield* Effect.timed(
      Effect.zipRight(Fiber.interruptAll(fibers), Effect.forEach(fibers, Fiber.await))
    )
    for (const exit of exits) assert.isTrue(Exit.isFailure(exit) && Cause.isInterrupted(exit.cause))
    return Duration.toMillis(took)
  })

const failsLate = (effect: Effect.Effect<unknown, LockError.StoreError>) =>
  Effect.map(Effect.flip(effect), (error) => assert.match(error.message, /did not answer within/))

describe("RedisStore, when its server is silent", () => {
  withOwnServer("", undefined, (it) => {
    it.effect(
      "an acquire that is interrupted answers at once, wherever the request is, and leaves nothing behind",
      () =>
        leavesNothing(({ client, server }) =>
          Effect.gen(function* () {
            const { session, store } = yield* client({ commandTimeout: "20 seconds" })
            const held = yield* session.held([write("a")])
            const waiting = yield* session.queued([write("a")])
            const behind = yield* session.queued([write("a")])
            yield* stopped(
              server.pid,
              Effect.gen(function* () {
                const wanted = [
                  store.acquire(session.request([write("b")])),
                  store.acquire(session.request([write("a")]))
                ]
                const fibers = yield* Effect.forEach(wanted, Effect.fork)
                const tried = yield* Effect.fork(store.tryAcquire(session.request([write("c"), read("d")])))
                // They are on their way.
                yield* Effect.sleep("10 millis")
                assert.isBelow(yield* interrupted(fibers), atOnce)
                assert.isBelow(yield* interrupted([tried]), atOnce)
                assert.isBelow(yield* interrupted([waiting.fiber]), atOnce)
              })
            )
            yield* count(store, 2, "the end of what was given up")
            yield* store.release(held.id, held.id)
            yield* session.granted(behind)
            yield* session.cancel(waiting.id)
            yield* session.end
          })
        ),
      30_000
    )

    it.effect(
      "thousands that are interrupted together are told together, and the queue is clean afterwards",
      () =>
        leavesNothing(({ client, server }) =>
          Effect.gen(function* () {
            const { session, store } = yield* client({ commandTimeout: "20 seconds" })
            const held = yield* session.held([write("a")])
            const some = (length: number, path: (i: number) => string) =>
              Effect.forEach(Array.from({ length }), (_, i) =>
                Effect.fork(store.acquire(session.request([write(path(i))])))
              )
            const waiting = yield* some(1000, () => "a")
            yield* count(store, 1001, "the queue")
            const took = yield* stopped(
              server.pid,
              Effect.gen(function* () {
                const asked = yield* some(3000, (i) => (i % 2 === 0 ? "a" : `b/${i}`))
                yield* Effect.sleep("10 millis")
                return yield* interrupted([...waiting, ...asked])
              })
            )
            console.log(`4,000 interrupted while the server is silent: ${Math.round(took)} ms`)
            assert.isBelow(took, 2 * atOnce)
            yield* count(store, 1, "the end of what was given up")
            assert.isTrue(yield* store.release(held.id, held.id))
            yield* session.end
          })
        ),
      60_000
    )

    it.effect(
      "thousands that are interrupted or time out leave nothing, however long the server is silent",
      () =>
        leavesNothing(({ client, server }) =>
          Effect.gen(function* () {
            const { session, store } = yield* client({ commandTimeout: "2 seconds" })
            const patient = yield* client({ commandTimeout: "20 seconds" })
            const held = yield* session.held([write("a")])
            const some = (length: number, path: (i: number) => string) =>
              Effect.forEach(Array.from({ length }), (_, i) =>
                Effect.fork(store.acquire(session.request([write(path(i))])))
              )
            const waiting = yield* some(1000, () => "a")
            yield* count(patient.store, 1001, "the queue")
            const failed = yield* stopped(
              server.pid,
              Effect.gen(function* () {
                const asked = yield* some(2000, (i) => (i % 2 === 0 ? "a" : `b/${i}`))
                yield* Effect.sleep("10 millis")
                assert.isBelow(yield* interrupted(waiting), 2 * atOnce)
                // Longer than a command may take, so that the connection is made anew.
                yield* Effect.sleep("3 seconds")
                return yield* Effect.forEach(asked, Fiber.await)
              })
            )
            assert.isTrue(failed.every(Exit.isFailure))
            yield* count(patient.store, 1, "the end of what was given up")
            assert.isTrue(yield* patient.store.release(held.id, held.id))
            yield* session.end
          })
        ),
      60_000
    )

    it.effect(
      "everything else that is interrupted answers at once, too",
      () =>
        leavesNothing(({ client, server }) =>
          Effect.gen(function* () {
            const { session, store } = yield* client({ commandTimeout: "20 seconds" })
            const held = yield* session.held([write("a")])
            const all: ReadonlyArray<Effect.Effect<unknown, LockError.StoreError>> = [
              store.refresh(held.id, minute, held.id),
              store.restore(held.id, minute, "second"),
              store.giveBack(held.id, "second"),
              store.release("nobody", "nobody"),
              store.downgrade("nobody"),
              store.breakLease("nobody"),
              store.inspect(LockPath.root),
              store.lookup(held.id),
              store.blockers([held.id])
            ]
            yield* stopped(
              server.pid,
              Effect.gen(function* () {
                const fibers = yield* Effect.forEach(all, Effect.fork)
                yield* Effect.sleep("10 millis")
                assert.isBelow(yield* interrupted(fibers), atOnce)
              })
            )
            // The restore was done, and given back after it.
            assert.deepStrictEqual(yield* session.revocation, { id: held.id, owner: held.id, reason: "taken" })
            yield* until(store.downgrade(held.id, held.id), "the return")
            assert.isTrue(yield* store.release(held.id, held.id))
            yield* session.end
          })
        ),
      30_000
    )

    it.effect(
      "a restore, refresh, downgrade or break that comes too late does nothing, a return or a release is done",
      () =>
        leavesNothing(({ client, server }) =>
          Effect.gen(function* () {
            const { session, store } = yield* client({ commandTimeout: "300 millis" })
            const held = yield* session.held([write("a")])
            const restored = yield* session.held([write("b")])
            yield* store.restore(restored.id, Duration.minutes(5), "second")
            yield* session.revocation
            const [taken, returned] = yield* stopped(
              server.pid,
              Effect.gen(function* () {
                const late = [
                  store.downgrade(held.id, held.id),
                  store.downgrade(held.id),
                  store.breakLease(held.id),
                  store.refresh(held.id, Duration.minutes(5), held.id)
                ]
                // A restore that nobody waits for any longer, and its return.
                const restore = yield* Effect.fork(store.restore(held.id, Duration.minutes(5), "third"))
                yield* Effect.yieldNow()
                yield* Fiber.interrupt(restore)
                const taken = yield* Effect.fork(Effect.exit(store.giveBack(held.id, "third")))
                const returned = yield* Effect.fork(Effect.exit(store.giveBack(restored.id, "second")))
                yield* Effect.forEach(late, failsLate, { concurrency: "unbounded", discard: true })
                yield* Fiber.join(returned)
                return [taken, returned] as const
              })
            )
            yield* Fiber.join(taken)
            yield* Fiber.join(returned)
            yield* until(store.downgrade(restored.id, restored.id), "what was given back late")
            const { targets, timeLeft } = Option.getOrThrow(yield* store.lookup(held.id))
            assert.strictEqual(targets[0]?.mode, "write")
            assert.isAtMost(timeLeft ?? 0, 60_000)
            assert.strictEqual(yield* session.pendingRevocations, 0)
            assert.isTrue(yield* store.release(held.id, held.id))
            assert.isTrue(yield* store.release(restored.id, restored.id))
            yield* session.end
          })
        ),
      30_000
    )
  })
})
