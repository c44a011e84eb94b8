/**
 * What a process does with its delegations: the protocol of docs/protocol.md, without anything around it. It is a synchronous state
 * machine: what users ask and what the store below says are calls, what it wants of the store below are calls of its `Host`.
 *
 * A request goes one of three ways. Where a live delegation covers it, the table of this process decides, by the same rules as
 * any store. Else the store below is asked for a delegation of just what the request is for; or, if it cannot be delegated, for
 * the request itself. A nested request never waits here: the store below must see every cycle that it may close.
 *
 * When somebody else wants what a delegation covers, it is *settled*: the leases under it are made known below, as ordinary ones,
 * and it is given back. A lease that is known below stays in the table until it ends, so that both tables agree.
 */
import * as Duration from "effect/Duration"
import * as Exit from "effect/Exit"
import type { LockEntry } from "../LockEntry.ts"
import { StoreError } from "../LockError.ts"
import type { Region } from "../LockMode.ts"
import type { LockPath } from "../LockPath.ts"
import type { Grant, LockRequest, Recall, Registration, Revocation, Settlement } from "../LockStore.ts"
import { LockTable } from "../LockTable.ts"
import { Chain } from "./chain.ts"
import { DeadlineHeap } from "./deadlineHeap.ts"
import { type Answer, Delegation, Local } from "./delegation.ts"
import type { DelegationMetrics } from "./delegationMetrics.ts"
import { IdTable } from "./idTable.ts"
import { OwnDelegations } from "./ownDelegations.ts"
import { Refusal } from "./refusal.ts"
import { Widening, type WideningOptions } from "./widening.ts"

export interface DelegateOptions extends WideningOptions {
  /** How long a delegation is kept that nobody uses (milliseconds). */
  readonly linger: number
  /** How many of these are kept. */
  readonly maxIdle: number
  /** How many users a delegation has at most. */
  readonly maxLocal: number
}

/** What the delegate wants done. No answer comes before the call is over. */
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

/** A settlement until it is known to be done. */
export class Settling implements Settlement {
  readonly locals: ReadonlyArray<Local>
  readonly registrations: ReadonlyArray<Registration>
  readonly releases: Settlement["releases"]
  /** When it makes no sense any more. */
  readonly until: number
  retryAt = Number.POSITIVE_INFINITY

  /** Has another settlement done all of it? */
  get isDone(): boolean {
    return this.releases.length === 0 && this.locals.every(({ registration }) => registration === "done")
  }

  constructor(locals: ReadonlyArray<Local>, delegations: ReadonlyArray<Delegation>, until: number) {
    this.locals = locals
    this.registrations = locals.map(({ delegation, request, targets, token }) => ({
      // Its holder reckons with the deadline of the delegation, so it lasts no less.
      request: { ...request, targets, ttl: Duration.millis(delegation!.ttl) },
      token,
      from: delegation!.id
    }))
    this.releases = delegations.map(({ floor, id }) => ({ id, floor }))
    this.until = until
  }
}

/** How often a delegation is refreshed within its ttl, and how often it is tried again when that failed. */
const refreshesPerTtl = 3
const retriesPerTtl = 12
/** After how many milliseconds a settlement is tried again. */
const settleAgain = 100
/** How many delegations are replaced by a wider one, or given back in one command, at most. */
const mostAtOnce = 1_000

const closed = new StoreError({ operation: "answer", reason: "it is closed", kind: "closed" })
const taken = new StoreError({
  operation: "acquire",
  reason: "the request was taken out of the queue, by a release with its id",
  kind: "other"
})

export class Delegate {
  readonly table = new LockTable()
  readonly own = new OwnDelegations()
  readonly locals = new IdTable<Local>()
  private readonly name: string
  private readonly options: DelegateOptions
  private readonly host: Host
  private readonly metrics: DelegationMetrics
  private readonly widening: Widening
  /** Has a wider delegation been asked for? One at a time. */
  private isWidening = false
  /** Those that nobody uses, the one that was used last at the end. */
  private readonly idle = new Chain<Delegation>()
  /** By when they are to be refreshed. */
  private readonly due = new DeadlineHeap<Delegation>()
  private readonly retries = new Set<Settling>()
  private isClosed = false

