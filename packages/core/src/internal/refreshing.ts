/**
 * Refreshes the leases that a service keeps: in few commands, and evenly over the interval, however they were taken.
 *
 * The refresh interval is divided into slots, as in a timing wheel (Varghese and Lauck, SOSP 1987). In the pass of a slot, all
 * that is in it goes to the store at once, and what the store still knows comes into the same slot of the next round. So the
 * work of a refresh is a place in a list, with no fiber, promise or closure of its own.
 */
import * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import type { StoreError } from "../LockError.ts"
import type { Asked, HeldLease, Keeper } from "./heldLease.ts"
import { Timer } from "./timers.ts"

/** How many slots an interval has. More: less to do at a time. */
const slotsPerRound = 64
/** Leases gather in one slot out of so many, so that few that were taken one by one go together, and spread when it is full. */
const slotsBetween = 8
/**
 * How many a slot takes before the next one is used: as many as fit into two commands (RedisStore). A pass has costs of its own: with 200
 * in each, 10,000 leases took 3.3 % of a core, with 400 they take 2.0 %, and the event loop stands still for 4 ms at most.
 */
const fewestInSlot = 400
/** How much more than its share a slot takes, when there are more leases than that. */
const surplus = 1.25
/** A refresh that fails is tried again after this part of the interval. */
const retriesPerInterval = 4
/** How long after a pass the next one may come when the process was held up (milliseconds): others want their turn, too. */
const breath = 1

/** Some leases, as a list in which each knows its neighbours. */
export class Slot {
  private first: HeldLease | undefined = undefined
  count = 0

  add(lease: HeldLease): void {
    lease.slot = this
    lease.nextInSlot = this.first
    if (this.first !== undefined) this.first.previousInSlot = lease
    this.first = lease
    this.count++
  }

  delete(lease: HeldLease): void {
    const { nextInSlot, previousInSlot } = lease
    if (previousInSlot === undefined) this.first = nextInSlot
    else previousInSlot.nextInSlot = nextInSlot
    if (nextInSlot !== undefined) nextInSlot.previousInSlot = previousInSlot
    lease.slot = lease.nextInSlot = lease.previousInSlot = undefined
    this.count--
  }

  takeAll(): ReadonlyArray<HeldLease> {
    const leases: Array<HeldLease> = []
    while (this.first !== undefined) {
      leases.push(this.first)
      this.delete(this.first)
    }
    return leases
  }
}

/** The slots for all leases with the same refresh interval. As a timer it stands for the next pass. */
export class Round extends Timer {
  readonly interval: number
  private readonly keeper: Keeper
  private readonly width: number
  private readonly slots = Array.from({ length: slotsPerRound }, () => new Slot())
  /** The number of the slot whose pass is next; slots are counted from the beginning of the service. */
  private next = Number.POSITIVE_INFINITY
  private count = 0
  private readonly onEmpty: (round: Round) => void

  constructor(keeper: Keeper, interval: number, onEmpty: (round: Round) => void) {
    super(Number.POSITIVE_INFINITY)
    this.keeper = keeper
    this.interval = interval
    this.width = interval / slotsPerRound
    this.onEmpty = onEmpty
  }

  private slot(number: number): Slot {
    return this.slots[number % slotsPerRound]!
  }

  private timeOf(number: number): number {
    return this.keeper.epoch + number * this.width
  }

  /** The last slot that comes by this time. */
  private lastBy(time: number): number {
    return Math.floor((time - this.keeper.epoch) / this.width)
  }

  /** Puts a lease into a slot that comes by this time, and late rather than early. `false` when none comes by then. */
  put(lease: HeldLease, by: number): boolean {
    const first = this.lastBy(this.keeper.now()) + 1
    const last = this.lastBy(by)
    if (last < first) return false
    const common = last - (last % slotsBetween)
    let number = common < first ? last : common
    const room = Math.max(fewestInSlot, (surplus * this.count) / slotsPerRound)
    while (number > first && this.slot(number).count >= room) number--
    this.putInto(number, lease)
    return true
  }

  private putInto(number: number, lease: HeldLease): void {
    this.slot(number).add(lease)
    this.count++
    if (number < this.next) this.arm(number)
  }

