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
import { isExclusive, type Region } from "../LockMode.ts"
import type { LockPath } from "../LockPath.ts"
import type { Grant, Revocation } from "../LockStore.ts"
import { type Answer, Delegation, type Local } from "./delegation.ts"
import type { DelegationMetrics } from "./delegationMetrics.ts"
import { type DelegateOptions, type Host, LocalTable } from "./localTable.ts"
import { Refusal } from "./refusal.ts"

/** How many delegations are replaced by a wider one, at most. */
const mostReplaced = 1_000

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
  /** Has a wider delegation been asked for? One at a time. */
  private isWidening = false

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

  /** Gives a request up, wherever it is. */
  cancel(local: Local): void {
    local.resume = undefined
    switch (local.state) {
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
    const { region, request } = delegation
    this.own.delete(delegation)
    delegation.state = "over"
    // It is not known what became of it.
    if (Exit.isFailure(answer)) this.host.withdraw(delegation.id)
    if (request === undefined) return this.notWidened(region.path)
    this.forget(request)
    request.answer(answer)
  }

  private delegated(delegation: Delegation, grant: Grant): void {
    const { replaces, request } = delegation
    const isWanted = grant.wanted === true || delegation.recalledAt !== undefined
    delegation.request = undefined
    this.begin(delegation, grant, isWanted)
    if (replaces !== undefined) {
      this.isWidening = false
      if (isWanted) return this.settle(delegation)
      this.replace(delegation, replaces)
    }
    if (request !== undefined) this.enterFrom(request, delegation)
    if (!isWanted) this.adoptAsked(delegation)
    if (delegation.users === 0) this.rest(delegation)
    else if (isWanted && delegation.isUrgent) this.settle(delegation)
    else if (!isWanted) this.widen(delegation)
  }

  /** What has been asked for below, and can be decided here now, in the order in which it was asked. */
  private adoptAsked(delegation: Delegation): void {
    for (const asked of this.own.asked) {
      const { region, request, state } = asked
      if (state !== "asked" || request === undefined || !delegation.covers([region])) continue
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
    const { region, request } = delegation
    this.withdraw(delegation)
    if (request === undefined) return this.notWidened(region.path)
    request.asked = undefined
    this.place(request)
  }

  // -- Widening

  private widen({ region }: Delegation): void {
    const now = this.host.now()
    const node = this.widening.nodeFor(region.path, now)
    if (node !== undefined) this.askToWiden(node)
  }

  /** Asks for the subtree of a node in place of the delegations there. */
  askToWiden(node: LockPath): void {
    if (this.isWidening) return
    const below = this.own.below(node, mostReplaced)
    // To look through all of them again with each grant would take long.
    if (below === undefined) return this.widening.failed(node, this.host.now())
    if (below.length === 0) return
    const mode = below.some(({ region }) => isExclusive(region.mode)) ? "write" : "read"
    const ttl = Math.max(...below.map((delegation) => delegation.ttl))
    const delegation = new Delegation(this.host.newId(), { mode, path: node }, ttl, below[0]!.holder, undefined, below)
    this.isWidening = true
    this.own.add(delegation)
    const within = below.map(({ id }) => id)
    const { holder } = below[0]!
    const wanted = {
      id: delegation.id,
      targets: [delegation.region] as const,
      ttl: Duration.millis(ttl),
      within,
      holder
    }
    this.host.ask({ ...wanted, delegated: this.name }, false)
  }

  private notWidened(node: LockPath): void {
    this.isWidening = false
    this.metrics.widened("refused")
    this.widening.failed(node, this.host.now())
  }

  /** The users of the small ones are those of the wide one from now on. */
  private replace(wide: Delegation, small: ReadonlyArray<Delegation>): void {
    this.metrics.widened("granted")
    for (const { floor, nextToken } of small) {
      // Also of those that have ended meanwhile: the store below did not know how far they had come when it granted.
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
