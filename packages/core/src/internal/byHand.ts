/**
 * Leases that outlive the call: acquired, refreshed, released, taken over and ended by id.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type { Operations, RestoreOptions } from "../HierarchicalLock.ts"
import * as Lease from "../Lease.ts"
import { type InvalidOptions, LockLost, type StoreError } from "../LockError.ts"
import * as LockMode from "../LockMode.ts"
import * as LockOptions from "../LockOptions.ts"
import * as LockPath from "../LockPath.ts"
import * as Target from "../Target.ts"
import type { Context, Restore } from "./context.ts"
import { HeldLease } from "./heldLease.ts"
import { holdScoped, leave } from "./hold.ts"
import * as nesting from "./nesting.ts"
import { type AcquireFailure, obtain } from "./obtain.ts"
import { closed, type Invalid, Pending, prepare } from "./request.ts"
import { Timer } from "./timers.ts"

/** A lease that is refreshed by hand may be left to expire, and then nobody tells of its end: it is forgotten. */
class Expiry extends Timer {
  private readonly context: Context
  private readonly lease: HeldLease

  constructor(context: Context, lease: HeldLease) {
    super(lease.deadline)
    this.context = context
    this.lease = lease
  }

  run(): void {
    // Once a scope keeps it, it is forgotten with that.
    if (this.lease.isKept) return
    if (this.lease.isLiveNow()) {
      this.deadline = this.lease.deadline
      this.context.timers.start(this)
    } else this.context.forget(this.lease)
  }
}

const idOf = (lease: Lease.Lease | string): string => (typeof lease === "string" ? lease : lease.id)

/** The error for a lease that this service does not know. */
const gone = (lease: Lease.Lease | string): LockLost =>
  new LockLost({ id: idOf(lease), targets: typeof lease === "string" ? [] : lease.targets, reason: "expired" })

