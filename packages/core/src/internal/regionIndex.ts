/**
 * Two tries over the segments of paths that answer, for a region, "is there anything here that overlaps?".
 *
 * Both keep no node that holds nothing, so that a node's existence is itself the answer, and both cost O(depth) to
 * change and to ask, however much lies elsewhere. `HeldIndex` answers with anything that overlaps; `WaitIndex` with
 * the latest that arrived before a given ticket, for which every waiting region is also entered, as "below", in each of
 * its ancestors.
 */

/** A region in an index. `keys` are the segments of its path. */
export interface Place<A> {
  readonly owner: A
  readonly keys: ReadonlyArray<string>
  readonly subtree: boolean
}

class HeldNode<A> {
  readonly children = new Map<string, HeldNode<A>>()
  readonly subtree = new Set<A>()
  readonly alone = new Set<A>()
  readonly parent: HeldNode<A> | undefined
  readonly key: string
  constructor(parent: HeldNode<A> | undefined, key: string) {
    this.parent = parent
    this.key = key
  }
  isEmpty(): boolean {
    return this.children.size === 0 && this.subtree.size === 0 && this.alone.size === 0
  }
}

const firstNotIn = <A>(owners: Set<A>, waived: ReadonlySet<A>): A | undefined => {
  for (const owner of owners) if (!waived.has(owner)) return owner
  return undefined
}

export class HeldIndex<A> {
  private readonly root = new HeldNode<A>(undefined, "")

  add({ keys, owner, subtree }: Place<A>): void {
    let node = this.root
    for (const key of keys) {
      let child = node.children.get(key)
      if (child === undefined) {
        child = new HeldNode(node, key)
        node.children.set(key, child)
      }
      node = child
    }
    ;(subtree ? node.subtree : node.alone).add(owner)
  }

  remove({ keys, owner, subtree }: Place<A>): void {
    let node = this.root
    for (const key of keys) {
      const child = node.children.get(key)
      if (child === undefined) return
      node = child
    }
    ;(subtree ? node.subtree : node.alone).delete(owner)
    while (node.parent !== undefined && node.isEmpty()) {
      node.parent.children.delete(node.key)
      node = node.parent
    }
  }

  /** An owner whose region overlaps, other than the waived ones. */
  find(keys: ReadonlyArray<string>, subtree: boolean, waived: ReadonlySet<A>): A | undefined {
    let node = this.root
    for (const key of keys) {
      const covering = firstNotIn(node.subtree, waived)
      if (covering !== undefined) return covering
      const child = node.children.get(key)
      if (child === undefined) return undefined
      node = child
    }
    return (
      firstNotIn(node.subtree, waived) ??
      firstNotIn(node.alone, waived) ??
      (subtree ? this.findBelow(node, waived) : undefined)
    )
  }

  // Every node leads to an owner, so this visits no more than the waived ones and the depth of the tree.
  private findBelow(node: HeldNode<A>, waived: ReadonlySet<A>): A | undefined {
    for (const child of node.children.values()) {
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
 * gone, so that leaving costs O(log n) on average. Who looks past the marked ones leaves a shortcut.
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
  lastBefore(keys: ReadonlyArray<string>, subtree: boolean, ticket: number): A | undefined {
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
}
