/**
 * Holds a lock, for a scope or around an effect.
 *
 * The end of a hold runs uninterruptibly: first the lease is no longer refreshed, then it is released, unless somebody
 * else in this service holds it, too.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type * as FiberId from "effect/FiberId"
import type * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import type * as Tracer from "effect/Tracer"
import type { Use } from "../HierarchicalLock.ts"
import type { Lease } from "../Lease.ts"
import type { LockLost } from "../LockError.ts"
import * as LockOptions from "../LockOptions.ts"
import type * as Target from "../Target.ts"
import type { Context, Restore } from "./context.ts"
import { type AnyFiber, forever, forgetInterruption, makeMarker } from "./effectInternals.ts"
import * as guard from "./guard.ts"
import type { HeldLease, OnLoss } from "./heldLease.ts"
import * as nesting from "./nesting.ts"
import { type AcquireFailure, obtain } from "./obtain.ts"
import { type Invalid, Pending, prepare } from "./request.ts"
import { Stop } from "./stop.ts"

/** Releases a lease, and goes on. */
const release = <A, E>(context: Context, { id, owner }: HeldLease, next: Effect.Effect<A, E>): Effect.Effect<A, E> =>
  Effect.matchCauseEffect(context.metrics.watch(context.store.release(id, owner)), {
    onSuccess: () => next,
    onFailure: (cause) =>
      Effect.zipRight(Effect.logDebug(`The release of lease ${id} failed; its ttl ends it`, cause), next)
  })

/**
 * Ends one holder's part in a lease, and then does what is left to do. The lease is released when it was the last.
 * `isInterrupted`: the caller is not to be held up for long by a store that does not answer.
 */
export const leave = <A, E>(
  context: Context,
  lease: HeldLease,
  next: Effect.Effect<A, E>,
  isInterrupted: boolean,
  now = context.now()
): Effect.Effect<A, E> => {
  if (--lease.holders > 0) return next
  context.forget(lease)
  const isEnd = lease.end(now)
  if (isEnd && !isInterrupted) return release(context, lease, next)
  if (isEnd) return Effect.zipRight(context.soon(release(context, lease, Effect.void)), next)
  if (lease.lost === undefined) return next
  // What was lost is released without waiting: the store has most likely ended it already.
  return Effect.zipRight(context.background(release(context, lease, Effect.void)), next)
}

/** Whose work a scoped lease is for, and whether that is to be stopped on loss. */
export interface Work {
  readonly fiber: AnyFiber
  readonly interrupts: boolean
}

const isRunning = (fiber: AnyFiber): boolean => fiber.unsafePoll() === null

/** What a scope holds: a lease, once it is got. A process may have very many, so what is in it is all that they keep. */
class ScopedHold {
  private readonly context: Context
  private readonly work: Work
  private readonly scope: Scope.Scope
  isOpen = true
  private lease: HeldLease | undefined = undefined
  private place: nesting.Place | undefined = undefined
  /** The guard of when it was got: when it is lost, the fiber may be in another one. */
  private around: guard.Guard | undefined = undefined
  private span: Tracer.Span | undefined = undefined
  /** For as long as this fiber waits, the lease is refreshed. */
  private keeper: AnyFiber | undefined = undefined
  private marker: FiberId.FiberId | undefined = undefined

  constructor(context: Context, work: Work, scope: Scope.Scope) {
    this.context = context
    this.work = work
    this.scope = scope
  }

  begin(lease: HeldLease, span: Tracer.Span | undefined): void {
    const { context, work } = this
    this.lease = lease
    this.span = span
    this.place = nesting.enter(work.fiber, lease)
    this.around = guard.current(work.fiber)
    lease.listen(this.onLoss)
    context.refreshing.add(lease)
    this.keeper = context.fork(forever)
    this.keeper.addObserver(this.onKept)
  }

  /** Another holder of the lease goes on. */
  private readonly onKept = (): void => {
    if (this.lease?.holders === 1) this.context.refreshing.delete(this.lease)
  }

  private readonly onLoss: OnLoss = (lost) => {
    addLoss(this.context, this.span, lost)
    return !this.work.interrupts || this.stopWork(lost)
  }

  /**
   * Stops the work of the scope: all that runs in the `HierarchicalLock.scoped` that the lease belongs to; else the fiber that
   * acquired it; when that has ended, the one that joined it.
   */
  private stopWork(lost: LockLost): boolean {
    const { around, place, scope } = this
    const { fiber } = this.work
    const acquirer = isRunning(fiber) ? fiber : undefined
    if (
      around !== undefined &&
      around.state !== "over" &&
      (around.scope === scope || acquirer === undefined || around.isRunBy(fiber))
    ) {
      around.lose(lost)
      return true
    }
    const worker = acquirer ?? (place !== undefined && isRunning(place.fiber) ? place.fiber : undefined)
    this.marker = makeMarker()
    worker?.unsafeInterruptAsFork(this.marker)
    return worker !== undefined
  }

  /** The scope's finalizer. */
  readonly close = (exit: Exit.Exit<unknown, unknown>): Effect.Effect<void> =>
    Effect.suspend(() => {
      this.isOpen = false
      const { keeper } = this
      return keeper === undefined
        ? Effect.void
        : Effect.flatMap(Fiber.interrupt(keeper), () => this.end(Exit.isInterrupted(exit)))
    })

