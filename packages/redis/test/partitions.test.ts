/**
 * A namespace in partitions, beside what the contract suite says of every store: what is taken in several, what becomes of it when
 * one of them fails, on what all clients agree, and what does not hold across partitions.
 */
import { assert, describe, layer } from "@effect/vitest"
import { LockError, LockMode, LockPath, type LockStore, Target } from "@hilok/core"
import { RedisStore } from "@hilok/redis"
import { Session } from "@hilok/testing"
import { Duration, Effect, Either, Exit, FastCheck, Fiber, Option } from "effect"
import type { Redis } from "ioredis"
import { until } from "./support/faults.ts"
import { leavesNothing, scriptCalls, TestServer, withOwnServer } from "./support/fixture.ts"
import * as layout from "./support/layout.ts"
import { count, inPartition, partitioned } from "./support/partitions.ts"

const { read, write, writeNode } = Target
const minute = Duration.minutes(1)

type Store = LockStore.LockStore["Type"]

const [p0, p1, p2, p3] = [0, 1, 2, 3].map((at) => inPartition(at)) as [string, string, string, string]

/** Waits until a store shows nothing at all, or so much. */
const left = (store: Store, entries = 0) =>
  until(
    Effect.map(store.inspect(LockPath.root), ({ length }) => length === entries),
    `${entries} left`
  )

const stateOf = (store: Store, id: string) =>
  Effect.map(
    store.lookup(id),
    Option.map(({ state }) => state)
  )

