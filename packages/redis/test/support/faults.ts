/**
 * What the tests of faults have in common: holds in fibers of their own, and waiting for what is due.
 */
import { assert } from "@effect/vitest"
import {
  HierarchicalLock,
  type Lease,
  type LockEntry,
  type LockOptions,
  LockPath,
  LockStore,
  type Target
} from "@hilok/core"
import type { RedisStore } from "@hilok/redis"
import { Cause, Deferred, Effect, Exit, Fiber, Option, type Scope } from "effect"
import type { Fixture } from "./fixture.ts"
import * as History from "./history.ts"

/** How long a test may take: far longer than it does. */
export const timeLimit = 60_000

/** Fails when it has not come after a long time; tests are not to depend on how fast a machine is. */
export const soon = <A, E, R>(effect: Effect.Effect<A, E, R>, what: string): Effect.Effect<A, E, R> =>
  Effect.raceFirst(
    effect,
    Effect.zipRight(
      Effect.interruptible(Effect.sleep("30 seconds")),
      Effect.die(new Error(`${what} is due, but did not come within 30 seconds`))
    )
  )

/** Looks every few milliseconds until it is so. */
export const until = <E, R>(condition: Effect.Effect<boolean, E, R>, what: string): Effect.Effect<void, E, R> => {
  const look: Effect.Effect<void, E, R> = Effect.flatMap(condition, (yes) =>
    yes ? Effect.void : Effect.zipRight(Effect.sleep("3 millis"), look)
  )
  return soon(look, what)
}

export type Locks = HierarchicalLock.Operations<never>

/** A lock service on a store of its own. */
export const open = (
  fixture: Pick<Fixture, "store">,
  { store, ...options }: LockOptions.Options & { readonly store?: RedisStore.Options }
): Effect.Effect<Locks, never, Scope.Scope> =>
  Effect.flatMap(fixture.store(store), (store) =>
    Effect.orDie(Effect.provideService(HierarchicalLock.make({ spans: false, ...options }), LockStore.LockStore, store))
  )

/** A hold, or the wait for one. */
export interface Held {
  /** The lease, once it is granted. */
  readonly entered: Effect.Effect<{ readonly lease: Lease.Lease; readonly at: number }>
  readonly isIn: () => boolean
  /** When it was asked for (microseconds, as `History.now`). */
  readonly asked: number
  /** When the work under the lock was interrupted. */
  readonly interrupted: () => number | undefined
  /** What became of it. */
  readonly outcome: Effect.Effect<string>
  /** Ends it, and answers with what became of it. */
  readonly leave: Effect.Effect<string>
  readonly fiber: Fiber.RuntimeFiber<string>
}

const outcomeOf = (exit: Exit.Exit<void, { readonly _tag: string; readonly reason?: string }>): string =>
  Exit.isSuccess(exit)
    ? "done"
    : Option.match(Cause.failureOption(exit.cause), {
        onSome: (error) => (error._tag === "LockLost" ? `LockLost ${error.reason}` : error._tag),
        onNone: () => (Cause.isInterruptedOnly(exit.cause) ? "interrupted" : Cause.pretty(exit.cause))
      })

/** Holds locks, in a fiber of its own, until it is told to leave. */
export const hold = (
  locks: Locks,
  targets: ReadonlyArray<Target.Target>,
  options?: { readonly timeout?: number; readonly block?: false; readonly ttl?: number }
): Effect.Effect<Held, never, Scope.Scope> =>
  Effect.gen(function* () {
    const entered = yield* Deferred.make<{ readonly lease: Lease.Lease; readonly at: number }>()
    const gate = yield* Deferred.make<void>()
    let isIn = false
    let interrupted: number | undefined
    const inside = (lease: Lease.Lease) => {
      isIn = true
      return Deferred.succeed(entered, { lease, at: History.now() }).pipe(
        Effect.zipRight(Deferred.await(gate)),
        Effect.onInterrupt(() =>
          Effect.sync(() => {
            interrupted = History.now()
          })
        ),
        Effect.ensuring(
          Effect.sync(() => {
            isIn = false
          })
        )
      )
    }
    const asked = History.now()
    const fiber = yield* locks
      .withLocks(inside, targets, options as HierarchicalLock.RestoreOptions)
      .pipe(Effect.exit, Effect.map(outcomeOf), Effect.interruptible, Effect.forkScoped)
    const outcome = soon(Fiber.join(fiber), "the end of a hold")
    const early = Effect.flatMap(Fiber.join(fiber), (what) =>
      Effect.flatMap(
        Deferred.poll(entered),
        Option.getOrElse(() => Effect.dieMessage(`it ended before it entered: ${what}`))
      )
    )
    return {
      entered: soon(Effect.raceFirst(Deferred.await(entered), early), "the entry into a lock"),
      isIn: () => isIn,
      asked,
      interrupted: () => interrupted,
      outcome,
      leave: Effect.zipRight(Deferred.succeed(gate, undefined), outcome),
      fiber
    }
  })

/** Looks at what is held and who waits, past whatever disturbs the others. */
export interface Watch {
  readonly entries: Effect.Effect<ReadonlyArray<LockEntry.LockEntry>>
  /** Waits until so many wait. */
  readonly waiting: (count: number) => Effect.Effect<void>
  readonly gone: (id: string) => Effect.Effect<void>
}

export const watch = (fixture: Pick<Fixture, "store">): Effect.Effect<Watch, never, Scope.Scope> =>
  Effect.map(fixture.store(), (store) => {
    const entries = Effect.orDie(store.inspect(LockPath.root))
    return {
      entries,
      waiting: (count) =>
        until(
          Effect.map(entries, (all) => all.filter(({ state }) => state === "waiting").length === count),
          `a queue of ${count}`
        ),
      gone: (id) => until(Effect.map(Effect.orDie(store.lookup(id)), Option.isNone), `the end of ${id}`)
    }
  })

/** Each token is greater than the one before. */
export const assertRising = (...tokens: ReadonlyArray<number>): void => {
  for (let i = 1; i < tokens.length; i++) assert.isAbove(tokens[i]!, tokens[i - 1]!, "tokens rise")
}
