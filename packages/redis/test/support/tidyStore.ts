import { assert } from "@effect/vitest"
import { RedisStore } from "@hilok/redis"
import { Effect, Layer } from "effect"
import { connections, fixture, TestServer, until } from "./fixture.ts"

/** A store on the server of the tests. When it is closed, it is checked that nothing of it is left. */
export const layerWith = (options?: RedisStore.Options) => Layer.provide(
  Layer.unwrapScoped(
    Effect.gen(function* () {
      const made = fixture(yield* TestServer)
      yield* Effect.addFinalizer(() =>
        Effect.gen(function* () {
          const left = yield* Effect.promise(() => made.admin.keys(`*${made.namespace}*`))
          // One test raises the tokens above the clock: for a while the head stays, with the last of them.
          const [table] = made.keys
          const fields = yield* Effect.promise(() => made.admin.hkeys(table))
          const others = left.filter((key) => key !== table || fields.join() !== "m")
          assert.deepStrictEqual(others, [], "no key is left in the server")
          const gone = Effect.map(connections(made.admin), (names) => !names.includes(made.namespace))
          yield* until(gone, "the end of the connections")
        })
      )
      return RedisStore.layer({ ...made.options, ...options })
    })
  ),
  TestServer.layer
)

export const layer = layerWith()
