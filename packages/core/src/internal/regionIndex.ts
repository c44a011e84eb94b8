/**
 * Two tries over the segments of paths that answer, for a region, "is there anything here that overlaps?".
 *
 * Both keep no node that holds nothing, so that a node's existence is itself the answer, and both cost O(depth) to
 * change and to ask, however much lies elsewhere. `HeldIndex` answers with anything that overlaps; `WaitIndex` with
 * the latest that arrived before a given ticket, for which every waiting region is also entered, as "below", in each of
 * its ancestors.
 */

/** `keys` are the segments of a path. */
export interface Reach {
  readonly keys: ReadonlyArray<string>
  readonly subtree: boolean
}

/** A region in an index, made once for each target of a request. */
export class Place<A> implements Reach {
  readonly owner: A
  readonly keys: ReadonlyArray<string>
  readonly subtree: boolean
  /** Where it is held, and its neighbours there: places come and go without a collection that has to be kept. */
  node: HeldNode<A> | undefined = undefined
  next: Place<A> | undefined = undefined
  previous: Place<A> | undefined = undefined

  constructor(owner: A, keys: ReadonlyArray<string>, subtree: boolean) {
    this.owner = owner
    this.keys = keys
    this.subtree = subtree
  }
}

/**
 * A node of the held trie. Its children are also in a list, from which the empty ones are taken out at once, while they
 * stay in the map for a while: a `Map` from which one key is deleted and into which it is put again, over and over, gets
 * slow in proportion to its size (V8 keeps the deleted entry in the chain of its bucket until the whole map is rebuilt).
 */
class HeldNode<A> {
  /** The first child: it needs no map. It may be empty. */
  private main: HeldNode<A> | undefined = undefined
  private others: Map<string, HeldNode<A>> | undefined = undefined
  /** How many children hold something: those in the list. */
  private filled = 0
  firstChild: HeldNode<A> | undefined = undefined
  next: HeldNode<A> | undefined = undefined
  private previous: HeldNode<A> | undefined = undefined
  private isFilled = false
  subtree: Place<A> | undefined = undefined
  alone: Place<A> | undefined = undefined
  readonly parent: HeldNode<A> | undefined
  readonly key: string

  constructor(parent: HeldNode<A> | undefined, key: string) {
    this.parent = parent
    this.key = key
  }

  private known(key: string): HeldNode<A> | undefined {
    return this.main?.key === key ? this.main : this.others?.get(key)
  }

  /** The child, when it holds something. */
  child(key: string): HeldNode<A> | undefined {
    const child = this.known(key)
    return child?.isFilled ? child : undefined
  }

  /** The child, which is about to hold something. */
  fill(key: string): HeldNode<A> {
    let child = this.known(key)
    if (child === undefined) {
      child = new HeldNode(this, key)
      if (this.main?.isFilled) {
        this.others ??= new Map()
        this.others.set(key, child)
      } else this.main = child
    }
    if (!child.isFilled) {
      child.isFilled = true
      child.next = this.firstChild
      if (this.firstChild !== undefined) this.firstChild.previous = child
      this.firstChild = child
      this.filled++
    }
    return child
  }

  /** The child holds nothing any more. */
  private empty(child: HeldNode<A>): void {
    child.isFilled = false
    if (child.previous === undefined) this.firstChild = child.next
    else child.previous.next = child.next
    if (child.next !== undefined) child.next.previous = child.previous
    child.next = undefined
    child.previous = undefined
    child.others = undefined
    this.filled--
    if (this.others === undefined || this.others.size <= 2 * this.filled + spareChildren) return
    const others = new Map<string, HeldNode<A>>()
    for (let kept = this.firstChild; kept !== undefined; kept = kept.next) {
      if (kept !== this.main) others.set(kept.key, kept)
    }
    this.others = others
  }

  isEmpty(): boolean {
    return this.firstChild === undefined && this.subtree === undefined && this.alone === undefined
  }

