import { assert, it } from "@effect/vitest"
import { HierarchicalLock, LockError, Target } from "@hilok/core"
import { Data, Effect, Schema } from "effect"
import { overMemory } from "./support/locks.ts"

class Other extends Data.TaggedError("LockTimeout") {}

const targets = [Target.write("a")]

const all: ReadonlyArray<LockError.LockError> = [
  new LockError.WouldBlock({ targets }),
  new LockError.LockTimeout({ targets, timeout: 5 }),
  new LockError.LockLost({ id: "x", targets, reason: "expired" }),
  new LockError.Deadlock({ targets, cycle: ["x"] }),
  new LockError.InvalidPath({ path: "a", reason: "no" }),
  new LockError.InvalidOptions({ option: "ttl", reason: "no" }),
  new LockError.StoreError({ operation: "acquire", reason: "no" })
]

it("each of the errors is one, and nothing else is", () => {
  assert.deepStrictEqual(all.filter(LockError.isLockError), all)
  assert.strictEqual(LockError.LockError.members.length, all.length)
  for (const other of [new Other(), new Error("no"), { ...all[0] }, "LockTimeout", null, undefined]) {
    assert.isFalse(LockError.isLockError(other))
  }
})

it.effect("each of the errors is sent and received as it is, by the schema of their union", () =>
  Effect.gen(function* () {
    for (const error of all) {
      const sent = JSON.parse(JSON.stringify(yield* Schema.encode(LockError.LockError)(error)))
      const received = yield* Schema.decodeUnknown(LockError.LockError)(sent)
      assert.strictEqual(received._tag, error._tag)
      assert.strictEqual(received.message, error.message)
      assert.isTrue(LockError.isLockError(received))
    }
  })
)

it.effect("the root is written / in a message", () =>
  Effect.gen(function* () {
    const inside = HierarchicalLock.withRead(Effect.void, "")
    const { message } = yield* Effect.flip(HierarchicalLock.withWrite(inside, []))
    assert.include(message, `read "/"`)
    assert.include(message, `write "/"`)
  }).pipe(Effect.provide(overMemory))
)
