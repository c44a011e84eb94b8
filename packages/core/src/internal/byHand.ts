/**
 * Leases that outlive the call: acquired, refreshed, released, taken over and ended by id.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type { Operations, RestoreOptions } from "../HierarchicalLock.ts"
import * as Lease from "../Lease.ts"
import { type InvalidOptions, LockLost, type StoreError } from "../LockError.ts"
import * as LockMode from "../LockMode.ts"
import * as LockOptions from "../LockOptions.ts"
import * as LockPath from "../LockPath.ts"
import * as Target from "../Target.ts"
import type { Context } from "./context.ts"
import { HeldLease } from "./heldLease.ts"
import { holdScoped } from "./hold.ts"
import * as metrics from "./metrics.ts"
import { type AcquireFailure, obtain } from "./obtain.ts"
import { closed, type Invalid, Pending, prepare } from "./request.ts"

const idOf = (lease: Lease.Lease | string): string => (typeof lease === "string" ? lease : lease.id)

/** The error for a lease that this service does not know. */
const gone = (lease: Lease.Lease | string): LockLost =>
  new LockLost({ id: idOf(lease), targets: typeof lease === "string" ? [] : lease.targets, reason: "expired" })

export const make = (
  context: Context
): Pick<Operations<never>, "restore" | "refresh" | "release" | "downgrade" | "inspect" | "breakLease"> & {
  readonly acquire: (
    targets: ReadonlyArray<Target.Target>,
    options?: LockOptions.AcquireOptions
  ) => Effect.Effect<Lease.Lease, AcquireFailure | Invalid>
} => {
  const { held, store } = context

  /** Those that were acquired by hand. They may be left to expire, and then nobody tells of their end. */
  const unattended = new Set<HeldLease>()

  const attend = (lease: HeldLease): void => {
    let looked = 0
    for (const other of unattended) {
      if (++looked > 2) break
      unattended.delete(other)
      if (other.isLiveNow()) unattended.add(other)
      else context.forget(other)
    }
    unattended.add(lease)
  }

  const acquire = (targets: ReadonlyArray<Target.Target>, options?: LockOptions.AcquireOptions) =>
    Effect.withFiberRuntime<Lease.Lease, AcquireFailure | Invalid>((fiber) => {
      const prepared = prepare(context, fiber, targets, options)
      if (!(prepared instanceof Pending)) return Effect.fail(prepared)
      const { lease } = prepared
      return Effect.uninterruptibleMask((restore) =>
        obtain(context, restore, prepared, () => {
          attend(lease)
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
      const lease = new HeldLease(context, id, [], settings)
      return holdScoped(context, fiber, lease, settings.interruptsOnLoss, context.traces(fiber), (mask) =>
        Effect.flatMap(mask(store.restore(id, Duration.millis(lease.ttl))), (found) => {
          if (Option.isNone(found)) return Effect.fail(lease.gone)
          lease.regions = found.value.targets
          const former = held.get(id)
          if (former !== undefined) {
            former.handOver(lease)
            held.delete(former)
          }
          lease.begin(found.value)
          metrics.granted(0)
          held.add(lease)
          return Effect.void
        })
      )
    })

  const refresh: Operations<never>["refresh"] = (target, options) =>
    Effect.suspend((): Effect.Effect<void, LockLost | InvalidOptions | StoreError> => {
      const decoded = LockOptions.decodeRequest(options ?? {}, context.settings, LockOptions.names.refresh)
      if (Either.isLeft(decoded)) return Effect.fail(decoded.left)
      const { ttl } = decoded.right
      const lease = held.get(idOf(target))
      if (lease === undefined) {
        return Effect.flatMap(store.refresh(idOf(target), Duration.millis(ttl)), (deadline) =>
          Option.isNone(deadline) ? Effect.fail(gone(target)) : Effect.void
        )
      }
      // The loop that refreshes a lease relies on its ttl.
      const refreshed = lease.refresh(lease.isKept ? Math.max(ttl, lease.ttl) : ttl)
      return Effect.flatMap(refreshed, (isLive) => (isLive ? Effect.void : Effect.fail(lease.gone)))
    })

  const release: Operations<never>["release"] = (target) =>
    Effect.suspend(() => {
      const lease = held.get(idOf(target))
      if (lease !== undefined) {
        lease.end()
        context.forget(lease)
        unattended.delete(lease)
      }
      return store.release(idOf(target))
    })

  const downgrade: Operations<never>["downgrade"] = (lease) =>
    Effect.flatMap(store.downgrade(lease.id), (isLive) => {
      const kept = held.get(lease.id)
      if (!isLive) {
        kept?.lose("expired")
        return Effect.fail(kept?.gone ?? gone(lease))
      }
      if (kept === undefined) {
        const targets = lease.targets.map(({ mode, path }) => Target.make(LockMode.downgraded(mode), path))
        return Effect.succeed(new Lease.Lease({ id: lease.id, token: lease.token, targets }))
      }
      kept.regions = kept.regions.map(({ mode, path }) => ({ mode: LockMode.downgraded(mode), path }))
      return Effect.succeed(context.toLease(kept))
    })

  const inspect: Operations<never>["inspect"] = (path = "") =>
    Either.match(LockPath.parse(path, context.separator), {
      onLeft: Effect.fail,
      onRight: (parsed) =>
        Effect.map(store.inspect(parsed), (entries) => entries.map((entry) => context.localize(entry)))
    })

  return {
    acquire,
    restore,
    refresh,
    release,
    downgrade,
    inspect,
    breakLease: (lease) => store.breakLease(idOf(lease))
  }
}
