/**
 * The rules of the lock as a plain, synchronous state machine. It knows no Effect and no clock: time is an argument.
 *
 * It is the specification. `MemoryStore` runs it, and the tests hold every other store to it.
 *
 * A request that has to wait watches one *blocker*: the latest of the waiting requests before it that conflict with it,
 * else a lease that does. So a queue is a chain, and the end of a lease or a request has to look again only at those
 * that watched it. Nothing is missed by that: a request can become grantable only when the one it watches goes.
 *
 * The cost of an operation grows with the depth of the paths and with the requests it lets in, not with what else is
 * held or waits elsewhere.
 *
 * @since 0.1.0
 */
import { DeadlineHeap } from "./internal/deadlineHeap.ts"
import { IdTable } from "./internal/idTable.ts"
import { isWantedBy, Kept, Told } from "./internal/kept.ts"
import { HeldIndex, Place, WaitIndex } from "./internal/regionIndex.ts"
import type { Holder, LockEntry } from "./LockEntry.ts"
import * as LockMode from "./LockMode.ts"
import * as LockPath from "./LockPath.ts"

/**
 * A request for the table. `ttl` and `waitTtl` are in milliseconds: how long the lease lasts, and how long the request
 * stays in the queue, unless refreshed. `waitTtl` may be `Infinity`. The rest is that of the store's `LockRequest`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Request {
  readonly id: string
  readonly targets: ReadonlyArray<LockMode.Region>
  readonly ttl: number
  readonly waitTtl: number
  readonly within: ReadonlyArray<string>
  readonly holder: Holder
  readonly delegated?: string | undefined
  readonly impatient?: boolean | undefined
}

/**
 * What became of a request. `deadline` is in the table's time.
 *
 * @since 0.1.0
 * @category models
 */
export type Outcome =
  | { readonly _tag: "Granted"; readonly token: number; readonly deadline: number; readonly wanted?: boolean }
  | { readonly _tag: "Waiting"; readonly blocker: string }
  | { readonly _tag: "Refused"; readonly blocker: string }
  | { readonly _tag: "Deadlock"; readonly cycle: ReadonlyArray<string> }

/**
 * What happened to somebody else's request, or to a lease, in the course of an operation.
 *
 * - `Granted`: a waiting request became a lease.
 * - `Deadlock`: a waiting request was found to be in a cycle, and has left the queue.
 * - `Ended`: a lease ended other than by its owner, or changed its owner (`taken`); or a waiting request expired.
 *   `owner` is who owned it until then.
 * - `Refused`: an impatient request found somebody in its way, and has left the queue.
 * - `Recalled`: somebody waits for what a delegation covers.
 *
 * @since 0.1.0
 * @category models
 */
export type Event =
  | {
      readonly _tag: "Granted"
      readonly id: string
      readonly token: number
      readonly deadline: number
      readonly wanted?: boolean
    }
  | { readonly _tag: "Refused"; readonly id: string; readonly blocker: LockEntry }
  | { readonly _tag: "Recalled"; readonly id: string; readonly client: string; readonly urgent: boolean }
  | { readonly _tag: "Deadlock"; readonly id: string; readonly cycle: ReadonlyArray<string> }
  | {
      readonly _tag: "Ended"
      readonly id: string
      readonly owner: string
      readonly state: LockEntry["state"]
      readonly reason: "expired" | "broken" | "released" | "taken"
    }

class Entry {
  readonly id: string
  readonly ticket: number
  readonly ttl: number
  readonly within: ReadonlyArray<string>
  readonly holder: Holder
  readonly arrived: number
  /** For a delegation whose it is. */
  readonly client: string | undefined
  readonly impatient: boolean
  told: Told = Told.nothing
  targets: ReadonlyArray<LockMode.Region>
  /** One for each target. */
  readonly places: ReadonlyArray<Place<Entry>>
  nextById: Entry | undefined = undefined
  token = 0
  granted = 0
  deadline: number
  heapIndex = -1
  state: LockEntry["state"] = "waiting"
  /** Whose lease it is: the one that asked for it, until somebody restores it. */
  owner: string
  /** Who owned it before, until the owner has shown that it knows of its lease. */
  former: { readonly owner: string; readonly deadline: number } | undefined = undefined
  blocker: Entry | undefined = undefined
  /** Those that watch this one. */
  watchers: Set<Entry> | undefined = undefined
  /** The waiting requests that were made inside this lease. */
  nested: Set<Entry> | undefined = undefined

