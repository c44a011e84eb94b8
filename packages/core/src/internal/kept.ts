/**
 * The delegations that a lock table has given, and which of them the waiting requests want back.
 *
 * They stand apart from the other leases: so a table without any does nothing for them, and what is in the way of a request
 * shows whether it is a user or only a client that keeps what it may need again.
 */
import * as LockMode from "../LockMode.ts"
import { HeldIndex, type Place, type WaitIndex } from "./regionIndex.ts"

/** What has been told to the client of a delegation. */
export const Told = { nothing: 0, recalled: 1, urged: 2 } as const
export type Told = (typeof Told)[keyof typeof Told]

/** What is asked of the entries of a table. */
export interface Keepable {
  readonly id: string
  readonly within: ReadonlyArray<string>
  readonly targets: ReadonlyArray<LockMode.Region>
  readonly places: ReadonlyArray<Place<this>>
  readonly client: string | undefined
  readonly impatient: boolean
  readonly ticket: number
  told: Told
}

interface Waiting<A extends Keepable> {
  readonly shared: WaitIndex<A>
  readonly exclusive: WaitIndex<A>
}

export class Kept<A extends Keepable> {
  readonly shared = new HeldIndex<A>()
  readonly exclusive = new HeldIndex<A>()
  private count = 0

  get isEmpty(): boolean {
    return this.count === 0
  }

  note(change: 1 | -1): void {
    this.count += change
  }

  find(entry: A, waived: ReadonlySet<A>): A | undefined {
    if (this.count === 0) return undefined
    for (let i = 0; i < entry.targets.length; i++) {
      const place = entry.places[i]!
      const found =
        this.exclusive.find(place, waived) ??
        (LockMode.isExclusive(entry.targets[i]!.mode) ? this.shared.find(place, waived) : undefined)
      if (found !== undefined) return found
    }
    return undefined
  }

  /** Notes that a request waits, and calls for every delegation whose client is to be told of it now. */
  recall(request: A, tell: (delegation: A) => void): void {
    if (this.count === 0) return
    const level = request.impatient ? Told.urged : Told.recalled
    const visit = (delegation: A): void => {
      if (delegation.told >= level || !isWantedBy(delegation, request)) return
      delegation.told = level
      tell(delegation)
    }
    this.eachInTheWay(request, visit)
  }

  /** The messages that a waiting request has led to may be lost: they are sent again. */
  forgetTold(request: A): void {
    this.eachInTheWay(request, (delegation) => {
      if (isWantedBy(delegation, request)) delegation.told = Told.nothing
    })
  }

  private eachInTheWay(request: A, visit: (delegation: A) => void): void {
    for (let i = 0; i < request.targets.length; i++) {
      const place = request.places[i]!
      this.exclusive.each(place, visit)
      if (LockMode.isExclusive(request.targets[i]!.mode)) this.shared.each(place, visit)
    }
  }

  /** Is a delegation that is granted wanted already? That counts as told. */
  isWanted(delegation: A, waiting: Waiting<A>): boolean {
    const [place] = delegation.places
    if (place === undefined) return false
    const test = (request: A): boolean => isWantedBy(delegation, request)
    const isExclusive = LockMode.isExclusive(delegation.targets[0]!.mode)
    const isWanted = waiting.exclusive.some(place, test) || (isExclusive && waiting.shared.some(place, test))
    if (isWanted) delegation.told = Told.recalled
    return isWanted
  }
}

/** Does a request that conflicts with a delegation want it back? Not when the client can serve it itself. */
export const isWantedBy = (delegation: Keepable, request: Keepable): boolean => {
  if (request.within.includes(delegation.id)) return false
  return !(
    request.client !== undefined &&
    request.client === delegation.client &&
    !request.impatient &&
    LockMode.covers(delegation.targets[0]!, request.targets[0]!)
  )
}
