import { assert, describe, it } from "@effect/vitest"
import { type HierarchicalLock, type LockStore, MemoryStore, Target } from "@hilok/core"
import { Effect, Exit, Fiber, Option, Scope, Supervisor, TestClock } from "effect"
import { type Around, down, Faults, type Method, remote } from "./support/doubles.ts"
import { interruptAt } from "./support/interruptAt.ts"
import { assertEmpty, client, entries, open, settle, stranger } from "./support/locks.ts"
import * as metrics from "./support/metrics.ts"

type Locks = HierarchicalLock.Operations<never>
type Store = LockStore.LockStore["Type"]
type Work = (locks: Locks) => Effect.Effect<unknown, unknown, Scope.Scope>

interface Setting {
  readonly double?: Around
  /** Someone else has the lock at first, and gives it back after so many steps; `Infinity`: once all is over. */
  readonly heldFor?: number
}

/** Runs something to its end, or to its interruption, over a new service. All must be as before afterwards. */
const check = (
  { double = remote, heldFor = 0 }: Setting,
  when: string,
  run: (locks: Locks, free: Effect.Effect<void>) => Effect.Effect<boolean>
) =>
  Effect.gen(function* () {
    const { locks, store } = yield* open({ ttl: "10 seconds" }, double)
    const { free } = heldFor > 0 ? yield* stranger(store, "a") : { free: Effect.void }
    const finished = yield* run(locks, free)
    yield* free
    yield* settle
    yield* assertEmpty(store, `after an interruption at ${when}`)
    // Nothing that cannot be seen is in the way either.
    const next = yield* Effect.exit(locks.withLocks(Effect.void, [Target.write("")], { block: false }))
    assert.isTrue(Exit.isSuccess(next), `the next is granted at once after an interruption at ${when}`)
    return finished
  }).pipe(Effect.scoped)

/** Interrupts the work from another fiber, after so many steps of the scheduler. Answers whether it was over by then. */
const atStep = (work: Work, setting: Setting, steps: number) =>
  check(setting, `step ${steps}`, (locks, free) =>
    Effect.gen(function* () {
      const fiber = yield* Effect.fork(Effect.scoped(work(locks)))
      for (let step = 0; step < steps && fiber.unsafePoll() === null; step++) {
        if (step === setting.heldFor) yield* free
        yield* Effect.yieldNow()
      }
      const finished = fiber.unsafePoll() !== null
      yield* Fiber.interrupt(fiber)
      return finished
    })
  )

/** Interrupts the work right before one of its operations. Answers whether it was over by then. */
const atOperation = (work: Work, setting: Setting, at: number) =>
  check(setting, `operation ${at}`, (locks, free) =>
    Effect.gen(function* () {
      const { heldFor = 0 } = setting
      if (heldFor > 0) yield* Effect.fork(Effect.zipRight(Effect.repeatN(Effect.yieldNow(), heldFor), free))
      return !(yield* interruptAt(Effect.scoped(work(locks)), at))
    })
  )

/** Interrupts at every point until the work is over before it. No fiber is left behind, and no gauge is off. */
const sweep = (interrupted: typeof atStep, work: Work, setting: Setting = {}, limit = 3000) =>
  Effect.gen(function* () {
    const gauges = Effect.all([metrics.value("hilok_held"), metrics.value("hilok_waiting")])
    const before = yield* gauges
    let at = 0
    for (let finished = false; !finished && at < limit; at++) {
      const supervisor = yield* Supervisor.track
      finished = yield* Effect.supervised(interrupted(work, setting, at), supervisor)
      for (let i = 0; i < 100 && (yield* running(supervisor)).length > 0; i++) yield* Effect.yieldNow()
      assert.deepStrictEqual(yield* running(supervisor), [], `no fiber is left after an interruption at ${at}`)
    }
    assert.isBelow(at, limit, "the work ends")
    assert.isAbove(at, 5, "the work has several points at which it was interrupted")
    assert.deepStrictEqual(yield* gauges, before, "the gauges are back where they were")
  })

