/**
 * Lets the event loop turn. Locks that are granted here and now need no I/O, and fibers that are never kept waiting are run by Effect as
 * microtasks, thousands of times before a timer or a socket has its turn: a process that does little else would not hear that others want
 * its delegations back, nor refresh them, and lose them at their deadlines.
 */
import * as Effect from "effect/Effect"

/** How many requests come between two turns: two milliseconds or so. (With 1,024 a writer waited four times as long for processes busy reading.) */
const mostInARow = 128

const nextTurn: (call: () => void) => unknown = globalThis.setImmediate ?? globalThis.setTimeout

export class Breath {
  private left = mostInARow
  private waiting: Array<() => void> = []

  /** Counts a request. Has it to wait for the event loop? Then `taken` is where it waits. */
  isDue(): boolean {
    return --this.left < 0
  }

  readonly taken: Effect.Effect<void> = Effect.async((resume) => {
    this.waiting.push(() => resume(Effect.void))
    if (this.waiting.length === 1) nextTurn(() => this.take())
  })

  private take(): void {
    const { waiting } = this
    this.waiting = []
    // Each of them has its turn before the next breath.
    this.left = Math.max(mostInARow, waiting.length)
    for (const resume of waiting) resume()
  }
}