  constructor(request: Request, ticket: number, now: number) {
    this.id = request.id
    this.owner = request.id
    this.ticket = ticket
    this.ttl = request.ttl
    this.within = request.within
    this.holder = request.holder
    this.client = request.delegated
    this.impatient = request.impatient === true
    this.targets = request.targets
    this.places = request.targets.map(
      ({ mode, path }) =>
        new Place(this, path === "" ? noKeys : path.slice(0, -1).split("/"), LockMode.coversSubtree(mode))
    )
    this.arrived = now
    this.deadline = now + request.waitTtl
  }
}

/** Is it a delegation that was granted? */
const isKept = ({ client, state }: Entry): boolean => client !== undefined && state === "held"

const noKeys: ReadonlyArray<string> = []
const noEvents: ReadonlyArray<Event> = []
const nobody: ReadonlySet<Entry> = new Set()

/**
 * The lock table. See the module's description.
 *
 * @since 0.1.0
 * @category models
 */
export class LockTable {
  private readonly entries = new IdTable<Entry>()
  private readonly deadlines = new DeadlineHeap<Entry>()
  private readonly held = { shared: new HeldIndex<Entry>(), exclusive: new HeldIndex<Entry>() }
  private readonly kept = new Kept<Entry>()
  private readonly waiting = { shared: new WaitIndex<Entry>(), exclusive: new WaitIndex<Entry>() }
  private waitingCount = 0
  private lastTicket = 0
  private lastToken = 0
  private events: Array<Event> = []

  /** The number of leases and waiting requests. */
  get size(): number {
    return this.entries.size
  }

  /** The number of waiting requests. */
  get queueLength(): number {
    return this.waitingCount
  }

  /** The earliest deadline, when there is one. */
  get nextDeadline(): number | undefined {
    return this.deadlines.peek()?.deadline
  }

  /** What has happened to others since the last call, in order. */
  takeEvents(): ReadonlyArray<Event> {
    if (this.events.length === 0) return noEvents
    const taken = this.events
    this.events = []
    return taken
  }

  /**
   * Asks for a lock, and queues for it when it is not free. Idempotent by id: a request that is known is answered with
   * where it stands.
   */
  acquire(request: Request, now: number): Outcome {
    return this.request(request, now, true)
  }

  /** Asks for a lock, and leaves nothing behind when it is not free. */
  tryAcquire(request: Request, now: number): Outcome {
    return this.request(request, now, false)
  }

  private request(request: Request, now: number, queue: boolean): Outcome {
    this.expire(now)
    const known = this.entries.get(request.id)
    if (known !== undefined) {
      return known.state === "held" ? this.toGrant(known) : { _tag: "Waiting", blocker: known.blocker!.id }
    }
    const entry = new Entry(request, this.lastTicket + 1, now)
    const blocker = this.findBlocker(entry)
    if (blocker === undefined) {
      this.lastTicket = entry.ticket
      this.entries.add(entry)
      this.grant(entry, now)
      return this.toGrant(entry)
    }
    const mayWait = queue || (entry.impatient && isKept(blocker))
    if (!mayWait) return { _tag: "Refused", blocker: blocker.id }
    this.lastTicket = entry.ticket
    this.entries.add(entry)
    this.enqueue(entry)
    const cycle = this.watch(entry, blocker)
    if (cycle === undefined) {
      this.recall(entry)
      return { _tag: "Waiting", blocker: blocker.id }
    }
    this.drop(entry)
    return { _tag: "Deadlock", cycle }
  }

  private toGrant({ client, deadline, token, told }: Entry): Outcome & { readonly _tag: "Granted" } {
    return client === undefined
      ? { _tag: "Granted", token, deadline }
      : { _tag: "Granted", token, deadline, wanted: told !== Told.nothing }
  }

