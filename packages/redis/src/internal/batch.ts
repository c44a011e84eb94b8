/**
 * Collects what is asked for in the same moment, so that it goes out as one command. A full one goes out at once: the
 * server is at work on it while the next one is still being collected.
 *
 * @internal
 */
export class Batch<A> {
  private readonly queue: Array<A> = []
  private isScheduled = false
  private readonly limit: number
  private readonly schedule: (flush: () => void) => void
  private readonly send: (items: ReadonlyArray<A>) => void

  /** `limit`: how many go in one command. `schedule`: when one that is not full is sent. */
  constructor(limit: number, schedule: (flush: () => void) => void, send: (items: ReadonlyArray<A>) => void) {
    this.limit = limit
    this.schedule = schedule
    this.send = send
  }

  add(item: A): void {
    if (this.queue.push(item) === this.limit) return this.flush()
    if (this.isScheduled) return
    this.isScheduled = true
    this.schedule(this.flushLater)
  }

  /** Takes an item out that was not sent yet. `false` when it was. */
  remove(item: A): boolean {
    const at = this.queue.indexOf(item)
    if (at === -1) return false
    this.queue.splice(at, 1)
    return true
  }

  /** Takes all out that were not sent yet. */
  clear(): ReadonlyArray<A> {
    // A copy, and not a new literal for the next ones: those would be made old by the engine from the start.
    const items = this.queue.slice()
    this.queue.length = 0
    return items
  }

  flush(): void {
    if (this.queue.length > 0) this.send(this.clear())
  }

  private readonly flushLater = (): void => {
    this.isScheduled = false
    this.flush()
  }
}
