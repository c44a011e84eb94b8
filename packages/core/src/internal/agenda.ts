/**
 * What is to be done for delegations, and when: those that nobody uses end, the others are refreshed, and settlements that failed
 * are done again. One timer serves all of it, and a lock that comes and goes within that time costs none.
 */
import { Chain } from "./chain.ts"
import { DeadlineHeap } from "./deadlineHeap.ts"
import type { Delegation } from "./delegation.ts"
import type { Settling } from "./settling.ts"

/** How often a delegation is refreshed within its ttl, and how often it is tried when that fails. */
const refreshesPerTtl = 3
const retriesPerTtl = 12
/** It is done up to this part of the ttl earlier, along with others: so that few commands are enough for many. */
const aheadPerTtl = 96
/** After how many milliseconds a settlement is tried again. */
const settleAgain = 100

export interface Due {
  readonly lingered: ReadonlyArray<Delegation>
  readonly expired: ReadonlyArray<Delegation>
  readonly toRefresh: ReadonlyArray<Delegation>
  readonly settlings: ReadonlyArray<Settling>
}

export class Agenda {
  private readonly linger: number
  private readonly wakeAt: (time: number) => void
  /** Those that nobody uses, the one that was used last at the end. */
  private readonly idle = new Chain<Delegation>()
  private readonly refreshes = new DeadlineHeap<Delegation>()
  private readonly settlings = new Set<Settling>()

  /** `wakeAt`: asks to be called at this time, or earlier. */
  constructor(linger: number, wakeAt: (time: number) => void) {
    this.linger = linger
    this.wakeAt = wakeAt
  }

  get idleCount(): number {
    return this.idle.size
  }

  /** Those that nobody has used for longest. */
  longestIdle(count: number): ReadonlyArray<Delegation> {
    const found: Array<Delegation> = []
    for (let next = this.idle.first; next !== undefined && found.length < count; next = next.next) found.push(next)
    return found
  }

  rest(delegation: Delegation, now: number): void {
    delegation.idleSince = now
    this.idle.add(delegation)
    this.wakeAt(now + this.linger)
  }

  use(delegation: Delegation): void {
    this.idle.remove(delegation)
  }

  /** It was granted or refreshed; or that failed. */
  refreshLater(delegation: Delegation, now: number): void {
    const times = delegation.trouble === undefined ? refreshesPerTtl : retriesPerTtl
    this.set(delegation, Math.min(delegation.ends, now + delegation.ttl / times))
  }

  settleLater(settling: Settling, now: number): void {
    settling.retryAt = now + settleAgain
    this.settlings.add(settling)
    this.wakeAt(settling.retryAt)
  }

  forget(delegation: Delegation): void {
    this.use(delegation)
    this.refreshes.delete(delegation)
  }

  /** Takes what is due. */
  take(now: number): Due {
    const lingered: Array<Delegation> = []
    for (let found = this.idle.first; found !== undefined; found = found.next) {
      if (found.idleSince + this.linger > now) break
      lingered.push(found)
    }
    const expired: Array<Delegation> = []
    const toRefresh: Array<Delegation> = []
    for (let found = this.refreshes.peek(); found !== undefined; found = this.refreshes.peek()) {
      // One whose refresh has not been answered is due when it ends.
      const ahead = found.deadline === found.ends ? 0 : found.ttl / aheadPerTtl
      if (found.deadline > now + ahead) break
      if (found.ends <= now) {
        this.refreshes.delete(found)
        expired.push(found)
      } else {
        // Until there is an answer.
        this.set(found, found.ends)
        toRefresh.push(found)
      }
    }
    const settlings: Array<Settling> = []
    for (const settling of this.settlings) {
      if (settling.retryAt > now) continue
      this.settlings.delete(settling)
      if (!settling.isDone) settlings.push(settling)
    }
    return { lingered, expired, toRefresh, settlings }
  }

  /** Asks to be woken for what comes next. */
  goOn(): void {
    let next = this.refreshes.peek()?.deadline ?? Number.POSITIVE_INFINITY
    if (this.idle.first !== undefined) next = Math.min(next, this.idle.first.idleSince + this.linger)
    for (const { retryAt } of this.settlings) next = Math.min(next, retryAt)
    if (next !== Number.POSITIVE_INFINITY) this.wakeAt(next)
  }

  private set(delegation: Delegation, time: number): void {
    delegation.deadline = time
    this.refreshes.set(delegation)
    this.wakeAt(time)
  }
}
