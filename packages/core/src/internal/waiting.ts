/**
 * Tells a caller that its request has to wait, and for whom.
 */
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type { OnWait } from "../LockOptions.ts"
import type { Blocked } from "../LockStore.ts"
import type { Context } from "./context.ts"
import type { HeldLease } from "./heldLease.ts"
import type { Waiter } from "./others.ts"

/** How soon it is asked again while the request is still on its way, and how often later. */
const soon = Duration.millis(20)
const later = Duration.seconds(1)

class Look implements Waiter {
  readonly id: string
  readonly tell: (blocked: Blocked) => void

  constructor(id: string, tell: (blocked: Blocked) => void) {
    this.id = id
    this.tell = tell
  }
}

/** Goes on forever: what the caller says is called when the request is seen to wait, and when what is seen has changed. */
const tellFrom = (
  context: Context,
  lease: HeldLease,
  onWait: OnWait,
  seen: string,
  pause: Duration.Duration
): Effect.Effect<never> =>
  Effect.gen(function* () {
    const answer = yield* Deferred.make<Blocked>()
    context.blockers.find(new Look(lease.id, (blocked) => Deferred.unsafeDone(answer, Effect.succeed(blocked))))
    const blocked = yield* Effect.timeoutOption(Deferred.await(answer), pause)
    if (blocked._tag === "None") return yield* tellFrom(context, lease, onWait, seen, pause)
    const { ahead, blocker } = blocked.value
    const now = `${blocker.id} ${blocker.state} ${ahead}`
    if (now !== seen) yield* onWait({ id: lease.id, targets: lease.targets, blocker, ahead })
    yield* Effect.sleep(later)
    return yield* tellFrom(context, lease, onWait, now, later)
  })

/** Waits, and tells meanwhile. It is not told once the wait is over. */
export const telling = <A, E>(
  context: Context,
  lease: HeldLease,
  onWait: OnWait,
  wait: Effect.Effect<A, E>
): Effect.Effect<A, E> =>
  Effect.flatMap(
    tellFrom(context, lease, onWait, "", soon).pipe(
      Effect.catchAllCause((cause) => Effect.logError("The option `onWait` of a lock request failed", cause)),
      Effect.interruptible,
      Effect.forkDaemon
    ),
    (teller) => Effect.ensuring(wait, Fiber.interruptFork(teller))
  )
