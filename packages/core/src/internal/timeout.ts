/**
 * Limits the time that a fiber waits for its request, by stopping the wait. The fiber itself waits.
 */
import type * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type { LockEntry } from "../LockEntry.ts"
import type { AnyFiber, Context } from "./context.ts"
import { blockerOf } from "./others.ts"
import { Stop } from "./stop.ts"
import { Timer } from "./timers.ts"

export class Timeout extends Timer {
  private readonly context: Context
  private readonly id: string
  private readonly stop: Stop
  private looking: AnyFiber | undefined = undefined
  /** Has the time run out before the end of the wait? */
  ranOut = false
  /** Who was in the way then. */
  blocker: LockEntry | undefined = undefined

  /** To be made by the fiber that is about to wait. */
  constructor(context: Context, fiber: AnyFiber, id: string, millis: number) {
    super(context.now() + millis)
    this.context = context
    this.id = id
    this.stop = new Stop(fiber)
    context.timers.start(this)
  }

  run(): void {
    this.looking = this.context.fork(
      Effect.map(blockerOf(this.context, this.id), (blocker) => {
        this.ranOut = true
        this.blocker = blocker
        this.stop.interrupt()
      })
    )
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
    this.looking?.unsafeInterruptAsFork(this.looking.id())
    return this.ranOut ? this.stop.recover(cause) : Effect.succeed(cause)
  }
}