  /**
   * Ends a lease or takes a waiting request out of the queue. With an `owner` only if it is that one's; without, by order:
   * the owner of a lease is told. `false` when there is nothing to end. In any case all tokens from now on are greater than
   * the `floor`, which is that of a delegation.
   */
  release(id: string, now: number, owner?: string, floor = 0): boolean {
    // Before anybody is let in.
    this.raise(floor)
    this.expire(now)
    const entry = this.entries.get(id)
    if (entry === undefined || (owner !== undefined && owner !== entry.owner)) return false
    if (owner === undefined && entry.state === "held") this.ended(entry, "released")
    this.lookAgain(this.drop(entry), now)
    return true
  }

  /**
   * Makes an ordinary lease of one that was granted under a delegation, whatever else is held: the client has decided that by
   * the same rules. `false` when the delegation is not live, unless the id is that of a live lease.
   */
  register(request: Request, token: number, from: string, now: number): boolean {
    this.expire(now)
    const known = this.entries.get(request.id)
    if (known !== undefined) return known.state === "held"
    const delegation = this.entries.get(from)
    if (delegation === undefined || !isKept(delegation)) return false
    const entry = new Entry(request, ++this.lastTicket, now)
    this.entries.add(entry)
    this.hold(entry, token, now)
    this.raise(token)
    return true
  }

  /** Has somebody wanted this delegation since it was granted? */
  isWanted(id: string): boolean {
    return (this.entries.get(id)?.told ?? Told.nothing) !== Told.nothing
  }

  /** Recalls once more what is in the way of a waiting request, as the first time may not have been heard. */
  look(id: string, now: number): void {
    this.expire(now)
    const entry = this.entries.get(id)
    if (entry?.state !== "waiting") return
    this.kept.forgetTold(entry)
    this.recall(entry)
  }

  private recall(entry: Entry): void {
    if (this.kept.isEmpty) return
    this.kept.recall(entry, ({ client, id }) =>
      this.events.push({ _tag: "Recalled", id, client: client!, urgent: entry.impatient })
    )
  }

  /**
   * Moves the deadline of a lease or of a waiting request to `ttl` milliseconds from now, and answers with it. Only its
   * owner may bring it nearer; without an `owner` the later of the old one and the new one holds. `undefined` when the id
   * is not live, or not the owner's: a refresh never creates or revives.
   */
  refresh(id: string, ttl: number, now: number, owner?: string): number | undefined {
    this.expire(now)
    const entry = this.entries.get(id)
    if (entry === undefined || (owner !== undefined && owner !== entry.owner)) return undefined
    if (owner === undefined) this.moveDeadline(entry, Math.max(entry.deadline, now + ttl))
    else {
      this.moveDeadline(entry, now + ttl)
      entry.former = undefined
    }
    return entry.deadline
  }

  /**
   * Makes `owner` the owner of a lease, and tells the one that was. The deadline is `ttl` milliseconds from now, unless it
   * was later. `false` when the id is not a live lease.
   */
  restore(id: string, ttl: number, now: number, owner: string): boolean {
    this.expire(now)
    const entry = this.entries.get(id)
    if (entry?.state !== "held") return false
    if (entry.owner !== owner) {
      this.ended(entry, "taken")
      entry.former = { owner: entry.owner, deadline: entry.deadline }
      entry.owner = owner
    }
    this.moveDeadline(entry, Math.max(entry.deadline, now + ttl))
    return true
  }

  /**
   * Undoes a `restore` of which its caller does not know: the former owner and its deadline are as they were. `false` when
   * the lease is not `owner`'s, or when that has refreshed it since.
   */
  giveBack(id: string, now: number, owner: string): boolean {
    this.expire(now)
    const entry = this.entries.get(id)
    if (entry?.owner !== owner || entry.former === undefined) return false
    entry.owner = entry.former.owner
    this.moveDeadline(entry, entry.former.deadline)
    entry.former = undefined
    this.expire(now)
    return true
  }