export const make = (
  context: Context
): Pick<Operations<never>, "restore" | "refresh" | "release" | "downgrade" | "share" | "inspect" | "breakLease"> & {
  readonly acquire: (
    targets: ReadonlyArray<Target.Target>,
    options?: LockOptions.AcquireOptions
  ) => Effect.Effect<Lease.Lease, AcquireFailure | Invalid>
} => {
  const { held, store } = context
  const watch = context.metrics.watch.bind(context.metrics)

  const acquire = (targets: ReadonlyArray<Target.Target>, options?: LockOptions.AcquireOptions) =>
    Effect.withFiberRuntime<Lease.Lease, AcquireFailure | Invalid>((fiber) => {
      const prepared = prepare(context, fiber, targets, options)
      if (!(prepared instanceof Pending)) return Effect.fail(prepared)
      const { lease } = prepared
      lease.holders = 0
      return Effect.uninterruptibleMask((restore) =>
        obtain(context, restore, prepared, () => {
          context.timers.start(new Expiry(context, lease))
          return Effect.succeed(context.toLease(lease))
        })
      )
    })

  const restore = (
    id: string,
    options?: RestoreOptions
  ): Effect.Effect<Lease.Lease, LockLost | InvalidOptions | StoreError, Scope.Scope> =>
    Effect.withFiberRuntime((fiber) => {
      if (context.isClosed) return Effect.fail(closed("restore"))
      const decoded = LockOptions.decodeRequest(options ?? {}, context.settings, LockOptions.names.restore)
      if (Either.isLeft(decoded)) return Effect.fail(decoded.left)
      const settings = decoded.right
      const known = held.get(id)
      const lease = known?.isLive === true ? known : new HeldLease(context, id, id, [], settings)
      const work = { fiber, interrupts: settings.interruptsOnLoss }
      return holdScoped(context, work, context.traces(fiber), (mask) => takeOver(mask, lease, settings))
    })

  /**
   * Takes a lease over. One that this service keeps already stays what it is, and has one more holder; any other gets a new
   * owner, so that nobody else changes it from now on. What is not known to have come about is undone.
   */
  const takeOver = (
    mask: Restore,
    lease: HeldLease,
    settings: LockOptions.Settings
  ): Effect.Effect<HeldLease, LockLost | StoreError> => {
    const { id } = lease
    const joins = lease.isLive && lease.isKept
    // Counted from now on, so that the end of the others does not release it meanwhile.
    if (joins) lease.holders++
    const owner = joins ? lease.owner : crypto.randomUUID()
    const ttl = Math.max(lease.ttl, Math.min(settings.ttl, settings.maxHold))
    const restored = watch(store.restore(id, Duration.millis(ttl), owner))
    let isSent = joins
    // A look first: when the store is silent, nothing is on its way that would have to be undone.
    const looked = Effect.flatMap(watch(store.lookup(id)), (entry) => {
      if (Option.isNone(entry)) return Effect.succeedNone
      isSent = true
      return restored
    })
    return Effect.matchCauseEffect(mask(joins ? restored : looked), {
      onFailure: (cause) => {
        if (joins) return leave(context, lease, Effect.failCause(cause), true)
        if (!isSent) return Effect.failCause(cause)
        return Effect.zipRight(context.soon(store.giveBack(id, owner)), Effect.failCause(cause))
      },
      onSuccess: (found) => {
        if (Option.isNone(found)) {
          lease.lose("expired")
          return joins ? leave(context, lease, Effect.fail(lease.gone), true) : Effect.fail(lease.gone)
        }
        // Another fiber may have restored it here at the same time.
        const current = held.get(id)
        const kept = current?.isLive === true ? current : lease
        if (kept !== lease) kept.holders++
        else if (!joins) kept.holders = 1
        kept.owner = owner
        // A downgrade may be done whose answer is still on its way.
        kept.become(found.value.targets)
        if (kept === current) {
          kept.extend(found.value.deadline, settings)
        } else {
          if (current !== undefined) context.forget(current)
          kept.begin(found.value)
          context.metrics.granted(0)
          held.add(kept)
        }
        return Effect.succeed(kept)
      }
    })
  }

  const refresh: Operations<never>["refresh"] = (target, options) =>
    Effect.suspend((): Effect.Effect<void, LockLost | InvalidOptions | StoreError> => {
      const decoded = LockOptions.decodeRequest(options ?? {}, context.settings, LockOptions.names.refresh)
      if (Either.isLeft(decoded)) return Effect.fail(decoded.left)
      const { ttl } = decoded.right
      const lease = held.get(idOf(target))
      if (lease === undefined) {
        return Effect.flatMap(watch(store.refresh(idOf(target), Duration.millis(ttl))), (deadline) =>
          Option.isNone(deadline) ? Effect.fail(gone(target)) : Effect.void
        )
      }
      // The loop that refreshes a lease relies on its ttl.
      const refreshed = lease.refresh(lease.isKept ? Math.max(ttl, lease.ttl) : ttl)
      return Effect.flatMap(refreshed, (isLive) => (isLive ? Effect.void : Effect.fail(lease.gone)))
    })

  const release: Operations<never>["release"] = (target) =>
    Effect.withFiberRuntime((fiber) => {
      const lease = held.get(idOf(target))
      // Whoever is inside of it, or keeps it by hand, knows that it ends. Other holders are told by the store.
      const isOwn = lease === undefined || !lease.isKept || nesting.current(fiber, context).includes(lease)
      if (lease !== undefined && isOwn) {
        lease.end()
        context.forget(lease)
      }
      // By the id alone it is an order. Whoever has the lease itself does not end it for another who has taken it over.
      const owner = typeof target === "string" || !isOwn ? undefined : Lease.ownerOf(target)
      return watch(store.release(idOf(target), owner))
    })

  const downgrade: Operations<never>["downgrade"] = (lease) =>
    Effect.suspend((): Effect.Effect<Lease.Lease, LockLost | StoreError> => {
      const kept = held.get(lease.id)
      if (kept === undefined) {
        return Effect.flatMap(watch(store.downgrade(lease.id)), (isLive) => {
          if (!isLive) return Effect.fail(gone(lease))
          const targets = lease.targets.map(({ mode, path }) => Target.make(LockMode.downgraded(mode), path))
          return Effect.succeed(new Lease.Lease({ id: lease.id, token: lease.token, targets }))
        })
      }
      // It goes on to its end when the caller is interrupted.
      return Effect.flatMap(context.background(kept.downgrade()), (fiber) =>
        Effect.as(Fiber.join(fiber), context.toLease(kept))
      )
    })

  const share: Operations<never>["share"] = (lease) =>
    Effect.flatMap(watch(store.share(lease.id)), (isLive) =>
      isLive ? Effect.void : Effect.fail(held.get(lease.id)?.gone ?? gone(lease))
    )

  const inspect: Operations<never>["inspect"] = (path = "") =>
    Either.match(LockPath.parse(path, context.separator), {
      onLeft: Effect.fail,
      onRight: (parsed) =>
        Effect.map(watch(store.inspect(parsed)), (entries) => entries.map((entry) => context.localize(entry)))
    })

  return {
    acquire,
    restore,
    refresh,
    release,
    downgrade,
    share,
    inspect,
    breakLease: (lease) => watch(store.breakLease(idOf(lease)))
  }
}
