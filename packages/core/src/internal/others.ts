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

/** Who is in the way of a waiting request. */
export const blockerOf = (context: Context, id: string): Effect.Effect<LockEntry | undefined> =>
  soon(
    context.store.lookup(id).pipe(
      Effect.flatMap((entry) => {
        const blocker = Option.flatMapNullable(entry, ({ blockedBy }) => blockedBy)
        return Option.isNone(blocker) ? Effect.succeedNone : context.store.lookup(blocker.value)
      }),
      Effect.map((entry) => Option.getOrUndefined(Option.map(entry, (blocker) => context.localize(blocker))))
    ),
    undefined
  )

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
