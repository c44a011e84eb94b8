/**
 * The contract of all stores, as tests.
 *
 * @since 0.1.0
 */
import { afterAll, assert, beforeAll, describe, live } from "@effect/vitest"
import * as LockPath from "@hilok/core/LockPath"
import { LockStore } from "@hilok/core/LockStore"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import { identity } from "effect/Function"
import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as TestClock from "effect/TestClock"
import * as TestContext from "effect/TestContext"
import { conformanceTests } from "./internal/conformanceTests.ts"
import { delegationTests } from "./internal/delegationTests.ts"
import { interruptionTests } from "./internal/interruptionTests.ts"
import { below, type Test } from "./internal/kit.ts"
import { leaseTests } from "./internal/leaseTests.ts"
import { nestingTests } from "./internal/nestingTests.ts"
import { ownerTests } from "./internal/ownerTests.ts"
import { propertyTests } from "./internal/propertyTests.ts"
import { queueTests } from "./internal/queueTests.ts"
import { viewTests } from "./internal/viewTests.ts"
import * as Session from "./Session.ts"

/**
 * - `excludeTestServices`: runs on the real clock, for a store that keeps its time elsewhere. Default: `false`, the
 *   store is built with `TestClock`.
 * - `advance`: lets that much time pass for the store. Default: `TestClock.adjust`, and on the real clock a sleep.
 * - `exactTime`: whether time passes by `advance` alone, so that times can be compared exactly and leases expire by themselves
 *   in the random runs. Default: `true` on `TestClock`.
 * - `ttl`: of the leases that tests let expire. Default: ten seconds, on the real clock 500 milliseconds.
 * - `runs`, `seed`: of the random comparison with the reference. Default: 50 runs, different ones each time.
 * - `scenarios`: how many of the random scenarios in `Conformance` are played. Default: all of them.
 * - `timeout`: of one test. Default: 30 seconds.
 * - `delegations`: can the store grant delegations? Then it is also held to that part of the contract. Default: `false`.
 * - `partitioned`: does the store spread paths over partitions by their first segment? Then requests are ordered, and cycles found,
 *   below one such segment only; tokens rise over grants that conflict; and a request for several
 *   partitions is granted step by step. Tests of these keep to one segment; everything else is tested as for other stores. Default:
 *   `false`.
 *
 * @since 0.1.0
 * @category models
 */
export interface SuiteOptions {
  readonly excludeTestServices?: boolean | undefined
  readonly advance?: ((duration: Duration.Duration) => Effect.Effect<void>) | undefined
  readonly exactTime?: boolean | undefined
  readonly ttl?: Duration.DurationInput | undefined
  readonly runs?: number | undefined
  readonly seed?: number | undefined
  readonly scenarios?: number | undefined
  readonly timeout?: Duration.DurationInput | undefined
  readonly delegations?: boolean | undefined
  readonly partitioned?: boolean | undefined
}

// A timer may fire a little early.
const sleep = (duration: Duration.Duration) => Effect.sleep(Duration.sum(duration, Duration.millis(5)))

/**
 * Registers a `describe` block that tests whether a store keeps the contract.
 *
 * The layer is built once, before the tests of the block, and closed after them; they run one after the other, and each
 * finds and leaves the store empty. Nothing else may use the store's locks meanwhile. A file can have several suites, and
 * other tests.
 *
 * @example
 * ```ts
 * import { MemoryStore } from "@hilok/core"
 * import { suite } from "@hilok/testing"
 *
 * suite("MemoryStore", MemoryStore.layer())
 * ```
 *
 * @since 0.1.0
 * @category testing
 */
export const suite = <E>(name: string, layer: Layer.Layer<LockStore, E>, options?: SuiteOptions): void => {
  const real = options?.excludeTestServices ?? false
  const advance = options?.advance ?? (real ? sleep : TestClock.adjust)
  const exactTime = options?.exactTime ?? !real
  const ttl = Duration.decode(options?.ttl ?? (real ? "500 millis" : "10 seconds"))
  const timeout = Duration.toMillis(options?.timeout ?? "30 seconds")
  const partitioned = options?.partitioned ?? false
  const inOne = partitioned ? below : identity

  describe(name, () => {
    const runtime = ManagedRuntime.make(real ? layer : Layer.provideMerge(layer, TestContext.TestContext))
    beforeAll(() => runtime.runPromise(Effect.void), timeout)
    afterAll(() => runtime.dispose(), timeout)

    const test: Test = (name, body) =>
      live(
        name,
        () =>
          Effect.gen(function* () {
            const store = yield* LockStore
            const session = yield* Session.make(store, { partitioned })
            const clear = store.inspect(LockPath.root).pipe(
              Effect.flatMap((entries) => Effect.forEach(entries, ({ id }) => store.release(id))),
              Effect.ignore
            )
            assert.deepStrictEqual(yield* store.inspect(LockPath.root), [], "the store is empty before the test")
            yield* body({ store, session, advance, exactTime, ttl, clear, inOne, partitioned }).pipe(
              Effect.zipRight(session.end),
              Effect.onError(() => clear)
            )
          }).pipe(Effect.scoped, Effect.provide(runtime)),
        timeout
      )

    conformanceTests(test, options?.scenarios)
    queueTests(test)
    leaseTests(test)
    ownerTests(test)
    interruptionTests(test)
    viewTests(test)
    nestingTests(test)
    if (options?.delegations === true) delegationTests(test)
    propertyTests(test, { runs: options?.runs ?? 50, seed: options?.seed })
  })
}
