/**
 * What a process does with requests when it has delegations. It is a synchronous state machine: what users ask and what the
 * store below says are calls, and what it wants of the store below are calls of its `Host`.
 *
 * A request goes one of three ways. Where a live delegation covers it, the table of this process decides, by the same rules as
 * any store. Else the store below is asked for a delegation of just what the request is for; or, if it cannot be delegated, for
 * the request itself. A nested request never waits here: the store below must see every cycle that it may close.
 */
import * as Duration from "effect/Duration"
import * as Exit from "effect/Exit"
import { StoreError } from "../LockError.ts"
import { anyConflict, isExclusive, type Region } from "../LockMode.ts"
import type { LockPath } from "../LockPath.ts"
import type { Grant, LockRequest, Revocation } from "../LockStore.ts"
import { Chain } from "./chain.ts"
import { type Answer, Delegation, type Local } from "./delegation.ts"
import type { DelegationMetrics } from "./delegationMetrics.ts"
import { type DelegateOptions, type Host, LocalTable } from "./localTable.ts"
import { Refusal } from "./refusal.ts"

/** How many delegations the store below is told of that a wider one is to take the place of. */
const mostReplaced = 1_000
/** How many wider ones are asked for at a time. */
const mostWides = 16
/** See `isContended` (milliseconds). */
const longPause = 300

const closed = new StoreError({ operation: "answer", reason: "it is closed", kind: "closed" })
const underWay = new StoreError({
  operation: "acquire",
  reason: "a request with the same id is under way already",
  kind: "other"
})
const taken = new StoreError({
  operation: "acquire",
  reason: "the request was taken out of the queue, by a release with its id",
  kind: "other"
})

const isGrant = (answer: Answer): answer is Exit.Success<Grant, never> =>
  Exit.isSuccess(answer) && !(answer.value instanceof Refusal)

export class Delegate extends LocalTable {
  private readonly name: string
  /** Those that wait for the answer to a request for a wider delegation, at their node or above. */
  private readonly joining = new Chain<Local>()

  /** `name`: by which the store below knows whose delegations they are. */
  constructor(name: string, options: DelegateOptions, host: Host, metrics: DelegationMetrics) {
    super(options, host, metrics)
    this.name = name
  }

  // -- Requests

  /** Has it nothing to do with anything? */
  get isUnused(): boolean {
    return this.own.granted === 0 && this.locals.size === 0
  }

  /**
   * Others ask for the same all the time: it is best asked for as it is, and waits in the queue of the store below with theirs. After a
   * short pause one request finds out whether that still is so. After a long one all do: those of this process that wait behind that one
   * as they are would want its delegation back, too, so that alone it cannot find out that nobody else is left.
   */
  isContended({ targets }: LockRequest): boolean {
    const [region] = targets
    const pause = this.contended.lengthAt(region.path)
    if (pause === 0 || this.own.covering(targets, this.options.maxLocal) !== undefined) return false
    if (!this.contended.isOver(region.path, this.host.now())) return true
    return pause < longPause && this.own.conflictingAsked(region).length > 0
  }

  /** A grant, if that can be decided here and now; else nothing has happened. */
  grantAtOnce(local: Local): Grant | undefined {
    const now = this.host.now()
    const delegation = this.covering(local, now)
    if (delegation === undefined || this.locals.get(local.id) !== undefined) return undefined
    if (this.table.tryAcquire(local, now)._tag !== "Granted") return undefined
    this.locals.add(local)
    return this.hold(local, delegation)
  }

  /** Asks for a lock. `local.answer` is called once, unless the request is cancelled. */
  request(local: Local): void {
    if (this.isClosed) return local.answer(Exit.fail(closed))
    if (this.locals.get(local.id) !== undefined) return local.answer(Exit.fail(underWay))
    this.locals.add(local)
    this.place(local)
  }