  /** `name`: by which the store below knows whose delegations they are. */
  constructor(name: string, options: DelegateOptions, host: Host, metrics: DelegationMetrics) {
    this.name = name
    this.options = options
    this.host = host
    this.metrics = metrics
    this.widening = new Widening(options)
  }

  // -- Requests

  /** A grant, if that can be decided here and now; else nothing has happened. */
  grantAtOnce(local: Local): Grant | undefined {
    const delegation = this.covering(local)
    if (delegation === undefined || this.locals.get(local.id) !== undefined) return undefined
    if (this.table.tryAcquire(local, this.host.now())._tag !== "Granted") return undefined
    this.locals.add(local)
    return this.hold(local, delegation)
  }

  /** Asks for a lock. `local.answer` is called once, unless the request is cancelled. */
  request(local: Local): void {
    if (this.isClosed) return local.answer(Exit.fail(closed))
    if (this.locals.get(local.id) !== undefined) {
      const reason = "a request with the same id is under way already"
      return local.answer(Exit.fail(new StoreError({ operation: "acquire", reason, kind: "other" })))
    }
    this.locals.add(local)
    this.place(local)
  }

  /** Has it nothing to do with anything? */
  get isUnused(): boolean {
    return this.own.granted === 0 && this.locals.size === 0
  }

  /** Decides where a request goes. */
  private place(local: Local): void {
    if (this.isClosed) return this.fail(local, closed)
    const isNested = local.within.length > 0
    const delegation = this.covering(local)
    if (delegation === undefined) {
      if (isNested || local.targets.length > 1) return this.askBelow(local)
      return this.askDelegation(local)
    }
    if (local.queues && !isNested) return this.enter(local, delegation)
    const outcome = this.table.tryAcquire(local, this.host.now())
    if (outcome._tag === "Granted") return this.grant(local, delegation)
    if (!local.queues) return this.refuse(local, (outcome as { readonly blocker: string }).blocker)
    // The store below has to see what it waits for.
    this.settle(delegation)
    this.askBelow(local)
  }

  /** The delegation under which the table may decide on the request. */
  private covering(local: Local): Delegation | undefined {
    for (const id of local.within) if (this.locals.get(id)?.state !== "held") return undefined
    for (;;) {
      const found = this.own.covering(local.targets, this.options.maxLocal)
      if (found === undefined || this.host.now() < found.ends) return found
      this.expire(found)
    }
  }

  /** The table decides, and the request waits there if it has to. */
  private enter(local: Local, delegation: Delegation): void {
    const outcome = local.queues
      ? this.table.acquire(local, this.host.now())
      : this.table.tryAcquire(local, this.host.now())
    if (outcome._tag === "Granted") this.grant(local, delegation)
    else if (outcome._tag === "Refused") this.refuse(local, outcome.blocker)
    else {
      this.use(delegation)
      local.state = "local"
      local.delegation = delegation
      delegation.waiting.add(local)
    }
  }

  private grant(local: Local, delegation: Delegation): void {
    local.answer(Exit.succeed(this.hold(local, delegation)))
  }

