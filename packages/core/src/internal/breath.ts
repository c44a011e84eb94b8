/**
 * Lets the event loop turn. Locks that are granted here and now need no I/O, and fibers that are never kept waiting are run by Effect as
 * microtasks, thousands of times before a timer or a socket has its turn: a process that does little else would not hear that others want
 * its delegations back, nor refresh them, and lose them at their deadlines.
 *
 * The pause comes after a lock, not before it: whoever asks for one has its place in the queue at once. Of those that pause, one goes on
 * with each turn, so that it has its locks in a row, as without all this (with 16 of 512 at once a lock took a fifth longer, with all of
 * them half as long again); more, when that leaves time for more.
 */
import * as Effect from "effect/Effect"

/**
 * How many locks come between two turns: one or two milliseconds. (With 1,024 a writer waited four times as long for processes that are
 * busy reading.)
 */
const mostInARow = 128

const nextTurn: (call: () => void) => unknown = globalThis.setImmediate ?? globalThis.setTimeout

export class Breath {
  private left = mostInARow
  /** How many went on with the last turn. */
  private count = 1
  private readonly pausing: Array<() => void> = []

  /** Counts a lock that is over, and goes on with `next`: at once, or after a pause. */
  before<A, E>(next: Effect.Effect<A, E>): Effect.Effect<A, E> {
    return --this.left < 0 ? Effect.zipRight(this.pause, next) : next
  }

  private readonly pause: Effect.Effect<void> = Effect.async((resume) => {
    this.pausing.push(() => resume(Effect.void))
    if (this.pausing.length === 1) nextTurn(() => this.goOn())
  })

  private goOn(): void {
    this.count = this.left > 0 ? 2 * this.count : 1
    this.left = mostInARow
    for (const resume of this.pausing.splice(0, this.count)) resume()
    if (this.pausing.length > 0) nextTurn(() => this.goOn())
  }
}