  /** Decides where a request goes. */
  protected place(local: Local): void {
    if (this.isClosed) return this.fail(local, closed)
    const isNested = local.within.length > 0
    const delegation = this.covering(local)
    if (delegation === undefined) {
      if (isNested || local.targets.length > 1) return this.askBelow(local)
      return this.joins(local) ? undefined : this.askDelegation(local)
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
  private covering(local: Local, now = this.host.now()): Delegation | undefined {
    for (const id of local.within) if (this.locals.get(id)?.state !== "held") return undefined
    for (;;) {
      const found = this.own.covering(local.targets, this.options.maxLocal)
      if (found === undefined || now < found.ends) return found
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
    else this.wait(local, delegation)
  }

  private grant(local: Local, delegation: Delegation): void {
    local.answer(Exit.succeed(this.hold(local, delegation)))
  }

  private refuse(local: Local, blocker: string): void {
    this.forget(local)
    local.answer(Exit.succeed(new Refusal(this.describe(blocker)!)))
  }

  private fail(local: Local, error: StoreError): void {
    this.forget(local)
    local.answer(Exit.fail(error))
  }

  private askDelegation(local: Local): void {
    const { holder, request, targets } = local
    this.makeWay(targets, false)
    const ttl = request.waitTtl ?? request.ttl
    const delegation = new Delegation(this.host.newId(), targets[0], Duration.toMillis(ttl), holder, local, false)
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

  /** Gives a request up, wherever it is. */
  cancel(local: Local): void {
    local.resume = undefined
    switch (local.state) {
      case "joining":
        this.joining.remove(local)
        return this.forget(local)
      case "local":
      case "held":
        // Held, or the next: the grant was under way.
        return this.end(local)
      case "ordinary":
        return this.host.withdraw(local.id)
      case "below":
        this.forget(local)
        if (local.asked !== undefined) return this.withdraw(local.asked)
        if (local.isSent) this.host.withdraw(local.id)
    }
  }

  /** Takes a request out by order. */
  takeOut(local: Local): void {
    this.cancelWith(local, taken)
  }

  private cancelWith(local: Local, error: StoreError): void {
    const { resume } = local
    this.cancel(local)
    resume?.(Exit.fail(error))
  }

  private withdraw(asked: Delegation): void {
    this.own.delete(asked)
    asked.state = "over"
    this.widening.leave(asked, this.host.now())
    this.host.withdraw(asked.id)
  }

  // -- What the store below says

  /** The answer to a request for a delegation, or for a lock. */
  answered(id: string, answer: Answer): void {
    const delegation = this.own.get(id)
    if (delegation?.state === "asked") {
      return isGrant(answer) ? this.delegated(delegation, answer.value) : this.notDelegated(delegation, answer)
    }
    const local = this.locals.get(id)
    if (local?.state === "below" && local.isSent) {
      this.forget(local)
      if (isGrant(answer)) local.state = "ordinary"
      local.answer(answer)
    } else if (isGrant(answer)) {
      // It was given up meanwhile.
      this.host.withdraw(id)
    }
  }

  private notDelegated(delegation: Delegation, answer: Answer): void {
    const { request } = delegation
    this.own.delete(delegation)
    delegation.state = "over"
    // It is not known what became of it.
    if (Exit.isFailure(answer)) this.host.withdraw(delegation.id)
    if (request === undefined) return this.notWidened(delegation)
    this.forget(request)
    request.answer(answer)
  }

  private delegated(delegation: Delegation, grant: Grant): void {
    const { request } = delegation
    const isWanted = grant.wanted === true || delegation.recalledAt !== undefined
    delegation.request = undefined
    this.begin(delegation, grant, isWanted)
    if (delegation.isWide) return this.widened(delegation)
    if (request !== undefined) this.enterFrom(request, delegation)
    if (!isWanted) this.adoptAsked(delegation)
    if (delegation.users === 0) this.rest(delegation)
    else if (isWanted && delegation.isUrgent) this.settle(delegation)
    else if (!isWanted) this.widen(delegation)
  }

  /** What has been asked for below, and can be decided here now, in the order in which it was asked. */
  private adoptAsked(delegation: Delegation): void {
    for (const asked of this.own.askedWithin(delegation)) {
      const { request, state } = asked
      if (state !== "asked" || request === undefined) continue
      this.withdraw(asked)
      this.enterFrom(request, delegation)
    }
  }

  private enterFrom(local: Local, delegation: Delegation): void {
    local.asked = undefined
    local.state = "placing"
    this.enter(local, delegation)
  }

  /** A lease of this client has ended other than by its owner, or is another's. Is that the business of others here? */
  revoked({ id, reason }: Pick<Revocation, "id" | "reason">): boolean {
    const delegation = this.own.get(id)
    if (delegation?.state === "asked") this.askAnew(delegation)
    else if (delegation !== undefined) this.drop(delegation, reason)
    else {
      const local = this.locals.get(id)
      if (local !== undefined) this.ended(local, reason === "taken")
      return true
    }
    return false
  }

  /** It was granted and lost before this process has heard of it. */
  private askAnew(delegation: Delegation): void {
    const { request } = delegation
    this.withdraw(delegation)
    if (request === undefined) return this.notWidened(delegation)
    request.asked = undefined
    this.place(request)
  }

  // -- Widening

  private widen({ region }: Delegation): void {
    const node = this.widening.nodeFor(region.path, this.host.now())
    if (node !== undefined) this.askToWiden(node)
  }

  /**
   * Waits for the wider delegation that is asked for here, or above. Where only delegations of this process are in the way of a request,
   * one that covers all of them is asked for: else requests that conflict would take turns in asking for their own.
   */
  private joins(local: Local): boolean {
    const [region] = local.targets
    if (this.wideOver(region.path) === undefined) {
      const node = this.nodeOver(region)
      if (node === undefined) return false
      this.askToWiden(node, region)
      if (this.wideOver(region.path) === undefined) return false
    }
    local.state = "joining"
    this.joining.add(local)
    return true
  }

  /** The node over a region and over all that is in its way here, if all of that may be replaced. */
  private nodeOver(region: Region): LockPath | undefined {
    if (!this.options.widen) return undefined
    const inTheWay = [...this.own.conflicting([region]), ...this.own.conflictingAsked(region)]
    // One that would cover the request has no room for it, or is on its way: then those behind it keep their order.
    if (inTheWay.length === 0 || inTheWay.some((one) => one.covers([region]))) return undefined
    // Regions that conflict lie on one path.
    const node = inTheWay.reduce<LockPath>(
      (highest, { region: { path } }) => (path.length < highest.length ? path : highest),
      region.path
    )
    return this.widening.mayAskFor(node, this.host.now()) ? node : undefined
  }

  /**
   * Asks for the subtree of a node, in place of the delegations there, live and asked for. What the store below has been told of
   * leases here is no obstacle: the table here knows them as well. `region`: it is to cover this one, too.
   */
  askToWiden(node: LockPath, region?: Region): void {
    if (this.wides.size >= mostWides) return
    for (const { region } of this.wides) if (node.startsWith(region.path) || region.path.startsWith(node)) return
    const inside = this.own.overlapping(node)
    if (inside.some(({ region: { path } }) => !path.startsWith(node))) {
      return this.widening.failed(node, this.host.now())
    }
    const [first] = inside
    if (first === undefined) return
    const isShared = inside.every((one) => !isExclusive(one.region.mode)) && !(region && isExclusive(region.mode))
    const target = { mode: isShared ? "read" : "write", path: node } as const
    const ttl = Math.max(...inside.map((one) => one.ttl))
    const wide = new Delegation(this.host.newId(), target, ttl, first.holder, undefined, true)
    const told = Array.from(this.told).filter(({ targets }) => anyConflict(targets, [target]))
    for (const { token } of told) wide.least = Math.max(wide.least, token + 1)
    const leaving = this.widening.leaving(target, this.host.now())
    for (const { nextToken } of leaving) wide.least = Math.max(wide.least, nextToken)
    this.wides.add(wide)
    // With too many of them it would take the store below long to decide: those that nobody uses go first.
    if (inside.length > mostReplaced)
      this.giveBack(inside.filter(({ state, users }) => state === "live" && users === 0))
    const within = [...inside.filter(({ state }) => state !== "over"), ...told, ...leaving]
      .slice(0, mostReplaced)
      .map(({ id }) => id)
    this.own.add(wide)
    const { holder, id } = wide
    this.host.ask({ id, targets: [target], ttl: Duration.millis(ttl), within, holder, delegated: this.name }, false)
  }

  private widened(wide: Delegation): void {
    this.wides.delete(wide)
    if (wide.state === "serving") {
      this.settle(wide)
      return this.placeJoining(wide)
    }
    this.metrics.widened("granted")
    this.replaceBy(wide)
    this.adoptAsked(wide)
    this.placeJoining(wide)
    if (wide.users === 0) this.rest(wide)
    else this.widen(wide)
  }

  private notWidened(wide: Delegation): void {
    this.wides.delete(wide)
    this.metrics.widened("refused")
    this.widening.failed(wide.region.path, this.host.now())
    this.placeJoining(wide)
  }

  private placeJoining(wide: Delegation): void {
    for (const local of this.joining.toArray()) {
      if (!local.targets[0].path.startsWith(wide.region.path)) continue
      this.joining.remove(local)
      local.state = "placing"
      this.place(local)
    }
  }

  /** The users of the small ones are those of the wide one from now on. */
  private replaceBy(wide: Delegation): void {
    const small = this.own
      .overlapping(wide.region.path)
      .filter((one) => one !== wide && one.state !== "asked" && wide.covers([one.region]))
    for (const { floor, nextToken } of small) {
      // The store below did not know how far they had come when it granted.
      wide.nextToken = Math.max(wide.nextToken, nextToken)
      wide.floor = Math.max(wide.floor, floor)
    }
    const replaced = small.filter(({ state }) => state === "live")
    for (const delegation of replaced) this.moveUsers(delegation, wide)
    if (replaced.length > 0) this.giveBack(replaced)
  }

  private moveUsers(from: Delegation, to: Delegation): void {
    for (const chain of ["held", "waiting"] as const) {
      for (const local of from[chain].toArray()) {
        from[chain].remove(local)
        local.delegation = to
        to[chain].add(local)
      }
    }
  }

  // -- The end

  /** Fails those that wait, makes known below what is held, and gives back the delegations. */
  close(): void {
    this.isClosed = true
    for (const local of Array.from(this.locals.values())) {
      if (local.state !== "held") this.cancelWith(local, closed)
    }
    const unused: Array<Delegation> = []
    for (const delegation of Array.from(this.own.values())) {
      if (delegation.state === "asked") this.withdraw(delegation)
      else if (delegation.users > 0) this.settle(delegation)
      else unused.push(delegation)
    }
    this.giveBack(unused)
    this.flush()
  }
}
