/**
 * What the parts of one service share.
 */
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Fiber from "effect/Fiber"
import * as FiberRef from "effect/FiberRef"
import * as Queue from "effect/Queue"
import * as Runtime from "effect/Runtime"
import type * as Scope from "effect/Scope"
import type * as Tracer from "effect/Tracer"
import * as Lease from "../Lease.ts"
import type { Holder, LockEntry } from "../LockEntry.ts"
import type { InvalidOptions, LockLost, StoreError } from "../LockError.ts"
import type * as LockMode from "../LockMode.ts"
import * as LockOptions from "../LockOptions.ts"
import * as LockPath from "../LockPath.ts"
import type { LockStore, Revocation } from "../LockStore.ts"
import type * as Target from "../Target.ts"
import type { AnyFiber } from "./effectInternals.ts"
import type { HeldLease, Keeper } from "./heldLease.ts"
import { IdTable } from "./idTable.ts"
import { Metrics } from "./metrics.ts"
import { unsafeNow } from "./monotonic.ts"
import { Blockers } from "./others.ts"
import { Refreshing } from "./refreshing.ts"
import { Timers } from "./timers.ts"

/** Gives an effect in an uninterruptible region back the interruptibility that its caller had. */
export type Restore = <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>

/** How long a caller waits for what has to be taken back, before that goes on in the background. */
const patience = Duration.millis(25)
/** How long a service that closes waits for the release of what is held. */
const farewell = Duration.seconds(1)

export class Context implements Keeper {
  readonly store: LockStore["Type"]
  readonly clock: Clock.Clock
  readonly epoch: number
  readonly separator: string
  /** What a request without options goes by. */
  readonly settings: LockOptions.Settings
  readonly holder: Holder
  readonly timers: Timers
  readonly refreshing: Refreshing
  readonly metrics: Metrics
  /** Finds out who is in the way of requests that are about to time out. */
  readonly blockers: Blockers
  /** The leases of this service by their ids. */
  readonly held = new IdTable<HeldLease>()
  /** Starts a fiber that belongs to nobody. */
  readonly fork: <A, E>(effect: Effect.Effect<A, E>) => Fiber.RuntimeFiber<A, E>
  isClosed = false
  private readonly spans: boolean

  constructor(
    store: LockStore["Type"],
    clock: Clock.Clock,
    fork: <A, E>(effect: Effect.Effect<A, E>) => Fiber.RuntimeFiber<A, E>,
    options: LockOptions.Options,
    decoded: LockOptions.Decoded
  ) {
    this.store = store
    this.clock = clock
    this.metrics = new Metrics(store.namespace)
    this.blockers = new Blockers(this)
    this.epoch = unsafeNow(clock)
    this.fork = fork
    this.timers = new Timers(clock, fork)
    this.refreshing = new Refreshing(this)
    this.separator = decoded.separator
    this.settings = decoded.settings
    this.spans = decoded.spans
    this.holder = { label: options.label, host: options.host, pid: options.pid }
  }

  now(): number {
    return unsafeNow(this.clock)
  }

  /** Are spans to be opened for what this fiber does? */
  traces(fiber: AnyFiber): boolean {
    return this.spans && fiber.getFiberRef(FiberRef.currentTracerEnabled)
  }

  /** Runs an effect on, in the background, whatever becomes of the caller, and of the service. */
  background<A, E>(effect: Effect.Effect<A, E>): Effect.Effect<Fiber.RuntimeFiber<A, E>> {
    return Effect.forkDaemon(Effect.interruptible(effect))
  }

  /** The same, and waits for it, but not for long: an answer that does not come must not hold the caller up. */
  soon(effect: Effect.Effect<unknown, unknown>): Effect.Effect<void> {
    return Effect.flatMap(this.background(effect), (fiber) =>
      Fiber.await(fiber).pipe(Effect.interruptible, Effect.timeoutOption(patience), Effect.asVoid)
    )
  }

  forget(lease: HeldLease): void {
    this.held.delete(lease)
  }

  /** The store says that a lease of this client has ended, or that it is another's now. */
  revoked({ id, owner, reason }: Revocation): void {
    const lease = this.held.get(id)
    // One that was restored in this service since is not meant.
    if (lease === undefined || lease.owner !== owner) return
    if (reason !== "taken") lease.lose(reason)
    // Whoever refreshes a lease by hand may hand it on.
    else if (lease.isKept) lease.verify()
  }

