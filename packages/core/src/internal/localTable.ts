/**
 * What a process decides by itself: a lock table, the leases in it, and the delegations under which they were granted, from the
 * grant of a delegation to its end. Where requests go is the business of the `Delegate`.
 *
 * When somebody else wants what a delegation covers, it is *settled*: the leases under it are made known to the store below, as
 * ordinary ones, and it is given back. A lease that is known below stays in the table until it ends, so that both tables agree.
 */
import * as Duration from "effect/Duration"
import * as Exit from "effect/Exit"
import type { LockEntry } from "../LockEntry.ts"
import { StoreError } from "../LockError.ts"
import { anyConflict, covers, type Region } from "../LockMode.ts"
import type { LockPath } from "../LockPath.ts"
import type { Grant, LockRequest, Revocation } from "../LockStore.ts"
import { LockTable } from "../LockTable.ts"
import { Agenda } from "./agenda.ts"
import type { Delegation, Local } from "./delegation.ts"
import type { DelegationMetrics } from "./delegationMetrics.ts"
import { IdTable } from "./idTable.ts"
import { OwnDelegations } from "./ownDelegations.ts"
import { Pauses } from "./pauses.ts"
import { Settling } from "./settling.ts"
import { Widening, type WideningOptions } from "./widening.ts"

export interface DelegateOptions extends WideningOptions {
  /** How long a delegation is kept that nobody uses (milliseconds). */
  readonly linger: number
  /** How many of these are kept. */
  readonly maxIdle: number
  /** How many users a delegation has at most. */
  readonly maxLocal: number
}

/** What is wanted of the world. No answer comes before the call is over. */
export interface Host {
  readonly now: () => number
  readonly newId: () => string
  /** Asks the store below: `answered`. */
  readonly ask: (request: LockRequest, queues: boolean) => void
  /** Takes such a request back, and ends its lease if it has been granted. */
  readonly withdraw: (id: string) => void
  /** `settled`. */
  readonly settle: (settling: Settling) => void
  /** `refreshed`. */
  readonly refresh: (id: string, ttl: number) => void
  /** Asks for a call of `wake` at this time, or earlier. */
  readonly wakeAt: (time: number) => void
  /** A lease that the store below does not know was lost. */
  readonly lost: (revocation: Revocation) => void
}

/** How many delegations are given back in one command, at most. */
const mostAtOnce = 1_000

/** How many leases make a delegation worth while: it takes more messages than a lock. */
const fewestLeases = 4

export abstract class LocalTable {
  readonly table = new LockTable()
  readonly own = new OwnDelegations()
  readonly locals = new IdTable<Local>()
  protected readonly options: DelegateOptions
  protected readonly host: Host
  protected readonly metrics: DelegationMetrics
  protected readonly widening: Widening
  /** Where delegations were not worth while. */
  protected readonly contended = new Pauses(10, 5_000)
  /** The leases that the store below has been told of. */
  protected readonly told = new Set<Local>()
  private readonly agenda: Agenda
  /** The wider delegations that are asked for. No two of them overlap. */
  protected readonly wides = new Set<Delegation>()
  protected isClosed = false

  constructor(options: DelegateOptions, host: Host, metrics: DelegationMetrics) {
    this.options = options
    this.host = host
    this.metrics = metrics
    this.widening = new Widening(options)
    this.agenda = new Agenda(options.linger, host.wakeAt)
  }

  /** Decides where a request goes that has waited under a delegation which is over now. */
  protected abstract place(local: Local): void

  // -- Leases

  /** The table has granted it. Each delegation counts its tokens for itself, from its own on. */
  protected hold(local: Local, delegation: Delegation): Grant {
    this.agenda.use(delegation)
    local.state = "held"
    local.delegation = delegation
    local.token = delegation.nextToken++
    delegation.floor = local.token
    delegation.held.add(local)
    this.metrics.granted()
    const ttl = Duration.toMillis(local.request.ttl)
    if (ttl > delegation.ttl) this.prolong(delegation, ttl)
    return { token: local.token, deadline: delegation.ends }
  }

