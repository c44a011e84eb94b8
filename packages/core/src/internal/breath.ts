/**
 * Lets the event loop turn. Locks that are granted here and now need no I/O, and fibers that are never kept waiting are run by Effect as
 * microtasks, thousands of times before a timer or a socket has its turn: a process that does little else would not hear that others want
 * its delegations back, nor refresh them, and lose them at their deadlines.
 */
import * as Effect from "effect/Effect"

/**
 * How many requests come between two turns: two milliseconds or so. (With 1,024 a writer waited four times as long for processes that are
 * busy reading.)
 */
const mostInARow = 128
/**
 * How many of those that wait go on with each turn: few, so that each has some locks in a row, as without all this. (With all of 512 at once
 * a lock took twice as long.)
 */
const atOnce = 16

const nextTurn: (call: () => void) => unknown = globalThis.setImmediate ?? globalThis.setTimeout

export class Breath {
  private left = mostInARow
  private readonly waiting: Array<() => void> = []

  /** Counts a request. Has it to wait for the event loop? Then `taken` is where it waits. */
  isDue(): boolean {
    return --this.left < 0
  }

  readonly taken: Effect.Effect<void> = Effect.async((resume) => {
    this.waiting.push(() => resume(Effect.void))
    if (this.waiting.length === 1) nextTurn(() => this.take())
  })

  private take(): void {
    this.left = mostInARow
    for (const resume of this.waiting.splice(0, atOnce)) resume()
    if (this.waiting.length > 0) nextTurn(() => this.take())
  }
}
