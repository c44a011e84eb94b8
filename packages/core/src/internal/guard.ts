/**
 * Stops what runs in a scope for the loss of any lease that was acquired in it.
 *
 * A lease is acquired in the scope when that is the scope that closes it; and when the fiber that acquired it has ended, or is
 * the one that runs the scope, since then nobody else could be stopped (locks in layers, which have scopes of their own).
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberRef from "effect/FiberRef"
import { globalValue } from "effect/GlobalValue"
import * as Scope from "effect/Scope"
import { LockLost } from "../LockError.ts"
import type { AnyFiber } from "./effectInternals.ts"
import { Stop } from "./stop.ts"

export class Guard extends Stop {
  readonly scope: Scope.Scope
  /** The work goes on, or has ended and the scope is closing, or that is over as well. */
  state: "working" | "closing" | "over" = "working"
  lost: LockLost | undefined = undefined

  constructor(fiber: AnyFiber, scope: Scope.Scope) {
    super(fiber)
    this.scope = scope
  }

  isRunBy(fiber: AnyFiber): boolean {
    return this.fiber === fiber
  }

  lose(lost: LockLost): void {
    if (this.lost !== undefined) return
    this.lost = lost
    if (this.state === "working") this.interrupt()
  }
}

const guard: FiberRef.FiberRef<Guard | undefined> = globalValue("@hilok/core/guard", () =>
  // A fiber that is joined does not change what its parent runs in.
  FiberRef.unsafeMake<Guard | undefined>(undefined, { join: (parent) => parent })
)

/** What the fiber runs in, as long as that goes on. */
export const current = (fiber: AnyFiber): Guard | undefined => {
  const found = fiber.getFiberRef(guard)
  return found?.state === "over" ? undefined : found
}

const causeOf = <A, E>(exit: Exit.Exit<A, E>): Cause.Cause<E> => (Exit.isFailure(exit) ? exit.cause : Cause.empty)

const isLoss = <E>(part: Cause.Cause<E>): boolean => part._tag === "Die" && part.defect instanceof LockLost

/** `Effect.scoped`, with the loss of a lease that was acquired in the scope as an error. */
export const scoped = <A, E, R>(
  effect: Effect.Effect<A, E, R>
): Effect.Effect<A, E | LockLost, Exclude<R, Scope.Scope>> =>
  Effect.withFiberRuntime((fiber) =>
    Effect.uninterruptibleMask((restore) =>
      Effect.flatMap(Scope.make(), (scope) => {
        const mine = new Guard(fiber, scope)
        const body = Effect.locally(Effect.provideService(effect, Scope.Scope, scope), guard, mine)
        return Effect.flatMap(Effect.exit(restore(body)), (exit) => {
          mine.state = "closing"
          return Effect.flatMap(Effect.exit(Scope.close(scope, exit)), (closed) => {
            mine.state = "over"
            const cause = Cause.sequential(causeOf(exit), causeOf(closed))
            // Those that the guard did not see show as defects: of a scope's end, or of a fiber that was joined.
            const lost =
              mine.lost ??
              Array.from(Cause.defects(cause)).find((defect): defect is LockLost => defect instanceof LockLost)
            if (lost === undefined) return Exit.isFailure(closed) ? Effect.failCause(cause) : exit
            return Effect.flatMap(mine.recover(Cause.filter(cause, (part) => !isLoss(part))), (rest) =>
              Effect.failCause<E | LockLost>(
                Cause.isEmpty(rest) ? Cause.fail(lost) : Cause.sequential(Cause.fail(lost), rest)
              )
            )
          })
        })
      })
    )
  )