  /** From now on it lasts as long as the lease that is to last longest. */
  private prolong(delegation: Delegation, ttl: number): void {
    delegation.ttl = ttl
    this.host.refresh(delegation.id, ttl)
  }

  protected wait(local: Local, delegation: Delegation): void {
    this.agenda.use(delegation)
    local.state = "local"
    local.delegation = delegation
    delegation.waiting.add(local)
  }

  /** What the table has let in. */
  private letIn(): void {
    for (const event of this.table.takeEvents()) {
      if (event._tag !== "Granted") continue
      const local = this.locals.get(event.id)
      const delegation = local?.delegation
      if (local === undefined || delegation === undefined) continue
      // The process may have been stopped past its deadline.
      if (this.host.now() >= delegation.ends) {
        this.expire(delegation)
        continue
      }
      this.detach(local)
      local.answer(Exit.succeed(this.hold(local, delegation)))
    }
  }

  /** A lease or a waiting request of the table, as people see it. */
  describe(id: string): LockEntry | undefined {
    const now = this.host.now()
    const entry = this.table.lookup(id, now)
    const local = this.locals.get(id)
    if (entry === undefined || local?.state !== "held") return entry
    const ends = local.delegation?.ends
    return { ...entry, token: local.token, timeLeft: ends === undefined ? undefined : Math.max(0, ends - now) }
  }

  /** A lease that the store below does not know ends, or a request that waits here. */
  end(local: Local): void {
    this.forget(local)
    const { delegation } = local
    this.detach(local)
    const now = this.host.now()
    this.table.release(local.id, now, local.id)
    this.letIn()
    if (delegation !== undefined && delegation.users === 0) this.rest(delegation, now)
  }

  /** The same, and its holder does not know. `undefined`: the holder notices by itself, at its deadline. */
  lose(local: Local, reason: Revocation["reason"] | undefined): void {
    this.end(local)
    if (reason !== undefined) this.host.lost({ id: local.id, owner: local.id, reason })
  }

  /**
   * A lease that the store below knows has ended, for those here. If it may go on there, as another's, nothing is decided about
   * what it holds from now on.
   */
  ended(local: Local, goesOn: boolean): void {
    if (local.state !== "held") return
    if (goesOn) this.leaveAlone(local.targets)
    this.end(local)
  }

  /** Gives back all that conflicts with a lease which this process does not see the end of. */
  private leaveAlone(targets: ReadonlyArray<Region>): void {
    for (const delegation of this.own.conflicting(targets)) this.settle(delegation)
    // A wider one may have been granted already: a lease that was registered meanwhile is no obstacle to it.
    for (const delegation of this.own.values()) {
      if (delegation.state === "asked" && anyConflict([delegation.region], targets)) this.noteRecall(delegation)
    }
  }

  /** The exclusive targets of a lease are shared now. */
  downgraded(local: Local): void {
    const now = this.host.now()
    if (!this.table.downgrade(local.id, now)) return
    local.targets = this.table.lease(local.id, now)!.targets as LockRequest["targets"]
    this.letIn()
    // It does not have the region of its delegation any more.
    if (local.delegation?.state === "serving") this.settle(local.delegation)
  }

  protected forget(local: Local): void {
    local.state = "over"
    this.locals.delete(local)
    this.told.delete(local)
  }

  private detach(local: Local): void {
    const { delegation } = local
    if (delegation === undefined) return
    if (!delegation.held.remove(local)) delegation.waiting.remove(local)
    local.delegation = undefined
  }

  // -- Delegations

  /** It was granted. */
  protected begin(delegation: Delegation, { deadline, token }: Grant, isWanted: boolean): void {
    if (isWanted) this.noteRecall(delegation)
    delegation.state = isWanted ? "serving" : "live"
    delegation.firstToken = delegation.nextToken = delegation.floor = Math.max(token, delegation.least)
    delegation.ends = deadline
    this.own.grant(delegation)
    if (!isWanted) this.widening.note(delegation.region.path, 1)
    this.metrics.kept(1)
    this.agenda.refreshLater(delegation, this.host.now())
  }

