/**
 * Limits the time that a fiber waits for its request, by stopping the wait. The fiber itself waits.
 */
import type * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type { LockEntry } from "../LockEntry.ts"
import type { Blocked } from "../LockStore.ts"
import type { Context } from "./context.ts"
import type { AnyFiber } from "./effectInternals.ts"
import type { Waiter } from "./others.ts"
import { Stop } from "./stop.ts"
import { Timer } from "./timers.ts"

/** How long before its end, at most, it is asked who is in the way (milliseconds). */
const lookAhead = 100

export class Timeout extends Timer implements Waiter {
  readonly id: string
  /** A request may wait on when the service has closed. */
  override readonly outlives = true
  private readonly context: Context
  private readonly stop: Stop
  private readonly endAt: number
  /** Has the time run out before the end of the wait? */
  ranOut = false
  /** Who was in the way shortly before, if the store has told by now. */
  blocker: LockEntry | undefined = undefined

  tell({ blocker }: Blocked): void {
    this.blocker = blocker
  }

  /** To be made by the fiber that is about to wait. */
  constructor(context: Context, fiber: AnyFiber, id: string, millis: number) {
    const now = context.now()
    super(now + millis - Math.min(lookAhead, millis / 2))
    this.context = context
    this.endAt = now + millis
    this.id = id
    this.stop = new Stop(fiber)
    context.timers.start(this)
  }

  run(): void {
    if (this.deadline < this.endAt) {
      this.deadline = this.endAt
      this.context.blockers.find(this)
      return this.context.timers.start(this)
    }
    this.ranOut = true
    this.stop.interrupt()
  }

  /**
   * Makes the wait one that can be stopped. Where the caller cannot be interrupted (in `Effect.acquireRelease`, say), a
   * fiber of its own waits.
   */
  around<A, E>(wait: Effect.Effect<A, E>): Effect.Effect<A, E> {
    return Effect.checkInterruptible((isInterruptible) => {
      if (isInterruptible) return wait
      return Effect.flatMap(Effect.forkDaemon(Effect.interruptible(wait)), (fiber) => {
        this.stop.aim(fiber)
        return Fiber.join(fiber)
      })
    })
  }

  /** The wait has ended, with `cause` unless it succeeded. Answers with what is left of that but for the time. */
  end<E>(cause: Cause.Cause<E>): Effect.Effect<Cause.Cause<E>> {
    this.context.timers.stop(this)
    return this.ranOut ? this.stop.recover(cause) : Effect.succeed(cause)
  }
}
