/**
 * A binary heap of things that have a deadline, each knowing its own place in it, so that any of them can be moved or
 * taken out in O(log n). A new deadline is usually the latest, and then costs O(1).
 */
export interface Timed {
  deadline: number
  /** The place in the heap; -1 when it is in none. */
  heapIndex: number
}

export class DeadlineHeap<A extends Timed> {
  private readonly items: Array<A> = []

  /** The one with the earliest deadline. */
  peek(): A | undefined {
    return this.items[0]
  }

  /** Adds it, or moves it after its deadline was changed. One without an end (`Infinity`) is left out. */
  set(item: A): void {
    if (item.deadline === Number.POSITIVE_INFINITY) return this.delete(item)
    if (item.heapIndex === -1) {
      item.heapIndex = this.items.length
      this.items.push(item)
    }
    this.settle(item)
  }

  delete(item: A): void {
    const at = item.heapIndex
    if (at === -1) return
    item.heapIndex = -1
    const last = this.items.pop()!
    if (last === item) return
    last.heapIndex = at
    this.items[at] = last
    this.settle(last)
  }

  private settle(item: A): void {
    const items = this.items
    let at = item.heapIndex
    while (at > 0) {
      const parent = items[(at - 1) >> 1]!
      if (parent.deadline <= item.deadline) break
      items[at] = parent
      parent.heapIndex = at
      at = (at - 1) >> 1
    }
    for (;;) {
      let child = 2 * at + 1
      if (child >= items.length) break
      if (child + 1 < items.length && items[child + 1]!.deadline < items[child]!.deadline) child++
      const lower = items[child]!
      if (lower.deadline >= item.deadline) break
      items[at] = lower
      lower.heapIndex = at
      at = child
    }
    items[at] = item
    item.heapIndex = at
  }
}