  /**
   * Turns the exclusive targets of a lease into shared ones. With an `owner` only if it is that one's. `false` when there
   * is no such lease.
   */
  downgrade(id: string, now: number, owner?: string): boolean {
    this.expire(now)
    const entry = this.entries.get(id)
    if (entry?.state !== "held" || (owner !== undefined && owner !== entry.owner)) return false
    this.removeHeld(entry)
    entry.targets = entry.targets.map(({ mode, path }) => ({ mode: LockMode.downgraded(mode), path }))
    this.addHeld(entry)
    this.lookAgain(this.forgetWatchers(entry), now)
    return true
  }

  /** Ends a lease by order. `false` when the id is not a live lease. */
  breakLease(id: string, now: number): boolean {
    this.expire(now)
    const entry = this.entries.get(id)
    if (entry?.state !== "held") return false
    this.ended(entry, "broken")
    this.lookAgain(this.drop(entry), now)
    return true
  }

  /** Makes all tokens from now on greater than this one, which a client has seen of a table that is lost. */
  raise(token: number): void {
    this.lastToken = Math.max(this.lastToken, token)
  }

  /** Drops all whose deadline has come, and lets in those that waited for them. */
  expire(now: number): void {
    if (!((this.deadlines.peek()?.deadline ?? Number.POSITIVE_INFINITY) <= now)) return
    const watchers: Array<Entry> = []
    for (
      let entry = this.deadlines.peek();
      entry !== undefined && entry.deadline <= now;
      entry = this.deadlines.peek()
    ) {
      this.ended(entry, "expired")
      for (const watcher of this.drop(entry)) watchers.push(watcher)
    }
    this.lookAgain(watchers, now)
  }

  /** The lease or waiting request with this id. */
  lookup(id: string, now: number): LockEntry | undefined {
    this.expire(now)
    const entry = this.entries.get(id)
    return entry === undefined ? undefined : this.describe(entry, now)
  }

  /** What a waiting request waits for, and how many waiting requests come before it; of these it counts `most`. */
  blocked(id: string, most: number, now: number): { readonly blocker: LockEntry; readonly ahead: number } | undefined {
    this.expire(now)
    const blocker = this.entries.get(id)?.blocker
    if (blocker === undefined) return undefined
    let ahead = 0
    for (let entry: Entry | undefined = blocker; entry?.state === "waiting" && ahead < most; entry = entry.blocker)
      ahead++
    return { blocker: this.describe(blocker, now), ahead }
  }

  /** The regions, token and deadline of a live lease. */
  lease(
    id: string,
    now: number
  ):
    | { readonly targets: ReadonlyArray<LockMode.Region>; readonly token: number; readonly deadline: number }
    | undefined {
    this.expire(now)
    const entry = this.entries.get(id)
    return entry?.state === "held" ? entry : undefined
  }

  /** The leases and waiting requests with a target at the path or below it, in the order of their tickets. */
  inspect(path: LockPath.LockPath, now: number): ReadonlyArray<LockEntry> {
    this.expire(now)
    return Array.from(this.entries.values())
      .filter(({ targets }) => targets.some((target) => LockPath.isWithin(target.path, path)))
      .sort((a, b) => a.ticket - b.ticket)
      .map((entry) => this.describe(entry, now))
  }

  private describe(entry: Entry, now: number): LockEntry {
    const since = entry.state === "held" ? entry.granted : entry.arrived
    return {
      ...entry.holder,
      id: entry.id,
      state: entry.state,
      targets: entry.targets.map(({ mode, path }) => ({ mode, path: LockPath.toInput(path) })),
      ticket: entry.ticket,
      token: entry.state === "held" ? entry.token : undefined,
      since,
      age: now - since,
      timeLeft: entry.deadline === Number.POSITIVE_INFINITY ? undefined : entry.deadline - now,
      blockedBy: entry.blocker?.id,
      within: entry.within,
      ...(isKept(entry) ? { delegated: true } : undefined)
    }
  }

  // -- The grant rule

