import { assert } from "@effect/vitest"
import { HierarchicalLock, type LockEntry, type LockOptions, LockPath, LockStore, MemoryStore } from "@hilok/core"
import { Deferred, Duration, Effect, Either, Layer, type Scope } from "effect"
import { type Around, around } from "./doubles.ts"

export interface Opened {
  /** The memory store itself, without the double. */
  readonly store: LockStore.LockStore["Type"]
  readonly locks: HierarchicalLock.Operations<never>
}

/** A service over a new memory store, whose calls go through a double when one is given. */
export const open = (options?: LockOptions.Options, double?: Around): Effect.Effect<Opened, never, Scope.Scope> =>
  Effect.gen(function* () {
    const store = yield* Effect.orDie(MemoryStore.make())
    const locks = yield* client(store, options, double)
    return { store, locks }
  })

/** One more service over the same store, as another process would have it. */
export const client = (
  store: LockStore.LockStore["Type"],
  options?: LockOptions.Options,
  double?: Around
): Effect.Effect<HierarchicalLock.Operations<never>, never, Scope.Scope> =>
  HierarchicalLock.make(options).pipe(
    Effect.provideService(LockStore.LockStore, double === undefined ? store : around(store, double)),
    Effect.orDie
  )

/** The service and its store, new for every test that it is provided to. */
export const overMemory = Layer.provideMerge(HierarchicalLock.layer(), MemoryStore.layer())

/** Lets the other fibers run until none of them can go on without time passing. */
export const settle: Effect.Effect<void> = Effect.yieldNow().pipe(Effect.repeatN(100), Effect.asVoid)

export const entries = (store: LockStore.LockStore["Type"]): Effect.Effect<ReadonlyArray<LockEntry.LockEntry>> =>
  Effect.orDie(store.inspect(LockPath.root))

export const assertEmpty = (store: LockStore.LockStore["Type"], when = "afterwards"): Effect.Effect<void> =>
  Effect.map(entries(store), (left) => assert.deepStrictEqual(left, [], `nothing is held or waits ${when}`))

/** A lock on the path, taken in the store by a stranger. Answers with what gives it back. */
export const stranger = (
  store: LockStore.LockStore["Type"],
  path: string,
  mode: "read" | "write" = "write",
  id = "stranger"
): Effect.Effect<{ readonly free: Effect.Effect<void> }> =>
  Effect.gen(function* () {
    const region = { mode, path: Either.getOrThrow(LockPath.parse(path)) } as const
    const answer = yield* store.tryAcquire({
      id,
      targets: [region],
      ttl: Duration.hours(10),
      within: [],
      holder: { label: id }
    })
    assert.isTrue(Either.isRight(answer), `the stranger gets ${mode} ${path}`)
    return { free: Effect.asVoid(Effect.orDie(store.release(id))) }
  }).pipe(Effect.orDie)

/** A gate that fibers wait at until it is opened, and that says when the first one is there. */
export interface Gate {
  readonly pass: Effect.Effect<void>
  readonly reached: Effect.Effect<void>
  readonly open: Effect.Effect<void>
}

export const gate: Effect.Effect<Gate> = Effect.gen(function* () {
  const here = yield* Deferred.make<void>()
  const go = yield* Deferred.make<void>()
  return {
    pass: Effect.zipRight(Deferred.succeed(here, undefined), Deferred.await(go)),
    reached: Deferred.await(here),
    open: Effect.asVoid(Deferred.succeed(go, undefined))
  }
})