  protected noteRecall(delegation: Delegation): void {
    if (delegation.recalledAt !== undefined) return
    delegation.recalledAt = this.host.now()
    this.metrics.recalled()
  }

  /** Nobody uses it. */
  protected rest(delegation: Delegation, now = this.host.now()): void {
    if (delegation.state === "serving" || this.options.linger === 0) return this.settle(delegation)
    if (delegation.state !== "live") return
    this.agenda.rest(delegation, now)
    const { maxIdle } = this.options
    if (this.agenda.idleCount <= maxIdle) return
    // Some at a time, as that is one command.
    this.giveBack(this.agenda.longestIdle(Math.max(1, Math.min(256, maxIdle >> 4))))
  }

  /** It goes on to the end of its only lease, and grants nothing new. */
  protected serve(delegation: Delegation): void {
    this.own.stopCovering(delegation)
    this.widening.note(delegation.region.path, -1)
    delegation.state = "serving"
    for (const local of this.takeWaiting(delegation)) this.place(local)
  }

  /** Makes its leases known below, gives it back, and asks anew for what waits under it. */
  protected settle(delegation: Delegation): void {
    if (delegation.state !== "live" && delegation.state !== "serving") return
    const waiting = this.finish(delegation)
    // Also those that have been told of before, as that may not have arrived.
    const unknown = delegation.held.toArray().filter(({ registration }) => registration !== "done")
    this.send(
      unknown.sort((a, b) => a.token - b.token),
      [delegation]
    )
    for (const local of waiting) this.place(local)
  }

  /** It is gone below: what has not been made known there goes with it. */
  protected drop(delegation: Delegation, reason: Revocation["reason"] | undefined): void {
    if (delegation.state !== "live" && delegation.state !== "serving") return
    delegation.lostBy = reason
    const waiting = this.finish(delegation)
    for (const local of delegation.held.toArray()) {
      if (local.registration === "none") this.lose(local, reason)
      else if (local.registration === "done") this.detach(local)
    }
    for (const local of waiting) this.place(local)
  }

  /** Its deadline has come here. Below that may be a little later. */
  protected expire(delegation: Delegation): void {
    this.drop(delegation, delegation.trouble === undefined ? "expired" : undefined)
    this.host.settle(new Settling([], [delegation]))
  }

  /** The store below does not know it any more. */
  missing(delegation: Delegation): void {
    this.drop(delegation, "expired")
  }

  protected giveBack(delegations: ReadonlyArray<Delegation>): void {
    for (const delegation of delegations) this.finish(delegation)
    for (let from = 0; from < delegations.length; from += mostAtOnce) {
      this.send([], delegations.slice(from, from + mostAtOnce))
    }
  }

  /** The wider delegation that is asked for at a node, or above it. */
  protected wideOver(node: LockPath): Delegation | undefined {
    for (const wide of this.wides) if (node.startsWith(wide.region.path)) return wide
    return undefined
  }

  /** Or did another process want it back too soon? */
  private wasWorthWhile({ firstToken, nextToken, region }: Delegation): boolean {
    if (nextToken - firstToken >= fewestLeases) return true
    // A request of this process that it could not serve would have wanted it back, too.
    return this.own.conflictingAsked(region).some((asked) => !covers(region, asked.region))
  }

  /** It covers nothing any more. Answers with what waited under it, in order. */
  private finish(delegation: Delegation): ReadonlyArray<Local> {
    if (delegation.state === "live") this.widening.note(delegation.region.path, -1)
    this.own.delete(delegation)
    this.agenda.forget(delegation)
    this.metrics.kept(-1)
    delegation.state = "over"
    this.widening.leave(delegation, this.host.now())
    // The store below does not know how far its tokens have come when it grants the wider one.
    const wide = this.wideOver(delegation.region.path)
    if (wide !== undefined) wide.least = Math.max(wide.least, delegation.nextToken)
    if (delegation.recalledAt !== undefined) {
      const now = this.host.now()
      this.metrics.recallAnswered(now - delegation.recalledAt)
      if (delegation.isWide) this.widening.failed(delegation.region.path, now)
      else if (this.wasWorthWhile(delegation)) this.contended.forget(delegation.region.path)
      else this.contended.begin(delegation.region.path, now)
    }
    return this.takeWaiting(delegation)
  }

