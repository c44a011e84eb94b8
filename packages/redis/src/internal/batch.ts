/**
 * Collects what is asked for in the same moment, so that it goes out as one command.
 *
 * @internal
 */
export class Batch<A> {
  private queue: Array<A> = []
  private readonly limit: number
  private readonly schedule: (flush: () => void) => void
  private readonly send: (items: ReadonlyArray<A>) => void

  /** `limit`: how many go in one command. `schedule`: when the first of a batch is sent. */
  constructor(limit: number, schedule: (flush: () => void) => void, send: (items: ReadonlyArray<A>) => void) {
    this.limit = limit
    this.schedule = schedule
    this.send = send
  }

  add(item: A): void {
    if (this.queue.push(item) === 1) this.schedule(this.flush)
  }

  /** Takes an item out that was not sent yet. `false` when it was. */
  remove(item: A): boolean {
    const at = this.queue.indexOf(item)
    if (at === -1) return false
    this.queue.splice(at, 1)
    return true
  }

  readonly flush = (): void => {
    const queue = this.queue
    this.queue = []
    for (let from = 0; from < queue.length; from += this.limit) this.send(queue.slice(from, from + this.limit))
  }
}
