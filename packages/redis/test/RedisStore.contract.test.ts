import { assert } from "@effect/vitest"
import { RedisStore } from "@hilok/redis"
import { suite } from "@hilok/testing"
import { Effect, Layer } from "effect"
import { connections, fixture, TestServer, until } from "./support/fixture.ts"

const store = Layer.unwrapScoped(
  Effect.gen(function* () {
    const made = fixture(yield* TestServer)
    yield* Effect.addFinalizer(() =>
      Effect.gen(function* () {
        const left = yield* Effect.promise(() => made.admin.keys(`*${made.namespace}*`))
        // One test raises the tokens far above the clock.
        assert.deepStrictEqual(left, [made.keys.keys[0]], "only the table is left in the server")
        const fields = yield* Effect.promise(() => made.admin.hkeys(made.keys.keys[0]))
        assert.deepStrictEqual(fields, ["m"], "and in it only the head, which has the last token")
        const gone = Effect.map(connections(made.admin), (names) => !names.includes(made.namespace))
        yield* until(gone, "the end of the connections")
      })
    )
    return RedisStore.layer(made.options)
  })
)

suite("RedisStore", Layer.provide(store, TestServer.layer), {
  excludeTestServices: true,
  runs: 100,
  delegations: true
})