  private takeWaiting(delegation: Delegation): ReadonlyArray<Local> {
    const waiting = delegation.waiting.toArray()
    // From the end, so that the table lets none of them in meanwhile.
    for (let i = waiting.length - 1; i >= 0; i--) {
      const local = waiting[i]!
      local.state = "placing"
      this.detach(local)
      this.table.release(local.id, this.host.now(), local.id)
    }
    this.letIn()
    return waiting
  }

  // -- Settlements

  /** Makes leases known below, while their delegations go on. */
  register(locals: ReadonlyArray<Local>): void {
    for (const { delegation } of locals) if (delegation?.state === "serving") this.settle(delegation)
    const unknown = locals.filter(({ registration }) => registration === "none")
    if (unknown.length > 0) this.send(unknown, [])
  }

  private send(locals: ReadonlyArray<Local>, delegations: ReadonlyArray<Delegation>): void {
    for (const local of locals) {
      local.registration = "sent"
      this.told.add(local)
    }
    this.host.settle(new Settling(locals, delegations))
  }

  /** The answer to a settlement: which of the leases are known now. */
  settled(settling: Settling, answer: ReadonlyArray<boolean> | StoreError): void {
    if (answer instanceof StoreError) return this.notSettled(settling, answer)
    for (const [i, local] of settling.locals.entries()) {
      if (answer[i] !== true) {
        if (local.state === "held") this.lose(local, local.delegation?.lostBy ?? "expired")
      } else if (local.state !== "held") this.host.withdraw(local.id)
      else {
        local.registration = "done"
        if (local.delegation?.state === "over") this.detach(local)
      }
      local.tellRegistered(undefined)
    }
  }

  private notSettled(settling: Settling, error: StoreError): void {
    for (const local of settling.locals) local.tellRegistered(error)
    const now = this.host.now()
    if (now < settling.until && !this.isClosed) return this.agenda.settleLater(settling, now)
    for (const local of settling.locals) if (local.state === "held") this.lose(local, undefined)
  }

  // -- Time

  refreshed(
    id: string,
    answer: { readonly deadline: number; readonly wanted: boolean } | undefined | StoreError
  ): void {
    const delegation = this.own.get(id)
    if (delegation === undefined) return
    if (answer === undefined) return this.missing(delegation)
    if (answer instanceof StoreError) delegation.trouble = answer
    else {
      delegation.trouble = undefined
      delegation.ends = answer.deadline
    }
    this.agenda.refreshLater(delegation, this.host.now())
    if (!(answer instanceof StoreError) && answer.wanted) this.recalled({ id, urgent: false })
  }

  /** Somebody wants what a delegation covers. */
  recalled({ id, urgent }: { readonly id: string; readonly urgent: boolean }): void {
    const delegation = this.own.get(id)
    if (delegation === undefined) return
    this.noteRecall(delegation)
    delegation.isUrgent ||= urgent
    // One that is asked for remembers it.
    if (delegation.state === "live" && !urgent && delegation.hasItsOwnLeaseAlone) this.serve(delegation)
    else if (delegation.state === "live" || (delegation.state === "serving" && urgent)) this.settle(delegation)
  }

  /** Does what is due. */
  wake(): void {
    const { expired, lingered, settlings, toRefresh } = this.agenda.take(this.host.now())
    if (lingered.length > 0) this.giveBack(lingered)
    for (const delegation of expired) this.expire(delegation)
    for (const { id, state, ttl } of toRefresh) if (state !== "over") this.host.refresh(id, ttl)
    for (const settling of settlings) this.host.settle(settling)
    this.agenda.goOn()
    this.flush()
  }

  protected flush(): void {
    this.metrics.flush(this.agenda.idleCount)
  }
}