layer(TestServer.layer, { excludeTestServices: true })("a namespace in partitions", (it) => {
  describe("a lock in several", () => {
    it.effect(
      "takes them in ascending order: what comes before the one it waits for is kept from others, and refreshed",
      () =>
        partitioned(({ another, session, store }) =>
          Effect.gen(function* () {
            const other = yield* another()
            const holder = yield* session.held([write(p2)])
            const root = yield* session.queued([write("")], { ttl: "300 millis", waitTtl: "1 minute" })
            for (const path of [p0, p1]) {
              const refused = yield* other.session.attempt(other.session.request([read(path)]))
              assert.isTrue(
                Either.isLeft(refused) && refused.left.id === root.id && refused.left.state === "waiting",
                path
              )
            }
            yield* Effect.sleep("1 second")
            assert.isTrue(
              Either.isLeft(yield* other.session.attempt(other.session.request([read(p0)]))),
              "after its ttl"
            )
            yield* store.release(holder.id, holder.id)
            const grant = yield* session.granted(root)
            assert.isTrue(Option.isSome(yield* store.refresh(root.id, minute, root.id)), "all of it is live")
            for (const path of [p0, p1, p2, p3]) {
              assert.isTrue(Either.isLeft(yield* other.session.attempt(other.session.request([read(path)]))), path)
            }
            assert.isAbove(grant.token, holder.token)
          })
        )
    )

    it.effect("is shown by every client as one: waiting until all of it is held", () =>
      partitioned(({ another, session, store }) =>
        Effect.gen(function* () {
          const other = yield* another()
          const holder = yield* session.held([write(p1)])
          const targets = [read(p3), write(p0), write(p1), writeNode("")]
          const asked = yield* session.queued(targets, { holder: { label: "several" } })
          for (const client of [store, other.store]) {
            const [first, second, ...more] = yield* client.inspect(LockPath.root)
            assert.deepStrictEqual([first?.id, second?.id, more.length], [holder.id, asked.id, 0])
            assert.deepStrictEqual([second?.state, second?.label, second?.blockedBy], ["waiting", "several", holder.id])
            assert.deepStrictEqual((yield* client.blockers([asked.id])).map(Option.map(({ blocker }) => blocker.id)), [
              Option.some(holder.id)
            ])
            assert.isFalse(yield* client.breakLease(asked.id), "it is no lease yet")
            assert.isFalse(yield* client.downgrade(asked.id))
            assert.isTrue(Option.isNone(yield* client.refresh(asked.id, minute)))
            assert.isTrue(Option.isNone(yield* client.restore(asked.id, minute, "second")))
          }
          yield* store.release(holder.id, holder.id)
          const { token } = yield* session.granted(asked)
          for (const client of [store, other.store]) {
            const [entry, ...more] = yield* client.inspect(LockPath.root)
            assert.deepStrictEqual([entry?.id, entry?.state, entry?.token, more.length], [asked.id, "held", token, 0])
            assert.deepStrictEqual(entry?.targets.map(Session.region), targets.map(Session.region))
            const at = Either.getOrThrow(LockPath.parse(p0))
            assert.deepStrictEqual(
              (yield* client.inspect(at)).map(({ targets }) => targets.length),
              [4]
            )
          }
        })
      )
    )

    it.effect(
      "is restored by another client with its token and targets, given back, broken: all of it, told once",
      () =>
        partitioned(({ another, session, store }) =>
          Effect.gen(function* () {
            const other = yield* another()
            const targets = [write(p2), read(p0), writeNode(p3)]
            const held = yield* session.held(targets)
            const restored = Option.getOrThrow(yield* other.store.restore(held.id, minute, "second"))
            assert.strictEqual(restored.token, held.token)
            assert.deepStrictEqual(Array.from(restored.targets), targets.map(Session.region))
            assert.deepStrictEqual(yield* session.revocation, { id: held.id, owner: held.id, reason: "taken" })
            assert.isTrue(yield* other.store.giveBack(held.id, "second"))
            assert.isTrue(Option.isSome(yield* store.refresh(held.id, minute, held.id)))
            assert.isTrue(yield* other.store.breakLease(held.id))
            assert.deepStrictEqual(yield* session.revocation, { id: held.id, owner: held.id, reason: "broken" })
            yield* left(store)
            const last = yield* session.held([write("")])
            assert.isTrue(yield* other.store.release(last.id))
            assert.deepStrictEqual(yield* session.revocation, { id: last.id, owner: last.id, reason: "released" })
            assert.strictEqual(yield* session.pendingRevocations, 0)
          })
        )
    )

    it.effect("leaves nothing when it is interrupted, wherever it is by then", () =>
      partitioned(({ another, session, store }) =>
        Effect.gen(function* () {
          const other = yield* another()
          for (let step = 0; step < 60; step++) {
            const request = session.request([write("")])
            const fiber = yield* Effect.fork(store.acquire(request))
            yield* Effect.repeatN(Effect.yieldNow(), step * 3)
            const exit = yield* Session.due(Fiber.interrupt(fiber), "the interruption")
            if (Exit.isSuccess(exit)) assert.isTrue(yield* store.release(request.id, request.id))
            yield* left(other.store)
          }
          for (const path of [p0, p1, p2, p3]) {
            const holder = yield* session.held([read(path)])
            const asked = yield* session.queued([write("")])
            const [took] = yield* Effect.timed(session.cancel(asked.id))
            assert.isBelow(Duration.toMillis(took), 2000)
            yield* left(other.store, 1)
            yield* store.release(holder.id, holder.id)
          }
        })
      )
    )

    it.effect(
      "that is refused, fails with a deadlock or is taken out of the queue by an order has given all back",
      () =>
        partitioned(({ another, session, store }) =>
          Effect.gen(function* () {
            const other = yield* another()
            const holder = yield* session.held([write(p3)])
            const refused = yield* session.attempt(session.request([write("")]))
            assert.isTrue(Either.isLeft(refused) && refused.left.id === holder.id)
            assert.strictEqual((yield* other.store.inspect(LockPath.root)).length, 1)
            const ordered = yield* session.queued([write("")])
            assert.isTrue(yield* other.store.release(ordered.id))
            const error = yield* Session.due(Effect.flip(Fiber.join(ordered.fiber)), "the end of the wait")
            assert.strictEqual(error._tag, "StoreError")
            yield* left(other.store, 1)
            yield* store.release(holder.id, holder.id)
            const one = yield* session.held([write([p3, "1"])])
            const two = yield* session.held([write([p3, "2"])])
            yield* session.queued([write([p3, "2"])], { within: [one.id] })
            const targets = [write([p3, "1"]), write(p0)]
            const cycle = yield* Effect.flip(store.acquire(session.request(targets, { within: [two.id] })))
            assert.isTrue(cycle._tag === "Deadlock")
            if (cycle._tag === "Deadlock")
              assert.deepStrictEqual(cycle.targets.map(Session.region), targets.map(Session.region))
            yield* left(other.store, 3)
          })
        )
    )

    it.effect("begins anew when it loses a part while it waits", () =>
      partitioned(({ fixture, keys, session, store }) =>
        Effect.gen(function* () {
          const holder = yield* session.held([write(p3)])
          const asked = yield* session.queued([write("")], { ttl: "300 millis", waitTtl: "1 minute" })
          yield* Effect.promise(() => fixture.admin.del(...keys(0), ...keys(1)))
          const isBack = Effect.map(
            Effect.promise(() => fixture.admin.exists(keys(0)[0], keys(1)[0])),
            (found) => found === 2
          )
          yield* until(isBack, "the parts that were lost")
          yield* store.release(holder.id, holder.id)
          yield* session.granted(asked)
          assert.isTrue(Option.isSome(yield* store.refresh(asked.id, minute, asked.id)))
        })
      )
    )

    it.effect("is lost as a whole when one part is: told once, and the rest is given back", () =>
      partitioned(({ fixture, keys, session, store }) =>
        Effect.gen(function* () {
          const expired = yield* session.held([write("")])
          // Any script of the partition finds it.
          yield* layout.expire(fixture.admin, keys(1), [expired.id])
          assert.isTrue(Either.isRight(yield* session.attempt(session.request([read(p1)]))))
          assert.deepStrictEqual(yield* session.revocation, { id: expired.id, owner: expired.id, reason: "expired" })
          yield* left(store, 1)
          yield* session.held([write(p0), write(p2), write(p3)])
          assert.strictEqual(yield* session.pendingRevocations, 0)
        })
      )
    )

    it.effect("whose part the server has forgotten is lost at the next refresh, and the rest is given back", () =>
      partitioned(({ fixture, keys, session, store }) =>
        Effect.gen(function* () {
          const one = yield* session.held([write(p0), write(p1), write(p2)])
          yield* Effect.promise(() => fixture.admin.del(...keys(1)))
          assert.isTrue(Option.isNone(yield* stateOf(store, one.id)), "it is not there as a whole")
          assert.deepStrictEqual(yield* store.refreshAll([{ id: one.id, owner: one.id, ttl: minute }]), [Option.none()])
          yield* left(store)
        })
      )
    )
  })

  describe("tokens", () => {
    it.effect("rise over leases that conflict, also when one partition is ahead of the others", () =>
      partitioned(({ session, store }) =>
        Effect.gen(function* () {
          const delegation = { ...session.request([write(p3)]), delegated: "ahead" }
          const { token } = yield* store.acquire(delegation)
          const floor = token + 2_000_000
          yield* store.delegations!.settle({ registrations: [], releases: [{ id: delegation.id, floor }] })
          const root = yield* session.held([write("")])
          assert.isAbove(root.token, floor)
          assert.strictEqual(Option.getOrThrow(yield* store.lookup(root.id)).token, root.token)
          const waiting = yield* session.queued([write(p0)])
          yield* store.release(root.id, root.id)
          const next = yield* session.granted(waiting)
          assert.isAbove(next.token, root.token, "in a partition that was behind")
          const several = yield* session.held([write(p1), write(p2)])
          assert.isAbove(several.token, root.token)
        })
      )
    )

    it.effect("and exclusion hold for what many clients do in all partitions", () =>
      partitioned(({ another, ...first }) =>
        Effect.gen(function* () {
          const clients = [first, yield* another(), yield* another()]
          const target = FastCheck.record({
            mode: FastCheck.constantFrom(...LockMode.all),
            path: FastCheck.constantFrom("", "", p0, `${p0}/x`, p1, p2, `${p2}/x`, p3)
          })
          const plan = FastCheck.sample(FastCheck.array(target, { minLength: 1, maxLength: 3 }), 180)
          const inside = new Map<string, ReadonlyArray<LockMode.Region>>()
          const before: Array<readonly [targets: ReadonlyArray<LockMode.Region>, token: number]> = []
          const work = (
            { session, store }: (typeof clients)[number],
            targets: ReadonlyArray<Target.Target>,
            at: number
          ) =>
            Effect.gen(function* () {
              const request = session.request(targets)
              // Some give up, wherever they are by then.
              const asked = store.acquire(request).pipe(at % 5 === 0 ? Effect.timeoutOption("4 millis") : Effect.asSome)
              const grant = yield* asked
              if (Option.isNone(grant)) return
              const { token } = grant.value
              for (const [id, others] of inside) {
                assert.isFalse(LockMode.anyConflict(request.targets, others), `${request.id} is in along with ${id}`)
              }
              for (const [others, its] of before) {
                if (LockMode.anyConflict(request.targets, others)) assert.isAbove(token, its, "tokens rise")
              }
              before.push([request.targets, token])
              inside.set(request.id, request.targets)
              yield* Effect.yieldNow()
              inside.delete(request.id)
              assert.isTrue(yield* store.release(request.id, request.id))
            })
          const fibers = Array.from({ length: 12 }, (_, i) =>
            Effect.forEach(plan.slice(i * 15, i * 15 + 15), (targets, at) => work(clients[i % 3]!, targets, at))
          )
          yield* Effect.all(fibers, { concurrency: "unbounded" })
          assert.isAbove(before.length, 140)
          yield* left(first.store)
        })
      )
    )
  })

  describe("does not hold across partitions:", () => {
    it.effect("one order: who comes later is let in where an earlier one has not come to yet", () =>
      partitioned(({ session, store }) =>
        Effect.gen(function* () {
          const holder = yield* session.held([write(p1)])
          const root = yield* session.queued([write("")])
          yield* session.queued([write(p0)])
          yield* session.queued([write([p1, "x"])])
          const later = yield* session.held([write(p3)])
          yield* store.release(holder.id, holder.id)
          assert.strictEqual((yield* session.observe).granted.length, 0, "the root waits for who came later, too")
          yield* store.release(later.id, later.id)
          assert.deepStrictEqual((yield* session.observe).granted, [root.id])
        })
      )
    )

    it.effect("the finding of cycles: only a time limit ends them", () =>
      partitioned(({ session, store }) =>
        Effect.gen(function* () {
          const one = yield* session.held([write(p0)])
          const two = yield* session.held([write(p1)])
          const first = yield* session.queued([write(p1)], { within: [one.id] })
          const second = yield* Effect.timeoutOption(
            store.acquire(session.request([write(p0)], { within: [two.id] })),
            "200 millis"
          )
          assert.isTrue(Option.isNone(second))
          yield* store.release(two.id, two.id)
          yield* session.granted(first)
        })
      )
    )

    it.effect("that a nested request passes who waits for its parent: one in an earlier partition waits for it", () =>
      partitioned(({ session, store }) =>
        Effect.gen(function* () {
          const parent = yield* session.held([write(p1)])
          const root = yield* session.queued([write("")])
          const child = yield* session.queued([write(p0)], { within: [parent.id] })
          yield* session.held([write([p1, "x"])], { within: [parent.id] })
          yield* session.held([write(p2)], { within: [parent.id] })
          yield* session.cancel(root.id)
          yield* session.granted(child)
          yield* store.release(child.id, child.id)
        })
      )
    )

    it.effect("that all tokens rise: those of leases that do not conflict are not compared", () =>
      partitioned(({ session, store }) =>
        Effect.gen(function* () {
          const delegation = { ...session.request([write(p0)]), delegated: "ahead" }
          const { token } = yield* store.acquire(delegation)
          const releases = [{ id: delegation.id, floor: token + 2_000_000 }]
          yield* store.delegations!.settle({ registrations: [], releases })
          const earlier = yield* session.held([write(p0)])
          const later = yield* session.held([write(p1)])
          assert.isBelow(later.token, earlier.token)
        })
      )
    )
  })

  describe("the number of partitions", () => {
    const refusal = (namespace: string, ours: number, theirs: string) =>
      new RegExp(`it is ${ours}, but .* in ${theirs}.*delete the key hilok:\\{${namespace}\\}:table`)

    const refused = (make: Effect.Effect<unknown, unknown>, reason: RegExp) =>
      Effect.map(Effect.flip(make), (error) => {
        assert.instanceOf(error, LockError.InvalidOptions, String(error))
        assert.strictEqual(error.option, "partitions")
        assert.match(error.reason, reason)
      })

    it.effect("is the same for all clients of a namespace: others are refused with both numbers", () =>
      partitioned(({ fixture: { admin, keys, namespace, options } }) =>
        Effect.gen(function* () {
          for (const partitions of [1, 3, 64]) {
            for (const lazyListening of [false, true]) {
              const make = Effect.scoped(RedisStore.make({ ...options, partitions, lazyListening }))
              yield* refused(make, refusal(namespace, partitions, "4 partitions"))
            }
          }
          assert.strictEqual(yield* Effect.promise(() => admin.ttl(keys[0])), -1, "the note stays")
        })
      )
    )

    it.effect("of a namespace whose locks are in one partition is one for as long as any is held", () =>
      leavesNothing(({ admin, client, keys, namespace, options }) =>
        Effect.gen(function* () {
          const plain = yield* client()
          const make = Effect.scoped(RedisStore.make({ ...options, partitions: 3 }))
          for (const targets of [[write("a")], [write("a"), read("b")]]) {
            const held = yield* plain.session.held(targets)
            yield* refused(make, refusal(namespace, 3, "one partition"))
            yield* plain.store.release(held.id, held.id)
          }
          yield* make
          const answer = yield* Effect.flip(plain.store.acquire(plain.session.request([write("a")])))
          assert.include(answer.message, "spread over 3 partitions")
          yield* Effect.promise(() => admin.del(keys[0]))
          yield* plain.session.held([write("a")])
          yield* plain.session.end
        })
      )
    )

    it.effect("is agreed on by clients that begin at once: all that go on have the same", () =>
      leavesNothing(({ admin, keys, options }) =>
        Effect.gen(function* () {
          for (let round = 0; round < 5; round++) {
            const make = (partitions: number) =>
              Effect.either(Effect.as(Effect.scoped(RedisStore.make({ ...options, partitions })), partitions))
            const made = yield* Effect.all([2, 3, 2, 3].map(make), { concurrency: "unbounded" })
            const numbers = made.flatMap((answer) => (Either.isRight(answer) ? [answer.right] : []))
            assert.deepStrictEqual(numbers, [numbers[0], numbers[0]])
            for (const answer of made) {
              if (Either.isLeft(answer)) assert.instanceOf(answer.left, LockError.InvalidOptions)
            }
            yield* Effect.promise(() => admin.del(keys[0]))
          }
        })
      )
    )

    it.effect("must be a whole number from 1 to 64: that is said before anything is sent", () =>
      Effect.gen(function* () {
        for (const partitions of [0, 65, 1.5, -1, Number.NaN, "4" as unknown as number]) {
          const make = RedisStore.make({ url: "redis://127.0.0.1:1", partitions })
          yield* refused(Effect.scoped(make), /it is .*, but must be a whole number from 1 to 64/)
          yield* refused(RedisStore.validate({ partitions }), /from 1 to 64/)
        }
      })
    )

    it.effect("keeps namespaces apart, whatever their names", () =>
      partitioned(({ fixture, session }) =>
        Effect.gen(function* () {
          yield* session.held([write("")])
          for (let at = 0; at < count; at++) {
            const namespace = `${fixture.namespace}:${at}`
            const other = yield* Session.make(yield* fixture.store({ namespace }))
            yield* other.held([write("")])
            yield* other.end
          }
        })
      )
    )
  })
})

