/**
 * One of the three keys is lost: deleted, evicted, or replaced by that of another table. The table is given up as a whole,
 * so that no two holders refresh for ever, nobody waits in vain, and nothing is held for ever.
 */
import { assert, describe } from "@effect/vitest"
import { HierarchicalLock, LockError, LockPath, LockStore, Target } from "@hilok/core"
import { Session } from "@hilok/testing"
import { Deferred, Duration, Effect, Fiber, Option } from "effect"
import { type Fixture, leavesNothing, until, withOwnServer } from "./support/fixture.ts"
import * as layout from "./support/layout.ts"

const { write } = Target

const names = ["table", "index", "deadlines"] as const

/** How a key is lost. `theirs` is that of another table, with leases and waiting requests of its own. */
const ways: {
  readonly [name: string]: (admin: Fixture["admin"], key: string, theirs: string) => Promise<unknown>
} = {
  deleted: (admin, key) => admin.del(key),
  "replaced by another table's": (admin, key, theirs) => admin.copy(theirs, key, "REPLACE")
}

/** Another table, of the same kind as the fixture's. */
const another = (fixture: Fixture) =>
  Effect.gen(function* () {
    const namespace = `${fixture.namespace}-other`
    const client = yield* fixture.client({ namespace })
    const held = yield* client.session.held([write("a")])
    const waits = yield* client.session.queued([write("a")])
    yield* client.session.held([write("x/y")])
    return {
      keys: fixture.keys.map((key) => key.replace(fixture.namespace, namespace)),
      isUntouched: Effect.gen(function* () {
        assert.isTrue(Option.isSome(yield* client.store.refresh(held.id, Duration.minutes(1), held.id)))
        yield* client.store.release(held.id, held.id)
        yield* client.session.granted(waits)
        yield* client.session.end
      })
    }
  })

describe("RedisStore, when a key is lost", () => {
  withOwnServer("", undefined, (it) => {
    for (const [at, name] of names.entries()) {
      for (const [how, lose] of Object.entries(ways)) {
        it.effect(`the ${name}, ${how}: holders learn it at their next refresh, those who wait are let in`, () =>
          leavesNothing((fixture) =>
            Effect.gen(function* () {
              const { admin, keys } = fixture
              const theirs = yield* another(fixture)
              const { session, store } = yield* fixture.client()
              const locks = yield* Effect.provideService(
                HierarchicalLock.make({ ttl: "3 seconds", refreshInterval: "100 millis", spans: false }),
                LockStore.LockStore,
                yield* fixture.store()
              )
              // Two holders that are there, and one that has crashed.
              const inside = yield* Deferred.make<void>()
              const body = Effect.zipRight(Deferred.succeed(inside, undefined), Effect.never)
              const holder = yield* Effect.fork(locks.withWrite(body, "a/b"))
              yield* Deferred.await(inside)
              const reader = yield* Effect.fork(locks.withRead(Effect.never, "c"))
              yield* session.held([write("d/e")], { ttl: "1 minute" })
              const waits = { ttl: "1 minute", waitTtl: "600 millis" } as const
              const first = yield* session.queued([write("a")], waits)
              const second = yield* session.queued([write("a/b")], waits)
              const third = yield* session.queued([write("c")], waits)
              yield* until(
                Effect.map(store.inspect(LockPath.root), ({ length }) => length === 6),
                "all of them"
              )
              yield* Effect.promise(() => lose(admin, keys[at]!, theirs.keys[at]!))

              for (const fiber of [holder, reader]) {
                const lost = yield* Session.due(Effect.flip(Fiber.join(fiber)), "the loss")
                assert.instanceOf(lost, LockError.LockLost)
                assert.strictEqual(lost.reason, "expired")
              }
              // In whichever order they come back.
              const [one, two] = yield* Session.due(
                Effect.raceFirst(
                  Effect.as(Fiber.join(first.fiber), [first, second] as const),
                  Effect.as(Fiber.join(second.fiber), [second, first] as const)
                ),
                "a grant of one"
              )
              assert.isNull(two.fiber.unsafePoll())
              yield* Session.due(Fiber.join(third.fiber), "the grant beside")
              yield* store.release(one.id, one.id)
              yield* Session.due(Fiber.join(two.fiber), "the grant of the other")
              const everything = session.request([write("d")])
              const grant = yield* Effect.fork(store.acquire(everything))
              yield* Session.due(Fiber.join(grant), "the grant where a holder has crashed")
              yield* layout.check(admin, keys)
              yield* Effect.forEach([two, third, everything], ({ id }) => store.release(id, id))
              yield* session.end
              yield* theirs.isUntouched
            })
          )
        )
      }
    }
  })
})
