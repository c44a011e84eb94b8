import { assert, describe, it } from "@effect/vitest"
import { HierarchicalLock, MemoryStore, Target } from "@hilok/core"
import { Effect, Fiber, Layer, Stream } from "effect"
import { overMemory } from "./support/locks.ts"

class Jobs extends HierarchicalLock.Tag("test/Jobs")<Jobs>() {}

const both = Layer.merge(HierarchicalLock.layerMemory(), Jobs.layerMemory({ label: "jobs" }))

describe("a service with a tag of its own", () => {
  it.effect("stands beside the first, with locks of its own", () =>
    Effect.gen(function* () {
      const labels = Effect.gen(function* () {
        const [job] = yield* Jobs.inspect()
        const [other] = yield* HierarchicalLock.inspect()
        return [job?.label, other?.label]
      })
      const found = yield* labels.pipe(
        Jobs.withWrite("a", { block: false }),
        HierarchicalLock.withWrite("a", { block: false, label: "first" })
      )
      assert.deepStrictEqual(found, ["jobs", "first"])
    }).pipe(Effect.provide(both))
  )

  it.effect("has all that the module has", () =>
    Effect.gen(function* () {
      const { HierarchicalLock: _, make: _make, Tag: _tag, ...module } = HierarchicalLock
      const missing = Object.keys(module).filter((name) => typeof Jobs[name as keyof typeof Jobs] !== "function")
      assert.deepStrictEqual(missing, [])
      const service = yield* Jobs
      assert.deepStrictEqual(
        Object.keys(service).filter((name) => !(name in module)),
        []
      )
    }).pipe(Effect.provide(Jobs.layerMemory()))
  )

  it.effect("does all that the module does", () =>
    Effect.gen(function* () {
      const lease = yield* Jobs.write("a", { reason: "test" })
      yield* lease.check
      assert.strictEqual(yield* Jobs.withRead(({ token }) => Effect.succeed(token), "b"), lease.token + 1)
      assert.strictEqual(yield* Effect.succeed(5).pipe(Jobs.withLocks([Target.write("c")])), 5)
      assert.deepStrictEqual((yield* Jobs.downgrade(lease)).targets, [Target.read("a")])
      const byHand = yield* Jobs.acquire([Target.writeNode("d")])
      yield* Jobs.refresh(byHand)
      yield* Jobs.restore(byHand.id)
      assert.isTrue(yield* Jobs.release(byHand))
      const seen = yield* Jobs.changes("a").pipe(Stream.take(1), Stream.runCollect)
      assert.strictEqual([...seen][0]?.[0]?.id, lease.id)
      const rows = yield* Stream.make(1, 2).pipe(Jobs.streamLocks([Target.read("e")]), Stream.runCollect)
      assert.deepStrictEqual([...rows], [1, 2])
      const refused = yield* Effect.flip(Jobs.detached(Jobs.write("a", { block: false })))
      assert.strictEqual(refused._tag, "WouldBlock")
      assert.isTrue(yield* Jobs.breakLease(byHand.id).pipe(Effect.map((broken) => !broken)))
    }).pipe(Effect.scoped, Effect.provide(Jobs.layerMemory({ label: "jobs" })))
  )

  it.effect("is no lease of the other: one may hold what the other waits for", () =>
    Effect.gen(function* () {
      const store = MemoryStore.layer()
      const shared = Layer.merge(HierarchicalLock.layer(), Jobs.layer()).pipe(Layer.provide(store))
      const error = yield* HierarchicalLock.withWrite(Jobs.withWrite(Effect.void, "a", { timeout: 0 }), "a").pipe(
        Effect.flip,
        Effect.provide(shared)
      )
      assert.strictEqual(error._tag, "LockTimeout")
    })
  )
})

it.effect("the accessors ask for the service when they are run, not when they are called", () =>
  Effect.gen(function* () {
    const program = HierarchicalLock.withWrite(Effect.succeed(1), "a")
    const fiber = yield* Effect.fork(Effect.provide(program, overMemory))
    assert.strictEqual(yield* Fiber.join(fiber), 1)
  })
)