  /**
   * What keeps the request from being granted: (b) the latest waiting request with a smaller ticket that conflicts
   * with it, unless it is nested; else (a) a lease that conflicts and does not enclose it, a delegation only if there is
   * no other. A request for a delegation is within others of its client only to replace them: it passes nobody but the requests
   * that its client will withdraw then.
   */
  private findBlocker(entry: Entry): Entry | undefined {
    const nested = entry.within.length > 0
    if ((!nested || entry.client !== undefined) && this.waitingCount > 0) {
      const earlier = this.findEarlier(entry)
      if (earlier !== undefined) return earlier
    }
    const waived = nested ? this.enclosing(entry) : nobody
    for (let i = 0; i < entry.targets.length; i++) {
      const place = entry.places[i]!
      const found =
        this.held.exclusive.find(place, waived) ??
        (LockMode.isExclusive(entry.targets[i]!.mode) ? this.held.shared.find(place, waived) : undefined)
      if (found !== undefined) return found
    }
    return this.kept.find(entry, waived)
  }

  private findEarlier(entry: Entry): Entry | undefined {
    let last: Entry | undefined
    const consider = (index: WaitIndex<Entry>, place: Place<Entry>): void => {
      let found = index.lastBefore(place, entry.ticket)
      while (found !== undefined && entry.within.length > 0 && !isWantedBy(entry, found)) {
        found = index.lastBefore(place, found.ticket)
      }
      if (found !== undefined && (last === undefined || found.ticket > last.ticket)) last = found
    }
    for (let i = 0; i < entry.targets.length; i++) {
      const place = entry.places[i]!
      consider(this.waiting.exclusive, place)
      if (LockMode.isExclusive(entry.targets[i]!.mode)) consider(this.waiting.shared, place)
    }
    return last
  }

  private enclosing(entry: Entry): ReadonlySet<Entry> {
    const enclosing = new Set<Entry>()
    for (const id of entry.within) {
      const lease = this.entries.get(id)
      if (lease !== undefined) enclosing.add(lease)
    }
    return enclosing
  }

  /** Looks again at those whose blocker went or changed, in ticket order, and grants what can be granted. */
  private lookAgain(watchers: ReadonlyArray<Entry>, now: number): void {
    const queue = watchers.filter((entry) => entry.state === "waiting" && this.entries.get(entry.id) === entry)
    queue.sort((a, b) => a.ticket - b.ticket)
    for (let at = 0; at < queue.length; at++) {
      const entry = queue[at]!
      const blocker = this.findBlocker(entry)
      if (blocker === undefined) {
        this.dequeue(entry)
        this.grant(entry, now)
        this.events.push({ ...this.toGrant(entry), id: entry.id })
        continue
      }
      if (entry.impatient && !isKept(blocker)) {
        this.events.push({ _tag: "Refused", id: entry.id, blocker: this.describe(blocker, now) })
      } else {
        const cycle = this.watch(entry, blocker)
        if (cycle === undefined) {
          if (isKept(blocker)) this.recall(entry)
          continue
        }
        this.events.push({ _tag: "Deadlock", id: entry.id, cycle })
      }
      // Whoever watched it came later, so the order of the rest is all there is to keep.
      const freed = this.drop(entry)
      if (freed.length === 0) continue
      const rest = queue
        .splice(at + 1)
        .concat(freed)
        .sort((a, b) => a.ticket - b.ticket)
      for (const later of rest) queue.push(later)
    }
  }

  // -- Deadlock

  /**
   * Sets what a waiting request watches. Answers with the cycle that this closes, if it does, the request first.
   *
   * A cycle can only run through nested requests: a waiter points at its blocker, a lease points at the requests that
   * wait inside it, and a nested request never watches a waiting one (it does not queue). So the walk from a blocker
   * goes lease - nested request - lease, and sees nothing of the ordinary queue.
   */
  private watch(entry: Entry, blocker: Entry): ReadonlyArray<string> | undefined {
    entry.blocker = blocker
    blocker.watchers ??= new Set()
    blocker.watchers.add(entry)
    if (entry.within.length === 0) return undefined
    const path = this.pathTo(entry, blocker)
    return path === undefined ? undefined : [entry.id, ...path]
  }