  report(lost: LockLost, isStopped: boolean): void {
    const { id, message, reason, targets } = lost
    const text = isStopped ? message : `${message}. The fiber that acquired it has ended, so nobody was stopped`
    this.fork(
      (isStopped ? Effect.logWarning(text) : Effect.logError(text)).pipe(
        Effect.annotateLogs({
          "hilok.namespace": this.store.namespace,
          "hilok.id": id,
          "hilok.mode": targets.map(({ mode }) => mode),
          "hilok.path": targets.map(({ path }) => (typeof path === "string" ? path : path.join(this.separator))),
          "hilok.reason": reason
        })
      )
    )
  }

  /** Ends what is held: nobody refreshes it from now on. */
  close(): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.isClosed = true
      this.timers.close()
      const leases = Array.from(this.held.values()).filter(({ isKept, isLive }) => isKept && isLive)
      for (const lease of leases) lease.lose("closed")
      const releases = leases.map(({ id, owner }) => Effect.ignore(this.store.release(id, owner)))
      return Effect.all(releases, { concurrency: "unbounded", discard: true }).pipe(
        Effect.interruptible,
        Effect.disconnect,
        Effect.timeoutOption(farewell),
        // What was begun in the background gets to the store, which then waits for what is on its way.
        Effect.zipRight(Effect.yieldNow())
      )
    })
  }

  /** Regions as a caller with this service's separator writes them. */
  display(regions: ReadonlyArray<LockMode.Region>): ReadonlyArray<Target.Target> {
    return regions.map(({ mode, path }) => ({ mode, path: LockPath.toInput(path, this.separator) }))
  }

  /** An entry of the store as a caller with this service's separator writes it. */
  localize(entry: LockEntry): LockEntry {
    if (this.separator === LockOptions.defaults.separator) return entry
    const targets = entry.targets.map(({ mode, path }) => ({
      mode,
      path: Either.match(LockPath.parse(path), {
        onLeft: () => path,
        onRight: (parsed) => LockPath.toInput(parsed, this.separator)
      })
    }))
    return { ...entry, targets }
  }

  /** For the span of a lease. Where it was opened is always here, which is not worth a stack trace. */
  spanOptions(lease: HeldLease, more: Record<string, unknown> = {}): Tracer.SpanOptions {
    return {
      captureStackTrace: false,
      attributes: {
        "hilok.namespace": this.store.namespace,
        "hilok.mode": lease.regions.map(({ mode }) => mode),
        "hilok.path": lease.regions.map(({ path }) => LockPath.format(path, this.separator)),
        ...more
      }
    }
  }

  /** What the holder gets. */
  toLease(lease: HeldLease): Lease.Lease {
    return Lease.unsafeMake(lease, new Kept(this, lease))
  }
}

/** How a lease reaches this service. */
class Kept implements Lease.Upkeep {
  private readonly context: Context
  private readonly lease: HeldLease

  constructor(context: Context, lease: HeldLease) {
    this.context = context
    this.lease = lease
  }

  owner(): string {
    return this.lease.owner
  }

  get lost(): Effect.Effect<never, LockLost> {
    const { lease } = this
    return Effect.suspend(() =>
      lease.isKept ? lease.awaitLoss() : Effect.raceFirst(lease.awaitLoss(), lease.watchDeadline())
    )
  }

  get check(): Effect.Effect<void, LockLost | StoreError> {
    const { context, lease } = this
    return Effect.suspend(() => {
      if (lease.lost !== undefined) return Effect.fail(lease.lost)
      return Effect.flatMap(context.metrics.watch(context.store.lookup(lease.id)), (entry) => {
        if (entry._tag === "Some" && entry.value.state === "held") return Effect.void
        lease.lose("expired")
        return Effect.fail(lease.gone)
      })
    })
  }
}

/** Makes the context, and closes it with the scope. */
export const make = (
  store: LockStore["Type"],
  options: LockOptions.Options
): Effect.Effect<Context, InvalidOptions, Scope.Scope> =>
  Effect.gen(function* () {
    const decoded = yield* LockOptions.decode(options)
    const clock = yield* Effect.clock
    const fork = Runtime.runFork(yield* Effect.runtime<never>())
    const context = new Context(store, clock, (effect) => fork(effect), options, decoded)
    const revocations = yield* store.revocations
    yield* Queue.take(revocations).pipe(
      Effect.flatMap((revocation) => Effect.sync(() => context.revoked(revocation))),
      Effect.forever,
      Effect.interruptible,
      Effect.forkScoped
    )
    // Added last, so it comes first.
    yield* Effect.addFinalizer(() => context.close())
    return context
  })
