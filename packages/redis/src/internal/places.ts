/**
 * In which partitions the requests and leases of this client lie, and what becomes of those that lie in several.
 */
import type { LockStore } from "@hilok/core"
import type { NonEmptyReadonlyArray } from "effect/Array"
import type { Part } from "./routing.ts"

/** What ends a request that is being taken: `isOrder`, somebody took it out; else a part of it was lost, and it is asked for again. */
export type OnLoss = (isOrder: boolean) => void

/** A request or lease in several partitions. */
export class Place {
  readonly id: string
  readonly parts: NonEmptyReadonlyArray<Pick<Part, "at" | "numbers">>
  owner: string
  /** While it is being taken: who is told of a loss. */
  onLoss: OnLoss | undefined = undefined
  /** Is it lost, or given up, as a whole? */
  isOver = false
  /** How urgently the delegation is wanted back: 0, not at all; 2, for one that does not wait for long. */
  urgency = 0
  /** Who was told what by which partitions. */
  private readonly heard = new Map<string, Set<number>>()

  constructor(id: string, parts: Place["parts"], owner: string) {
    this.id = id
    this.parts = parts
    this.owner = owner
  }

  /** Is this news? Each partition tells the same. */
  isNews(at: number, { owner, reason }: LockStore.Revocation): boolean {
    const what = `${reason} ${owner}`
    const heard = this.heard.get(what)
    if (heard === undefined || heard.has(at)) {
      this.heard.set(what, new Set([at]))
      return true
    }
    heard.add(at)
    return false
  }
}

/** How many of those that lay in several partitions are remembered when they have ended: messages about them may be late. */
const mostEnded = 1000

export class Places {
  private readonly single = new Map<string, number>()
  private readonly several = new Map<string, Place>()
  private readonly ended = new Map<string, Place>()
  private readonly giveBackRest: (place: Place, but: number, owner: string) => void

  /** `giveBackRest` ends what is left of a lease that was lost in one partition. */
  constructor(giveBackRest: (place: Place, but: number, owner: string) => void) {
    this.giveBackRest = giveBackRest
  }

  /** The one partition in which it lies, if it is known and in no other. */
  singleOf(id: string): number | undefined {
    return this.single.get(id)
  }

  /** The partitions in which it lies, if it is known to be in several. */
  severalOf(id: string): Place | undefined {
    return this.several.get(id)
  }

  addSingle(id: string, at: number): void {
    this.single.set(id, at)
  }

  add(id: string, parts: Place["parts"], owner: string): Place {
    const known = this.several.get(id) ?? this.ended.get(id)
    const place = known === undefined || known.isOver ? new Place(id, parts, owner) : known
    place.owner = owner
    this.ended.delete(id)
    this.several.set(id, place)
    return place
  }

  /** It is not this client's any more, as far as is known. Whoever asks for it looks everywhere. */
  drop(id: string): void {
    this.single.delete(id)
    const place = this.several.get(id)
    if (place === undefined) return
    this.several.delete(id)
    this.ended.set(id, place)
    if (this.ended.size <= mostEnded) return
    for (const oldest of this.ended.keys()) {
      this.ended.delete(oldest)
      return
    }
  }

  /** A partition says what became of a lease. Answers whether its owner is to be told. */
  onRevocation(at: number, revocation: LockStore.Revocation): boolean {
    const { id, owner, reason } = revocation
    const isEnd = reason !== "taken"
    const place = this.several.get(id) ?? this.ended.get(id)
    if (place === undefined) {
      if (isEnd) this.single.delete(id)
      return true
    }
    if (place.onLoss !== undefined) {
      place.onLoss(reason !== "expired")
      return false
    }
    if (place.isOver) return false
    if (!isEnd) return place.isNews(at, revocation)
    place.isOver = true
    this.drop(id)
    this.giveBackRest(place, at, owner)
    return true
  }

  /** A delegation is wanted back. Answers whether its client is to be told. */
  onRecall({ id, urgent }: LockStore.Recall): boolean {
    const place = this.several.get(id) ?? this.ended.get(id)
    if (place === undefined) return true
    const urgency = urgent ? 2 : 1
    const isNews = urgency > place.urgency
    if (isNews) place.urgency = urgency
    // While it is being taken, that is told with its grant.
    return isNews && !place.isOver && place.onLoss === undefined
  }
}