const running = (supervisor: Supervisor.Supervisor<Array<Fiber.RuntimeFiber<unknown, unknown>>>) =>
  Effect.map(supervisor.value, (fibers) =>
    fibers.filter((fiber) => fiber.unsafePoll() === null).map((fiber) => fiber.id().id)
  )

const body = Effect.yieldNow().pipe(Effect.repeatN(3))

const works: Record<string, Work> = {
  "a scoped lock": (locks) => Effect.zipRight(locks.write("a"), body),
  "a scoped lock with a timeout": (locks) => Effect.zipRight(locks.write("a", { timeout: "1 second" }), body),
  "a scoped lock without waiting": (locks) => Effect.zipRight(Effect.option(locks.write("a", { block: false })), body),
  withWrite: (locks) => locks.withWrite(body, "a"),
  "withWrite with a timeout": (locks) => locks.withWrite(body, "a", { timeout: "1 second" }),
  "withWrite without waiting": (locks) => Effect.option(locks.withWrite(body, "a", { block: false })),
  withLocks: (locks) => locks.withLocks(body, [Target.write("a/x"), Target.read("b"), Target.writeNode("c")]),
  "nested withX": (locks) =>
    locks.withRead(locks.withWrite(locks.withRead(body, "a/b/c"), "a/b", { reentrant: true }), "a", {
      reentrant: true
    }),
  "withX in parallel": (locks) =>
    Effect.all([locks.withWrite(body, "a"), locks.withWrite(body, "a"), locks.withRead(body, "a/b")], {
      concurrency: "unbounded"
    }),
  "scoped locks in parallel": (locks) =>
    Effect.zipRight(Effect.all([locks.read("a"), locks.read("a"), locks.read("b")], { concurrency: 3 }), body),
  "a lease by hand, released": (locks) =>
    Effect.acquireUseRelease(
      locks.acquire([Target.write("a")], { timeout: "1 second" }),
      () => body,
      (lease) => Effect.orDie(locks.release(lease))
    ),
  "a restored lease": (locks) =>
    Effect.gen(function* () {
      const lease = yield* Effect.acquireRelease(Effect.orDie(locks.acquire([Target.write("z")])), (lease) =>
        Effect.orDie(locks.release(lease))
      )
      yield* Effect.scoped(Effect.zipRight(locks.restore(lease.id), body))
    })
}

for (const [point, interrupted] of [
  ["step", atStep],
  ["operation", atOperation]
] as const) {
  describe(`an interruption at any ${point} leaves nothing behind`, () => {
    // To interrupt `Effect.all` between two operations of its own finds faults that are not ours.
    const fit = Object.entries(works).filter(([name]) => point === "step" || !name.includes("parallel"))
    for (const [name, work] of fit) {
      it.effect(`of ${name}, the lock being free`, () => sweep(interrupted, work), 30_000)
    }

    const contended = fit.filter(([name]) => !/restored|without waiting|by hand/.test(name))
    for (const [name, work] of contended) {
      it.effect(`of ${name}, the lock coming free`, () => sweep(interrupted, work, { heldFor: 12 }), 30_000)
    }
  })
}

describe("an interruption", () => {
  it.effect("of what is not remote leaves nothing behind", () =>
    sweep(atOperation, works.withWrite!, { double: (_, call) => call })
  )

  it.effect("of a wait that never ends leaves nothing behind", () =>
    Effect.gen(function* () {
      for (let steps = 0; steps < 100; steps++) {
        assert.isFalse(yield* atStep(works.withWrite!, { heldFor: Number.POSITIVE_INFINITY }, steps))
      }
    })
  )
})