  add(place: Place<A>): void {
    const first = place.subtree ? this.subtree : this.alone
    place.node = this
    place.next = first
    if (first !== undefined) first.previous = place
    if (place.subtree) this.subtree = place
    else this.alone = place
  }

  remove(place: Place<A>): void {
    if (place.previous !== undefined) place.previous.next = place.next
    else if (place.subtree) this.subtree = place.next
    else this.alone = place.next
    if (place.next !== undefined) place.next.previous = place.previous
    place.node = undefined
    place.next = undefined
    place.previous = undefined
    this.prune()
  }

  /** Takes this node, and those above it, out of the lists they are in as far as they hold nothing. */
  private prune(): void {
    if (this.parent === undefined || !this.isEmpty()) return
    this.parent.empty(this)
    this.parent.prune()
  }
}

/** How many empty children a node keeps for the next time, besides one for each that is not empty. */
const spareChildren = 8

const firstNotIn = <A>(first: Place<A> | undefined, waived: ReadonlySet<A>): A | undefined => {
  for (let place = first; place !== undefined; place = place.next) {
    if (!waived.has(place.owner)) return place.owner
  }
  return undefined
}

const eachOf = <A>(first: Place<A> | undefined, visit: (owner: A) => void): void => {
  for (let place = first; place !== undefined; place = place.next) visit(place.owner)
}

export class HeldIndex<A> {
  private readonly root = new HeldNode<A>(undefined, "")

  add(place: Place<A>): void {
    let node = this.root
    for (const key of place.keys) node = node.fill(key)
    node.add(place)
  }

  remove(place: Place<A>): void {
    place.node?.remove(place)
  }

  /** An owner whose region overlaps, other than the waived ones. */
  find({ keys, subtree }: Reach, waived: ReadonlySet<A>): A | undefined {
    let node = this.root
    for (const key of keys) {
      const covering = firstNotIn(node.subtree, waived)
      if (covering !== undefined) return covering
      const child = node.child(key)
      if (child === undefined) return undefined
      node = child
    }
    return (
      firstNotIn(node.subtree, waived) ??
      firstNotIn(node.alone, waived) ??
      (subtree ? this.findBelow(node, waived) : undefined)
    )
  }

  /** Calls for every owner whose region overlaps; for one that has several such regions, several times. */
  each({ keys, subtree }: Reach, visit: (owner: A) => void): void {
    let node = this.root
    for (const key of keys) {
      eachOf(node.subtree, visit)
      const child = node.child(key)
      if (child === undefined) return
      node = child
    }
    eachOf(node.subtree, visit)
    eachOf(node.alone, visit)
    if (subtree) this.eachBelow(node, visit)
  }

  private eachBelow(node: HeldNode<A>, visit: (owner: A) => void): void {
    for (let child = node.firstChild; child !== undefined; child = child.next) {
      eachOf(child.subtree, visit)
      eachOf(child.alone, visit)
      this.eachBelow(child, visit)
    }
  }

  // Every node in a list leads to an owner, so this visits no more than the waived ones and the depth of the tree.
  private findBelow(node: HeldNode<A>, waived: ReadonlySet<A>): A | undefined {
    for (let child = node.firstChild; child !== undefined; child = child.next) {
      const found =
        firstNotIn(child.subtree, waived) ?? firstNotIn(child.alone, waived) ?? this.findBelow(child, waived)
      if (found !== undefined) return found
    }
    return undefined
  }
}

interface Ticketed {
  readonly ticket: number
}

/**
 * Owners in the order of their tickets. They arrive in that order; those that leave are only marked until half are
 * gone, so that leaving costs O(log n) on average. Whoever looks past the marked ones leaves a shortcut.
 */
class TicketList<A extends Ticketed> {
  private tickets: Array<number> = []
  private owners: Array<A | undefined> = []
  /** For a place that was left: one before it, such that all between the two are left as well. */
  private earlier: Array<number> = []
  private gone = 0

