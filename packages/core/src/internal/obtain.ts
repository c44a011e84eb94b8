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
import * as Option from "effect/Option"
import type { LockEntry } from "../LockEntry.ts"
import { Deadlock, LockTimeout, type StoreError, WouldBlock } from "../LockError.ts"
import type { Grant, LockRequest } from "../LockStore.ts"
import type { Context, Restore } from "./context.ts"
import type { HeldLease } from "./heldLease.ts"
import { membersOf } from "./others.ts"
import { obstacleOf, type Pending, toRequest } from "./request.ts"
import { Timeout } from "./timeout.ts"
import { telling } from "./waiting.ts"

export type AcquireFailure = WouldBlock | LockTimeout | Deadlock | StoreError

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
  const traced = Effect.withSpan(annotated, "hilok.acquire", context.spanOptions(lease))
  return Effect.flatMap(traced, next)
}

const settle = <A, E, R>(
  context: Context,
  restore: Restore,
  pending: Pending,
  next: () => Effect.Effect<A, E, R>
): Effect.Effect<A, E | AcquireFailure, R> => {
  const { fiber, lease, settings } = pending
  const started = context.now()
  const timeout =
    settings.block && settings.timeout > 0 && settings.timeout !== Number.POSITIVE_INFINITY
      ? new Timeout(context, fiber, lease.id, settings.timeout)
      : undefined
  context.metrics.requested()
  return Effect.matchCauseEffect(restore(attempt(context, pending, timeout)), {
    onSuccess: (grant) => {
      context.metrics.answered()
      lease.begin(grant)
      // Nobody refreshes it any more.
      if (context.isClosed) lease.lose("closed")
      context.metrics.granted(lease.grantedAt - started)
      context.held.add(lease)
      return timeout === undefined ? next() : Effect.flatMap(timeout.end(Cause.empty), next)
    },
    onFailure: (cause) => {
      context.metrics.answered()
      if (timeout === undefined) return fail(context, lease, cause)
      return Effect.flatMap(timeout.end(cause), (rest) => {
        const { blocker, ranOut } = timeout
        const late = new LockTimeout({ targets: lease.targets, timeout: settings.timeout, blocker })
        return fail(context, lease, ranOut && Cause.isEmpty(rest) ? Cause.fail(late) : rest)
      })
    }
  })
}

const fail = (
  context: Context,
  lease: HeldLease,
  cause: Cause.Cause<AcquireFailure>
): Effect.Effect<never, AcquireFailure> => {
  const failure = Option.getOrUndefined(Cause.failureOption(cause))
  if (failure !== undefined) context.metrics.failed(failure)
  // Those that did not queue have left nothing behind.
  if (failure?._tag === "WouldBlock" || (failure?._tag === "LockTimeout" && failure.timeout === 0)) {
    return Effect.failCause(cause)
  }
  if (failure?._tag === "Deadlock") {
    // The store knows the targets in its own encoding.
    const { cycle, enclosing } = failure
    if (enclosing !== undefined) return Effect.failCause(cause)
    return Effect.flatMap(membersOf(context, cycle), (members) =>
      Effect.fail(new Deadlock({ targets: lease.targets, cycle, members }))
    )
  }
  // What a failed acquire may have got is given back.
  return Effect.zipRight(context.soon(context.store.release(lease.id, lease.owner)), Effect.failCause(cause))
}

/** Asks for the lock, within the enclosing leases unless one of them is in the way: see docs/nesting.md. */
const attempt = (
  context: Context,
  pending: Pending,
  timeout: Timeout | undefined
): Effect.Effect<Grant, AcquireFailure> => {
  const { fiber, lease, settings } = pending
  const obstacle = obstacleOf(pending)
  if (obstacle === undefined) return take(context, pending, toRequest(context, pending, true), timeout)
  if (settings.timeout !== Number.POSITIVE_INFINITY) {
    return take(context, pending, toRequest(context, pending, false), timeout)
  }
  return Effect.flatMap(context.store.lookup(obstacle.id), (entry): Effect.Effect<Grant, AcquireFailure> => {
    if (Option.isNone(entry)) {
      // It has ended meanwhile, so it is not in the way.
      obstacle.lose("expired")
      return attempt(context, pending, timeout)
    }
    const own = context.localize(entry.value)
    return Effect.fail(
      settings.block
        ? new Deadlock({
            targets: lease.targets,
            cycle: [own.id],
            enclosing: own,
            isForked: obstacle.place?.fiber !== fiber
          })
        : new WouldBlock({ targets: lease.targets, blocker: own })
    )
  })
}

/** How long a request that does not wait does wait for other processes to give back what they do not use. */
const recallTimeout = Duration.seconds(1)

/** Asks for the lock at once. What another process only keeps is not in the way: see `DelegatingStore`. */
const tryAcquire = (
  { store }: Context,
  request: LockRequest
): Effect.Effect<Either.Either<Grant, LockEntry>, StoreError> =>
  Effect.flatMap(store.tryAcquire(request), (answer) => {
    const isKept = Either.isLeft(answer) && answer.left.delegated === true && store.delegations !== undefined
    return isKept
      ? store
          .tryAcquire({ ...request, impatient: true })
          .pipe(Effect.interruptible, Effect.timeoutOption(recallTimeout), Effect.map(Option.getOrElse(() => answer)))
      : Effect.succeed(answer)
  })

const take = (
  context: Context,
  { lease, settings }: Pending,
  request: LockRequest,
  timeout: Timeout | undefined
): Effect.Effect<Grant, AcquireFailure> => {
  if (!settings.block || settings.timeout === 0) {
    return Effect.flatMap(tryAcquire(context, request), (answer): Effect.Effect<Grant, AcquireFailure> => {
      if (Either.isRight(answer)) return Effect.succeed(answer.right)
      const blocker = context.localize(answer.left)
      return Effect.fail(
        settings.block
          ? new LockTimeout({ targets: lease.targets, timeout: 0, blocker })
          : new WouldBlock({ targets: lease.targets, blocker })
      )
    })
  }
  const asked = context.store.acquire(request)
  const granted = settings.onWait === undefined ? asked : telling(context, lease, settings.onWait, asked)
  return timeout === undefined ? granted : timeout.around(granted)
}
