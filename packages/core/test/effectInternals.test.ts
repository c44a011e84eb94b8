/** What the library takes for granted of how Effect works inside. Where one of these fails, see `internal/effectInternals.ts`. */
import { assert, describe, it } from "@effect/vitest"
import { Cause, Deferred, Effect, Exit, Fiber, FiberRef, Option } from "effect"
import {
  type AnyFiber,
  childrenOf,
  forever,
  forgetInterruption,
  makeMarker,
  setFiberRef,
  withoutMarker
} from "../src/internal/effectInternals.ts"

const own = Effect.withFiberRuntime<AnyFiber>((fiber) => Effect.succeed(fiber as AnyFiber))

describe("Effect, inside", () => {
  it.effect("shows the set of a fiber's children, by which it interrupts them", () =>
    Effect.gen(function* () {
      const spared = yield* Deferred.make<AnyFiber>()
      const ended = yield* Deferred.make<AnyFiber>()
      const parent = yield* Effect.fork(
        Effect.gen(function* () {
          yield* Deferred.succeed(spared, yield* Effect.fork(forever))
          yield* Deferred.succeed(ended, yield* Effect.fork(forever))
          return yield* forever
        })
      )
      const [first, second] = [yield* Deferred.await(spared), yield* Deferred.await(ended)]
      const children = childrenOf(parent as AnyFiber)
      assert.isDefined(children, "`getChildren` of a fiber is gone: `childrenOf` has to find them in another way")
      assert.isTrue(
        children?.has(first) && children.has(second),
        "`getChildren` is not the set of all children any more"
      )
      children?.delete(first)
      yield* Fiber.interrupt(parent)
      assert.isNull(first.unsafePoll(), "a child was interrupted though it was taken out of `getChildren`")
      assert.isNotNull(second.unsafePoll(), "a child was not interrupted with its parent")
      yield* Fiber.interrupt(first)
    })
  )

  it.effect("lets a fiber set its own FiberRef in the midst of a step", () =>
    Effect.gen(function* () {
      const ref = FiberRef.unsafeMake("before")
      const fiber = yield* own
      setFiberRef(fiber, ref, "after")
      assert.strictEqual(yield* FiberRef.get(ref), "after", "`setFiberRef` of a fiber does not set it any more")
      const child = yield* Effect.fork(FiberRef.get(ref))
      assert.strictEqual(yield* Fiber.join(child), "after", "what `setFiberRef` set is not handed on to a child")
    })
  )

  it.effect("gives ids that rise", () =>
    Effect.gen(function* () {
      const before = yield* Effect.fork(Effect.void)
      const marker = makeMarker()
      const after = yield* Effect.fork(Effect.void)
      assert.isBelow(before.id().id, marker.id, "the id of a fiber is above one that was made after it")
      assert.isAbove(after.id().id, marker.id, "the id of a fiber is below one that was made before it")
    })
  )

  it.effect("lets a fiber go on that has caught its interruption, once the cause of that is taken out", () =>
    Effect.gen(function* () {
      const marker = makeMarker()
      const other = makeMarker()
      const lives = (also: boolean) =>
        Effect.gen(function* () {
          const started = yield* Deferred.make<void>()
          const fiber = yield* Effect.fork(
            Effect.uninterruptibleMask((restore) =>
              Effect.gen(function* () {
                const exit = yield* Effect.exit(restore(Effect.zipRight(Deferred.succeed(started, undefined), forever)))
                const left = yield* forgetInterruption(marker)
                const rest = Exit.isFailure(exit) ? withoutMarker(exit.cause, marker) : Cause.empty
                return { isLeft: !Cause.isEmpty(left), isRest: !Cause.isEmpty(rest) }
              })
            ).pipe(Effect.zipLeft(Effect.yieldNow()))
          )
          yield* Deferred.await(started)
          fiber.unsafeInterruptAsFork(marker)
          if (also) fiber.unsafeInterruptAsFork(other)
          return yield* Fiber.await(fiber)
        })
      assert.deepStrictEqual(
        yield* lives(false),
        Exit.succeed({ isLeft: false, isRest: false }),
        "a fiber does not forget an interruption that is taken out of `FiberRef.interruptedCause`"
      )
      assert.isTrue(Exit.isInterrupted(yield* lives(true)), "a fiber forgets an interruption from elsewhere")
    })
  )

  it.effect("runs the join of a FiberRef in the fiber that joins", () =>
    Effect.gen(function* () {
      const joiners: Array<AnyFiber | undefined> = []
      const ref = FiberRef.unsafeMake(0, {
        join: (_, joined) => {
          joiners.push(Option.getOrUndefined(Fiber.getCurrentFiber()))
          return joined
        }
      })
      const child = yield* Effect.fork(FiberRef.set(ref, 1))
      yield* Fiber.await(child)
      assert.deepStrictEqual(joiners, [])
      yield* Fiber.join(child)
      assert.strictEqual(joiners.at(-1), yield* own, "`join` of a FiberRef runs elsewhere than in the fiber that joins")
    })
  )

  it.effect("makes no AbortController for an effect that waits forever", () =>
    Effect.gen(function* () {
      const made: Array<unknown> = []
      const { AbortController: real } = globalThis
      globalThis.AbortController = class extends real {
        constructor() {
          super()
          made.push(this)
        }
      }
      const fiber = yield* Effect.ensuring(
        Effect.zipLeft(Effect.fork(forever), Effect.yieldNow()),
        Effect.sync(() => {
          globalThis.AbortController = real
        })
      )
      assert.isNull(fiber.unsafePoll())
      yield* Fiber.interrupt(fiber)
      assert.strictEqual(made.length, 0, "an `Effect.async` whose function takes `resume` alone has an AbortController")
    })
  )
})
