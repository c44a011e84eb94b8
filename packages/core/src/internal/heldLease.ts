/**
 * One lease as the service that owns it keeps it: its local deadline, its loss. (`refreshing.ts` keeps it alive.)
 *
 * It has one holder, as a rule: a scope, or the work under `withX`. A `restore` of it within the same service adds
 * another one; the lease is released when the last of them ends.
 */
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import { LockLost, type StoreError } from "../LockError.ts"
import * as LockMode from "../LockMode.ts"
import type { Settings } from "../LockOptions.ts"
import * as LockPath from "../LockPath.ts"
import type { Grant, LockStore, Refresh } from "../LockStore.ts"
import type { Target } from "../Target.ts"
import type { Metrics } from "./metrics.ts"
import type { Place } from "./nesting.ts"
import type { Refreshing, Round, Slot } from "./refreshing.ts"
import { Timer, type Timers } from "./timers.ts"

/** What a lease needs of its service. */
export interface Keeper {
  readonly store: LockStore["Type"]
  readonly clock: Clock.Clock
  /** When the service began: from here its refreshes are counted. */
  readonly epoch: number
  readonly now: () => number
  readonly timers: Timers
  readonly refreshing: Refreshing
  readonly metrics: Metrics
  /** Runs an effect in the background. */
  readonly fork: (effect: Effect.Effect<void>) => unknown
  /** A lease that the service keeps was lost. */
  readonly report: (lost: LockLost, isStopped: boolean) => void
  /** Regions as a caller of the service writes them. */
  readonly display: (regions: ReadonlyArray<LockMode.Region>) => ReadonlyArray<Target>
}

/** What a holder does when the lease is lost. `false`: there was work that it could not stop. */
export type OnLoss = (lost: LockLost) => boolean

/** A refresh of this lease. */
export interface Asked extends Refresh {
  /** Is it the last one that `maxHold` leaves time for? */
  readonly isLast: boolean
}

/** As a timer it stands for its deadline: from its first refresh on, as that comes before. */
export class HeldLease extends Timer {
  readonly id: string
  /** The name by which the store knows whose lease it is. */
  owner: string
  readonly service: Keeper
  regions: ReadonlyArray<LockMode.Region>
  ttl: number
  refreshInterval: number
  private maxHold: number
  nextById: HeldLease | undefined = undefined
  token = 0
  lost: LockLost | undefined = undefined
  /** How many hold it in this service. None holds what is refreshed and released by hand. */
  holders = 1
  /** Where it stands among what encloses the work of its holders: the newest of them first. */
  place: Place | undefined = undefined
  /** What the first holder does on loss, and what others do who hold it or watch it. */
  private onLoss: OnLoss | undefined = undefined
  private others: Set<OnLoss> | undefined = undefined
  /** Does `maxHold` make the deadline what it is? */
  private isLast = false
  grantedAt = 0
  private mustEnd = Number.POSITIVE_INFINITY
  private state: "pending" | "held" | "ended" = "pending"
  /** Where its next refresh stands, among those of which leases. */
  round: Round | undefined = undefined
  slot: Slot | undefined = undefined
  nextInSlot: HeldLease | undefined = undefined
  previousInSlot: HeldLease | undefined = undefined
  /** Has the store answered the last refresh? */
  private isAnswered = true
  /** What its holders see of it: the same list for all, as it changes in place with a downgrade. */
  private shown: Array<Target> | undefined = undefined

  constructor(service: Keeper, id: string, owner: string, regions: ReadonlyArray<LockMode.Region>, settings: Settings) {
    // `deadline`, on the monotonic clock, in milliseconds: from there on another may hold the lock.
    super(Number.NEGATIVE_INFINITY)
    this.service = service
    this.id = id
    this.owner = owner
    this.regions = regions
    this.ttl = Math.min(settings.ttl, settings.maxHold)
    this.refreshInterval = Math.min(settings.refreshInterval, settings.maxHold)
    this.maxHold = settings.maxHold
  }

  get targets(): ReadonlyArray<Target> {
    this.shown ??= Array.from(this.service.display(this.regions))
    return this.shown
  }

  /** Held, and not known to be lost. */
  get isLive(): boolean {
    return this.state === "held"
  }

