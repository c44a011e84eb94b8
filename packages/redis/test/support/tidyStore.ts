import { assert } from "@effect/vitest"
import { RedisStore } from "@hilok/redis"
import { Effect, Layer } from "effect"
import { connections, fixture, TestServer, until } from "./fixture.ts"

/** A store on the server of the tests. When it is closed, it is checked that nothing of it is left. */
export const layer = Layer.provide(
  Layer.unwrapScoped(
    Effect.gen(function* () {
      const made = fixture(yield* TestServer)
      yield* Effect.addFinalizer(() =>
        Effect.gen(function* () {
          const left = yield* Effect.promise(() => made.admin.keys(`*${made.namespace}*`))
          // One test raises the tokens above the clock: for a while the head of a table stays, with the last of them.
          const hasLocks = (key: string) =>
            Effect.map(
              Effect.promise(() => made.admin.hkeys(key)),
              (fields) => fields.join() !== "m"
            )
          const others = yield* Effect.filter(left, (key) =>
            key.endsWith("table") ? hasLocks(key) : Effect.succeed(true)
          )
          assert.deepStrictEqual(others, [], "no key is left in the server")
          if (left.length > 0) yield* Effect.promise(() => made.admin.del(...left))
          const gone = Effect.map(connections(made.admin), (names) => !names.includes(made.namespace))
          yield* until(gone, "the end of the connections")
        })
      )
      return RedisStore.layer(made.options)
    })
  ),
  TestServer.layer
)
