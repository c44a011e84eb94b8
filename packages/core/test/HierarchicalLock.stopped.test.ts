import { assert, describe, it } from "@effect/vitest"
import { HierarchicalLock, LockError, LockStore, MemoryStore, Target } from "@hilok/core"
import {
  Cause,
  Context,
  Deferred,
  Effect,
  Exit,
  Fiber,
  Layer,
  Logger,
  LogLevel,
  Option,
  Scope,
  TestClock
} from "effect"
import { Faults } from "./support/doubles.ts"
import { assertEmpty, client, entries, open, settle } from "./support/locks.ts"
import { narrow } from "./support/narrow.ts"

type Locks = HierarchicalLock.Operations<never>

const { scoped } = HierarchicalLock

const breakAll = (locks: Locks) =>
  Effect.flatMap(locks.inspect(), (all) => Effect.forEach(all, ({ id }) => locks.breakLease(id))).pipe(Effect.orDie)

/** Ways to acquire `a` in a scope, by whichever fiber. */
const ways: Record<string, (locks: Locks) => Effect.Effect<unknown, unknown, Scope.Scope>> = {
  plain: (locks) => locks.write("a"),
  "with a timeout": (locks) => locks.write("a").pipe(Effect.timeout("5 seconds")),
  "in a race": (locks) => Effect.race(locks.write("a"), Effect.never),
  "as the first of a race": (locks) => Effect.raceFirst(locks.write("a"), Effect.never),
  disconnected: (locks) => Effect.disconnect(locks.write("a")),
  "in a fiber that is joined": (locks) => Effect.flatMap(Effect.fork(locks.write("a")), Fiber.join),
  "in Effect.all": (locks) => Effect.all([locks.read("a"), locks.read("b")], { concurrency: "unbounded" }),
  "in Effect.forEach": (locks) => Effect.forEach(["a", "b"], (path) => locks.write(path), { concurrency: 2 }),
  "with others, concurrently": (locks) => Effect.zip(locks.write("a"), locks.write("b"), { concurrent: true }),
  "restored with a timeout": (locks) =>
    Effect.flatMap(locks.acquire([Target.write("a")]), ({ id }) => Effect.timeout(locks.restore(id), "5 seconds")),
  "in a race in a race": (locks) => Effect.race(Effect.timeout(locks.write("a"), "5 seconds"), Effect.never),
  uninterruptible: (locks) => Effect.uninterruptible(locks.write("a")),
  "in a layer": (locks) => Layer.build(Layer.scoped(Held, locks.write("a"))),
  "in layers that are merged": (locks) =>
    Layer.build(Layer.mergeAll(Layer.scoped(Held, locks.write("a")), Layer.scoped(Other, locks.write("b"))))
}

class Held extends Context.Tag("Held")<Held, unknown>() {}
class Other extends Context.Tag("Other")<Other, unknown>() {}

