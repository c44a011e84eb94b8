/**
 * One lease as the service that acquired it keeps it: its local deadline, its refresh loop, its loss.
 */
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import { LockLost, type StoreError } from "../LockError.ts"
import type { Region } from "../LockMode.ts"
import type { Settings } from "../LockOptions.ts"
import type { Grant, LockStore } from "../LockStore.ts"
import type { Target } from "../Target.ts"
import * as metrics from "./metrics.ts"
import { unsafeNow } from "./monotonic.ts"
import type { Place } from "./nesting.ts"
import { Timer, type Timers } from "./timers.ts"

/** What a lease needs of its service. */
export interface Keeper {
  readonly store: LockStore["Type"]
  readonly clock: Clock.Clock
  /** When the service began: refreshes fall on a grid from here, so that those of many leases coincide. */
  readonly epoch: number
  readonly timers: Timers
  /** Regions as a caller of the service writes them. */
  readonly display: (regions: ReadonlyArray<Region>) => ReadonlyArray<Target>
}

export class HeldLease {
  readonly id: string
  readonly service: Keeper
  regions: ReadonlyArray<Region>
  readonly ttl: number
  readonly refreshInterval: number
  private readonly maxHold: number
  nextById: HeldLease | undefined = undefined
  /** Where it stands among those that enclose what its holder does. */
  place: Place | undefined = undefined
  token = 0
  /** On the monotonic clock, in milliseconds: from here on another may hold the lock. */
  deadline = Number.NEGATIVE_INFINITY
  lost: LockLost | undefined = undefined
  /** Does this service refresh it? Else its holder does, by hand. */
  isKept = false
  private onLost: (() => void) | undefined = undefined
  /** Does `maxHold` make the deadline what it is? */
  private isLast = false
  grantedAt = 0
  private mustEnd = Number.POSITIVE_INFINITY
  private state: "pending" | "held" | "ended" = "pending"
  private listeners: Set<(lost: LockLost) => void> | undefined = undefined
  /** The one that took this lease over within the same service, and the one that this was taken over from. */
  private successor: HeldLease | undefined = undefined
  private former: HeldLease | undefined = undefined

  constructor(service: Keeper, id: string, regions: ReadonlyArray<Region>, settings: Settings) {
    this.service = service
    this.id = id
    this.regions = regions
    this.ttl = Math.min(settings.ttl, settings.maxHold)
    this.refreshInterval = Math.min(settings.refreshInterval, settings.maxHold)
    this.maxHold = settings.maxHold
  }

  get targets(): ReadonlyArray<Target> {
    return this.service.display(this.regions)
  }

  /** Held, and not known to be lost. */
  get isLive(): boolean {
    return this.state === "held" || this.successor?.isLive === true
  }