  private end(isInterrupted: boolean): Effect.Effect<void> {
    const { context, marker, work } = this
    const lease = this.lease!
    nesting.leave(lease, this.place!)
    lease.unlisten(this.onLoss)
    const now = context.now()
    lease.isLiveNow(now)
    // Not an interruption alone: whoever runs the scope must not take it for one. The work has been stopped with it, so the
    // fiber is not interrupted any more: whoever wants to tell of the loss (`runMain`) could not do so.
    const next =
      lease.lost !== undefined && work.interrupts
        ? Effect.zipRight(marker === undefined ? Effect.void : forgetInterruption(marker), Effect.die(lease.lost))
        : Effect.void
    return leave(context, lease, next, isInterrupted, now)
  }
}

/**
 * Holds what `obtained` gets until the scope closes.
 */
export const holdScoped = <E>(
  context: Context,
  work: Work,
  traces: boolean,
  obtained: (restore: Restore) => Effect.Effect<HeldLease, E>
): Effect.Effect<Lease, E, Scope.Scope> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.gen(function* () {
      const scope = yield* Effect.scope
      const hold = new ScopedHold(context, work, scope)
      yield* Scope.addFinalizerExit(scope, hold.close)
      if (!hold.isOpen) return yield* Effect.interrupt
      const lease = yield* obtained(restore)
      // The scope may have been closed while the request waited.
      if (!hold.isOpen) return yield* leave(context, lease, Effect.interrupt, true)
      hold.begin(lease, traces ? yield* Effect.makeSpanScoped("hilok.hold", holdSpan(context, lease)) : undefined)
      return context.toLease(lease)
    })
  )

const holdSpan = (context: Context, lease: HeldLease) => context.spanOptions(lease, { "hilok.token": lease.token })

const addLoss = (context: Context, span: Tracer.Span | undefined, { reason }: LockLost): void =>
  span?.event("hilok.lost", context.clock.unsafeCurrentTimeNanos(), { "hilok.reason": reason })

export const scoped = (
  context: Context,
  targets: ReadonlyArray<Target.Target>,
  options: LockOptions.AcquireOptions | undefined
): Effect.Effect<Lease, AcquireFailure | Invalid, Scope.Scope> =>
  Effect.withFiberRuntime((fiber) => {
    const prepared = prepare(context, fiber, targets, options)
    if (!(prepared instanceof Pending)) return Effect.fail(prepared)
    const { lease, settings, traces } = prepared
    return holdScoped(context, { fiber, interrupts: settings.interruptsOnLoss }, traces, (restore) =>
      obtain(context, restore, prepared, () => Effect.succeed(lease))
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

/** The same when the lock is free; else the effect is not run. What the effect itself is refused is its own failure. */
export const aroundIfAvailable = <A, E, R>(
  context: Context,
  use: Use<A, E, R>,
  targets: ReadonlyArray<Target.Target>,
  options: LockOptions.IfAvailableOptions | undefined
): Effect.Effect<Option.Option<A>, E | LockLost | AcquireFailure | Invalid, R> =>
  Effect.withFiberRuntime((fiber) => {
    const unknown = LockOptions.checkNames(options ?? {}, LockOptions.names.ifAvailable)
    if (Either.isLeft(unknown)) return Effect.fail(unknown.left)
    const prepared = prepare(context, fiber, targets, { ...options, block: false })
    if (!(prepared instanceof Pending)) return Effect.fail(prepared)
    return Effect.uninterruptibleMask((restore) =>
      obtain(context, restore, prepared, () => Effect.succeed(true)).pipe(
        Effect.catchTag("WouldBlock", () => Effect.succeed(false)),
        Effect.flatMap((isHeld) => (isHeld ? Effect.asSome(run(context, restore, prepared, use)) : Effect.succeedNone))
      )
    )
  })

const run = <A, E, R>(
  context: Context,
  restore: Restore,
  { fiber, lease, traces }: Pending,
  use: Use<A, E, R>
): Effect.Effect<A, E | LockLost, R> => {
  const stop = new Stop(fiber)
  let span: Tracer.Span | undefined
  const onLoss: OnLoss = (lost) => {
    addLoss(context, span, lost)
    stop.interrupt()
    return true
  }
  lease.listen(onLoss)
  context.refreshing.add(lease)
  const effect = typeof use === "function" ? Effect.suspend(() => use(context.toLease(lease))) : use
  const traced = traces
    ? Effect.useSpan("hilok.hold", holdSpan(context, lease), (opened) => {
        span = opened
        return Effect.withParentSpan(effect, opened)
      })
    : effect
  const place = nesting.enter(fiber, lease)
  const finish = (result: Effect.Effect<A, E>, cause: Cause.Cause<E>): Effect.Effect<A, E | LockLost> => {
    nesting.leave(lease, place)
    const now = context.now()
    lease.isLiveNow(now)
    lease.unlisten(onLoss)
    // Not live and not lost: it was released here by hand.
    if (lease.lost === undefined) return leave(context, lease, result, Cause.isInterrupted(cause), now)
    const lost = Cause.fail(lease.lost)
    const fail = Effect.flatMap(stop.recover(cause), (rest) =>
      Effect.failCause<E | LockLost>(Cause.isEmpty(rest) ? lost : Cause.sequential(lost, rest))
    )
    return leave(context, lease, fail, false, now)
  }
  return Effect.matchCauseEffect(restore(traced), {
    onSuccess: (value) => finish(Effect.succeed(value), Cause.empty),
    onFailure: (cause) => finish(Effect.failCause(cause), cause)
  })
}