  get size(): number {
    return this.owners.length - this.gone
  }

  add(owner: A): void {
    this.earlier.push(this.owners.length - 1)
    this.tickets.push(owner.ticket)
    this.owners.push(owner)
  }

  /** Removes one entry of the owner: a request that names a region twice has two. */
  remove(owner: A): void {
    let at = this.firstFrom(owner.ticket)
    while (this.tickets[at] === owner.ticket && this.owners[at] !== owner) at++
    if (this.owners[at] !== owner) return
    this.owners[at] = undefined
    if (++this.gone * 2 > this.owners.length) {
      const live = this.owners.filter((kept) => kept !== undefined)
      this.owners = live
      this.tickets = live.map((kept) => kept.ticket)
      this.earlier = live.map((_, place) => place - 1)
      this.gone = 0
    }
  }

  lastBefore(ticket: number): A | undefined {
    const from = this.firstFrom(ticket) - 1
    let at = from
    while (at >= 0 && this.owners[at] === undefined) at = this.earlier[at]!
    for (let left = from; left > at; ) {
      const next = this.earlier[left]!
      this.earlier[left] = at
      left = next
    }
    return this.owners[at]
  }

  some(test: (owner: A) => boolean): boolean {
    return this.owners.some((owner) => owner !== undefined && test(owner))
  }

  private firstFrom(ticket: number): number {
    let low = 0
    let high = this.tickets.length
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.tickets[middle]! < ticket) low = middle + 1
      else high = middle
    }
    return low
  }
}

class WaitNode<A extends Ticketed> {
  readonly children = new Map<string, WaitNode<A>>()
  readonly subtree = new TicketList<A>()
  readonly alone = new TicketList<A>()
  readonly below = new TicketList<A>()
}

export class WaitIndex<A extends Ticketed> {
  private readonly root = new WaitNode<A>()

  add({ keys, owner, subtree }: Place<A>): void {
    let node = this.root
    for (const key of keys) {
      node.below.add(owner)
      let child = node.children.get(key)
      if (child === undefined) {
        child = new WaitNode()
        node.children.set(key, child)
      }
      node = child
    }
    ;(subtree ? node.subtree : node.alone).add(owner)
  }

  remove({ keys, owner, subtree }: Place<A>): void {
    let node = this.root
    // The lowest ancestor that stays, and the child of it that may go.
    let stays = node
    let goes = keys[0]
    for (const key of keys) {
      node.below.remove(owner)
      if (node.below.size > 0 || node.subtree.size > 0 || node.alone.size > 0) {
        stays = node
        goes = key
      }
      const child = node.children.get(key)
      if (child === undefined) return
      node = child
    }
    ;(subtree ? node.subtree : node.alone).remove(owner)
    const empty = node.below.size === 0 && node.subtree.size === 0 && node.alone.size === 0
    if (empty && goes !== undefined) stays.children.delete(goes)
  }

  /** The owner with the greatest ticket below the given one whose region overlaps. */
  lastBefore({ keys, subtree }: Reach, ticket: number): A | undefined {
    let node = this.root
    let last: A | undefined
    const consider = (list: TicketList<A>): void => {
      const owner = list.lastBefore(ticket)
      if (owner !== undefined && (last === undefined || owner.ticket > last.ticket)) last = owner
    }
    for (const key of keys) {
      consider(node.subtree)
      const child = node.children.get(key)
      if (child === undefined) return last
      node = child
    }
    consider(node.subtree)
    consider(node.alone)
    if (subtree) consider(node.below)
    return last
  }

  /** Is it so for an owner whose region overlaps? */
  some({ keys, subtree }: Reach, test: (owner: A) => boolean): boolean {
    let node = this.root
    for (const key of keys) {
      if (node.subtree.some(test)) return true
      const child = node.children.get(key)
      if (child === undefined) return false
      node = child
    }
    return node.subtree.some(test) || node.alone.some(test) || (subtree && node.below.some(test))
  }
}