  delete(lease: HeldLease): void {
    lease.slot?.delete(lease)
    this.count--
  }

  private arm(number: number, notBefore = Number.NEGATIVE_INFINITY): void {
    this.next = number
    this.deadline = Math.max(this.timeOf(number), notBefore)
    this.keeper.timers.start(this)
  }

  run(): void {
    const number = this.next
    const leases = this.slot(number).takeAll()
    if (leases.length === 0 && this.count === 0) {
      // The answer to a pass may be late, and bring its leases back.
      this.next = Number.POSITIVE_INFINITY
      return this.onEmpty(this)
    }
    this.count -= leases.length
    // That slot, when all others are empty. By then it may be empty, too, and the pass finds nothing: that is cheaper than to
    // stop the timer whenever a slot runs empty.
    let next = number + 1
    while (next < number + slotsPerRound && this.slot(next).count === 0) next++
    this.arm(next, this.keeper.now() + breath)
    this.refresh(leases, number + slotsPerRound)
  }

  /** Refreshes these, and puts each into the slot `again`, or sooner when it failed. */
  refresh(leases: ReadonlyArray<HeldLease>, again: number): void {
    const asked: Array<HeldLease> = []
    const refreshes: Array<Asked> = []
    for (const lease of leases) {
      const refresh = lease.toRefresh()
      if (refresh === undefined) continue
      asked.push(lease)
      refreshes.push(refresh)
      lease.awaitAnswer()
    }
    if (asked.length === 0) return
    const { fork, metrics, store } = this.keeper
    fork(
      Effect.map(store.refreshAll(refreshes), (answers) => {
        metrics.failures(answers)
        for (let i = 0; i < asked.length; i++) this.answered(asked[i]!, refreshes[i]!, answers[i]!, again)
      })
    )
  }

  private answered(lease: HeldLease, refresh: Asked, answer: Option.Option<number> | StoreError, again: number): void {
    if (answer._tag === "StoreError") return this.plan(lease, this.due(lease, this.interval / retriesPerInterval))
    if (!lease.refreshed(refresh, answer)) return
    if (lease.round !== this || lease.slot !== undefined) return
    const isInTime = this.timeOf(again) < lease.deadline - this.width * slotsBetween
    if (isInTime && again > this.lastBy(this.keeper.now())) this.putInto(again, lease)
    else this.plan(lease, this.due(lease))
  }

  /**
   * By when a lease is to be refreshed again: before its deadline, which may be nearer than the interval. That of a lease under a
   * delegation is the delegation's.
   */
  due(lease: HeldLease, interval = this.interval): number {
    return Math.min(this.keeper.now() + interval, lease.deadline - this.width * slotsBetween)
  }

  /** The next refresh of a lease, unless that is arranged already. */
  private plan(lease: HeldLease, by: number): void {
    if (lease.round !== this || lease.slot !== undefined) return
    if (!this.put(lease, by)) this.put(lease, this.keeper.now() + this.width * slotsBetween)
  }
}

export class Refreshing {
  private readonly keeper: Keeper
  /** By their intervals. */
  private readonly rounds = new Map<number, Round>()

  constructor(keeper: Keeper) {
    this.keeper = keeper
  }

  /** Refreshes a lease from now on, until it ends, one way or another, or is taken out. */
  add(lease: HeldLease): void {
    if (!lease.isLive) return
    this.delete(lease)
    const round = this.roundOf(lease.refreshInterval)
    lease.round = round
    if (!round.put(lease, round.due(lease))) round.refresh([lease], 0)
  }

  private roundOf(interval: number): Round {
    let round = this.rounds.get(interval)
    if (round === undefined) {
      round = new Round(this.keeper, interval, (empty) => {
        if (this.rounds.get(interval) === empty) this.rounds.delete(interval)
      })
      this.rounds.set(interval, round)
    }
    return round
  }

  delete(lease: HeldLease): void {
    if (lease.round === undefined) return
    if (lease.slot !== undefined) lease.round.delete(lease)
    lease.round = undefined
    this.keeper.timers.stop(lease)
  }
}