describe("work in a scope whose lease is broken", () => {
  for (const [name, acquire] of Object.entries(ways)) {
    it.effect(`stops with \`LockLost\` in \`HierarchicalLock.scoped\`: acquired ${name}`, () =>
      Effect.gen(function* () {
        const { locks, store } = yield* open()
        const fiber = yield* Effect.fork(
          Effect.gen(function* () {
            const work = Effect.zipRight(acquire(locks), Effect.never)
            const caught = yield* scoped(work).pipe(Effect.flip)
            // The fiber goes on as if it had not been interrupted.
            yield* Effect.yieldNow()
            return caught
          })
        )
        yield* settle
        assert.isAbove((yield* entries(store)).length, 0)
        yield* breakAll(locks)
        const error = yield* Fiber.join(fiber)
        assert.instanceOf(error, LockError.LockLost)
        assert.strictEqual((error as LockError.LockLost).reason, "broken")
        yield* assertEmpty(store)
      }).pipe(Effect.scoped)
    )

    it.effect(`stops in \`Effect.scoped\`, whose exit is no interruption alone: acquired ${name}`, () =>
      Effect.gen(function* () {
        const { locks, store } = yield* open()
        let told: unknown
        const fiber = yield* Effect.scoped(Effect.zipRight(acquire(locks), Effect.never)).pipe(
          // As `runMain` does: whoever runs the scope can tell of it.
          Effect.tapErrorCause((cause) =>
            Effect.sync(() => {
              told = cause
            })
          ),
          Effect.fork
        )
        yield* settle
        yield* breakAll(locks)
        const exit = yield* Fiber.await(fiber)
        assert.isTrue(Exit.isFailure(exit))
        const { cause } = exit as Exit.Failure<unknown, unknown>
        assert.isFalse(Cause.isInterruptedOnly(cause))
        const defect = Array.from(Cause.defects(cause))[0]
        assert.instanceOf(defect, LockError.LockLost)
        // The scopes of merged layers are closed by fibers of their own, so the one that was interrupted stays so.
        assert.strictEqual(told, name === "in layers that are merged" ? undefined : cause)
        yield* assertEmpty(store)
      }).pipe(Effect.scoped)
    )
  }

  it.effect("acquired by a daemon in the scope of another stops that scope's work", () =>
    Effect.gen(function* () {
      const { locks, store } = yield* open()
      const fiber = yield* Effect.fork(
        Effect.flip(
          scoped(
            Effect.gen(function* () {
              const scope = yield* Effect.scope
              yield* Effect.forkDaemon(Effect.zipRight(Scope.extend(locks.write("a"), scope), Effect.never))
              return yield* Effect.never
            })
          )
        )
      )
      yield* settle
      yield* breakAll(locks)
      assert.instanceOf(yield* Fiber.join(fiber), LockError.LockLost)
      yield* assertEmpty(store)
    }).pipe(Effect.scoped)
  )

  it.effect("is all of the work, however deep in other scopes it is", () =>
    Effect.gen(function* () {
      const { locks, store } = yield* open()
      let went = false
      const inner = Effect.ignore(scoped(Effect.zipRight(locks.write("b"), Effect.never)))
      const work = Effect.zipRight(
        inner,
        Effect.sync(() => (went = true))
      )
      const fiber = yield* Effect.fork(Effect.flip(scoped(Effect.zipRight(locks.write("a"), work))))
      yield* settle
      const [outer] = yield* locks.inspect("a")
      yield* locks.breakLease(outer!.id)
      assert.strictEqual(narrow(yield* Fiber.join(fiber), LockError.LockLost).id, outer!.id)
      assert.isFalse(went)
      yield* assertEmpty(store)
    }).pipe(Effect.scoped)
  )

  it.effect("spares the work around an inner scope, until that has ended", () =>
    Effect.gen(function* () {
      const { locks, store } = yield* open()
      const gone = yield* Deferred.make<void>()
      const inner = Effect.scoped(Effect.zipRight(locks.write("a"), Effect.never))
      const fiber = yield* Effect.fork(
        scoped(
          Effect.gen(function* () {
            const child = yield* Effect.fork(inner)
            const exit = yield* Fiber.await(child)
            yield* Deferred.succeed(gone, undefined)
            return Exit.isFailure(exit)
          })
        )
      )
      yield* settle
      yield* breakAll(locks)
      yield* Deferred.await(gone)
      assert.isTrue(yield* Fiber.join(fiber))
      yield* assertEmpty(store)
    }).pipe(Effect.scoped)
  )

  it.effect('goes on with `onLost: "signal"`, and its scope ends as if nothing had happened', () =>
    Effect.gen(function* () {
      const { locks } = yield* open()
      for (const run of [scoped, Effect.scoped] as const) {
        const work = Effect.flatMap(locks.write("a", { onLost: "signal" }), (lease) =>
          Effect.zipRight(breakAll(locks), Effect.flip(lease.lost))
        )
        assert.strictEqual((yield* run(work)).reason, "broken")
      }
    }).pipe(Effect.scoped)
  )

  it.effect("that was interrupted from elsewhere, too, stays interrupted", () =>
    Effect.gen(function* () {
      const { locks } = yield* open()
      const stuck = yield* Deferred.make<void>()
      const fiber = yield* Effect.fork(
        scoped(
          Effect.zipRight(
            locks.write("a"),
            Effect.onInterrupt(Effect.never, () => Deferred.await(stuck))
          )
        )
      )
      yield* settle
      yield* breakAll(locks)
      yield* settle
      yield* Fiber.interruptFork(fiber)
      yield* settle
      yield* Deferred.succeed(stuck, undefined)
      const exit = yield* Fiber.await(fiber)
      assert.isTrue(Exit.isFailure(exit))
      const { cause } = exit as Exit.Failure<unknown, LockError.LockError>
      assert.isTrue(Cause.isInterrupted(cause))
      assert.instanceOf(Option.getOrThrow(Cause.failureOption(cause)), LockError.LockLost)
    }).pipe(Effect.scoped)
  )

  it.effect("keeps its own failure beside the loss", () =>
    Effect.gen(function* () {
      const { locks } = yield* open()
      const work = Effect.flatMap(locks.write("a"), () =>
        Effect.onInterrupt(Effect.zipRight(breakAll(locks), Effect.never), () => Effect.die("clean-up"))
      )
      const exit = yield* Effect.exit(scoped(work))
      const { cause } = exit as Exit.Failure<never, LockError.LockError>
      assert.instanceOf(Option.getOrThrow(Cause.failureOption(cause)), LockError.LockLost)
      assert.deepStrictEqual(Array.from(Cause.defects(cause)), ["clean-up"])
    }).pipe(Effect.scoped)
  )

  it.effect("without a lost lease is as in `Effect.scoped`", () =>
    Effect.gen(function* () {
      const { locks, store } = yield* open()
      assert.strictEqual(yield* scoped(Effect.as(locks.write("a"), "done")), "done")
      assert.strictEqual(yield* Effect.flip(scoped(Effect.zipRight(locks.write("a"), Effect.fail("no")))), "no")
      const order: Array<string> = []
      const note = (what: string) => Effect.addFinalizer(() => Effect.sync(() => order.push(what)))
      yield* scoped(Effect.zipRight(note("first"), note("second")))
      assert.deepStrictEqual(order, ["second", "first"])
      yield* assertEmpty(store)
    }).pipe(Effect.scoped)
  )
})

