/**
 * All that leans on how Effect works inside: what its types do not show, or its documentation does not promise. Each with
 * what it is for, and what would do the same by public means. `effectInternals.test.ts` tells when a release of Effect
 * changes any of it.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import * as FiberRef from "effect/FiberRef"

export type AnyFiber = Fiber.RuntimeFiber<unknown, unknown>

/**
 * The children of a fiber, as the set that the runtime itself keeps and interrupts. For taking those out that are to be spared
 * when the fiber is stopped. `Fiber.children` gives a copy: by public means nothing keeps a fiber's interruption from them.
 */
export const childrenOf = (fiber: AnyFiber): Set<AnyFiber> | undefined =>
  "getChildren" in fiber && typeof fiber.getChildren === "function" ? fiber.getChildren() : undefined

/**
 * Sets a `FiberRef` of the fiber that runs this, in the midst of a step. `FiberRef.set` is an effect that does the same; one more
 * for each lock, which takes half a microsecond, where all of `withWrite` takes about two.
 */
export const setFiberRef = <A>(fiber: AnyFiber, ref: FiberRef.FiberRef<A>, value: A): void => {
  const inside = fiber as unknown as { readonly setFiberRef: (ref: FiberRef.FiberRef<A>, value: A) => void }
  inside.setFiberRef(ref, value)
}

/**
 * An id that no fiber has, to interrupt by: so this interruption can be told from others. Ids rise, so the fibers that are
 * forked later have greater ones. (`FiberId.unsafeMake` is public, and the order of the ids is not.)
 */
export const makeMarker = (): FiberId.Runtime => FiberId.unsafeMake()

/** A cause without the interruptions by a marker. */
export const withoutMarker = <E>(cause: Cause.Cause<E>, marker: FiberId.FiberId): Cause.Cause<E> =>
  Cause.filter(cause, (part) => !(part._tag === "Interrupt" && part.fiberId === marker))

/**
 * The fiber that runs this goes on as if it had not been interrupted by the marker. It answers with what else it was
 * interrupted by. The runtime looks into `FiberRef.interruptedCause` whether a fiber is to end. By public means the work would
 * have to run in a fiber of its own (`Effect.raceFirst`), with twice the cost of the lock, and out of reach of
 * `Fiber.getCurrentFiber` and of what is forked in the caller's fiber.
 */
export const forgetInterruption = (marker: FiberId.FiberId): Effect.Effect<Cause.Cause<never>> =>
  FiberRef.modify(FiberRef.interruptedCause, (cause) => {
    const left = withoutMarker(cause, marker)
    return [left, left]
  })

/**
 * Waits forever. With the parameter: without it Effect makes an `AbortController` and the frames to abort it, and a lease that is
 * held takes 5 kB instead of 2.7. `Effect.never` has a timer for each fiber.
 */
export const forever: Effect.Effect<never> = Effect.async<never>((_resume) => {})
