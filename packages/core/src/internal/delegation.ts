/**
 * A delegation of this process, and what is decided under it.
 */
import type * as Exit from "effect/Exit"
import type { Holder } from "../LockEntry.ts"
import type { Deadlock, StoreError } from "../LockError.ts"
import * as LockMode from "../LockMode.ts"
import type { Grant, LockRequest, Revocation } from "../LockStore.ts"
import type { Request } from "../LockTable.ts"
import { Chain, type Link } from "./chain.ts"
import type { Timed } from "./deadlineHeap.ts"
import type { Refusal } from "./refusal.ts"
import { Place } from "./regionIndex.ts"

/** What a user gets for a request. */
export type Answer = Exit.Exit<Grant | Refusal, Deadlock | StoreError>

/**
 * A user's request that may be delegated, and its lease as long as the local table has it.
 *
 * - `placing`: it is being decided where it goes.
 * - `joining`: a wider delegation is asked for that would cover it.
 * - `local`: it waits in the local table, under its delegation.
 * - `below`: it waits in the store below, by itself or as the request for a delegation (`asked`).
 * - `held`: the local table has granted it, under its delegation.
 * - `ordinary`: the store below has granted it, and nothing more is known of it here.
 */
export class Local implements Request, Link<Local> {
  readonly id: string
  readonly request: LockRequest
  /** Does it wait when it is not granted at once? */
  readonly queues: boolean
  targets: LockRequest["targets"]
  readonly within: ReadonlyArray<string>
  readonly holder: Holder
  // It lasts as long as its delegation.
  readonly ttl = Number.POSITIVE_INFINITY
  readonly waitTtl = Number.POSITIVE_INFINITY

  state: "placing" | "joining" | "local" | "below" | "held" | "ordinary" | "over" = "placing"
  delegation: Delegation | undefined = undefined
  asked: Delegation | undefined = undefined
  /** Has the store below been asked for itself? */
  isSent = false
  token = 0
  /** Does the store below know the lease? `sent`: it has been told so, and has not answered. */
  registration: "none" | "sent" | "done" = "none"
  /** Why it could not be told so far. */
  trouble: StoreError | undefined = undefined
  private waiting: Array<(trouble: StoreError | undefined) => void> | undefined = undefined
  resume: ((answer: Answer) => void) | undefined = undefined

  nextById: Local | undefined = undefined
  chain: Chain<Local> | undefined = undefined
  previous: Local | undefined = undefined
  next: Local | undefined = undefined

  constructor(request: LockRequest, queues: boolean) {
    this.id = request.id
    this.request = request
    this.queues = queues
    this.targets = request.targets
    this.within = request.within
    this.holder = request.holder
  }

  answer(answer: Answer): void {
    const { resume } = this
    this.resume = undefined
    resume?.(answer)
  }

  /** Calls when it is known whether the store below knows the lease, or that it could not be asked. */
  whenRegistered(then: (trouble: StoreError | undefined) => void): void {
    this.waiting ??= []
    this.waiting.push(then)
  }

  tellRegistered(trouble: StoreError | undefined): void {
    const { waiting } = this
    this.waiting = undefined
    this.trouble = trouble
    for (const then of waiting ?? []) then(trouble)
  }
}

/**
 * - `asked`: on its way.
 * - `live`: what it covers is decided here.
 * - `serving`: it grants nothing new, and is there for the one lease that it has, or for the request it was asked for.
 * - `over`: given back, or lost.
 */
export class Delegation implements Timed, Link<Delegation> {
  readonly id: string
  readonly region: LockMode.Region
  readonly place: Place<Delegation>
  readonly holder: Holder
  /** The request it was asked for, as long as it is `asked`. */
  request: Local | undefined
  /** Was it asked for to take the place of others? */
  readonly isWide: boolean
  /** Milliseconds: what it lasts after a refresh. */
  ttl: number
  state: "asked" | "live" | "serving" | "over" = "asked"
  /** When it was recalled, and whether that was urgent. */
  recalledAt: number | undefined = undefined
  isUrgent = false
  /** The token of the first lease, that of the next one, and the greatest that was given. */
  firstToken = 0
  nextToken = 0
  floor = 0
  /** What its tokens begin with at least. */
  least = 0
  /** Which of those that were asked for it was. */
  order = 0
  /** From here on the store may have given it to others. */
  ends = Number.NEGATIVE_INFINITY
  /** How it was lost, when it was. */
  lostBy: Revocation["reason"] | undefined = undefined
  /** Why it could not be refreshed the last time. */
  trouble: StoreError | undefined = undefined
  readonly held = new Chain<Local>()
  readonly waiting = new Chain<Local>()

  /** When it is to be refreshed, or is lost. */
  deadline = Number.POSITIVE_INFINITY
  heapIndex = -1
  idleSince = 0
  nextAtPath: Delegation | undefined = undefined
  chain: Chain<Delegation> | undefined = undefined
  previous: Delegation | undefined = undefined
  next: Delegation | undefined = undefined

  constructor(
    id: string,
    region: LockMode.Region,
    ttl: number,
    holder: Holder,
    request: Local | undefined,
    isWide: boolean
  ) {
    this.id = id
    this.region = region
    this.ttl = ttl
    this.holder = holder
    this.request = request
    this.isWide = isWide
    const { mode, path } = region
    this.place = new Place(this, path === "" ? [] : path.slice(0, -1).split("/"), LockMode.coversSubtree(mode))
  }

  get users(): number {
    return this.held.size + this.waiting.size
  }

  covers(targets: ReadonlyArray<LockMode.Region>): boolean {
    for (let i = 0; i < targets.length; i++) if (!LockMode.covers(this.region, targets[i]!)) return false
    return true
  }

  /** Is this its only lease, such that it may serve it to its end: of its own region and mode, and not registered? */
  get hasItsOwnLeaseAlone(): boolean {
    const only = this.held.first
    if (this.held.size !== 1 || only === undefined) return false
    const [target] = only.targets
    return (
      only.registration === "none" &&
      only.targets.length === 1 &&
      target.mode === this.region.mode &&
      target.path === this.region.path
    )
  }
}