describe("a scope that closes after its lease's deadline", () => {
  // The clock of a process whose timers have not had their turn yet.
  for (const [name, run] of [
    ["Effect.scoped", Effect.scoped],
    ["HierarchicalLock.scoped", scoped]
  ] as const) {
    it.effect(`ends with the loss: ${name}`, () =>
      Effect.gen(function* () {
        const store = yield* MemoryStore.make()
        let ahead = 0n
        const clock = yield* Effect.clock
        const late = {
          ...clock,
          [Symbol.for("effect/Clock") as never]: clock,
          sleep: () => Effect.never,
          unsafeCurrentTimeNanos: () => clock.unsafeCurrentTimeNanos() + ahead,
          unsafeCurrentTimeMillis: () => clock.unsafeCurrentTimeMillis() + Number(ahead / 1_000_000n)
        } as typeof clock
        const locks = yield* HierarchicalLock.make({ ttl: "9 seconds" }).pipe(
          Effect.provideService(LockStore.LockStore, store),
          Effect.withClock(late)
        )
        const exit = yield* Effect.exit(
          run(
            Effect.zipRight(
              locks.write("a"),
              Effect.sync(() => (ahead = 9_000_000_000n))
            )
          )
        )
        assert.isTrue(Exit.isFailure(exit))
        const { cause } = exit as Exit.Failure<unknown, unknown>
        const lost = Option.getOrElse(Cause.failureOption(cause), () => Array.from(Cause.defects(cause))[0])
        assert.instanceOf(lost, LockError.LockLost)
        assert.strictEqual((lost as LockError.LockLost).reason, "expired")
        // And the fiber goes on.
        yield* Effect.yieldNow()
      }).pipe(Effect.scoped)
    )
  }
})

