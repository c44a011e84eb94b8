/**
 * Holds a lock, for a scope or around an effect.
 *
 * The end of a hold runs uninterruptibly: first the refresh loop is stopped, then the lease is released.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as FiberId from "effect/FiberId"
import * as Scope from "effect/Scope"
import type { Use } from "../HierarchicalLock.ts"
import type { Lease } from "../Lease.ts"
import type { LockLost } from "../LockError.ts"
import type * as LockOptions from "../LockOptions.ts"
import type * as Target from "../Target.ts"
import type { AnyFiber, Context, Restore } from "./context.ts"
import type { HeldLease } from "./heldLease.ts"
import * as nesting from "./nesting.ts"
import { type AcquireFailure, obtain } from "./obtain.ts"
import { type Invalid, Pending, prepare } from "./request.ts"
import { Stop } from "./stop.ts"
import { Timer } from "./timers.ts"

/** Ends the hold, and then does what is left to do. */
const close = <A, E>(
  context: Context,
  lease: HeldLease,
  next: Effect.Effect<A, E>,
  now = context.now()
): Effect.Effect<A, E> => {
  context.forget(lease)
  const isEnd = lease.end(now)
  lease.leave()
  if (isEnd) {
    return Effect.matchCauseEffect(context.store.release(lease.id), {
      onSuccess: () => next,
      onFailure: (cause) =>
        Effect.zipRight(Effect.logDebug(`The release of lease ${lease.id} failed; its ttl ends it`, cause), next)
    })
  }
  // What was lost is released without waiting: the store has most likely ended it already.
  return lease.lost === undefined ? next : Effect.zipRight(context.background(context.store.release(lease.id)), next)
}

/** Holds what `obtained` gets until the scope closes. */
export const holdScoped = <E>(
  context: Context,
  fiber: AnyFiber,
  lease: HeldLease,
  interruptsOnLoss: boolean,
  traces: boolean,
  obtained: (restore: Restore) => Effect.Effect<void, E>
): Effect.Effect<Lease, E, Scope.Scope> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.gen(function* () {
      const scope = yield* Effect.scope
      let isOpen = true
      const end = Effect.suspend(() => {
        isOpen = false
        return close(context, lease, Effect.void)
      })
      yield* Scope.addFinalizer(scope, end)
      if (!isOpen) return yield* Effect.interrupt
      yield* obtained(restore)
      // The scope may have been closed while the request waited.
      if (!isOpen) return yield* close(context, lease, Effect.interrupt)
      lease.isKept = true
      if (interruptsOnLoss) lease.stopOnLoss(() => fiber.unsafeInterruptAsFork(FiberId.unsafeMake()))
      nesting.enter(fiber, lease)
      if (traces) yield* Effect.makeSpanScoped("hilok.hold", holdSpan(context, lease))
      yield* Effect.forkIn(Effect.interruptible(lease.keepAlive()), scope)
      return context.toLease(lease)
    })
  )

const holdSpan = (context: Context, lease: HeldLease) => context.spanOptions(lease, { "hilok.token": lease.token })

export const scoped = (
  context: Context,
  targets: ReadonlyArray<Target.Target>,
  options: LockOptions.AcquireOptions | undefined
): Effect.Effect<Lease, AcquireFailure | Invalid, Scope.Scope> =>
  Effect.withFiberRuntime((fiber) => {
    const prepared = prepare(context, fiber, targets, options)
    if (!(prepared instanceof Pending)) return Effect.fail(prepared)
    const { lease, settings, traces } = prepared
    return holdScoped(context, fiber, lease, settings.interruptsOnLoss, traces, (restore) =>
      obtain(context, restore, prepared, () => Effect.void)
    )
  })

/**
 * Runs the effect in the caller's own fiber, as any bracket does. On loss that fiber is stopped, and goes on with
 * `LockLost` once the effect has ended.
 */
export const around = <A, E, R>(
  context: Context,
  use: Use<A, E, R>,
  targets: ReadonlyArray<Target.Target>,
  options: LockOptions.AcquireOptions | undefined
): Effect.Effect<A, E | LockLost | AcquireFailure | Invalid, R> =>
  Effect.withFiberRuntime((fiber) => {
    const prepared = prepare(context, fiber, targets, options)
    if (!(prepared instanceof Pending)) return Effect.fail(prepared)
    return Effect.uninterruptibleMask((restore) =>
      obtain(context, restore, prepared, () => run(context, restore, prepared, use))
    )
  })

/** Keeps a lease alive. Most holds end before the first refresh, and only those that do not get a fiber for it. */
class Keeping extends Timer {
  private readonly context: Context
  private readonly lease: HeldLease
  private loop: AnyFiber | undefined = undefined

  constructor(context: Context, lease: HeldLease) {
    super(lease.firstDue())
    this.context = context
    this.lease = lease
    context.timers.start(this)
  }

  run(): void {
    this.loop = this.context.fork(this.lease.keepAlive(this.deadline))
  }

  end(): void {
    this.context.timers.stop(this)
    this.loop?.unsafeInterruptAsFork(this.loop.id())
  }
}

const run = <A, E, R>(
  context: Context,
  restore: Restore,
  { fiber, lease, traces }: Pending,
  use: Use<A, E, R>
): Effect.Effect<A, E | LockLost, R> => {
  const stop = new Stop(fiber)
  const keeping = new Keeping(context, lease)
  lease.isKept = true
  lease.stopOnLoss(() => stop.interrupt())
  const effect = typeof use === "function" ? Effect.suspend(() => use(context.toLease(lease))) : use
  const traced = traces ? Effect.withSpan(effect, "hilok.hold", holdSpan(context, lease)) : effect
  nesting.enter(fiber, lease)
  return Effect.matchCauseEffect(restore(traced), {
    onSuccess: (value) => finish(context, lease, keeping, stop, Effect.succeed(value), Cause.empty),
    onFailure: (cause) => finish(context, lease, keeping, stop, Effect.failCause(cause), cause)
  })
}

const finish = <A, E>(
  context: Context,
  lease: HeldLease,
  keeping: Keeping,
  stop: Stop,
  result: Effect.Effect<A, E>,
  cause: Cause.Cause<E>
): Effect.Effect<A, E | LockLost> => {
  keeping.end()
  lease.workEnded()
  const now = context.now()
  lease.isLiveNow(now)
  // Not live and not lost: it was released here by hand.
  if (lease.lost === undefined) return close(context, lease, result, now)
  const lost = Cause.fail(lease.lost)
  const fail = Effect.flatMap(stop.recover(cause), (rest) =>
    Effect.failCause<E | LockLost>(Cause.isEmpty(rest) ? lost : Cause.sequential(lost, rest))
  )
  return close(context, lease, fail)
}
