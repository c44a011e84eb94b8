/**
 * The store below: the lock table as it is, and what a store makes of it for its clients. What it tells a client goes out
 * through that client's `push`.
 */
import type { LockEntry, LockMode, LockStore } from "@hilok/core"
import { LockTable } from "@hilok/core"
import { Duration } from "effect"

export type Message =
  | { readonly _tag: "granted"; readonly id: string; readonly grant: LockStore.Grant }
  | { readonly _tag: "refused"; readonly id: string; readonly blocker: LockEntry.LockEntry }
  | { readonly _tag: "deadlock"; readonly id: string; readonly cycle: ReadonlyArray<string> }
  | { readonly _tag: "recall"; readonly id: string; readonly urgent: boolean }
  | { readonly _tag: "revoked"; readonly id: string; readonly reason: LockStore.Revocation["reason"] }

/** What the server does at once. `waiting`: the rest comes as a message. */
export type Said = Message | { readonly _tag: "waiting" }

export interface Granted {
  readonly id: string
  readonly targets: ReadonlyArray<LockMode.Region>
  readonly token: number
}

/** What the server does for delegations, each of which can be left out to see whether that is noticed. */
export interface Rules {
  /** It raises its tokens above those of a delegation that is given back. */
  readonly floors: boolean
  /** It tells clients that somebody waits for what they keep. */
  readonly recalls: boolean
  /** It tells clients what they have lost. */
  readonly revocations: boolean
  /** It takes in the leases of a delegation that is given back. */
  readonly registrations: boolean
  /** It takes in no lease of a delegation that is gone. */
  readonly refusals: boolean
  /** It refuses an impatient request that finds a user in its way. */
  readonly impatience: boolean
}

const allRules: Rules = {
  floors: true,
  recalls: true,
  revocations: true,
  registrations: true,
  refusals: true,
  impatience: true
}

export class Server {
  readonly table = new LockTable.LockTable()
  private readonly clientOf = new Map<string, number>()
  private readonly delegations = new Set<string>()
  private readonly now: () => number
  private readonly push: (client: number, message: Message) => void
  /** A user's lease was granted. */
  onGranted: (granted: Granted) => void = () => undefined
  /** A lease has ended other than by its owner. */
  onEnded: (id: string, isDelegation: boolean) => void = () => undefined
  recalls = 0
  violation: string | undefined = undefined
  private readonly rules: Rules

  constructor(now: () => number, push: (client: number, message: Message) => void, rules: Partial<Rules>) {
    this.rules = { ...allRules, ...rules }
    this.now = now
    this.push = push
  }

  isHeld(id: string): boolean {
    return this.table.lease(id, this.now()) !== undefined
  }

  isDelegation(id: string): boolean {
    return this.delegations.has(id)
  }

  ask(client: number, request: LockStore.LockRequest, queues: boolean): Said {
    const { id } = request
    const isKnown = this.table.lookup(id, this.now()) !== undefined
    this.clientOf.set(id, client)
    if (request.delegated !== undefined) this.delegations.add(id)
    const wanted = { ...request, ttl: Duration.toMillis(request.ttl), waitTtl: Number.POSITIVE_INFINITY }
    const outcome = queues ? this.table.acquire(wanted, this.now()) : this.table.tryAcquire(wanted, this.now())
    if (outcome._tag === "Granted" && !isKnown) this.note(id)
    const said: Said =
      outcome._tag === "Granted"
        ? { _tag: "granted", id, grant: outcome }
        : outcome._tag === "Refused"
          ? { _tag: "refused", id, blocker: this.table.lookup(outcome.blocker, this.now())! }
          : outcome._tag === "Deadlock"
            ? { _tag: "deadlock", id, cycle: outcome.cycle }
            : { _tag: "waiting" }
    if (outcome._tag === "Deadlock") this.checkCycle(outcome.cycle)
    this.publish()
    return said
  }

  settle(client: number, { registrations, releases }: LockStore.Settlement): ReadonlyArray<boolean> {
    const answers = registrations.map(({ from, request, token }) => {
      this.clientOf.set(request.id, client)
      const wanted = { ...request, ttl: Duration.toMillis(request.ttl), waitTtl: 0 }
      if (!this.rules.registrations) return true
      const isKnown = this.table.register(wanted, token, from, this.now())
      return isKnown || !this.rules.refusals
    })
    for (const { floor, id } of releases) this.table.release(id, this.now(), id, this.rules.floors ? floor : 0)
    this.publish()
    return answers
  }

  refresh(id: string, ttl: number): { readonly wanted: boolean } | undefined {
    const deadline = this.table.refresh(id, ttl, this.now(), id)
    const wanted = this.table.isWanted(id)
    this.publish()
    return deadline === undefined || !this.isHeld(id) ? undefined : { wanted }
  }

  /** Ends or changes a lease, and tells whoever that lets in. */
  change<A>(run: (table: LockTable.LockTable, now: number) => A): A {
    const result = run(this.table, this.now())
    this.publish()
    return result
  }

  /** A client that does not say any more that it waits. */
  forgetWaiting(client: number): void {
    for (const [id, other] of this.clientOf) {
      if (other !== client || this.table.lookup(id, this.now())?.state !== "waiting") continue
      this.change((table, now) => table.release(id, now, id))
    }
  }

  private note(id: string): void {
    const lease = this.table.lease(id, this.now())
    if (lease !== undefined && !this.delegations.has(id)) this.onGranted({ id, ...lease })
  }

  private publish(): void {
    for (const event of this.table.takeEvents()) {
      const client = this.clientOf.get(event.id)
      switch (event._tag) {
        case "Granted":
          this.note(event.id)
          this.push(client!, { _tag: "granted", id: event.id, grant: event })
          break
        case "Refused":
          if (this.rules.impatience) this.push(client!, { _tag: "refused", id: event.id, blocker: event.blocker })
          break
        case "Deadlock":
          this.checkCycle(event.cycle)
          this.push(client!, { _tag: "deadlock", id: event.id, cycle: event.cycle })
          break
        case "Recalled":
          this.recalls++
          if (this.rules.recalls) this.push(client!, { _tag: "recall", id: event.id, urgent: event.urgent })
          break
        case "Ended":
          if (event.state === "held") this.onEnded(event.id, this.delegations.has(event.id))
          if (client !== undefined && event.owner === event.id && this.rules.revocations) {
            this.push(client, { _tag: "revoked", id: event.id, reason: event.reason })
          }
      }
    }
  }

  private checkCycle(cycle: ReadonlyArray<string>): void {
    const delegation = cycle.find((id) => this.delegations.has(id))
    if (delegation !== undefined) this.violation ??= `a deadlock through the delegation ${delegation}`
  }
}
