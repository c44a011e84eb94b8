import { assert, describe, layer } from "@effect/vitest"
import { Target } from "@hilok/core"
import { Session } from "@hilok/testing"
import { Effect, Queue } from "effect"
import { leavesNothing, TestServer, until } from "./support/fixture.ts"

const { write } = Target

describe("RedisStore, listening lazily", () => {
  layer(TestServer.layer, { excludeTestServices: true })((it) => {
    it.effect("has one connection at first, and a second one soon", () =>
      leavesNothing(({ admin, namespace, store }) =>
        Effect.gen(function* () {
          const connections = Effect.promise(async () =>
            String(await admin.client("LIST"))
              .split("\n")
              .filter((line) => line.includes(`name=${namespace} `))
          )
          const lazy = yield* store({ lazyListening: true })
          assert.strictEqual((yield* connections).length, 1)
          const session = yield* Session.make(lazy)
          const held = yield* session.held([write("a")])
          yield* lazy.release(held.id)
          yield* session.end
          yield* until(
            Effect.map(connections, ({ length }) => length === 2),
            "a second connection"
          )
        })
      )
    )

    it.effect("hears of a grant and of a broken lease, whether it listens already or not", () =>
      leavesNothing(({ admin, namespace, store }) =>
        Effect.gen(function* () {
          const eager = yield* store()
          const other = yield* Session.make(eager)
          const listening = Effect.promise(() => admin.pubsub("CHANNELS", `*{${namespace}}*`))
          for (let i = 0; i < 5; i++) {
            const lazy = yield* store({ lazyListening: true })
            const revocations = yield* lazy.revocations
            const session = yield* Session.make(lazy)
            const held = yield* other.held([write("a")])
            const waiting = yield* session.queued([write("a")])
            yield* eager.release(held.id)
            yield* session.granted(waiting)
            // What is told before it listens is seen at the next refresh.
            yield* until(
              Effect.map(listening, ({ length }) => length === i + 2),
              "it listens"
            )
            yield* eager.breakLease(waiting.id)
            const { id, reason } = yield* Queue.take(revocations)
            assert.deepStrictEqual({ id, reason }, { id: waiting.id, reason: "broken" })
            yield* session.end
          }
          yield* other.end
        })
      )
    )
  })
})
