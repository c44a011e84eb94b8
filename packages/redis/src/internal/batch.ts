/**
 * Collects what is asked for in the same moment, so that it goes out as one command. A full one goes out at once, if it may:
 * the server is at work on it while the next one is still being collected.
 *
 * @internal
 */
export class Batch<A> {
  private readonly queue: Array<A> = []
  private isScheduled = false
  private isHeldBack = false
  private readonly limit: () => number
  private readonly schedule: (flush: () => void) => void
  private readonly send: (items: ReadonlyArray<A>) => void
  private readonly mayGo: () => boolean

  /**
   * `limit`: how many go in one command. `schedule`: when one that is not full is sent. `mayGo`: whether one may be sent
   * now; when one may that might not before, `goOn` is to be called.
   */
  constructor(
    limit: () => number,
    schedule: (flush: () => void) => void,
    send: (items: ReadonlyArray<A>) => void,
    mayGo: () => boolean = () => true
  ) {
    this.limit = limit
    this.schedule = schedule
    this.send = send
    this.mayGo = mayGo
  }

  add(item: A): void {
    const count = this.queue.push(item)
    if (this.isHeldBack) return
    if (count >= this.limit()) return this.flush()
    if (this.isScheduled) return
    this.isScheduled = true
    this.schedule(this.flushLater)
  }

  /** Takes all out that were not sent yet, or the first so many. */
  clear(count = this.queue.length): ReadonlyArray<A> {
    if (count < this.queue.length) return this.queue.splice(0, count)
    // A copy, and not a new literal for the next ones: those would be made old by the engine from the start.
    const items = this.queue.slice()
    this.queue.length = 0
    return items
  }

  flush(): void {
    while (this.queue.length > 0) {
      if (!this.mayGo()) {
        this.isHeldBack = true
        return
      }
      this.send(this.clear(this.limit()))
    }
  }

  /** Sends what was held back. */
  goOn(): void {
    if (!this.isHeldBack) return
    this.isHeldBack = false
    this.flush()
  }

  private readonly flushLater = (): void => {
    this.isScheduled = false
    this.flush()
  }
}
