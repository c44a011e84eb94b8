/**
 * Whose lease it is, where scripts take short ways: these know nothing of owners, and must leave restored leases alone.
 */
import { assert, describe, layer } from "@effect/vitest"
import { type LockStore, Target } from "@hilok/core"
import type { Session } from "@hilok/testing"
import { Duration, Effect, Option, type Scope } from "effect"
import * as Script from "../src/internal/script.ts"
import { leavesNothing, TestServer } from "./support/fixture.ts"
import * as layout from "./support/layout.ts"

const { read, write } = Target

const minute = Duration.minutes(1)

interface Client {
  readonly store: LockStore.LockStore["Type"]
  readonly session: Session.Session
}

/** What is there beside the lease on `a/b`, before it is restored: the way that a script takes depends on it. */
const surroundings: {
  readonly [name: string]: (client: Client) => Effect.Effect<unknown, unknown, Scope.Scope>
} = {
  "nothing else": () => Effect.void,
  "leases that are held": ({ session }) => Effect.all([session.held([write("x")]), session.held([read("y/z")])]),
  "leases of a large table": ({ session, store }) =>
    Effect.zipRight(Effect.all([session.held([write("x")]), session.held([read("y/z")])]), store.inspect("" as never)),
  "a request that waits elsewhere": ({ session }) =>
    Effect.zipRight(session.held([write("x")]), session.queued([write("x")])),
  "the next in its queue": ({ session }) => session.queued([write("a/b")]),
  "several in its queue": ({ session }) =>
    Effect.all([session.queued([write("a/b")]), session.queued([read("a/b")]), session.queued([write("a")])])
}

describe("RedisStore, whose lease it is", () => {
  layer(TestServer.layer, { excludeTestServices: true })("", (it) => {
    for (const [name, prepare] of Object.entries(surroundings)) {
      it.effect(`holds for every script beside ${name}`, () =>
        leavesNothing(({ admin, client, keys }) =>
          Effect.gen(function* () {
            const [one, two] = [yield* client(), yield* client()] as const
            const states = (id: string) =>
              Effect.map(one.store.lookup(id), (entry) => Option.getOrUndefined(entry)?.state ?? "gone")
            /** A lease of the first client, that the second has restored. */
            const restored = Effect.gen(function* () {
              const held = yield* one.session.held([write("a/b")])
              yield* prepare(one)
              assert.isTrue(Option.isSome(yield* two.store.restore(held.id, minute, "second")))
              assert.deepStrictEqual(yield* one.session.revocation, { id: held.id, owner: held.id, reason: "taken" })
              return held.id
            })
            const end = Effect.gen(function* () {
              yield* layout.check(admin, keys)
              yield* one.session.end
              yield* two.session.end
              assert.deepStrictEqual(
                [yield* one.session.pendingRevocations, yield* two.session.pendingRevocations],
                [0, 0]
              )
            })

            // Nothing that the former owner sends changes anything, in a command with others or not.
            const first = yield* restored
            assert.deepStrictEqual(
              yield* Effect.all([one.store.release(first, first), one.store.release("nobody", "nobody")], {
                concurrency: "unbounded"
              }),
              [false, false]
            )
            assert.isFalse(yield* one.store.release(first, first))
            assert.isFalse(yield* one.store.downgrade(first, first))
            assert.isTrue(Option.isNone(yield* one.store.refresh(first, Duration.millis(1), first)))
            assert.strictEqual(yield* states(first), "held")
            yield* layout.check(admin, keys)
            // The owner's does, from any client.
            assert.isTrue(Option.isSome(yield* two.store.refresh(first, minute, "second")))
            assert.isFalse(yield* two.store.giveBack(first, "second"))
            assert.isTrue(yield* one.store.release(first, "second"))
            assert.strictEqual(yield* states(first), "gone")
            yield* end

            // Given back it is as if it had never been restored.
            const second = yield* restored
            assert.isTrue(yield* two.store.giveBack(second, "second"))
            assert.isFalse(yield* two.store.release(second, "second"))
            yield* layout.check(admin, keys)
            assert.isTrue(yield* one.store.release(second, second))
            assert.strictEqual(yield* states(second), "gone")
            yield* end

            // What ends it is told to the owner.
            for (const [reason, order] of [
              ["released", (id: string) => one.store.release(id)],
              ["broken", (id: string) => one.store.breakLease(id)],
              [
                "expired",
                (id: string) =>
                  Effect.as(Effect.zipRight(layout.expire(admin, keys, [id]), one.store.lookup("nobody")), true)
              ]
            ] as const) {
              const id = yield* restored
              assert.isTrue(yield* order(id))
              assert.deepStrictEqual(yield* two.session.revocation, { id, owner: "second", reason })
              assert.strictEqual(yield* states(id), "gone")
              yield* end
            }
          })
        )
      )
    }

    it.effect("a lease that is kept for longer than it was asked for has that ttl from then on", () =>
      leavesNothing(({ admin, client, keys }) =>
        Effect.gen(function* () {
          const { session, store } = yield* client()
          const held = yield* session.held([write("a")], { ttl: "10 seconds" })
          const other = yield* session.held([write("b")], { ttl: "10 seconds" })
          const ttls = Effect.map(layout.look(admin, keys), ({ records }) =>
            [held.id, other.id].map((id) => records.find((record) => record.id === id)?.values[4])
          )
          yield* store.refresh(held.id, Duration.seconds(30), held.id)
          assert.deepStrictEqual(yield* ttls, [30_000, 10_000])
          yield* store.refresh(held.id, Duration.seconds(20), held.id)
          yield* store.restore(other.id, Duration.seconds(5), "second")
          assert.deepStrictEqual(yield* ttls, [30_000, 10_000])
          yield* store.restore(other.id, Duration.seconds(50), "second")
          yield* store.refresh(held.id, Duration.seconds(60))
          assert.deepStrictEqual(yield* ttls, [60_000, 50_000])
          yield* session.end
        })
      )
    )

    it.effect("a look for a request whose lease another has restored meanwhile moves no deadline", () =>
      leavesNothing(({ admin, keys, client }) =>
        Effect.gen(function* () {
          const { session, store } = yield* client()
          const other = yield* client()
          const held = yield* session.held([write("a")])
          const waiter = yield* session.queued([write("a")], { ttl: "10 seconds" })
          yield* other.store.release(held.id, held.id)
          yield* session.granted(waiter)
          yield* other.store.restore(waiter.id, Duration.minutes(2), "second")
          yield* session.revocation
          // As a client does that has missed the message.
          const args = ["client", "channel:", String(Number.MAX_SAFE_INTEGER), waiter.id, "10000"]
          const [, , , tag, token] = (yield* Effect.promise(() =>
            admin.eval(Script.script, 3, ...keys, Script.look.name, ...args)
          )) as Array<unknown>
          assert.deepStrictEqual([tag, token], [1, Option.getOrThrow(yield* store.lookup(waiter.id)).token])
          const { timeLeft } = Option.getOrThrow(yield* store.lookup(waiter.id))
          assert.isAbove(timeLeft ?? 0, 90_000)
          yield* session.end
        })
      )
    )
  })
})
