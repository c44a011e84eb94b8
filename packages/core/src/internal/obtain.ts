/**
 * Gets the lock, or fails and leaves nothing behind.
 *
 * All of it is uninterruptible but for the store's own wait. Whatever comes out of that wait other than a grant or a
 * refusal is followed by a release, which is idempotent by id, so that a grant whose reply was lost is given back, too.
 */
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import type { LockEntry } from "../LockEntry.ts"
import { Deadlock, LockTimeout, type StoreError, WouldBlock } from "../LockError.ts"
import type { Grant, LockRequest } from "../LockStore.ts"
import type { Context, Restore } from "./context.ts"
import * as metrics from "./metrics.ts"
import { obstacleOf, type Pending, toRequest } from "./request.ts"

export type AcquireFailure = WouldBlock | LockTimeout | Deadlock | StoreError

/** How long a failed acquire waits for its request to be taken back. It is taken back all the same, in the background. */
const takeBackPatience = Duration.seconds(1)

/** How long a request that timed out asks who was in its way. */
const blockerPatience = Duration.millis(100)

/**
 * Gets the lock and goes on with `next`. To be run uninterruptibly: what is restored in it is the wait alone.
 */
export const obtain = <A, E, R>(
  context: Context,
  restore: Restore,
  pending: Pending,
  next: () => Effect.Effect<A, E, R>
): Effect.Effect<A, E | AcquireFailure, R> => {
  if (!pending.traces) return settle(context, restore, pending, next)
  const { lease } = pending
  const started = context.now()
  const annotated = settle(context, restore, pending, () =>
    Effect.annotateCurrentSpan({ "hilok.token": lease.token, "hilok.wait_ms": context.now() - started })
  )
  const traced = Effect.withSpan(annotated, "hilok.acquire", { attributes: context.attributes(lease) })
  return Effect.flatMap(traced, next)
}

const settle = <A, E, R>(
  context: Context,
  restore: Restore,
  pending: Pending,
  next: () => Effect.Effect<A, E, R>
): Effect.Effect<A, E | AcquireFailure, R> => {
  const { lease } = pending
  const started = context.now()
  metrics.requested()
  return Effect.matchCauseEffect(restore(attempt(context, pending)), {
    onSuccess: (grant) => {
      metrics.answered()
      lease.begin(grant)
      metrics.granted(lease.grantedAt - started)
      context.held.set(lease.id, lease)
      return next()
    },
    onFailure: (cause): Effect.Effect<never, AcquireFailure> => {
      metrics.answered()
      const failure = Option.getOrUndefined(Cause.failureOption(cause))
      if (failure !== undefined) metrics.countFailure(failure)
      // Those that did not queue have left nothing behind.
      if (failure?._tag === "WouldBlock" || (failure?._tag === "LockTimeout" && failure.timeout === 0)) {
        return Effect.failCause(cause)
      }
      if (failure?._tag === "Deadlock") {
        // The store knows the targets in its own encoding.
        const { cycle, enclosing } = failure
        return Effect.fail(new Deadlock({ targets: lease.targets, cycle, enclosing }))
      }
      return Effect.zipRight(takeBack(context, lease.id), Effect.failCause(cause))
    }
  })
}

/** Asks for the lock, within the enclosing leases unless one of them is in the way (DESIGN 1.5). */
const attempt = (context: Context, pending: Pending): Effect.Effect<Grant, AcquireFailure> => {
  const { lease, settings } = pending
  const obstacle = obstacleOf(pending)
  if (obstacle === undefined) return take(context, pending, toRequest(context, pending, true))
  if (settings.timeout !== Number.POSITIVE_INFINITY) return take(context, pending, toRequest(context, pending, false))
  return Effect.flatMap(context.store.lookup(obstacle.id), (entry): Effect.Effect<Grant, AcquireFailure> => {
    if (Option.isNone(entry)) {
      // It has ended meanwhile, so it is not in the way.
      obstacle.lose("expired")
      return attempt(context, pending)
    }
    const own = context.localize(entry.value)
    return Effect.fail(
      settings.block
        ? new Deadlock({ targets: lease.targets, cycle: [own.id], enclosing: own })
        : new WouldBlock({ targets: lease.targets, blocker: own })
    )
  })
}

const take = (
  context: Context,
  { lease, settings }: Pending,
  request: LockRequest
): Effect.Effect<Grant, AcquireFailure> => {
  if (!settings.block || settings.timeout === 0) {
    return Effect.flatMap(context.store.tryAcquire(request), (answer): Effect.Effect<Grant, AcquireFailure> => {
      if (Either.isRight(answer)) return Effect.succeed(answer.right)
      const blocker = context.localize(answer.left)
      return Effect.fail(
        settings.block
          ? new LockTimeout({ targets: lease.targets, timeout: 0, blocker })
          : new WouldBlock({ targets: lease.targets, blocker })
      )
    })
  }
  const granted = context.store.acquire(request)
  if (settings.timeout === Number.POSITIVE_INFINITY) return granted
  const giveUp = Effect.zipRight(
    context.clock.sleep(Duration.millis(settings.timeout)),
    Effect.flatMap(blockerOf(context, request.id), (blocker) =>
      Effect.fail(new LockTimeout({ targets: lease.targets, timeout: settings.timeout, blocker }))
    )
  )
  return Effect.raceFirst(granted, giveUp)
}

/** Who is in the way of a waiting request, if the store says so soon. */
const blockerOf = (context: Context, id: string): Effect.Effect<LockEntry | undefined> =>
  context.store.lookup(id).pipe(
    Effect.flatMap((entry) => {
      const blocker = Option.flatMapNullable(entry, ({ blockedBy }) => blockedBy)
      return Option.isNone(blocker) ? Effect.succeedNone : context.store.lookup(blocker.value)
    }),
    Effect.map((entry) => Option.getOrUndefined(Option.map(entry, (blocker) => context.localize(blocker)))),
    Effect.disconnect,
    Effect.timeoutTo({ duration: blockerPatience, onTimeout: () => undefined, onSuccess: (blocker) => blocker }),
    Effect.catchAllCause(() => Effect.succeed(undefined))
  )

/** Gives back what a failed acquire may have got. */
const takeBack = (context: Context, id: string): Effect.Effect<void> =>
  Effect.flatMap(context.background(context.store.release(id)), (fiber) =>
    Fiber.await(fiber).pipe(Effect.interruptible, Effect.timeoutOption(takeBackPatience), Effect.asVoid)
  )
