/**
 * Stops what a fiber does at the moment, and lets it go on afterwards.
 *
 * It is interrupted by a marker, an id that no fiber has; whoever caught the interruption takes the marker out of what
 * the fiber remembers of its interruptions. An interruption also goes to the children of a fiber. Those that it forked
 * before the work began have no part in it: they are spared.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import * as FiberRef from "effect/FiberRef"

type AnyFiber = Fiber.RuntimeFiber<unknown, unknown>

// The runtime has it, though its type does not show it.
const childrenOf = (fiber: AnyFiber): Set<AnyFiber> | undefined =>
  "getChildren" in fiber && typeof fiber.getChildren === "function" ? fiber.getChildren() : undefined

export class Stop {
  private readonly fiber: AnyFiber
  /** Ids rise: the children of the work have greater ones. */
  private readonly marker = FiberId.unsafeMake()
  private spared: ReadonlyArray<AnyFiber> = []

  /** To be made where the work begins, by the fiber that does it. */
  constructor(fiber: AnyFiber) {
    this.fiber = fiber
  }

  interrupt(): void {
    const children = childrenOf(this.fiber)
    if (children !== undefined) {
      this.spared = Array.from(children).filter((child) => child.id().id < this.marker.id)
      for (const child of this.spared) children.delete(child)
    }
    this.fiber.unsafeInterruptAsFork(this.marker)
  }

  /** A cause without the marker. */
  private others<E>(cause: Cause.Cause<E>): Cause.Cause<E> {
    return Cause.filter(cause, (part) => !(part._tag === "Interrupt" && part.fiberId === this.marker))
  }

  /**
   * Lets the fiber go on. It answers with what else the work ended with (`cause`): empty when it was the stop alone.
   * An interruption that came from elsewhere stays one.
   */
  recover<E>(cause: Cause.Cause<E>): Effect.Effect<Cause.Cause<E>> {
    return Effect.flatMap(FiberRef.get(FiberRef.interruptedCause), (all) => {
      const children = childrenOf(this.fiber)
      for (const child of this.spared) if (child.unsafePoll() === null) children?.add(child)
      const left = this.others(all)
      const rest = this.others(cause)
      return Effect.as(
        FiberRef.set(FiberRef.interruptedCause, left),
        Cause.isEmpty(left) && Cause.isInterruptedOnly(rest) ? Cause.empty : rest
      )
    })
  }
}
