/**
 * Things in a row, each of which knows its neighbours, so that coming and going allocates nothing and any of them can be taken
 * out at once. A thing is in one row at a time.
 */
export interface Link<A> {
  /** The row it is in. */
  chain: unknown
  previous: A | undefined
  next: A | undefined
}

export class Chain<A extends Link<A>> {
  first: A | undefined = undefined
  private last: A | undefined = undefined
  size = 0

  /** Puts it at the end. */
  add(item: A): void {
    item.chain = this
    item.previous = this.last
    if (this.last === undefined) this.first = item
    else this.last.next = item
    this.last = item
    this.size++
  }

  /** Takes it out; `false` when it is not in this row. */
  remove(item: A): boolean {
    if (item.chain !== this) return false
    if (item.previous === undefined) this.first = item.next
    else item.previous.next = item.next
    if (item.next === undefined) this.last = item.previous
    else item.next.previous = item.previous
    item.chain = undefined
    item.previous = undefined
    item.next = undefined
    this.size--
    return true
  }

  toArray(): Array<A> {
    const items: Array<A> = []
    for (let item = this.first; item !== undefined; item = item.next) items.push(item)
    return items
  }
}
