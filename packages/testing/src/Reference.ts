/**
 * A brute-force reading of the rules, to compare stores with: plain lists, everything examined anew each time, nothing
 * shared with the code under test.
 *
 * A change and the grants that follow from it are two calls, because a store may report a deadlock in between:
 * `reference.remove(id)`, then `reference.grant()`.
 *
 * @since 0.1.0
 */
import type { Region } from "@hilok/core/LockMode"
import * as LockPath from "@hilok/core/LockPath"

/**
 * A request. Times are in milliseconds; `waitTtl` is how long it stays in the queue, by default forever.
 *
 * @since 0.1.0
 * @category models
 */
export interface Request {
  readonly id: string
  readonly targets: ReadonlyArray<Region>
  readonly within: ReadonlyArray<string>
  readonly ttl: number
  readonly waitTtl?: number | undefined
}

/**
 * A lease or a waiting request. `former` says who owned it before, until its owner has refreshed it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Entry extends Request {
  readonly targets: ReadonlyArray<Region>
  readonly state: "held" | "waiting"
  readonly since: number
  readonly deadline: number
  readonly owner: string
  readonly former: { readonly owner: string; readonly deadline: number } | undefined
}

const isExclusive = ({ mode }: Region): boolean => mode === "write" || mode === "writeNode"

const covers = (region: Region, node: ReadonlyArray<string>): boolean => {
  const own = LockPath.segments(region.path)
  if (own.length > node.length || own.some((segment, i) => segment !== node[i])) return false
  return own.length === node.length || region.mode === "read" || region.mode === "write"
}

const conflict = (a: Region, b: Region): boolean =>
  (isExclusive(a) || isExclusive(b)) &&
  // Two regions overlap exactly when the upper node of one of them lies in the other.
  (covers(a, LockPath.segments(b.path)) || covers(b, LockPath.segments(a.path)))

/**
 * The rules, with the time `now` in milliseconds.
 *
 * @since 0.1.0
 * @category models
 */
export class Reference {
  now: number
  /** Everything that is held or waits, in the order of arrival. */
  entries: ReadonlyArray<Entry> = []

  constructor(now = 0) {
    this.now = now
  }

  get held(): ReadonlyArray<Entry> {
    return this.entries.filter(({ state }) => state === "held")
  }

  get waiting(): ReadonlyArray<Entry> {
    return this.entries.filter(({ state }) => state === "waiting")
  }

  find(id: string): Entry | undefined {
    return this.entries.find((entry) => entry.id === id)
  }

  // -- What there is to see

  /** The entries with a target at the path or below it. */
  inspect(path: LockPath.LockPath): ReadonlyArray<Entry> {
    const above = LockPath.segments(path)
    return this.entries.filter(({ targets }) =>
      targets.some((target) => {
        const segments = LockPath.segments(target.path)
        return above.every((segment, i) => segment === segments[i])
      })
    )
  }

  /**
   * Everything that keeps the request from being granted: leases that conflict with it and do not enclose it, and, unless it is
   * nested, conflicting requests that have waited for longer.
   */
  blockers(request: Request): ReadonlyArray<Entry> {
    const place = this.entries.findIndex(({ id }) => id === request.id)
    return this.entries.filter((other, at) => {
      if (other.id === request.id) return false
      if (!other.targets.some((theirs) => request.targets.some((ours) => conflict(theirs, ours)))) return false
      if (other.state === "held") return !request.within.includes(other.id)
      return request.within.length === 0 && (place === -1 || at < place)
    })
  }

  /** What an entry waits for: a waiting request for its blockers, a lease for the requests that wait inside it. */
  waitsFor(id: string): ReadonlyArray<string> {
    const entry = this.find(id)
    if (entry === undefined) return []
    const others = entry.state === "waiting" ? this.blockers(entry) : this.waiting.filter((w) => w.within.includes(id))
    return others.map((other) => other.id)
  }

  /** Does the request wait, directly or not, for itself? */
  isDeadlocked(id: string): boolean {
    const reached = new Set<string>()
    const visit = (from: string): boolean =>
      this.waitsFor(from).some((next) => next === id || (!reached.has(next) && reached.add(next) && visit(next)))
    return visit(id)
  }

  /** Does each of the ids wait for the next, and the last for the first? */
  isCycle(ids: ReadonlyArray<string>): boolean {
    return ids.length > 1 && ids.every((id, i) => this.waitsFor(id).includes(ids[(i + 1) % ids.length]!))
  }

  /** The earliest deadline, `Infinity` when there is none. */
  get nextDeadline(): number {
    return Math.min(...this.entries.map(({ deadline }) => deadline), Number.POSITIVE_INFINITY)
  }

  // -- What can happen

  /** A request arrives and queues. */
  arrive(request: Request): void {
    const deadline = this.now + (request.waitTtl ?? Number.POSITIVE_INFINITY)
    const its = { owner: request.id, former: undefined }
    this.entries = [...this.entries, { ...request, ...its, state: "waiting", since: this.now, deadline }]
  }

  /** Ends a lease, or takes a request out of the queue. */
  remove(id: string): void {
    this.entries = this.entries.filter((entry) => entry.id !== id)
  }

  /** Turns exclusive targets into shared ones. */
  downgrade(id: string): void {
    const shared = { read: "read", write: "read", readNode: "readNode", writeNode: "readNode" } as const
    this.update(id, ({ targets }) => ({ targets: targets.map(({ mode, path }) => ({ mode: shared[mode], path })) }))
  }

  /** By its owner, or by hand: that does not bring the deadline nearer. */
  refresh(id: string, ttl: number, owner?: string): void {
    this.update(id, ({ deadline, former }) =>
      owner === undefined
        ? { deadline: Math.max(deadline, this.now + ttl), former }
        : { deadline: this.now + ttl, former: undefined }
    )
  }

  restore(id: string, ttl: number, owner: string): void {
    this.update(id, (entry) => ({
      owner,
      former: owner === entry.owner ? entry.former : { owner: entry.owner, deadline: entry.deadline },
      deadline: Math.max(entry.deadline, this.now + ttl)
    }))
  }

  /** Undoes a restore, when the owner has not refreshed the lease since. */
  giveBack(id: string): void {
    this.update(id, ({ former }) => ({ ...former, former: undefined }))
  }

  /** Removes all whose deadline has come. */
  expire(): ReadonlyArray<Entry> {
    const expired = this.entries.filter(({ deadline }) => deadline <= this.now)
    this.entries = this.entries.filter(({ deadline }) => deadline > this.now)
    return expired
  }

  /** Grants, in the order of arrival, all that can be granted, and answers with their ids. */
  grant(): ReadonlyArray<string> {
    const granted: Array<string> = []
    for (;;) {
      const next = this.waiting.find((request) => this.blockers(request).length === 0)
      if (next === undefined) return granted
      this.update(next.id, ({ ttl }) => ({ state: "held", since: this.now, deadline: this.now + ttl }))
      granted.push(next.id)
    }
  }

  private update(id: string, change: (entry: Entry) => Partial<Entry>): void {
    this.entries = this.entries.map((entry) => (entry.id === id ? { ...entry, ...change(entry) } : entry))
  }
}
