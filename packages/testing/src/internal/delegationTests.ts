import { assert } from "@effect/vitest"
import type { Delegations, LockRequest } from "@hilok/core/LockStore"
import * as Target from "@hilok/core/Target"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import { due, region } from "../Session.ts"
import type { Kit, Test } from "./kit.ts"

const { read, readNode, write } = Target

const minute = Duration.minutes(1)

/** The client whose delegations they are, and another one. */
const mine = "mine"
const theirs = "theirs"

const delegationsOf = ({ store }: Kit): Delegations => {
  assert.isDefined(store.delegations, "the store can give delegations")
  return store.delegations
}

const requestFor = ({ session }: Kit, target: Target.Target, client: string, more: Partial<LockRequest> = {}) => ({
  ...session.request([target]),
  delegated: client,
  ...more
})

/** Asks for a delegation, and gets it. */
const delegated = (kit: Kit, target: Target.Target, client: string = mine) =>
  Effect.gen(function* () {
    const request = requestFor(kit, target, client)
    const grant = yield* due(kit.store.acquire(request), "the delegation")
    return { ...grant, id: request.id }
  })

/** Asks for a delegation, and has to wait. */
const queued = (kit: Kit, target: Target.Target, client: string) =>
  Effect.flatMap(kit.session.ask(requestFor(kit, target, client)), (asked) =>
    Effect.as(
      Effect.map(kit.store.lookup(asked.id), (entry) =>
        assert.strictEqual(Option.getOrUndefined(entry)?.state, "waiting", "it has to wait")
      ),
      asked
    )
  )

const giveBack = (kit: Kit, { id, token }: { readonly id: string; readonly token: number }, floor = token) =>
  delegationsOf(kit).settle({ registrations: [], releases: [{ id, floor }] })

/** A lease as its client has granted it under a delegation. */
const granted = (kit: Kit, targets: ReadonlyArray<Target.Target>, from: string, token: number) => ({
  request: kit.session.request(targets),
  token,
  from
})

/** Where one order holds for all. */
const inOne = (kit: Kit, target: Target.Target): Target.Target => kit.inOne([target])[0]!

/** What clients are told from now on, one after the other. */
const listen = (kit: Kit) =>
  Effect.map(delegationsOf(kit).recalls, (recalls) => ({ next: due(recalls.take, "a recall"), size: recalls.size }))