describe("the log of a loss", () => {
  const logged = (run: (locks: Locks) => Effect.Effect<unknown, unknown>) =>
    Effect.gen(function* () {
      const lines: Array<{ readonly level: string; readonly message: string; readonly annotations: unknown }> = []
      const logger = Logger.make(({ annotations, logLevel, message }) => {
        lines.push({ level: logLevel._tag, message: String(message), annotations: Object.fromEntries(annotations) })
      })
      yield* Effect.gen(function* () {
        const { locks } = yield* open()
        yield* run(locks)
      }).pipe(
        Effect.scoped,
        Effect.provide(Layer.merge(Logger.replace(Logger.defaultLogger, logger), Logger.add(logger)))
      )
      return lines
    })

  it.effect("is a warning that says what was lost and why", () =>
    Effect.gen(function* () {
      const lines = yield* logged((locks) =>
        Effect.exit(
          locks.withLocks(
            ({ id }) => Effect.zipRight(locks.breakLease(id), Effect.never),
            [Target.write("a/b"), Target.read("c")]
          )
        )
      )
      assert.strictEqual(lines.length, 1)
      const [line] = lines
      assert.strictEqual(line!.level, LogLevel.Warning._tag)
      assert.include(line!.message, `The lock on write "a/b", read "c" was broken by an operator`)
      assert.deepInclude(line!.annotations as object, {
        "hilok.namespace": "default",
        "hilok.mode": ["write", "read"],
        "hilok.path": ["a/b", "c"],
        "hilok.reason": "broken"
      })
    })
  )

  it.effect("is an error when the fiber that acquired it has ended, so that nobody is stopped", () =>
    Effect.gen(function* () {
      const lines = yield* logged((locks) =>
        Effect.gen(function* () {
          const scope = yield* Scope.make()
          // Nobody joins it.
          yield* Fiber.await(yield* Effect.fork(Scope.extend(locks.write("a"), scope)))
          yield* breakAll(locks)
          yield* settle
          yield* Effect.exit(Scope.close(scope, Exit.void))
        })
      )
      assert.deepStrictEqual(
        lines.map(({ level }) => level),
        [LogLevel.Error._tag]
      )
      assert.include(lines[0]!.message, "nobody was stopped")
    })
  )
})

describe("a store that does not answer", () => {
  const silent = (faults: Faults) => {
    for (const method of ["acquire", "release", "lookup", "blockers", "refresh", "downgrade", "giveBack"] as const) {
      faults.set(method, "hangs")
    }
  }

  it.effect("does not hold up a request whose time is over, or that is interrupted", () =>
    Effect.gen(function* () {
      const faults = new Faults()
      const { locks } = yield* open({}, faults.around)
      silent(faults)
      const timed = yield* Effect.fork(Effect.flip(locks.withWrite(Effect.void, "a", { timeout: "1 second" })))
      const interrupted = yield* Effect.fork(locks.withWrite(Effect.void, "b"))
      yield* TestClock.adjust("1 second")
      yield* Fiber.interruptFork(interrupted)
      yield* TestClock.adjust("25 millis")
      assert.strictEqual((yield* Fiber.poll(timed).pipe(Effect.flatten, Effect.flatten))._tag, "LockTimeout")
      assert.isTrue(Exit.isInterrupted(yield* Effect.flatten(Fiber.poll(interrupted))))
    }).pipe(Effect.scoped)
  )

  it.effect("does not hold up a holder that is interrupted", () =>
    Effect.gen(function* () {
      const faults = new Faults()
      const { locks } = yield* open({}, faults.around)
      const work = [locks.withWrite(Effect.never, "a"), Effect.scoped(Effect.zipRight(locks.write("b"), Effect.never))]
      const fibers = yield* Effect.forEach(work, (effect) => Effect.fork(effect))
      yield* settle
      silent(faults)
      yield* Effect.forEach(fibers, Fiber.interruptFork)
      yield* TestClock.adjust("25 millis")
      for (const fiber of fibers) assert.isTrue(Exit.isInterrupted(yield* Effect.flatten(Fiber.poll(fiber))))
    }).pipe(Effect.scoped)
  )

  it.effect("is asked once who is in the way of all that time out together, and is not waited for", () =>
    Effect.gen(function* () {
      const faults = new Faults()
      const { locks, store } = yield* open({}, faults.around)
      const holder = yield* client(store, { label: "holder" })
      yield* holder.write("a")
      const waiters = yield* Effect.forEach(Array.from({ length: 500 }), () =>
        Effect.fork(Effect.flip(locks.withWrite(Effect.void, "a/b", { timeout: "1 second" })))
      )
      yield* TestClock.adjust("1 second")
      yield* settle
      for (const waiter of waiters) {
        const error = yield* Effect.flatten(Effect.flatten(Fiber.poll(waiter)))
        assert.isTrue(error._tag === "LockTimeout" && error.blocker !== undefined, String(error))
      }
      assert.strictEqual(faults.calls.get("blockers"), 1)
    }).pipe(Effect.scoped)
  )
})
