import { assert, describe, layer } from "@effect/vitest"
import { LockPath, type LockStore, Target } from "@hilok/core"
import { Session } from "@hilok/testing"
import { Duration, Effect, Either, Fiber, Option } from "effect"
import * as codec from "../src/internal/codec.ts"
import * as Script from "../src/internal/script.ts"
import { type Fixture, leavesNothing, scriptCalls, TestServer, until } from "./support/fixture.ts"
import * as layout from "./support/layout.ts"

const { read, readNode, write } = Target

const isHeld = (store: LockStore.LockStore["Type"], id: string) =>
  Effect.map(store.lookup(id), (entry) => Option.getOrUndefined(entry)?.state === "held")

/** The ids of what is held, in the order of the tokens. */
const heldInOrder = (store: LockStore.LockStore["Type"]) =>
  Effect.map(store.inspect(LockPath.root), (entries) =>
    entries
      .filter(({ state }) => state === "held")
      .sort((a, b) => a.token! - b.token!)
      .map(({ id }) => id)
  )

const many = <A, E>(count: number, make: (i: number) => Effect.Effect<A, E>) =>
  Effect.forEach(Array.from({ length: count }), (_, i) => make(i), { concurrency: "unbounded" })

const start = ({ admin }: Fixture) => Effect.promise(() => admin.config("RESETSTAT"))