withOwnServer("a namespace in partitions, on a server that loses its data", undefined, (it) => {
  const lose = (admin: Redis) =>
    Effect.promise(async () => {
      await admin.flushall()
      await admin.client("KILL", "TYPE", "normal", "SKIPME", "yes")
    })

  it.effect("has its number again as soon as a client is back", () =>
    partitioned(({ fixture: { admin, keys }, session }) =>
      Effect.gen(function* () {
        yield* lose(admin)
        yield* until(
          Effect.map(
            Effect.promise(() => admin.exists(keys[0])),
            (found) => found === 1
          ),
          "the note"
        )
        yield* session.held([write("")])
      })
    )
  )

  it.effect("takes no more requests of clients that have another number than those who came first", () =>
    partitioned(({ fixture: { admin, keys, options }, session, store }) =>
      Effect.gen(function* () {
        yield* Effect.promise(() => admin.flushall())
        yield* Effect.scoped(RedisStore.make({ ...options, partitions: 3 }))
        yield* Effect.promise(() => admin.client("KILL", "TYPE", "normal", "SKIPME", "yes"))
        const asked = Effect.suspend(() => {
          const request = session.request([write(p0)])
          return Effect.tap(store.tryAcquire(request), () => store.release(request.id, request.id))
        })
        const isRefused = Effect.map(
          Effect.either(asked),
          (answer) => Either.isLeft(answer) && /it is 4, but .* in 3 partitions/.test(answer.left.message)
        )
        yield* until(isRefused, "the refusal")
        yield* Effect.promise(() => admin.del(keys[0]))
      })
    )
  )
})

