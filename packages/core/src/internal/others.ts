/**
 * Who else holds or waits, for what errors say. An answer that does not come soon is done without.
 */
import * as Arr from "effect/Array"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { LockEntry } from "../LockEntry.ts"
import type { StoreError } from "../LockError.ts"
import type { Context } from "./context.ts"

const patience = Duration.millis(100)

/** At most this many of a cycle are looked up. */
const longestCycle = 16

const soon = <A>(answer: Effect.Effect<A, StoreError>, otherwise: A): Effect.Effect<A> =>
  answer.pipe(
    Effect.disconnect,
    Effect.interruptible,
    Effect.timeoutTo({ duration: patience, onTimeout: () => otherwise, onSuccess: (found) => found }),
    Effect.catchAllCause(() => Effect.succeed(otherwise))
  )

/** A waiting request that wants to know who is in its way. */
export interface Blocked {
  readonly id: string
  blocker: LockEntry | undefined
}

/** Finds out who is in the way of waiting requests: all that ask in the same moment share one question to the store. */
export class Blockers {
  private readonly context: Context
  private asking: Array<Blocked> = []

  constructor(context: Context) {
    this.context = context
  }

  find(blocked: Blocked): void {
    if (this.asking.push(blocked) > 1) return
    this.context.fork(Effect.zipRight(Effect.yieldNow(), Effect.ignore(this.ask)))
  }

  private readonly ask: Effect.Effect<void, StoreError> = Effect.suspend(() => {
    const { asking } = this
    this.asking = []
    return Effect.map(this.context.store.blockers(asking.map(({ id }) => id)), (found) => {
      for (const [i, entry] of found.entries()) {
        if (Option.isSome(entry)) asking[i]!.blocker = this.context.localize(entry.value)
      }
    })
  })
}

/** Those of a cycle that are live, without the request that closed it: that one has left the queue. */
export const membersOf = (
  context: Context,
  [, ...others]: ReadonlyArray<string>
): Effect.Effect<ReadonlyArray<LockEntry>> =>
  soon(
    Effect.map(
      Effect.forEach(others.slice(0, longestCycle), (id) => context.store.lookup(id), { concurrency: "unbounded" }),
      (found) => Arr.getSomes(found).map((entry) => context.localize(entry))
    ),
    []
  )
