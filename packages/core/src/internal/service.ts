/**
 * The service, written once over any store: timeouts, scopes, refresh loops, loss, spans and metrics.
 *
 * What holds on interruption rests on three things. The whole of an acquire is uninterruptible but for the store's own
 * wait. Whatever comes out of that wait other than a grant or a refusal is followed by a release, which is idempotent
 * by id, so that a grant whose reply was lost is given back, too. And the end of a hold runs uninterruptibly: first the
 * refresh loop is stopped, then the lease is released.
 */
import type { NonEmptyReadonlyArray } from "effect/Array"
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import * as FiberRef from "effect/FiberRef"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import * as Scope from "effect/Scope"
import type { Operations, RestoreOptions, Use } from "../HierarchicalLock.ts"
import * as Lease from "../Lease.ts"
import type { LockEntry } from "../LockEntry.ts"
import {
  Deadlock,
  InvalidOptions,
  type InvalidPath,
  LockLost,
  LockTimeout,
  StoreError,
  WouldBlock
} from "../LockError.ts"
import * as LockMode from "../LockMode.ts"
import * as LockOptions from "../LockOptions.ts"
import * as LockPath from "../LockPath.ts"
import type { Grant, LockRequest, LockStore } from "../LockStore.ts"
import * as Target from "../Target.ts"
import { HeldLease, type Keeper } from "./heldLease.ts"
import * as metrics from "./metrics.ts"
import { unsafeNow } from "./monotonic.ts"
import * as nesting from "./nesting.ts"

type AnyFiber = Fiber.RuntimeFiber<unknown, unknown>
type Restore = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
type AcquireFailure = WouldBlock | LockTimeout | Deadlock | StoreError

/** A request that was checked and can be sent. */
interface Pending {
  readonly lease: HeldLease
  readonly request: LockRequest
  readonly settings: LockOptions.Settings
  /** A lease of the caller's own that is in the way of a strict request. */
  readonly obstacle: HeldLease | undefined
  readonly spans: boolean
}

/** How long a failed acquire waits for its request to be taken back. It is taken back all the same, in the background. */
const takeBackPatience = Duration.seconds(1)