  /** The ids from a lease to the nearest lease that encloses the entry, over what waits in each. */
  private pathTo(entry: Entry, start: Entry): ReadonlyArray<string> | undefined {
    if (start.nested === undefined) return undefined
    // Not by recursion: a chain can be longer than the stack is deep.
    const found = [start]
    const reachedBy = new Map<Entry, { readonly lease: Entry; readonly inside: Entry } | undefined>([
      [start, undefined]
    ])
    for (const lease of found) {
      if (lease.nested === undefined) continue
      if (lease.nested.has(entry)) {
        const path = [lease.id]
        for (let step = reachedBy.get(lease); step !== undefined; step = reachedBy.get(step.lease)) {
          path.push(step.inside.id, step.lease.id)
        }
        return path.reverse()
      }
      for (const inside of lease.nested) {
        if (inside.blocker === undefined || reachedBy.has(inside.blocker)) continue
        reachedBy.set(inside.blocker, { lease, inside })
        found.push(inside.blocker)
      }
    }
    return undefined
  }

  // -- Bookkeeping

  private ended({ id, owner, state }: Entry, reason: (Event & { readonly _tag: "Ended" })["reason"]): void {
    this.events.push({ _tag: "Ended", id, owner, state, reason })
  }

  private moveDeadline(entry: Entry, deadline: number): void {
    entry.deadline = deadline
    this.deadlines.set(entry)
  }

  private grant(entry: Entry, now: number): void {
    // Tokens follow the clock, so that they go on rising after the table was lost, and never fall when it is set back.
    this.lastToken = Math.max(this.lastToken + 1, Math.floor(now * 1000))
    this.hold(entry, this.lastToken, now)
    if (entry.client !== undefined && this.waitingCount > 0) this.kept.isWanted(entry, this.waiting)
  }

  private hold(entry: Entry, token: number, now: number): void {
    entry.token = token
    entry.state = "held"
    entry.granted = now
    entry.deadline = now + entry.ttl
    this.deadlines.set(entry)
    this.addHeld(entry)
  }

  private enqueue(entry: Entry): void {
    this.waitingCount++
    this.deadlines.set(entry)
    this.addTo(this.waiting, entry)
    for (const lease of this.enclosing(entry)) {
      lease.nested ??= new Set()
      lease.nested.add(entry)
    }
  }

  private dequeue(entry: Entry): void {
    this.waitingCount--
    this.removeFrom(this.waiting, entry)
    for (const lease of this.enclosing(entry)) lease.nested?.delete(entry)
    entry.blocker?.watchers?.delete(entry)
    entry.blocker = undefined
  }

  /** Takes an entry out of the table, and answers with those that watched it. */
  private drop(entry: Entry): ReadonlyArray<Entry> {
    if (entry.state === "held") this.removeHeld(entry)
    else this.dequeue(entry)
    this.deadlines.delete(entry)
    this.entries.delete(entry)
    return this.forgetWatchers(entry)
  }

  private forgetWatchers(entry: Entry): ReadonlyArray<Entry> {
    if (entry.watchers === undefined) return none
    const watchers = Array.from(entry.watchers)
    entry.watchers = undefined
    for (const watcher of watchers) watcher.blocker = undefined
    return watchers
  }

  private addHeld(entry: Entry): void {
    if (entry.client === undefined) return this.addTo(this.held, entry)
    this.kept.note(1)
    this.addTo(this.kept, entry)
  }

  private removeHeld(entry: Entry): void {
    if (entry.client === undefined) return this.removeFrom(this.held, entry)
    this.kept.note(-1)
    this.removeFrom(this.kept, entry)
  }

  private addTo(index: Index, entry: Entry): void {
    for (let i = 0; i < entry.targets.length; i++) {
      const access = LockMode.isExclusive(entry.targets[i]!.mode) ? index.exclusive : index.shared
      access.add(entry.places[i]!)
    }
  }

  private removeFrom(index: Index, entry: Entry): void {
    for (let i = 0; i < entry.targets.length; i++) {
      const access = LockMode.isExclusive(entry.targets[i]!.mode) ? index.exclusive : index.shared
      access.remove(entry.places[i]!)
    }
  }
}

const none: ReadonlyArray<Entry> = []

interface Index {
  readonly shared: HeldIndex<Entry> | WaitIndex<Entry>
  readonly exclusive: HeldIndex<Entry> | WaitIndex<Entry>
}