describe("a request whose reply is lost is taken back", () => {
  /** Carries the call out, and then never answers, or fails: once. */
  const losing = (method: Method, how: "hang" | "fail"): Around => {
    let lost = false
    return (called, call) =>
      called !== method || lost
        ? remote(called, call)
        : Effect.suspend(() => {
            lost = true
            const reply = how === "hang" ? Effect.never : Effect.fail(down(method))
            return Effect.zipRight(remote(called, call), reply)
          })
  }

  for (const [name, method] of [
    ["a scoped lock", "acquire"],
    ["withWrite", "acquire"],
    ["withWrite with a timeout", "acquire"],
    ["withLocks", "acquire"],
    ["withWrite without waiting", "tryAcquire"]
  ] as const) {
    it.effect(`of ${name}, when it is interrupted`, () =>
      Effect.gen(function* () {
        const { locks, store } = yield* open({}, losing(method, "hang"))
        const fiber = yield* Effect.fork(Effect.scoped(works[name]!(locks)))
        yield* settle
        assert.strictEqual((yield* entries(store)).length, 1)
        assert.isNull(fiber.unsafePoll())
        yield* Fiber.interrupt(fiber)
        yield* assertEmpty(store)
        yield* locks.withWrite(Effect.void, "", { block: false })
      }).pipe(Effect.scoped)
    )

    it.effect(`of ${name}, when it fails`, () =>
      Effect.gen(function* () {
        const { locks, store } = yield* open({}, losing(method, "fail"))
        const exit = yield* Effect.exit(Effect.scoped(works[name]!(locks)))
        if (method === "acquire") assert.include(JSON.stringify(exit), "StoreError")
        yield* assertEmpty(store)
        yield* locks.withWrite(Effect.void, "", { block: false })
      }).pipe(Effect.scoped)
    )
  }

  it.effect("when the time runs out", () =>
    Effect.gen(function* () {
      const { locks, store } = yield* open({}, losing("acquire", "hang"))
      const fiber = yield* Effect.fork(Effect.flip(locks.withWrite(Effect.void, "a", { timeout: "1 second" })))
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* Fiber.join(fiber))._tag, "LockTimeout")
      yield* assertEmpty(store)
    }).pipe(Effect.scoped)
  )

  it.effect("in the background, when the store is slow to take it back", () =>
    Effect.gen(function* () {
      const slow: Around = (method, call) =>
        method === "release"
          ? Effect.zipRight(Effect.sleep("5 seconds"), call)
          : losing("acquire", "hang")(method, call)
      const { locks, store } = yield* open({}, slow)
      const fiber = yield* Effect.fork(locks.withWrite(Effect.void, "a"))
      yield* settle
      const interruption = yield* Effect.fork(Fiber.interrupt(fiber))
      yield* TestClock.adjust("1 second")
      // The caller waits no longer than a second.
      assert.isTrue(Option.isSome(yield* Fiber.poll(interruption)))
      assert.strictEqual((yield* entries(store)).length, 1)
      yield* TestClock.adjust("4 seconds")
      yield* assertEmpty(store)
    }).pipe(Effect.scoped)
  )

  it.effect("also when the service closes right after", () =>
    Effect.gen(function* () {
      for (let steps = 0; steps < 30; steps++) {
        const store = yield* Effect.orDie(MemoryStore.make())
        const scope = yield* Scope.make()
        const locks = yield* Effect.provideService(client(store, {}, remote), Scope.Scope, scope)
        const fiber = yield* Effect.fork(locks.withWrite(Effect.never, "a"))
        for (let step = 0; step < steps; step++) yield* Effect.yieldNow()
        yield* Fiber.interruptFork(fiber)
        for (let step = 0; step < steps % 5; step++) yield* Effect.yieldNow()
        yield* Scope.close(scope, Exit.void)
        yield* settle
        yield* assertEmpty(store, `interrupted after ${steps} steps`)
      }
    }).pipe(Effect.scoped)
  )

  it.effect("though the service is being closed", () =>
    Effect.gen(function* () {
      const faults = new Faults()
      faults.set("acquire", "late")
      const inner = yield* Effect.scoped(
        Effect.gen(function* () {
          const { locks, store } = yield* open({}, faults.around)
          const error = yield* Effect.flip(locks.withWrite(Effect.void, "a"))
          assert.strictEqual(error._tag, "StoreError")
          yield* assertEmpty(store)
          return store satisfies Store
        })
      )
      assert.isObject(inner)
      assert.strictEqual(faults.calls.get("release"), 1)
    })
  )
})