  /** Does this service refresh it? Else that is done by hand. */
  get isKept(): boolean {
    return this.holders > 0
  }

  private get now(): number {
    return this.service.now()
  }

  begin(grant: Grant): void {
    this.state = "held"
    this.token = grant.token
    this.grantedAt = this.now
    this.mustEnd = this.grantedAt + this.maxHold
    this.deadline = Math.min(grant.deadline, this.mustEnd)
    this.isLast = this.ttl === this.maxHold
    // A process may have been stopped while the grant was under way.
    if (this.grantedAt >= this.deadline) this.lose("expired")
  }

  /** Somebody else holds it, too. What it may be held for goes on, and does not begin anew. */
  extend(deadline: number, { maxHold, refreshInterval, ttl }: Settings): void {
    this.maxHold = Math.min(this.maxHold, maxHold)
    this.mustEnd = Math.min(this.mustEnd, this.grantedAt + this.maxHold)
    this.ttl = Math.min(Math.max(this.ttl, ttl), this.maxHold)
    this.refreshInterval = Math.min(this.refreshInterval, refreshInterval)
    this.deadline = Math.min(Math.max(this.deadline, deadline), this.mustEnd)
    this.isLast = this.deadline === this.mustEnd
    if (this.isLiveNow()) this.service.refreshing.add(this)
  }

  /** Its targets are other ones now. */
  become(regions: ReadonlyArray<LockMode.Region>): void {
    this.regions = regions
    this.shown?.splice(0, this.shown.length, ...this.service.display(regions))
  }

  /** Ends it without a loss. `false` when it was not held any more. */
  end(now = this.now): boolean {
    if (this.state !== "held") return false
    this.state = "ended"
    this.service.refreshing.delete(this)
    this.service.metrics.ended(now - this.grantedAt)
    return true
  }

  /** Ends it by loss, and tells those who hold it or watch it. */
  lose(reason: LockLost["reason"]): void {
    if (!this.end()) return
    this.service.metrics.lost(reason)
    const maxHold = reason === "expired" && this.isLast && this.now >= this.deadline ? this.maxHold : undefined
    this.lost = new LockLost({ id: this.id, targets: Array.from(this.targets), reason, maxHold })
    let isStopped = this.onLoss?.(this.lost) ?? true
    for (const other of this.others ?? []) isStopped = other(this.lost) && isStopped
    this.others = undefined
    if (this.isKept) this.service.report(this.lost, isStopped)
  }

  /** Sets what is done on loss; it is done at once when the lease is lost already. */
  listen(onLoss: OnLoss): void {
    if (this.lost !== undefined) onLoss(this.lost)
    else if (this.onLoss === undefined) this.onLoss = onLoss
    else {
      this.others ??= new Set()
      this.others.add(onLoss)
    }
  }

  unlisten(onLoss: OnLoss): void {
    if (this.onLoss === onLoss) this.onLoss = undefined
    else this.others?.delete(onLoss)
  }

  /**
   * Loses it if its local deadline has passed; answers whether it is still live. When it has been held for as long as it may,
   * no answer to a refresh would have helped.
   */
  isLiveNow(now = this.now): boolean {
    if (this.state === "held" && now >= this.deadline) {
      this.lose(this.isAnswered || this.isLast ? "expired" : "unreachable")
    }
    return this.isLive
  }

  /** Fails when the lease is lost, and never otherwise. */
  awaitLoss(): Effect.Effect<never, LockLost> {
    return Effect.async((resume) => {
      const listener = (lost: LockLost) => {
        resume(Exit.fail(lost))
        return true
      }
      this.listen(listener)
      return Effect.sync(() => this.unlisten(listener))
    })
  }

  /** For a lease that nobody refreshes here: loses it when its deadline passes without a refresh by hand. */
  watchDeadline(): Effect.Effect<never> {
    return Effect.suspend(() => {
      if (this.state !== "held" || !this.isLiveNow()) return Effect.never
      return Effect.flatMap(this.sleepUntil(this.deadline), () => this.watchDeadline())
    })
  }

  /** The error of a lease that turned out not to be live. */
  get gone(): LockLost {
    return this.lost ?? new LockLost({ id: this.id, targets: this.targets, reason: "expired" })
  }

