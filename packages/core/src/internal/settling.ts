import * as Duration from "effect/Duration"
import type { Registration, Settlement } from "../LockStore.ts"
import type { Delegation, Local } from "./delegation.ts"

/** A settlement until it is known to be done. */
export class Settling implements Settlement {
  readonly locals: ReadonlyArray<Local>
  readonly registrations: ReadonlyArray<Registration>
  readonly releases: Settlement["releases"]
  /** When it makes no sense any more: what it is about has ended by itself. */
  readonly until: number
  retryAt = Number.POSITIVE_INFINITY

  constructor(locals: ReadonlyArray<Local>, delegations: ReadonlyArray<Delegation>) {
    this.locals = locals
    this.registrations = locals.map(({ delegation, request, targets, token }) => ({
      // Its holder reckons with the deadline of the delegation, so it lasts no less.
      request: { ...request, targets, ttl: Duration.millis(delegation!.ttl) },
      token,
      from: delegation!.id
    }))
    this.releases = delegations.map(({ floor, id }) => ({ id, floor }))
    const ends = locals.map(({ delegation }) => delegation!.ends).concat(delegations.map(({ ends }) => ends))
    this.until = Math.max(...ends)
  }

  /** Has another settlement done all of it? */
  get isDone(): boolean {
    return this.releases.length === 0 && this.locals.every(({ registration }) => registration === "done")
  }
}