withOwnServer("what a namespace in partitions costs", undefined, (it) => {
  it.effect(
    "a lock in one partition is a command to take, to refresh, and to give back; many are refreshed by one for each",
    () =>
      partitioned(({ fixture: { admin }, session, store }) =>
        Effect.gen(function* () {
          const calls = <A, E>(effect: Effect.Effect<A, E>) =>
            Effect.gen(function* () {
              yield* Effect.promise(() => admin.config("RESETSTAT"))
              yield* effect
              return yield* scriptCalls(admin)
            })
          const request = session.request([write(p1)])
          assert.strictEqual(yield* calls(store.acquire(request)), 1)
          assert.strictEqual(yield* calls(store.refresh(request.id, minute, request.id)), 1)
          assert.strictEqual(yield* calls(store.release(request.id, request.id)), 1)
          const held = yield* Effect.forEach(
            Array.from({ length: 100 }, (_, i) => `n${i}`),
            (path) => session.held([read(path)])
          )
          const refreshed = store.refreshAll(held.map(({ id }) => ({ id, owner: id, ttl: minute })))
          assert.strictEqual(yield* calls(refreshed), count)
          // One for each partition, then those with a smaller token are raised to the greatest.
          const root = session.request([read("")])
          assert.isAtMost(yield* calls(store.acquire(root)), 2 * count - 1)
          assert.strictEqual(yield* calls(store.release(root.id, root.id)), count)
        })
      )
  )
})