describe("RedisStore, what its scripts do", () => {
  layer(TestServer.layer, { excludeTestServices: true })("in one namespace", (it) => {
    it.effect("who is let in while a script drops what has expired is seen by what the script does next", () =>
      leavesNothing(({ admin, client, keys }) =>
        Effect.gen(function* () {
          const { session, store } = yield* client()
          const expiring = yield* session.held([write("a/b")])
          const node = yield* session.held([readNode("a")])
          const reader = yield* session.queued([read("a")])
          yield* layout.expire(admin, keys, [expiring.id])
          assert.isTrue(yield* store.release(node.id, node.id))
          yield* session.granted(reader)
          yield* layout.check(admin, keys)
          const refused = yield* session.attempt(session.request([write("a/c")]))
          assert.strictEqual(Either.isLeft(refused) ? refused.left.id : "granted", reader.id)
          yield* session.end
        })
      )
    )

    it.effect("who is let in by a release is seen by those behind, nested or not", () =>
      leavesNothing(({ admin, client, keys }) =>
        Effect.gen(function* () {
          const { session, store } = yield* client()
          const outer = yield* session.held([read("z")])
          const held = yield* session.held([write("x")])
          const first = yield* session.queued([write("x/1")])
          const nested = yield* session.queued([write("x/1/2")], { within: [outer.id] })
          yield* store.release(held.id, held.id)
          yield* session.granted(first)
          yield* layout.check(admin, keys)
          assert.isFalse(yield* isHeld(store, nested.id))
          yield* store.release(first.id, first.id)
          yield* session.granted(nested)
          yield* session.end
        })
      )
    )

    it.effect("a lease that is released twice in one command ends once, and no other with it", () =>
      leavesNothing(({ admin, client, keys }) =>
        Effect.gen(function* () {
          const { session, store } = yield* client()
          for (const waits of [false, true]) {
            const [one, other] = [yield* session.held([write("a")]), yield* session.held([write("b")])]
            const waiter = waits ? yield* session.queued([read("b")]) : undefined
            const twice = yield* Effect.all([store.release(one.id, one.id), store.release(one.id, one.id)], {
              concurrency: 2
            })
            assert.deepStrictEqual(twice, [true, false])
            assert.isTrue(yield* isHeld(store, other.id))
            yield* layout.check(admin, keys)
            yield* store.release(other.id, other.id)
            if (waiter !== undefined) {
              yield* session.granted(waiter)
              yield* store.release(waiter.id, waiter.id)
            }
          }
          yield* session.end
        })
      )
    )

    it.effect("an id that is asked for twice in one command, with different targets, is granted once", () =>
      leavesNothing(({ admin, client, keys }) =>
        Effect.gen(function* () {
          const { session, store } = yield* client()
          const [one, other] = [session.request([write("a")]), session.request([write("b")])]
          const ask = (request: LockStore.LockRequest) => store.acquire({ ...request, id: one.id })
          const [first, again] = yield* Effect.all([ask(one), ask(other)], { concurrency: 2 })
          assert.strictEqual(again.token, first.token)
          yield* layout.check(admin, keys)
          assert.isTrue(yield* store.release(one.id, one.id))
          yield* session.end
        })
      )
    )

    it.effect("the keys keep their expiry when all in one of them is replaced", () =>
      leavesNothing(({ admin, client, keys }) =>
        Effect.gen(function* () {
          const { session, store } = yield* client()
          const one = yield* session.held([write("a")])
          yield* store.downgrade(one.id, one.id)
          yield* layout.check(admin, keys)
          const two = yield* session.queued([write("a")])
          yield* store.release(one.id, one.id)
          yield* session.granted(two)
          yield* layout.check(admin, keys)
          const three = yield* session.queued([write("a")])
          yield* layout.expire(admin, keys, [two.id])
          yield* store.refresh("nobody", Duration.minutes(1), "nobody")
          yield* session.granted(three)
          yield* layout.check(admin, keys)
          yield* layout.expire(admin, keys, [three.id])
          yield* session.held([write("b")])
          yield* layout.check(admin, keys)
          yield* session.end
        })
      )
    )

    it.effect("a request that closes a cycle leaves nothing in the keys", () =>
      leavesNothing(({ admin, client, keys }) =>
        Effect.gen(function* () {
          const { session } = yield* client()
          const [a, b] = [yield* session.held([read("a")]), yield* session.held([read("a")])]
          yield* session.queued([write("a")], { within: [a.id] })
          const failed = yield* session.ask(session.request([write("a")], { within: [b.id] }))
          assert.strictEqual((yield* Effect.flip(Fiber.join(failed.fiber)))._tag, "Deadlock")
          yield* layout.check(admin, keys)
          yield* session.observe
          yield* session.end
        })
      )
    )

    for (const how of ["refresh", "return"] as const) {
      it.effect(`a ${how} to an earlier deadline does not hold up those who wait, in any client`, () =>
        leavesNothing(({ client }) =>
          Effect.gen(function* () {
            const { session, store } = yield* client()
            const other = yield* client()
            const soon = Duration.millis(400)
            const held = yield* session.held([write("a")], { ttl: how === "refresh" ? "1 minute" : soon })
            if (how === "return") yield* store.restore(held.id, Duration.minutes(1), "another")
            const waiters = [yield* session.queued([read("a")]), yield* other.session.queued([read("a")])] as const
            yield* how === "refresh" ? store.refresh(held.id, soon, held.id) : store.giveBack(held.id, "another")
            yield* session.granted(waiters[0])
            yield* other.session.granted(waiters[1])
            yield* Effect.forEach(waiters, ({ id }) => store.release(id, id))
            yield* other.session.end
            yield* session.end
          })
        )
      )
    }
  })

  layer(TestServer.own(), { excludeTestServices: true })("with more to do than one script may", (it) => {
    const readers = 300

    it.effect("all who wait for one lease are let in, in their order, by a few commands", () =>
      leavesNothing((fixture) =>
        Effect.gen(function* () {
          const { session, store } = yield* fixture.client()
          const other = yield* fixture.client()
          const held = yield* session.held([write("a")])
          const asked = yield* many(readers, (i) => {
            const from = i % 2 === 0 ? session : other.session
            return Effect.map(from.ask(from.request([read("a")])), ({ fiber, id }) => ({ id, fiber }))
          })
          const last = yield* session.ask(session.request([write("a")]))
          const order = (yield* store.inspect(LockPath.root)).map(({ id }) => id).slice(1, -1)
          yield* start(fixture)
          yield* store.release(held.id, held.id)
          yield* Session.due(
            Effect.forEach(asked, ({ fiber }) => Fiber.join(fiber)),
            "the grants"
          )
          const calls = yield* scriptCalls(fixture.admin)
          assert.isAtMost(calls, 1 + 2 * Math.ceil(readers / 16), "a script for every 16, from each client at most")
          assert.deepStrictEqual(yield* heldInOrder(store), order)
          yield* layout.check(fixture.admin, fixture.keys)
          yield* many(readers, (i) => store.release(asked[i]!.id, asked[i]!.id))
          yield* session.granted(last)
          yield* session.end
          yield* other.session.end
        })
      )
    )

    it.effect("a downgrade and a release soon after it let in all who wait, and then nothing is left to do", () =>
      leavesNothing((fixture) =>
        Effect.gen(function* () {
          const { session, store } = yield* fixture.client()
          const held = yield* session.held([write("a")])
          const asked = yield* many(readers, () => session.ask(session.request([read("a")])))
          const last = yield* session.ask(session.request([write("a")]))
          yield* start(fixture)
          const both = yield* Effect.all([store.downgrade(held.id, held.id), store.release(held.id, held.id)], {
            concurrency: 2
          })
          assert.deepStrictEqual(both, [true, true])
          yield* Session.due(
            Effect.forEach(asked, ({ fiber }) => Fiber.join(fiber)),
            "the grants"
          )
          yield* layout.check(fixture.admin, fixture.keys)
          assert.isAtMost(yield* scriptCalls(fixture.admin), 2 + Math.ceil(readers / 16))
          yield* many(readers, (i) => store.release(asked[i]!.id, asked[i]!.id))
          yield* session.granted(last)
          yield* session.end
        })
      )
    )

    it.effect("leases that expire together are gone together, and those who wait for them are let in", () =>
      leavesNothing((fixture) =>
        Effect.gen(function* () {
          const { session, store } = yield* fixture.client()
          const count = 100
          const held = yield* many(count, (i) => session.ask(session.request([write(`a/${i}`)])))
          yield* Effect.forEach(held, session.granted)
          const waiting = yield* many(count, (i) => session.ask(session.request([write(`a/${i}`)])))
          const late = held.map(({ id }) => id)
          yield* layout.expire(fixture.admin, fixture.keys, late)
          yield* start(fixture)
          // The last one: the sweep of the first script does not reach it.
          assert.isTrue(
            Option.isNone(yield* store.restore(late.at(-1)!, Duration.minutes(1), late.at(-1)!)),
            "what has expired is gone"
          )
          yield* Session.due(
            Effect.forEach(waiting, ({ fiber }) => Fiber.join(fiber)),
            "the grants"
          )
          assert.isAtMost(yield* scriptCalls(fixture.admin), 1 + Math.ceil(count / 16))
          yield* layout.check(fixture.admin, fixture.keys)
          const told = yield* Effect.forEach(held, () => session.revocation)
          assert.sameMembers(
            told.map(({ id }) => id),
            late
          )
          yield* session.end
        })
      )
    )

    it.effect(
      "waiting requests that are dropped together are back in the queue, and nobody else has lost his place",
      () =>
        leavesNothing((fixture) =>
          Effect.gen(function* () {
            const { session, store } = yield* fixture.client()
            const held = yield* session.held([write("a")])
            const dropped = yield* many(80, () => session.ask(session.request([write("a")])))
            const stays = yield* session.ask(session.request([write("a")]))
            yield* layout.expireWaiting(
              fixture.admin,
              fixture.keys,
              dropped.map(({ id }) => id)
            )
            yield* store.lookup("nobody")
            const all = Effect.map(
              store.inspect(LockPath.root),
              (entries) => entries.length === 82 && entries[1]?.id === stays.id
            )
            yield* until(all, "a place in the queue for everyone")
            yield* layout.check(fixture.admin, fixture.keys)
            yield* store.release(held.id, held.id)
            yield* session.granted(stays)
            yield* session.end
          })
        )
    )

    it.effect("a lease that has ended encloses nothing: no deadlock is seen where none is", () =>
      leavesNothing((fixture) =>
        Effect.gen(function* () {
          const { session, store } = yield* fixture.client()
          const ended = yield* session.held([write("d")])
          const held = yield* session.held([write("b")])
          const asked = yield* many(readers, () => session.ask(session.request([read("d")])))
          const inside = yield* session.queued([read("d")], { within: [held.id] })
          const request = session.request([write("b")], { within: [ended.id] })
          const [, nested] = yield* Effect.all(
            [store.release(ended.id, ended.id), Effect.fork(store.acquire(request))],
            {
              concurrency: 2
            }
          )
          yield* Session.due(
            Effect.forEach([...asked, inside], ({ fiber }) => Fiber.join(fiber)),
            "the grants"
          )
          yield* store.release(held.id, held.id)
          yield* Session.due(Fiber.join(nested), "the grant of the nested request")
          yield* store.release(request.id, request.id)
          yield* many(readers, (i) => store.release(asked[i]!.id, asked[i]!.id))
          yield* session.end
        })
      )
    )

    it.effect("a request may have thousands of targets", () =>
      leavesNothing((fixture) =>
        Effect.gen(function* () {
          const { session, store } = yield* fixture.client()
          const targets = Array.from({ length: 2000 }, (_, i) => write(`a/${i}`))
          const one = yield* session.held(targets)
          const two = yield* session.queued(targets)
          yield* layout.check(fixture.admin, fixture.keys)
          yield* store.release(one.id, one.id)
          yield* session.granted(two)
          yield* layout.check(fixture.admin, fixture.keys)
          yield* session.end
        })
      )
    )

    it.effect("a request that is too large is refused, by the client and by the script, and no other with it", () =>
      leavesNothing((fixture) =>
        Effect.gen(function* () {
          const { session, store } = yield* fixture.client()
          const wide = (count: number) => Array.from({ length: count }, (_, i) => write(`${i}`))
          const deep = (count: number, depth: number) =>
            Array.from({ length: count }, (_, i) => write([`${i}`, ...Array<string>(depth - 1).fill("x")]))
          for (const largest of [wide(3900), deep(2000, 2), deep(31, 128)]) {
            const held = yield* session.held(largest)
            yield* layout.check(fixture.admin, fixture.keys)
            yield* store.release(held.id, held.id)
          }
          const inside = session.request(wide(3899), { within: ["one", "two"] })
          const large = [wide(3901), deep(2001, 2), deep(32, 128)].map((targets) => session.request(targets))
          for (const request of [inside, ...large]) {
            const beside = session.request([write("beside")])
            const [refused, granted] = yield* Effect.all(
              [Effect.flip(store.acquire(request)), store.acquire(beside), Effect.flip(store.tryAcquire(request))],
              { concurrency: "unbounded" }
            )
            assert.match(refused.message, /must not have more than (3900|4000)/)
            assert.isAbove(granted.token, 0)
            const targets = request.targets.map(codec.encodeTarget)
            const args = [
              "client",
              "channel:",
              String(Number.MAX_SAFE_INTEGER),
              "[]",
              "1000",
              "",
              request.id,
              "1000",
              "q"
            ]
            args.push("[]", String(targets.length), ...targets, String(request.within.length), ...request.within)
            const answer = yield* Effect.promise(() =>
              fixture.admin.eval(Script.script, 3, ...fixture.keys, Script.acquire.name, ...args).catch(String)
            )
            assert.match(String(answer), /too many (targets|segments)/)
            assert.deepStrictEqual(
              (yield* store.inspect(LockPath.root)).map(({ id }) => id),
              [beside.id]
            )
            yield* store.release(beside.id, beside.id)
          }
          yield* session.end
        })
      )
    )
  })
})