export const delegationTests = (test: Test): void => {
  test("a delegation keeps out others as a lease does, and is shown to be one", (kit) =>
    Effect.gen(function* () {
      const { session, store } = kit
      const delegation = yield* delegated(kit, write("a"))
      assert.isFalse(delegation.wanted ?? false)
      const refused = yield* session.attempt(session.request([read("a/b")]))
      assert.strictEqual(Either.isLeft(refused) && refused.left.id, delegation.id)
      const waiting = yield* queued(kit, write("a"), theirs)
      assert.isTrue(Option.getOrThrow(yield* store.lookup(delegation.id)).delegated)
      assert.isUndefined(Option.getOrThrow(yield* store.lookup(waiting.id)).delegated, "a request is a user's")
      assert.isUndefined(Option.getOrThrow(yield* store.lookup((yield* session.held([write("b")])).id)).delegated)
      yield* session.cancel(waiting.id)
      yield* giveBack(kit, delegation)
    }))

  test("a request that has to wait recalls all delegations in its way, once each", (kit) =>
    Effect.gen(function* () {
      const { session } = kit
      const one = yield* delegated(kit, inOne(kit, write("a")))
      const two = yield* delegated(kit, inOne(kit, read("b")), theirs)
      const other = yield* delegated(kit, inOne(kit, write("c")))
      const { next, size } = yield* listen(kit)
      yield* session.queued(kit.inOne([write("b/x"), read("a")]))
      const recalls = [yield* next, yield* next].sort((a, b) => (a.client < b.client ? -1 : 1))
      assert.deepStrictEqual(recalls, [
        { id: one.id, client: mine, urgent: false },
        { id: two.id, client: theirs, urgent: false }
      ])
      yield* session.queued(kit.inOne([write("a")]))
      yield* session.queued(kit.inOne([write("c")]))
      assert.strictEqual((yield* next).id, other.id, "the second one to wait recalls nothing again")
      assert.strictEqual(yield* size, 0)
      for (const delegation of [one, two, other]) yield* giveBack(kit, delegation)
    }))

  test("a request that is refused at once recalls nothing", (kit) =>
    Effect.gen(function* () {
      const { session } = kit
      const one = yield* delegated(kit, write("a"))
      const two = yield* delegated(kit, write("b"))
      const { next } = yield* listen(kit)
      assert.isTrue(Either.isLeft(yield* session.attempt(session.request([write("a")]))))
      yield* session.queued([write("b")])
      assert.strictEqual((yield* next).id, two.id)
      for (const delegation of [one, two]) yield* giveBack(kit, delegation)
    }))

  test("a delegation that is granted while somebody waits for what it covers is wanted from the start", (kit) =>
    Effect.gen(function* () {
      const { session, store } = kit
      const held = yield* session.held([write("a")])
      const delegation = yield* queued(kit, write("a"), mine)
      const next = yield* session.queued([read("a/b")])
      const { size } = yield* listen(kit)
      yield* store.release(held.id, held.id)
      const grant = yield* session.granted(delegation)
      assert.isTrue(grant.wanted)
      assert.strictEqual(yield* size, 0, "that is told with the grant")
      assert.isTrue(Option.getOrThrow(yield* delegationsOf(kit).refresh(delegation.id, minute)).wanted)
      yield* giveBack(kit, { id: delegation.id, token: grant.token })
      yield* session.granted(next)
    }))

  test("a client does not want back what covers its own request for a delegation; it does for any other", (kit) =>
    Effect.gen(function* () {
      const { session, store } = kit
      const held = yield* session.held([write("a")])
      const first = yield* queued(kit, write("a"), mine)
      const covered = yield* queued(kit, write("a/b"), mine)
      yield* store.release(held.id, held.id)
      const grant = yield* session.granted(first)
      assert.isFalse(grant.wanted ?? false)
      const { next, size } = yield* listen(kit)
      const again = yield* queued(kit, read("a"), mine)
      assert.strictEqual(yield* size, 0)
      const wider = yield* queued(kit, write(""), mine)
      assert.deepStrictEqual(yield* next, { id: first.id, client: mine, urgent: false })
      for (const { id } of [covered, again, wider]) yield* session.cancel(id)
      yield* giveBack(kit, { id: first.id, token: grant.token })
    }))

  test("`refresh` says whether somebody has wanted it, moves its deadline, and is nothing for what is not live", (kit) =>
    Effect.gen(function* () {
      const { advance, session, store, ttl } = kit
      const delegations = delegationsOf(kit)
      const request = requestFor(kit, write("a"), mine, { ttl })
      yield* store.acquire(request)
      assert.isFalse(Option.getOrThrow(yield* delegations.refresh(request.id, minute)).wanted)
      yield* advance(ttl)
      const waiting = yield* session.queued([read("a")])
      assert.isTrue(Option.getOrThrow(yield* delegations.refresh(request.id, minute)).wanted)
      yield* giveBack(kit, { id: request.id, token: 0 })
      yield* session.granted(waiting)
      assert.isTrue(Option.isNone(yield* delegations.refresh(request.id, minute)))
    }))

  test("a delegation expires and is broken as any lease, and its client is told", (kit) =>
    Effect.gen(function* () {
      const { advance, session, store, ttl } = kit
      const request = requestFor(kit, write("a"), mine, { ttl })
      yield* store.acquire(request)
      yield* advance(ttl)
      assert.isTrue(Option.isNone(yield* store.lookup(request.id)))
      assert.deepStrictEqual(yield* session.revocation, { id: request.id, owner: request.id, reason: "expired" })
      const broken = yield* delegated(kit, write("a"))
      assert.isTrue(yield* store.breakLease(broken.id))
      assert.deepStrictEqual(yield* session.revocation, { id: broken.id, owner: broken.id, reason: "broken" })
    }))

  // -- Those who do not wait

  test("an impatient request waits for delegations, and recalls them urgently, once", (kit) =>
    Effect.gen(function* () {
      const { session, store } = kit
      const delegation = yield* delegated(kit, write("a"))
      const { next, size } = yield* listen(kit)
      const patient = yield* session.queued([read("b"), read("a")])
      assert.isFalse((yield* next).urgent)
      yield* session.cancel(patient.id)
      const request = { ...session.request([write("a/b")]), impatient: true }
      const fiber = yield* Effect.fork(store.tryAcquire(request))
      assert.deepStrictEqual(yield* next, { id: delegation.id, client: mine, urgent: true })
      assert.strictEqual(yield* size, 0)
      yield* giveBack(kit, delegation)
      const grant = Either.getOrThrow(yield* due(Fiber.join(fiber), "the grant"))
      assert.isAbove(grant.token, delegation.token)
      yield* store.release(request.id, request.id)
    }))

  test("an impatient request is refused at once by a lease or an earlier request", (kit) =>
    Effect.gen(function* () {
      const { session } = kit
      const delegation = yield* delegated(kit, inOne(kit, write("a")))
      const held = yield* session.held(kit.inOne([write("b")]))
      const impatient = (target: Target.Target) =>
        session.attempt({ ...session.request(kit.inOne([write("a"), target])), impatient: true })
      const refused = yield* impatient(read("b"))
      assert.strictEqual(Either.isLeft(refused) && refused.left.id, held.id)
      const waiting = yield* session.queued(kit.inOne([write("a/b")]))
      const behind = yield* impatient(read("c"))
      assert.strictEqual(Either.isLeft(behind) && behind.left.id, waiting.id)
      yield* session.cancel(waiting.id)
      yield* giveBack(kit, delegation)
    }))

  test("an impatient request is refused when a delegation leaves a lease in its way", (kit) =>
    Effect.gen(function* () {
      const { session, store } = kit
      const delegation = yield* delegated(kit, write("a"))
      const request = { ...session.request([read("a")]), impatient: true }
      const { next } = yield* listen(kit)
      const fiber = yield* Effect.fork(store.tryAcquire(request))
      yield* next
      const registration = granted(kit, [write("a/b")], delegation.id, delegation.token)
      yield* delegationsOf(kit).settle({
        registrations: [registration],
        releases: [{ id: delegation.id, floor: delegation.token }]
      })
      const refused = yield* due(Fiber.join(fiber), "the refusal")
      assert.strictEqual(Either.isLeft(refused) && refused.left.id, registration.request.id)
      assert.isTrue(Option.isNone(yield* store.lookup(request.id)))
      yield* store.release(registration.request.id, registration.request.id)
    }))

  test("an impatient request that is interrupted leaves nothing", (kit) =>
    Effect.gen(function* () {
      const { session, store } = kit
      const delegation = yield* delegated(kit, write("a"))
      const { next } = yield* listen(kit)
      const fiber = yield* Effect.fork(store.tryAcquire({ ...session.request([read("a")]), impatient: true }))
      yield* next
      yield* due(Fiber.interrupt(fiber), "the interruption")
      yield* giveBack(kit, delegation)
      yield* session.held([write("a")])
    }))

  // -- Settling

  test("a lease is registered with the token that it has, whatever else is held, while its delegation is live", (kit) =>
    Effect.gen(function* () {
      const { session, store } = kit
      const delegation = yield* delegated(kit, write("a"))
      const outer = granted(kit, [write("a/b"), readNode("a")], delegation.id, delegation.token)
      const inner = granted(kit, [read("a/b/c")], delegation.id, delegation.token + 1)
      const { settle } = delegationsOf(kit)
      assert.deepStrictEqual(yield* settle({ registrations: [outer, inner], releases: [] }), [true, true])
      for (const { request, token } of [outer, inner]) {
        const entry = Option.getOrThrow(yield* store.lookup(request.id))
        assert.deepStrictEqual([entry.state, entry.token], ["held", token])
        assert.deepStrictEqual(entry.targets.map(region), Array.from(request.targets))
        assert.isTrue(Option.isSome(yield* store.refresh(request.id, minute, request.id)))
      }
      assert.deepStrictEqual(yield* settle({ registrations: [outer], releases: [] }), [true], "a second time")
      yield* giveBack(kit, delegation, inner.token)
      const waiting = yield* session.queued([write("a/b/c")])
      assert.isTrue(yield* store.release(inner.request.id, inner.request.id))
      assert.isTrue(yield* store.release(outer.request.id, outer.request.id))
      assert.isAbove((yield* session.granted(waiting)).token, inner.token)
    }))

  test("nothing is registered from a delegation that is not live", (kit) =>
    Effect.gen(function* () {
      const { session, store } = kit
      const { settle } = delegationsOf(kit)
      const delegation = yield* delegated(kit, write("a"))
      const kept = granted(kit, [write("a/b")], delegation.id, delegation.token)
      yield* settle({ registrations: [kept], releases: [{ id: delegation.id, floor: delegation.token }] })
      const late = granted(kit, [write("a/c")], delegation.id, delegation.token)
      assert.deepStrictEqual(yield* settle({ registrations: [kept, late], releases: [] }), [true, false])
      yield* store.release(kept.request.id, kept.request.id)
      assert.deepStrictEqual(yield* settle({ registrations: [kept], releases: [] }), [false], "nor what has ended")
      const lease = yield* session.held([write("a")])
      const from = granted(kit, [write("a/b")], lease.id, lease.token)
      assert.deepStrictEqual(yield* settle({ registrations: [from], releases: [] }), [false], "nor from a lease")
    }))

  test("a settlement makes the leases known before it lets in those who waited", (kit) =>
    Effect.gen(function* () {
      const { session, store } = kit
      const delegation = yield* delegated(kit, write("a"))
      const b = yield* session.queued([write("a/b")])
      const c = yield* session.queued([write("a/c")])
      const registration = granted(kit, [write("a/b")], delegation.id, delegation.token)
      yield* delegationsOf(kit).settle({
        registrations: [registration],
        releases: [{ id: delegation.id, floor: delegation.token }]
      })
      yield* session.granted(c)
      assert.strictEqual(Option.getOrThrow(yield* store.lookup(b.id)).blockedBy, registration.request.id)
      yield* store.release(registration.request.id, registration.request.id)
      yield* session.granted(b)
    }))

  test("all tokens are above the floor of a delegation that was given back, first those of who waited for it", (kit) =>
    Effect.gen(function* () {
      const { session } = kit
      const delegation = yield* delegated(kit, write("a"))
      const waiting = yield* session.queued([write("a")])
      // Ahead of the clock for a while: a store whose tokens follow it goes back to that in the tests that come after this one.
      const floor = delegation.token + 2_000_000
      yield* giveBack(kit, delegation, floor)
      assert.isAbove((yield* session.granted(waiting)).token, floor)
      // Also of one that has ended.
      yield* giveBack(kit, delegation, floor + 1_000)
      assert.isAbove((yield* session.held([write("b")])).token, floor + 1_000)
    }))

  // -- Widening

  test("a delegation is granted within others of its client, unless somebody else is there", (kit) =>
    Effect.gen(function* () {
      const { session } = kit
      const one = yield* delegated(kit, write("a/1"))
      const two = yield* delegated(kit, write("a/2"))
      const wide = () => requestFor(kit, write("a"), mine, { within: [one.id, two.id] })
      const waiting = yield* session.queued([read("a/1")])
      const passing = yield* session.attempt(wide())
      assert.strictEqual(Either.isLeft(passing) && passing.left.id, waiting.id, "it does not pass who waits")
      yield* session.cancel(waiting.id)
      const held = yield* session.held([read("a/3")])
      assert.isTrue(Either.isLeft(yield* session.attempt(wide())))
      yield* kit.store.release(held.id, held.id)
      const request = wide()
      const grant = Either.getOrThrow(yield* session.attempt(request))
      for (const delegation of [one, two]) yield* giveBack(kit, delegation)
      yield* session.queued([write("a/1")])
      yield* giveBack(kit, { id: request.id, token: grant.token })
    }))

  test("a request for a wider delegation passes what its client asks for itself and will withdraw, and nobody else", (kit) =>
    Effect.gen(function* () {
      const { session } = kit
      const theirs = yield* session.held([write("b/1")])
      const one = yield* delegated(kit, write("a/1"))
      const own = yield* queued(kit, read("a"), mine)
      const wide = () => requestFor(kit, write("a"), mine, { within: [one.id, own.id] })
      const other = yield* session.queued([read("a/1/x")])
      const refused = yield* session.attempt(wide())
      assert.strictEqual(Either.isLeft(refused) && refused.left.id, other.id)
      yield* session.cancel(other.id)
      const root = yield* queued(kit, write(""), mine)
      const behind = yield* session.attempt(wide())
      assert.strictEqual(Either.isLeft(behind) && behind.left.id, root.id, "nor what its client asks for elsewhere")
      yield* session.cancel(root.id)
      const request = wide()
      const grant = Either.getOrThrow(yield* session.attempt(request))
      assert.isFalse(grant.wanted ?? false)
      yield* session.cancel(own.id)
      yield* giveBack(kit, one)
      yield* session.queued([write("a/1")])
      yield* giveBack(kit, { id: request.id, token: grant.token })
      yield* kit.store.release(theirs.id, theirs.id)
    }))

  test("behind however many requests of a delegation's client, somebody who waits gets it back", (kit) =>
    Effect.gen(function* () {
      const { session, store } = kit
      const held = yield* session.held([write("a")])
      const first = yield* queued(kit, write("a"), mine)
      const own = yield* Effect.forEach(Array.from({ length: 300 }), () =>
        session.ask(requestFor(kit, write("a"), mine))
      )
      const other = yield* session.queued([write("a")])
      const { next, size } = yield* listen(kit)
      yield* store.release(held.id, held.id)
      const grant = yield* session.granted(first)
      // Its client takes them out.
      for (const { id } of own) yield* session.cancel(id)
      if (grant.wanted !== true) assert.strictEqual((yield* next).id, first.id)
      assert.strictEqual(yield* size, 0)
      assert.isTrue(Option.getOrThrow(yield* delegationsOf(kit).refresh(first.id, minute)).wanted)
      yield* giveBack(kit, { id: first.id, token: grant.token })
      yield* session.granted(other)
    }))
}