  private get now(): number {
    return unsafeNow(this.service.clock)
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

  /** Ends it without a loss. `false` when it was not held any more. */
  end(now = this.now): boolean {
    if (this.state !== "held") return false
    this.state = "ended"
    metrics.ended(now - this.grantedAt)
    return true
  }

  /** Empties its place, and those of the holders that it was taken over from. One that was taken over itself lives on. */
  leave(): void {
    if (this.isLive) return
    if (this.place !== undefined) this.place.lease = undefined
    this.place = undefined
    this.former?.leave()
  }

  /** Leaves the lease to another holder in the same service. What is lost from then on is lost for both. */
  handOver(to: HeldLease): void {
    if (!this.end()) return
    this.successor = to
    to.former = this
  }

  /** Ends it by loss, and stops the work that is done under it. */
  lose(reason: LockLost["reason"]): void {
    if (this.successor !== undefined) return this.successor.lose(reason)
    if (!this.end()) return
    metrics.countLost()
    this.tellLoss(reason)
  }

  private tellLoss(reason: LockLost["reason"]): void {
    const maxHold = reason === "expired" && this.isLast && this.now >= this.deadline ? this.maxHold : undefined
    this.lost = new LockLost({ id: this.id, targets: this.targets, reason, maxHold })
    this.onLost?.()
    for (const listener of this.listeners ?? []) listener(this.lost)
    this.listeners = undefined
    this.former?.tellLoss(reason)
  }

  /** Sets what stops the work that is done under the lease; does it at once when it is lost already. */
  stopOnLoss(stop: () => void): void {
    this.onLost = stop
    if (this.lost !== undefined) stop()
  }

  /** The work has ended: there is nothing to stop any more. */
  workEnded(): void {
    this.onLost = undefined
  }

  /** Loses it if its local deadline has passed; answers whether it is still live. */
  isLiveNow(now = this.now): boolean {
    if (this.state === "held" && now >= this.deadline) this.lose("expired")
    return this.isLive
  }

  /** Fails when the lease is lost, and never otherwise. */
  awaitLoss(): Effect.Effect<never, LockLost> {
    return Effect.async((resume) => {
      if (this.lost !== undefined) return resume(Exit.fail(this.lost))
      const listener = (lost: LockLost) => resume(Exit.fail(lost))
      this.listeners ??= new Set()
      this.listeners.add(listener)
      return Effect.sync(() => this.listeners?.delete(listener))
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

  /** Refreshes once; answers whether the lease is live. */
  refresh(ttl = this.ttl): Effect.Effect<boolean, StoreError> {
    return Effect.suspend(() => {
      const left = Math.min(ttl, this.mustEnd - this.now)
      if (left <= 0) this.lose("expired")
      if (!this.isLive) return Effect.succeed(false)
      return Effect.map(this.service.store.refresh(this.id, Duration.millis(left)), (deadline) => {
        if (Option.isNone(deadline)) this.lose("expired")
        else {
          this.deadline = Math.min(deadline.value, this.mustEnd)
          this.isLast = left < ttl
        }
        return this.isLive
      })
    })
  }

  private sleepUntil(time: number): Effect.Effect<void> {
    return this.service.clock.sleep(Duration.millis(Math.max(0, Math.ceil(time - this.now))))
  }

  /** The last point of the service's grid at or before a time. */
  private onGrid(time: number): number {
    const step = this.refreshInterval / refreshSlots
    const { epoch } = this.service
    return epoch + Math.floor((time - epoch) / step) * step
  }

  private nextRefresh(): number {
    return this.onGrid(this.now + this.refreshInterval)
  }

  /** When the refresh loop of a new lease has something to do at the earliest. */
  firstDue(): number {
    return this.onGrid(Math.min(this.grantedAt + this.refreshInterval, this.deadline))
  }

  /**
   * Refreshes the lease until it ends, one way or another. A refresh that fails is tried again, at shorter intervals,
   * until the local deadline: only that is the loss.
   */
  keepAlive(first?: number): Effect.Effect<void> {
    return Effect.suspend(() => this.keepFrom(first ?? this.nextRefresh(), false))
  }

  private keepFrom(next: number, failing: boolean): Effect.Effect<void> {
    if (this.state !== "held") return Effect.void
    const now = this.now
    if (now >= this.deadline) {
      this.lose(failing ? "unreachable" : "expired")
      return Effect.void
    }
    const wake = Math.min(next, this.deadline)
    if (now < wake) return Effect.flatMap(this.sleepUntil(wake), () => this.keepFrom(next, failing))
    return Effect.flatMap(this.attempt(), (exit) =>
      exit._tag === "Success"
        ? this.keepFrom(this.nextRefresh(), false)
        : this.keepFrom(this.now + this.refreshInterval / retriesPerInterval, true)
    )
  }

  /** A refresh was not answered by the deadline: that is the loss, unless another refresh has moved it (`false`). */
  isUnreachable(): boolean {
    // One that was taken over meanwhile is the other holder's to lose.
    if (this.state !== "held") return true
    if (this.now < this.deadline) return false
    this.lose("unreachable")
    return true
  }

  /** Refreshes once. A store that does not answer does not keep the loss from being noticed. */
  private attempt(): Effect.Effect<Exit.Exit<boolean, StoreError>> {
    const { timers } = this.service
    const overdue = new Overdue(this)
    return Effect.suspend(() => {
      timers.start(overdue)
      return Effect.ensuring(
        Effect.exit(this.refresh()),
        Effect.sync(() => timers.stop(overdue))
      )
    })
  }
}

/** The deadline of a lease that is being refreshed. */
class Overdue extends Timer {
  private readonly lease: HeldLease

  constructor(lease: HeldLease) {
    super(lease.deadline)
    this.lease = lease
  }

  run(): void {
    if (this.lease.isUnreachable()) return
    this.deadline = this.lease.deadline
    this.lease.service.timers.start(this)
  }
}

/** How many times within an interval refreshes can fall due. More: smoother load, but fewer of them coincide. */
const refreshSlots = 8
const retriesPerInterval = 4