  /** The store says that it is not ours, or not live: finds out which, and loses it. */
  private missing(): Effect.Effect<void> {
    return this.service.store.lookup(this.id).pipe(
      Effect.map((entry) => this.lose(Option.isSome(entry) ? "taken" : "expired")),
      // It is not ours in any case.
      Effect.catchAll(() => Effect.sync(() => this.lose("expired")))
    )
  }

  /** What the store is asked for in a refresh; nothing when the lease is over, and then it is lost here. */
  toRefresh(ttl = this.ttl): Asked | undefined {
    const now = this.now
    if (!this.isLiveNow(now)) return undefined
    const left = this.mustEnd - now
    return { id: this.id, ttl: Duration.millis(Math.min(ttl, left)), owner: this.owner, isLast: left < ttl }
  }

  /** The store has answered a refresh. `false` when the lease is not live any more, or that is yet to be found out. */
  refreshed({ isLast, owner }: Asked, deadline: Option.Option<number>): boolean {
    this.isAnswered = true
    if (Option.isSome(deadline)) {
      this.deadline = Math.min(deadline.value, this.mustEnd)
      this.isLast = isLast
      if (this.heapIndex !== -1) this.service.timers.start(this)
      return this.isLive
    }
    // A restore in this service has changed the owner meanwhile.
    if (owner !== this.owner) return this.isLive
    this.service.fork(this.missing())
    return false
  }

  /** It is being refreshed: a store that does not answer does not keep the loss from being noticed. */
  awaitAnswer(): void {
    this.isAnswered = false
    this.service.timers.start(this)
  }

  /** Its deadline has come, unless that was moved. */
  run(): void {
    if (this.isLiveNow()) this.service.timers.start(this)
  }

  /** Refreshes once; answers whether the lease is live. */
  refresh(ttl = this.ttl): Effect.Effect<boolean, StoreError> {
    return Effect.suspend(() => {
      const refresh = this.toRefresh(ttl)
      if (refresh === undefined) return Effect.succeed(false)
      const { metrics, store } = this.service
      return Effect.flatMap(metrics.watch(store.refresh(this.id, refresh.ttl, refresh.owner)), (deadline) => {
        if (Option.isSome(deadline) || refresh.owner !== this.owner) {
          return Effect.succeed(this.refreshed(refresh, deadline))
        }
        return Effect.as(this.missing(), false)
      })
    })
  }

  /** Somebody is said to have taken it over: asks the store, as that may have been taken back. */
  verify(): void {
    this.service.fork(Effect.ignore(this.refresh()))
  }

  /**
   * Turns its exclusive targets into shared ones. What the store has done is what `targets` say: if its answer was lost it
   * is asked until it is known.
   */
  downgrade(): Effect.Effect<void, StoreError | LockLost> {
    const { metrics, store } = this.service
    return Effect.suspend(() => metrics.watch(store.downgrade(this.id, this.owner))).pipe(
      Effect.flatMap((isDone) => {
        if (!isDone)
          return Effect.zipRight(
            this.missing(),
            Effect.suspend(() => Effect.fail(this.gone))
          )
        this.become(this.regions.map(({ mode, path }) => ({ mode: LockMode.downgraded(mode), path })))
        return Effect.void
      }),
      Effect.tapErrorTag("StoreError", () => Effect.sync(() => this.service.fork(this.findTargets())))
    )
  }

  private findTargets(): Effect.Effect<void> {
    return Effect.suspend(() => {
      if (!this.isLive) return Effect.void
      return Effect.matchEffect(this.service.store.lookup(this.id), {
        onSuccess: (entry) => {
          if (Option.isNone(entry)) this.lose("expired")
          else
            this.become(
              entry.value.targets.map(({ mode, path }) => ({
                mode,
                path: LockPath.encode(path, "/") as LockPath.LockPath
              }))
            )
          return Effect.void
        },
        onFailure: () =>
          Effect.flatMap(this.sleepUntil(this.now + this.refreshInterval / retriesPerInterval), () =>
            this.findTargets()
          )
      })
    })
  }

  private sleepUntil(time: number): Effect.Effect<void> {
    return this.service.clock.sleep(Duration.millis(Math.max(0, Math.ceil(time - this.now))))
  }
}

/** How soon, in parts of the refresh interval, it is asked again what the store has done. */
const retriesPerInterval = 4