  /** The table has granted it. Each delegation counts its tokens for itself, from its own on. */
  private hold(local: Local, delegation: Delegation): Grant {
    this.use(delegation)
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

  /** From now on it lasts as long as the lease of the user who wants it for longest. */
  private prolong(delegation: Delegation, ttl: number): void {
    delegation.ttl = ttl
    this.host.refresh(delegation.id, ttl)
  }

  private refuse(local: Local, blocker: string): void {
    this.forget(local)
    local.answer(Exit.succeed(new Refusal(this.describe(blocker)!)))
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

  private fail(local: Local, error: StoreError): void {
    this.forget(local)
    local.answer(Exit.fail(error))
  }

  private forget(local: Local): void {
    local.state = "over"
    this.locals.delete(local)
  }

  private askDelegation(local: Local): void {
    const { holder, request, targets } = local
    this.makeWay(targets, false)
    const ttl = request.waitTtl ?? request.ttl
    const delegation = new Delegation(this.host.newId(), targets[0], Duration.toMillis(ttl), holder, local, undefined)
    local.state = "below"
    local.asked = delegation
    this.own.add(delegation)
    const wanted = { id: delegation.id, targets, ttl, within: [], holder, delegated: this.name }
    this.host.ask({ ...wanted, impatient: !local.queues }, local.queues)
  }

  private askBelow(local: Local): void {
    local.state = "below"
    this.prepare(local.targets, local.within, (trouble) => {
      if (local.state !== "below") return
      if (trouble !== undefined) return this.fail(local, trouble)
      local.isSent = true
      this.host.ask({ ...local.request, impatient: !local.queues }, local.queues)
    })
  }

  /**
   * Does what has to come before the store below is asked for a lock: the delegations of this process are out of the way, and
   * the leases that the request is nested in are known there.
   */
  prepare(
    targets: ReadonlyArray<Region>,
    within: ReadonlyArray<string>,
    then: (trouble: StoreError | undefined) => void
  ): void {
    this.makeWay(targets, within.length > 0)
    let left = 1
    const next = (trouble: StoreError | undefined): void => {
      if (trouble !== undefined && left > 0) {
        left = 0
        then(trouble)
      } else if (--left === 0) then(undefined)
    }
    const unknown: Array<Local> = []
    for (const id of within) {
      const local = this.locals.get(id)
      if (local?.state !== "held" || local.registration === "done") continue
      left++
      local.whenRegistered(next)
      unknown.push(local)
    }
    this.register(unknown)
    next(undefined)
  }

  private makeWay(targets: ReadonlyArray<Region>, isNested: boolean): void {
    for (const delegation of this.own.conflicting(targets)) {
      // One that serves its last lease goes with that; but what waits for it, nested, must be seen to wait for the lease.
      if (delegation.state === "live" || isNested) this.settle(delegation)
    }
  }

  /** Makes leases known below, while their delegations go on. */
  register(locals: ReadonlyArray<Local>): void {
    for (const { delegation } of locals) if (delegation?.state === "serving") this.settle(delegation)
    const unknown = locals.filter(({ registration }) => registration === "none")
    if (unknown.length > 0) this.send(unknown, [])
  }

  /** Gives a request up, wherever it is. */
  cancel(local: Local): void {
    local.resume = undefined
    switch (local.state) {
      case "local":
        return this.leave(local)
      case "held":
        // The grant was under way.
        return this.end(local)
      case "below":
        this.forget(local)
        if (local.asked !== undefined) return this.withdraw(local.asked)
        if (local.isSent) this.host.withdraw(local.id)
    }
  }

  /** Takes a request out by order. */
  takeOut(local: Local): void {
    const { resume } = local
    this.cancel(local)
    resume?.(Exit.fail(taken))
  }

  private withdraw(asked: Delegation): void {
    this.own.delete(asked)
    asked.state = "over"
    this.host.withdraw(asked.id)
  }

  // -- What the store below says

  /** The answer to a request for a delegation, or for a lock. */
  answered(id: string, answer: Answer): void {
    const delegation = this.own.get(id)
    if (delegation?.state === "asked") {
      if (Exit.isSuccess(answer) && !(answer.value instanceof Refusal)) {
        return this.delegated(delegation, answer.value)
      }
      this.own.delete(delegation)
      delegation.state = "over"
      if (delegation.replaces !== undefined) return this.notWidened(delegation.region.path)
      const { request } = delegation
      this.forget(request!)
      return request!.answer(answer)
    }
    const local = this.locals.get(id)
    if (local?.state === "below" && local.isSent) {
      // From now on it is an ordinary lease.
      this.forget(local)
      return local.answer(answer)
    }
    // It was given up meanwhile.
    if (Exit.isSuccess(answer) && !(answer.value instanceof Refusal)) this.host.withdraw(id)
  }

  private delegated(delegation: Delegation, { deadline, token, wanted }: Grant): void {
    const isWanted = wanted === true || delegation.recalledAt !== undefined
    if (isWanted) this.noteRecall(delegation)
    delegation.state = isWanted ? "serving" : "live"
    delegation.nextToken = token
    delegation.floor = token
    delegation.ends = deadline
    this.own.grant(delegation)
    this.metrics.kept(1)
    this.schedule(delegation)
    if (delegation.replaces !== undefined) {
      this.isWidening = false
      if (isWanted) return this.settle(delegation)
      this.metrics.widened("granted")
      this.replace(delegation, delegation.replaces)
    }
    if (!isWanted) this.widening.note(delegation.region.path, 1)

    const entering = delegation.request === undefined ? [] : [delegation.request]
    delegation.request = undefined
    if (!isWanted) {
      // In the order in which they were asked for.
      for (const asked of Array.from(this.own.values())) {
        if (asked.state !== "asked" || asked.request === undefined || !delegation.covers([asked.region])) continue
        entering.push(asked.request)
        this.withdraw(asked)
      }
    }
    for (const local of entering) {
      local.asked = undefined
      local.state = "placing"
      this.enter(local, delegation)
    }
    if (delegation.users === 0) this.rest(delegation)
    else if (isWanted && delegation.isUrgent) this.settle(delegation)
    else if (!isWanted) this.widen(delegation)
  }

  /** Somebody wants what a delegation covers. */
  recalled({ id, urgent }: Omit<Recall, "client">): void {
    const delegation = this.own.get(id)
    if (delegation === undefined) return
    this.noteRecall(delegation)
    delegation.isUrgent ||= urgent
    // One that is asked for remembers it.
    if (delegation.state === "live" && !urgent && delegation.hasItsOwnLeaseAlone) this.serve(delegation)
    else if (delegation.state === "live" || (delegation.state === "serving" && urgent)) this.settle(delegation)
  }

  private noteRecall(delegation: Delegation): void {
    if (delegation.recalledAt !== undefined) return
    delegation.recalledAt = this.host.now()
    this.metrics.recalled()
  }

  /** The store below does not know a delegation any more. */
  missing(delegation: Delegation): void {
    if (delegation.state === "live" || delegation.state === "serving") this.lose(delegation, "expired")
  }

  /** A lease of this client has ended other than by its owner, or is another's. Is that the business of others here? */
  revoked({ id, reason }: Pick<Revocation, "id" | "reason">): boolean {
    const delegation = this.own.get(id)
    if (delegation !== undefined) {
      this.lose(delegation, reason)
      return false
    }
    const local = this.locals.get(id)
    if (local?.state === "held") this.drop(local, reason === "taken")
    return true
  }

  /** The answer to a settlement: which of the leases are known now. */
  settled(settling: Settling, answer: ReadonlyArray<boolean> | StoreError): void {
    if (answer instanceof StoreError) return this.notSettled(settling, answer)
    for (const [i, local] of settling.locals.entries()) {
      if (answer[i] !== true) {
        if (local.state === "held") this.loseLease(local, local.delegation?.lostBy ?? "expired")
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
    if (now + settleAgain < settling.until && !this.isClosed) {
      settling.retryAt = now + settleAgain
      this.retries.add(settling)
      return this.host.wakeAt(settling.retryAt)
    }
    for (const local of settling.locals) if (local.state === "held") this.loseLease(local, undefined)
  }

  refreshed(id: string, answer: { readonly deadline: number; readonly wanted: boolean } | undefined | StoreError): void {
    const delegation = this.own.get(id)
    if (delegation === undefined) return
    if (answer === undefined) return this.missing(delegation)
    if (answer instanceof StoreError) {
      delegation.trouble = answer
      delegation.deadline = Math.min(delegation.ends, this.host.now() + delegation.ttl / retriesPerTtl)
      this.due.set(delegation)
      return this.host.wakeAt(delegation.deadline)
    }
    delegation.trouble = undefined
    delegation.ends = answer.deadline
    this.schedule(delegation)
    if (answer.wanted) this.recalled({ id, urgent: false })
  }

  // -- The end of leases

  /** A lease that the store below does not know has ended. */
  end(local: Local): void {
    if (local.registration === "none") this.leave(local)
    // What the store below may know is ended there when that is certain.
    else this.drop(local, false)
  }

  /** Its holder has lost it here. */
  breakLease(local: Local, reason: Revocation["reason"]): void {
    this.loseLease(local, reason)
  }

  /** The store below has ended a lease that it knows: `false`, if it is not sure that it has ended there. */
  ended(local: Local, isCertain: boolean): void {
    if (local.state === "held") this.drop(local, !isCertain)
  }

  /** The exclusive targets of a lease are shared now. */
  downgraded(local: Local): void {
    const now = this.host.now()
    if (!this.table.downgrade(local.id, now)) return
    local.targets = this.table.lease(local.id, now)!.targets as LockRequest["targets"]
    this.letIn()
    if (local.delegation?.state === "serving") this.settle(local.delegation)
  }

  /** Takes it out of the table, with or without being known below. When it may go on there, nothing is decided above it. */
  private drop(local: Local, goesOn: boolean): void {
    if (goesOn && local.delegation !== undefined) this.settle(local.delegation)
    this.leave(local)
  }

  private loseLease(local: Local, reason: Revocation["reason"] | undefined): void {
    this.leave(local)
    if (reason !== undefined) this.host.lost({ id: local.id, owner: local.id, reason })
  }

  private leave(local: Local): void {
    const { delegation } = local
    this.forget(local)
    this.detach(local)
    this.table.release(local.id, this.host.now(), local.id)
    this.letIn()
    if (delegation !== undefined && delegation.users === 0) this.rest(delegation)
  }

  private detach(local: Local): void {
    local.chain?.remove(local)
    local.delegation = undefined
  }

  /** What the table has let in. */
  private letIn(): void {
    for (const event of this.table.takeEvents()) {
      if (event._tag !== "Granted") continue
      const local = this.locals.get(event.id)
      const delegation = local?.delegation
      if (local === undefined || delegation === undefined) continue
      this.detach(local)
      this.grant(local, delegation)
    }
  }

  // -- The end of delegations

  /** Makes its leases known below, gives it back, and asks anew for what waits under it. */
  private settle(delegation: Delegation): void {
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

  /** It goes on to the end of its only lease, and grants nothing new. */
  private serve(delegation: Delegation): void {
    this.own.stopCovering(delegation)
    this.widening.note(delegation.region.path, -1)
    delegation.state = "serving"
    for (const local of this.takeWaiting(delegation)) this.place(local)
  }

  /** It is gone: what has not been made known below goes with it. */
  private lose(delegation: Delegation, reason: Revocation["reason"] | undefined): void {
    if (delegation.state === "asked") {
      const { region, replaces, request } = delegation
      this.withdraw(delegation)
      if (replaces !== undefined) return this.notWidened(region.path)
      request!.asked = undefined
      return this.place(request!)
    }
    delegation.lostBy = reason
    const waiting = this.finish(delegation)
    for (const local of delegation.held.toArray()) {
      if (local.registration === "none") this.loseLease(local, reason)
      else if (local.registration === "done") this.detach(local)
    }
    for (const local of waiting) this.place(local)
  }

  /** Its deadline has come here. Below that may be a little later. */
  private expire(delegation: Delegation): void {
    this.lose(delegation, delegation.trouble === undefined ? "expired" : undefined)
    this.send([], [delegation], 0)
  }

  /** It covers nothing any more. Answers with what waited under it, in order. */
  private finish(delegation: Delegation): ReadonlyArray<Local> {
    if (delegation.state === "live") this.widening.note(delegation.region.path, -1)
    this.own.delete(delegation)
    this.due.delete(delegation)
    this.use(delegation)
    this.metrics.kept(-1)
    delegation.state = "over"
    if (delegation.recalledAt !== undefined) {
      const now = this.host.now()
      this.metrics.recallAnswered(now - delegation.recalledAt)
      if (delegation.replaces !== undefined) this.widening.failed(delegation.region.path, now)
    }
    return this.takeWaiting(delegation)
  }

  private takeWaiting(delegation: Delegation): ReadonlyArray<Local> {
    const waiting = delegation.waiting.toArray()
    // From the end, so that none of them is let in meanwhile.
    for (let i = waiting.length - 1; i >= 0; i--) {
      const local = waiting[i]!
      local.state = "placing"
      this.detach(local)
      this.table.release(local.id, this.host.now(), local.id)
    }
    this.letIn()
    return waiting
  }

  private send(locals: ReadonlyArray<Local>, delegations: ReadonlyArray<Delegation>, until?: number): void {
    for (const local of locals) local.registration = "sent"
    const ends = delegations.concat(locals.map(({ delegation }) => delegation!)).map(({ ends }) => ends)
    this.host.settle(new Settling(locals, delegations, until ?? Math.max(...ends)))
  }

  // -- Those that nobody uses

  private use(delegation: Delegation): void {
    this.idle.remove(delegation)
  }

  private rest(delegation: Delegation): void {
    if (delegation.state === "serving" || this.options.linger === 0) return this.settle(delegation)
    if (delegation.state !== "live") return
    delegation.idleSince = this.host.now()
    this.idle.add(delegation)
    if (this.idle.size > this.options.maxIdle) this.settle(this.idle.first!)
    else this.host.wakeAt(delegation.idleSince + this.options.linger)
  }

  private giveBack(delegations: ReadonlyArray<Delegation>): void {
    for (const delegation of delegations) this.finish(delegation)
    for (let from = 0; from < delegations.length; from += mostAtOnce) {
      this.send([], delegations.slice(from, from + mostAtOnce))
    }
  }

  // -- Widening

  private widen({ region }: Delegation): void {
    const now = this.host.now()
    const node = this.widening.nodeFor(region.path, now)
    if (node !== undefined) this.askToWiden(node)
  }

  /** Asks for the subtree of a node in place of the delegations there. */
  askToWiden(node: LockPath): void {
    const below = this.isWidening ? undefined : this.own.below(node, mostAtOnce)
    if (below === undefined || below.length === 0) return
    const mode = below.every(({ region }) => region.mode.startsWith("read")) ? "read" : "write"
    const ttl = Math.max(...below.map((delegation) => delegation.ttl))
    const delegation = new Delegation(this.host.newId(), { mode, path: node }, ttl, below[0]!.holder, undefined, below)
    this.isWidening = true
    this.own.add(delegation)
    const within = below.map(({ id }) => id)
    const { holder } = below[0]!
    const wanted = { id: delegation.id, targets: [delegation.region] as const, ttl: Duration.millis(ttl), within, holder }
    this.host.ask({ ...wanted, delegated: this.name }, false)
  }

  private notWidened(node: LockPath): void {
    this.isWidening = false
    this.metrics.widened("refused")
    this.widening.failed(node, this.host.now())
  }

  /** The users of the small ones are those of the wide one from now on. */
  private replace(wide: Delegation, small: ReadonlyArray<Delegation>): void {
    const replaced = small.filter(({ state }) => state === "live")
    for (const delegation of replaced) {
      wide.nextToken = Math.max(wide.nextToken, delegation.nextToken)
      wide.floor = Math.max(wide.floor, delegation.floor)
      this.adopt(wide, delegation)
    }
    if (replaced.length > 0) this.giveBack(replaced)
  }

  private adopt(wide: Delegation, small: Delegation): void {
    for (const chain of ["held", "waiting"] as const) {
      for (const local of small[chain].toArray()) {
        small[chain].remove(local)
        local.delegation = wide
        wide[chain].add(local)
      }
    }
  }

  // -- Time

  private schedule(delegation: Delegation): void {
    delegation.deadline = Math.min(delegation.ends, this.host.now() + delegation.ttl / refreshesPerTtl)
    this.due.set(delegation)
    this.host.wakeAt(delegation.deadline)
  }

  /** Does what is due, and asks to be woken for the next. */
  wake(): void {
    const now = this.host.now()
    const rested: Array<Delegation> = []
    for (let found = this.idle.first; found !== undefined; found = found.next) {
      if (found.idleSince + this.options.linger > now) break
      rested.push(found)
    }
    if (rested.length > 0) this.giveBack(rested)
    for (let found = this.due.peek(); found !== undefined && found.deadline <= now; found = this.due.peek()) {
      if (found.ends <= now) {
        this.expire(found)
        continue
      }
      found.deadline = found.ends
      this.due.set(found)
      this.host.refresh(found.id, found.ttl)
    }
    let next = this.due.peek()?.deadline ?? Number.POSITIVE_INFINITY
    for (const settling of this.retries) {
      if (settling.retryAt <= now) {
        this.retries.delete(settling)
        if (!settling.isDone) this.host.settle(settling)
      } else next = Math.min(next, settling.retryAt)
    }
    if (this.idle.first !== undefined) next = Math.min(next, this.idle.first.idleSince + this.options.linger)
    if (next !== Number.POSITIVE_INFINITY) this.host.wakeAt(next)
    this.metrics.flush(this.idle.size)
  }

  /** Fails those that wait, makes known below what is held, and gives back the delegations. */
  close(): void {
    this.isClosed = true
    for (const local of Array.from(this.locals.values())) {
      if (local.state === "held") continue
      const { resume } = local
      this.cancel(local)
      resume?.(Exit.fail(closed))
    }
    const unused: Array<Delegation> = []
    for (const delegation of Array.from(this.own.values())) {
      if (delegation.state === "asked") this.withdraw(delegation)
      else if (delegation.users > 0) this.settle(delegation)
      else unused.push(delegation)
    }
    this.giveBack(unused)
    this.metrics.flush(this.idle.size)
  }
}
