import { assert, describe, it } from "@effect/vitest"
import { Effect, type Fiber, Runtime, TestClock } from "effect"
import { unsafeNow } from "../src/internal/monotonic.ts"
import { Timer, Timers } from "../src/internal/timers.ts"

class Alarm extends Timer {
  rang = 0

  run(): void {
    this.rang++
  }
}

describe("Timers", () => {
  it.effect("when they are closed no fiber is left of those that were stopped", () =>
    Effect.gen(function* () {
      const clock = yield* Effect.clock
      const runtime = yield* Effect.runtime<never>()
      const fibers: Array<Fiber.RuntimeFiber<unknown, unknown>> = []
      const timers = new Timers(clock, (effect) => {
        const fiber = Runtime.runFork(runtime)(effect)
        fibers.push(fiber)
        return fiber
      })
      const start = (millis: number) => {
        const alarm = new Alarm(unsafeNow(clock) + millis)
        timers.start(alarm)
        return alarm
      }
      const later = start(60_000)
      // Due already: it runs at once.
      assert.strictEqual(start(0).rang, 1)
      const soon = start(1_000)
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual([soon.rang, later.rang], [1, 0])
      timers.stop(later)
      timers.close()
      yield* Effect.yieldNow()
      assert.strictEqual(fibers.filter((fiber) => fiber.unsafePoll() === null).length, 0)
    })
  )
})
