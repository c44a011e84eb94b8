/**
 * Timers that are mostly stopped before their time: the first refreshes of leases, and the timeouts of requests. One
 * fiber sleeps for all of them, until the earliest of those that were started; so a timer that is stopped in time costs
 * no fiber and no timer of the runtime.
 */
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import { DeadlineHeap } from "./deadlineHeap.ts"
import { unsafeNow } from "./monotonic.ts"

/** What is to be done at a time of the monotonic clock. */
export abstract class Timer {
  heapIndex = -1
  deadline: number
  /** Does it run on when all else ends with the service? */
  readonly outlives: boolean = false
  /** Sleeps for this one alone. */
  sleeper: Fiber.RuntimeFiber<void> | undefined = undefined

  constructor(deadline: number) {
    this.deadline = deadline
  }

  abstract run(): void
}

export class Timers {
  private readonly clock: Clock.Clock
  private readonly fork: (effect: Effect.Effect<void>) => Fiber.RuntimeFiber<void>
  private readonly heap = new DeadlineHeap<Timer>()
  private sleeper: Fiber.RuntimeFiber<void> | undefined = undefined
  private wakeAt = Number.POSITIVE_INFINITY
  private isClosed = false

  constructor(clock: Clock.Clock, fork: (effect: Effect.Effect<void>) => Fiber.RuntimeFiber<void>) {
    this.clock = clock
    this.fork = fork
  }

  /** Runs it at its time, unless it is stopped before. */
  start(timer: Timer): void {
    if (this.isClosed) return timer.outlives ? this.startAlone(timer) : undefined
    this.heap.set(timer)
    if (timer.deadline < this.wakeAt) this.sleepUntil(timer.deadline)
  }

  stop(timer: Timer): void {
    this.heap.delete(timer)
    timer.sleeper?.unsafeInterruptAsFork(timer.sleeper.id())
  }

  /** Ends the one fiber, and all timers with it, but for those that outlive it: these get a fiber of their own each. */
  close(): void {
    this.isClosed = true
    this.sleeper?.unsafeInterruptAsFork(this.sleeper.id())
    for (let timer = this.heap.peek(); timer !== undefined; timer = this.heap.peek()) {
      this.heap.delete(timer)
      if (timer.outlives) this.startAlone(timer)
    }
  }

  private startAlone(timer: Timer): void {
    timer.sleeper = this.fork(
      this.sleep(timer.deadline, () => {
        timer.sleeper = undefined
        timer.run()
      })
    )
  }

  private sleepUntil(time: number): void {
    this.sleeper?.unsafeInterruptAsFork(this.sleeper.id())
    this.wakeAt = time
    const sleeper = this.fork(this.sleep(time, () => this.wake()))
    // When the time has come it is over already, and has left another one behind, or none.
    if (sleeper.unsafePoll() === null) this.sleeper = sleeper
  }

  private sleep(until: number, then: () => void): Effect.Effect<void> {
    return Effect.suspend(() => {
      const left = until - unsafeNow(this.clock)
      if (left <= 0) return Effect.sync(then)
      return Effect.flatMap(this.clock.sleep(Duration.millis(Math.ceil(left))), () => this.sleep(until, then))
    })
  }

  private wake(): void {
    this.sleeper = undefined
    this.wakeAt = Number.POSITIVE_INFINITY
    const now = unsafeNow(this.clock)
    for (let timer = this.heap.peek(); timer !== undefined; timer = this.heap.peek()) {
      if (timer.deadline > now) return this.sleepUntil(timer.deadline)
      this.heap.delete(timer)
      timer.run()
    }
  }
}