export const make = (
  store: LockStore["Type"],
  options: LockOptions.Options
): Effect.Effect<Operations<never>, InvalidOptions, Scope.Scope> =>
  Effect.gen(function* () {
    const { separator, settings: base, spans } = yield* LockOptions.decode(options)
    const clock = yield* Effect.clock
    const serviceScope = yield* Effect.scope
    const keeper: Keeper = { store, clock, epoch: unsafeNow(clock) }
    const held = new Map<string, HeldLease>()
    const baseHolder = { label: options.label, host: options.host, pid: options.pid }
    let closed = false

    yield* Effect.addFinalizer(() => Effect.sync(() => (closed = true)))
    const revocations = yield* store.revocations
    yield* Queue.take(revocations).pipe(
      Effect.flatMap(({ id, reason }) => Effect.sync(() => held.get(id)?.lose(reason))),
      Effect.forever,
      Effect.interruptible,
      Effect.forkScoped
    )

    // -- Before anything is sent

    const parseTargets = (
      targets: ReadonlyArray<Target.Target>
    ): Either.Either<NonEmptyReadonlyArray<LockMode.Region>, InvalidPath | InvalidOptions> => {
      const regions: Array<LockMode.Region> = []
      for (const { mode, path } of targets) {
        if (!LockMode.all.includes(mode)) {
          const reason = `the mode ${JSON.stringify(mode)} is not one of ${LockMode.all.join(", ")}`
          return Either.left(new InvalidOptions({ option: "targets", reason }))
        }
        const parsed = LockPath.parse(path, separator)
        if (Either.isLeft(parsed)) return Either.left(parsed.left)
        regions.push({ mode, path: parsed.right })
      }
      return regions.length === 0
        ? Either.left(new InvalidOptions({ option: "targets", reason: "at least one target is needed" }))
        : Either.right(regions as unknown as NonEmptyReadonlyArray<LockMode.Region>)
    }

    const display = (regions: ReadonlyArray<LockMode.Region>): ReadonlyArray<Target.Target> =>
      regions.map(({ mode, path }) => ({ mode, path: LockPath.toInput(path, separator) }))

    /** An entry of the store as callers with this service's separator write it. */
    const localize = (entry: LockEntry): LockEntry =>
      separator === LockOptions.defaults.separator
        ? entry
        : {
            ...entry,
            targets: entry.targets.map(({ mode, path }) => ({
              mode,
              path: LockPath.parse(path).pipe(
                Either.match({ onLeft: () => path, onRight: (parsed) => LockPath.toInput(parsed, separator) })
              )
            }))
          }

    const prepare = (
      fiber: AnyFiber,
      targets: ReadonlyArray<Target.Target>,
      requestOptions: LockOptions.AcquireOptions | undefined
    ): Either.Either<Pending, InvalidPath | InvalidOptions | StoreError> => {
      if (closed) return Either.left(new StoreError({ operation: "acquire", reason: "the lock service is closed" }))
      let settings = base
      if (requestOptions !== undefined) {
        const decoded = LockOptions.decodeRequest(requestOptions, base)
        if (Either.isLeft(decoded)) return Either.left(decoded.left)
        settings = decoded.right
      }
      const regions = parseTargets(targets)
      if (Either.isLeft(regions)) return Either.left(regions.left)
      const enclosing = nesting.current(fiber, keeper)
      const obstacle = settings.reentrant
        ? undefined
        : enclosing.find((lease) => LockMode.anyConflict(regions.right, lease.regions))
      const lease = new HeldLease(keeper, crypto.randomUUID(), regions.right, display(regions.right), settings)
      return Either.right({
        lease,
        settings,
        obstacle,
        spans: spans && fiber.getFiberRef(FiberRef.currentTracerEnabled),
        request: {
          id: lease.id,
          targets: regions.right,
          ttl: Duration.millis(lease.ttl),
          within: withinOf(obstacle === undefined ? enclosing : [], obstacle === undefined ? settings.within : []),
          holder:
            settings.reason === undefined && settings.label === base.label
              ? baseHolder
              : { ...baseHolder, label: settings.label, reason: settings.reason }
        }
      })
    }

    // -- Acquire

    const take = ({ lease, request, settings }: Pending): Effect.Effect<Grant, AcquireFailure> => {
      if (!settings.block || settings.timeout === 0) {
        return Effect.flatMap(store.tryAcquire(request), (answer): Effect.Effect<Grant, AcquireFailure> => {
          if (Either.isRight(answer)) return Effect.succeed(answer.right)
          const blocker = localize(answer.left)
          return Effect.fail(
            settings.block
              ? new LockTimeout({ targets: lease.targets, timeout: 0, blocker })
              : new WouldBlock({ targets: lease.targets, blocker })
          )
        })
      }
      if (settings.timeout === Number.POSITIVE_INFINITY) return store.acquire(request)
      const giveUp = Effect.zipRight(
        clock.sleep(Duration.millis(settings.timeout)),
        Effect.flatMap(blockerOf(request.id), (blocker) =>
          Effect.fail(new LockTimeout({ targets: lease.targets, timeout: settings.timeout, blocker }))
        )
      )
      return Effect.raceFirst(store.acquire(request), giveUp)
    }

    /** Who is in the way of a waiting request, if the store says so soon. */
    const blockerOf = (id: string): Effect.Effect<LockEntry | undefined> =>
      store.lookup(id).pipe(
        Effect.flatMap((entry) => {
          const blocker = Option.flatMapNullable(entry, ({ blockedBy }) => blockedBy)
          return Option.isNone(blocker) ? Effect.succeedNone : store.lookup(blocker.value)
        }),
        Effect.map((entry) => Option.getOrUndefined(Option.map(entry, localize))),
        Effect.disconnect,
        Effect.timeoutTo({ duration: "100 millis", onTimeout: () => undefined, onSuccess: (blocker) => blocker }),
        Effect.catchAllCause(() => Effect.succeed(undefined))
      )

    /** A strict request that is blocked by a lease of its own fiber is refused, unless that has ended meanwhile. */
    const refuseObstacle = ({ lease, obstacle, settings }: Pending): Effect.Effect<void, AcquireFailure> =>
      obstacle === undefined || settings.timeout !== Number.POSITIVE_INFINITY
        ? Effect.void
        : Effect.flatMap(store.lookup(obstacle.id), (entry): Effect.Effect<void, AcquireFailure> => {
            if (Option.isNone(entry)) return Effect.void
            const own = localize(entry.value)
            return Effect.fail(
              settings.block
                ? new Deadlock({ targets: lease.targets, cycle: [own.id], enclosing: own })
                : new WouldBlock({ targets: lease.targets, blocker: own })
            )
          })

    /** Gives back what a failed acquire may have got. */
    const takeBack = (id: string): Effect.Effect<void> =>
      Effect.flatMap(Effect.forkIn(Effect.interruptible(store.release(id)), serviceScope), (fiber) =>
        Fiber.await(fiber).pipe(Effect.interruptible, Effect.timeoutOption(takeBackPatience), Effect.asVoid)
      )

    const countFailure = (failure: AcquireFailure): void => {
      if (failure._tag === "LockTimeout") metrics.countTimeout()
      else if (failure._tag !== "StoreError") metrics.countRefused()
    }

    /** Gets the lock. To be run uninterruptibly; only what is restored in it can be interrupted. */
    const obtain = (restore: Restore, pending: Pending): Effect.Effect<void, AcquireFailure> => {
      const { lease, obstacle, spans } = pending
      const started = unsafeNow(clock)
      metrics.requested()
      const granted =
        obstacle === undefined ? take(pending) : Effect.zipRight(refuseObstacle(pending), take(pending))
      const settled = Effect.matchCauseEffect(restore(granted), {
        onSuccess: (grant) => {
          metrics.answered()
          metrics.granted(unsafeNow(clock) - started)
          lease.begin(grant)
          held.set(lease.id, lease)
          return spans
            ? Effect.annotateCurrentSpan({ "hilok.token": lease.token, "hilok.wait_ms": unsafeNow(clock) - started })
            : Effect.void
        },
        onFailure: (cause) => {
          metrics.answered()
          const failure = Cause.failureOption(cause)
          if (Option.isSome(failure)) {
            countFailure(failure.value)
            if (failure.value._tag === "WouldBlock") return Effect.failCause(cause)
            if (failure.value._tag === "Deadlock") {
              const { cycle, enclosing } = failure.value
              return Effect.fail(new Deadlock({ targets: lease.targets, cycle, enclosing }))
            }
          }
          return Effect.zipRight(takeBack(lease.id), Effect.failCause(cause))
        }
      })
      return spans ? Effect.withSpan(settled, "hilok.acquire", { attributes: attributes(lease) }) : settled
    }

    const attributes = (lease: HeldLease): Record<string, unknown> => ({
      "hilok.namespace": store.namespace,
      "hilok.mode": lease.targets.map(({ mode }) => mode).join(","),
      "hilok.path": lease.regions.map(({ path }) => LockPath.format(path, separator)).join(",")
    })

    // -- Hold

    /** Ends the hold. What was lost is released without waiting: the store has most likely ended it already. */
    const close = (lease: HeldLease): Effect.Effect<void> => {
      if (held.get(lease.id) === lease) held.delete(lease.id)
      if (lease.end()) {
        return Effect.catchAllCause(store.release(lease.id), (cause) =>
          Effect.logDebug(`The release of lease ${lease.id} failed; its ttl ends it`, cause)
        )
      }
      return lease.lost === undefined
        ? Effect.void
        : Effect.asVoid(Effect.forkIn(Effect.interruptible(store.release(lease.id)), serviceScope))
    }

    const toLease = (lease: HeldLease): Lease.Lease =>
      Lease.unsafeMake(lease, {
        lost: Effect.suspend(() => lease.awaitLoss()),
        check: Effect.suspend(() => {
          if (lease.lost !== undefined) return Effect.fail(lease.lost)
          return Effect.flatMap(store.lookup(lease.id), (entry) => {
            if (Option.isSome(entry) && entry.value.state === "held") return Effect.void
            lease.lose("expired")
            return Effect.fail(lease.gone)
          })
        })
      })

    /** Holds what `obtained` gets until the scope closes. */
    const holdScoped = <E>(
      fiber: AnyFiber,
      lease: HeldLease,
      interruptOnLoss: boolean,
      spans: boolean,
      obtained: (restore: Restore) => Effect.Effect<void, E>
    ): Effect.Effect<Lease.Lease, E, Scope.Scope> =>
      Effect.uninterruptibleMask((restore) =>
        Effect.gen(function* () {
          const scope = yield* Effect.scope
          const ended = yield* Deferred.make<void>()
          yield* Effect.addFinalizer(() => Effect.zipRight(close(lease), Deferred.succeed(ended, undefined)))
          yield* obtained(restore)
          if (yield* Deferred.isDone(ended)) {
            // The scope was closed while the request waited.
            yield* close(lease)
            return yield* Effect.interrupt
          }
          if (interruptOnLoss) lease.onLost = () => fiber.unsafeInterruptAsFork(FiberId.unsafeMake())
          yield* nesting.enter(lease)
          if (spans) yield* Effect.makeSpanScoped("hilok.hold", { attributes: holdAttributes(lease) })
          yield* Effect.forkIn(Effect.interruptible(lease.keepAlive()), scope)
          return toLease(lease)
        })
      )

    const holdAttributes = (lease: HeldLease) => ({ ...attributes(lease), "hilok.token": lease.token })

    const scoped = (
      targets: ReadonlyArray<Target.Target>,
      requestOptions: LockOptions.AcquireOptions | undefined
    ): Effect.Effect<Lease.Lease, AcquireFailure | InvalidPath | InvalidOptions, Scope.Scope> =>
      Effect.withFiberRuntime((fiber) =>
        Either.match(prepare(fiber, targets, requestOptions), {
          onLeft: Effect.fail,
          onRight: (pending) =>
            holdScoped(fiber, pending.lease, pending.settings.interruptOnLoss, pending.spans, (restore) =>
              obtain(restore, pending)
            )
        })
      )

    /**
     * Runs `use` under the lock, in the fiber of the caller.
     *
     * A loss interrupts that fiber by an id of its own. When the body has ended, that interruption is taken out of the
     * fiber's state and out of the body's cause again, so that what is left of it is the failure with `LockLost`; any
     * other interruption stays.
     */
    const withLock = <A, E, R>(
      use: Use<A, E, R>,
      targets: ReadonlyArray<Target.Target>,
      requestOptions: LockOptions.AcquireOptions | undefined
    ): Effect.Effect<A, E | LockLost | AcquireFailure | InvalidPath | InvalidOptions, R> =>
      Effect.withFiberRuntime((fiber) => {
        const prepared = prepare(fiber, targets, requestOptions)
        if (Either.isLeft(prepared)) return Effect.fail(prepared.left)
        const pending = prepared.right
        const { lease } = pending
        return Effect.uninterruptibleMask((restore) =>
          Effect.flatMap(obtain(restore, pending), () =>
            Effect.flatMap(Effect.forkDaemon(Effect.interruptible(lease.keepAlive())), (keeper) => {
              const interruptor = FiberId.unsafeMake()
              lease.onLost = () => fiber.unsafeInterruptAsFork(interruptor)
              const effect = typeof use === "function" ? Effect.suspend(() => use(toLease(lease))) : use
              const traced = pending.spans
                ? Effect.withSpan(effect, "hilok.hold", { attributes: holdAttributes(lease) })
                : effect
              const finish = (result: Effect.Effect<A, E | LockLost, R>, cause: Cause.Cause<E> | undefined) => {
                lease.onLost = undefined
                keeper.unsafeInterruptAsFork(fiber.id())
                if (lease.isLiveNow()) return Effect.zipRight(close(lease), result)
                return Effect.zipRight(close(lease), failLost(lease.gone, interruptor, cause))
              }
              return Effect.matchCauseEffect(restore(Effect.zipRight(nesting.enter(lease), traced)), {
                onSuccess: (value) => finish(Effect.succeed(value), undefined),
                onFailure: (cause) => finish(Effect.failCause(cause), cause)
              })
            })
          )
        )
      })

    const failLost = <E>(
      lost: LockLost,
      interruptor: FiberId.FiberId,
      cause: Cause.Cause<E> | undefined
    ): Effect.Effect<never, E | LockLost> => {
      const others = <E1>(all: Cause.Cause<E1>): Cause.Cause<E1> =>
        Cause.filter(all, (part) => !(part._tag === "Interrupt" && part.fiberId === interruptor))
      return Effect.flatMap(
        FiberRef.modify(FiberRef.interruptedCause, (all) => {
          const left = others(all)
          return [Cause.isEmpty(left), left]
        }),
        (ours) => {
          const rest = cause === undefined ? Cause.empty : others(cause)
          return ours && Cause.isInterruptedOnly(rest)
            ? Effect.fail(lost)
            : Effect.failCause(Cause.sequential(Cause.fail(lost), rest))
        }
      )
    }

    // -- By hand

    const idOf = (lease: Lease.Lease | string): string => (typeof lease === "string" ? lease : lease.id)

    const acquire = (
      targets: ReadonlyArray<Target.Target>,
      requestOptions: LockOptions.AcquireOptions | undefined
    ): Effect.Effect<Lease.Lease, AcquireFailure | InvalidPath | InvalidOptions> =>
      Effect.withFiberRuntime((fiber) =>
        Either.match(prepare(fiber, targets, requestOptions), {
          onLeft: Effect.fail,
          onRight: (pending) =>
            Effect.uninterruptibleMask((restore) =>
              Effect.map(obtain(restore, pending), () => {
                forgetAbandoned()
                return toLease(pending.lease)
              })
            )
        })
      )

    /** Leases that were acquired by hand and never released are forgotten once their time is over. */
    const forgetAbandoned = (): void => {
      let looked = 0
      for (const lease of held.values()) {
        if (++looked > 2) return
        if (!lease.isLiveNow()) held.delete(lease.id)
      }
    }

    const restore = (
      id: string,
      restoreOptions: RestoreOptions | undefined
    ): Effect.Effect<Lease.Lease, LockLost | InvalidOptions | StoreError, Scope.Scope> =>
      Effect.withFiberRuntime((fiber) => {
        const decoded = LockOptions.decodeRequest(restoreOptions ?? {}, base)
        if (Either.isLeft(decoded)) return Effect.fail(decoded.left)
        const settings = decoded.right
        const lease = new HeldLease(keeper, id, [], [], settings)
        const trace = spans && fiber.getFiberRef(FiberRef.currentTracerEnabled)
        return holdScoped(fiber, lease, settings.interruptOnLoss, trace, () =>
          Effect.flatMap(store.restore(id, Duration.millis(lease.ttl)), (found) => {
            if (Option.isNone(found)) return Effect.fail(lease.gone)
            lease.regions = found.value.targets
            lease.targets = display(found.value.targets)
            lease.begin(found.value)
            metrics.granted(0)
            held.set(id, lease)
            return Effect.void
          })
        )
      })

    const refresh = (
      target: Lease.Lease | string,
      refreshOptions: { readonly ttl?: Duration.DurationInput | undefined } | undefined
    ): Effect.Effect<void, LockLost | InvalidOptions | StoreError> =>
      Effect.suspend((): Effect.Effect<void, LockLost | InvalidOptions | StoreError> => {
        const decoded = LockOptions.decodeRequest({ ttl: refreshOptions?.ttl }, base)
        if (Either.isLeft(decoded)) return Effect.fail(decoded.left)
        const { ttl } = decoded.right
        const id = idOf(target)
        const lease = held.get(id) ?? new HeldLease(keeper, id, [], typeof target === "string" ? [] : target.targets, base)
        return Effect.flatMap(lease.refresh(ttl), (live) => (live ? Effect.void : Effect.fail(lease.gone)))
      })

    const release = (target: Lease.Lease | string): Effect.Effect<boolean, StoreError> =>
      Effect.suspend(() => {
        const id = idOf(target)
        held.get(id)?.end()
        held.delete(id)
        return store.release(id)
      })

    const downgrade = (lease: Lease.Lease): Effect.Effect<Lease.Lease, LockLost | StoreError> =>
      Effect.flatMap(store.downgrade(lease.id), (live) => {
        const kept = held.get(lease.id)
        if (!live) {
          kept?.lose("expired")
          return Effect.fail(kept?.gone ?? new LockLost({ id: lease.id, targets: lease.targets, reason: "expired" }))
        }
        const targets = lease.targets.map(({ mode, path }) => Target.make(LockMode.downgraded(mode), path))
        if (kept === undefined) return Effect.succeed(new Lease.Lease({ id: lease.id, token: lease.token, targets }))
        kept.regions = kept.regions.map(({ mode, path }) => ({ mode: LockMode.downgraded(mode), path }))
        kept.targets = targets
        return Effect.succeed(toLease(kept))
      })

    const inspect = (path: LockPath.Input = ""): Effect.Effect<ReadonlyArray<LockEntry>, InvalidPath | StoreError> =>
      Either.match(LockPath.parse(path, separator), {
        onLeft: Effect.fail,
        onRight: (parsed) => Effect.map(store.inspect(parsed), (entries) => entries.map(localize))
      })

    // -- The functions, in all their shapes

    const one =
      (mode: LockMode.LockMode) => (path: LockPath.Input, requestOptions?: LockOptions.AcquireOptions) =>
        scoped([Target.make(mode, path)], requestOptions)

    const around =
      <What>(targetsOf: (what: What) => ReadonlyArray<Target.Target>) =>
      (first: What | Use<unknown, unknown, unknown>, second?: unknown, third?: unknown) =>
        Effect.isEffect(first) || typeof first === "function"
          ? withLock(first as Use<unknown, unknown, unknown>, targetsOf(second as What), third as LockOptions.AcquireOptions)
          : (use: Use<unknown, unknown, unknown>) =>
              withLock(use, targetsOf(first as What), second as LockOptions.AcquireOptions)

    const aroundOne = (mode: LockMode.LockMode) => around((path: LockPath.Input) => [Target.make(mode, path)])

    // The public types are stricter than one implementation can be: their errors follow the options.
    return {
      read: one("read"),
      write: one("write"),
      readNode: one("readNode"),
      writeNode: one("writeNode"),
      locks: scoped,
      withRead: aroundOne("read"),
      withWrite: aroundOne("write"),
      withReadNode: aroundOne("readNode"),
      withWriteNode: aroundOne("writeNode"),
      withLocks: around((targets: ReadonlyArray<Target.Target>) => targets),
      acquire,
      restore,
      refresh,
      release,
      downgrade,
      inspect,
      breakLease: (lease) => store.breakLease(idOf(lease)),
      detached: nesting.outside
    } as Operations<never>
  })

const withinOf = (enclosing: ReadonlyArray<HeldLease>, others: ReadonlyArray<string>): ReadonlyArray<string> =>
  enclosing.length === 0 ? others : Array.from(new Set([...others, ...enclosing.map(({ id }) => id)]))
