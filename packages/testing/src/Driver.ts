/**
 * Drives a store and the `Reference` side by side, and after each step compares everything that can be seen: answers, grants and
 * their order, the blockers that are named, `inspect`, revocations.
 *
 * A store is free in two respects: which of the true blockers it names, and when it notices a cycle of nested requests (this
 * depends on the blocker that it watches). So every deadlock that it reports must be one, and by the time that only cycles
 * are left, it must have reported them.
 *
 * @since 0.1.0
 */
import { assert } from "@effect/vitest"
import * as LockPath from "@hilok/core/LockPath"
import type { LockStore, Revocation } from "@hilok/core/LockStore"
import type { Target } from "@hilok/core/Target"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Command from "./Command.ts"
import { type Entry, Reference } from "./Reference.ts"
import * as Session from "./Session.ts"

/**
 * - `advance`: lets that much time pass for the store.
 * - `exactTime`: whether time passes in no other way (`TestClock`). Then ttls and `advance` commands count, and times are
 *   compared exactly. Otherwise leases last for a minute, and only `expire` ends them.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly advance: (duration: Duration.Duration) => Effect.Effect<void>
  readonly exactTime: boolean
}

/**
 * @since 0.1.0
 * @category models
 */
export interface Driver {
  readonly model: Reference
  /** Runs a command in both, and compares them. A command that applies to nothing does nothing. */
  readonly step: (command: Command.Command) => Effect.Effect<void>
  /** Lets every client finish, and checks that nothing is left and no deadlock went unnoticed. */
  readonly finish: Effect.Effect<void>
}

const minute = 60_000

const encoded = (targets: ReadonlyArray<Target>) => targets.map(Session.region)

/**
 * @since 0.1.0
 * @category constructors
 */
export const make = (store: LockStore["Type"], options: Options): Effect.Effect<Driver, never, Scope.Scope> =>
  Effect.gen(function* () {
    const session = yield* Session.make(store)
    const model = new Reference()
    let lastOwner = 0

    const asTargets = (command: Command.Command & { op: "acquire" | "try" }): ReadonlyArray<Target> =>
      command.targets.map(({ mode, path }) => ({ mode, path: LockPath.toInput(path) }))

    const ttl = (seconds: number): number => (options.exactTime ? seconds * 1000 : minute)

    /** Compares what the last change led to. */
    const compare = Effect.gen(function* () {
      const seen = yield* session.observe
      for (const { cycle } of seen.deadlocks) {
        assert.isTrue(model.isCycle(cycle), `each in the reported cycle waits for the next: ${cycle.join(" -> ")}`)
      }
      for (const { cycle } of seen.deadlocks) model.remove(cycle[0]!)
      assert.deepStrictEqual(seen.granted, model.grant(), "the requests that are granted, in order")
      assert.deepStrictEqual(
        seen.entries.map(({ id, state, targets, within }) => ({ id, state, targets: encoded(targets), within })),
        model.entries.map(({ id, state, targets, within }) => ({ id, state, targets, within })),
        "what the store shows"
      )
      let lastTicket = Number.NEGATIVE_INFINITY
      for (const [at, entry] of seen.entries.entries()) {
        const expected = model.entries[at]!
        assert.isAbove(entry.ticket, lastTicket, `the ticket of ${entry.id} is greater than those before`)
        lastTicket = entry.ticket
        if (entry.state === "held") assert.isUndefined(entry.blockedBy, `nothing blocks the lease ${entry.id}`)
        else {
          assert.isUndefined(entry.token, `${entry.id}, which waits, has no token`)
          const blockers = model.blockers(expected).map(({ id }) => id)
          assert.include(blockers, entry.blockedBy, `${entry.id} is said to be blocked by what blocks it`)
        }
        if (!options.exactTime) continue
        assert.strictEqual(entry.age, model.now - expected.since, `the age of ${entry.id}`)
        if (entry.state === "held") {
          assert.strictEqual(entry.timeLeft, expected.deadline - model.now, `the time left to ${entry.id}`)
        }
      }
    })

    /** What the owners of leases are told, as they were. */
    const revoked = (leases: ReadonlyArray<Entry>, reason: Revocation["reason"]) =>
      Effect.gen(function* () {
        const told = yield* Effect.forEach(leases, () => session.revocation)
        assert.sameDeepMembers(
          [...told],
          leases.map(({ id, owner }) => ({ id, owner, reason })),
          "the revocations"
        )
      })

    /** Lets time pass, from one deadline to the next, as what expires is granted to others at once. */
    const advance = (millis: number): Effect.Effect<void> =>
      Effect.gen(function* () {
        const end = model.now + millis
        for (;;) {
          const until = Math.min(model.nextDeadline, end)
          if (until > model.now) yield* options.advance(Duration.millis(until - model.now))
          model.now = until
          const expired = model.expire()
          yield* compare
          yield* revoked(expired, "expired")
          if (until === end && model.nextDeadline > end) return
        }
      })

    const expire = (entry: Entry): Effect.Effect<void> =>
      Effect.gen(function* () {
        const { id, owner } = entry
        assert.isTrue(Option.isSome(yield* store.refresh(id, Duration.millis(1), owner)), `${id} can be refreshed`)
        model.refresh(id, 1, owner)
        if (options.exactTime) return yield* advance(1)
        const hasGone = Effect.zipRight(
          options.advance(Duration.millis(1)),
          Effect.map(store.lookup(id), Option.isNone)
        )
        yield* Session.eventually(hasGone, `the end of ${id}`)
        model.remove(id)
        yield* revoked([entry], "expired")
      }).pipe(Effect.orDie)

    const run = (command: Command.Command): Effect.Effect<void> =>
      Effect.gen(function* () {
        switch (command.op) {
          case "acquire":
          case "try": {
            const within = Command.enclosing(model, command.inside)
            const request = session.request(asTargets(command), { within, ttl: ttl(command.ttl) })
            const asked = { ...request, ttl: ttl(command.ttl), waitTtl: undefined }
            if (command.op === "acquire") {
              yield* session.ask(request)
              return model.arrive(asked)
            }
            const answer = yield* session.attempt(request)
            const blockers = model.blockers(asked)
            assert.strictEqual(
              Either.isRight(answer),
              blockers.length === 0,
              `${request.id} is granted when it is free`
            )
            if (Either.isLeft(answer)) {
              const named = blockers.find(({ id }) => id === answer.left.id)
              assert.strictEqual(answer.left.state, named?.state, `${request.id} is refused for what blocks it`)
              return
            }
            model.arrive(asked)
            assert.deepStrictEqual(model.grant(), [request.id])
            return
          }
          case "advance":
            return options.exactTime ? yield* advance(command.seconds * 1000) : undefined
          case "stranger": {
            const id = session.request([{ mode: "read", path: "" }]).id
            for (const owner of [id, undefined]) {
              assert.isFalse(yield* store.release(id, owner), "a stranger's release")
              assert.isFalse(yield* store.downgrade(id, owner), "a stranger's downgrade")
              assert.isTrue(Option.isNone(yield* store.refresh(id, Duration.minutes(1), owner)), "a stranger's refresh")
            }
            assert.isFalse(yield* store.breakLease(id), "a stranger's break")
            assert.isFalse(yield* store.giveBack(id, id), "a stranger's return")
            assert.isTrue(Option.isNone(yield* store.restore(id, Duration.minutes(1), id)), "a stranger's restore")
            return
          }
        }
        const entry = Command.chosen(model, command)
        if (entry === undefined) return
        const { id } = entry
        const name = "by" in command ? Command.nameOf(entry, command.by) : entry.owner
        const isDone = name === undefined || name === entry.owner
        const by = `by ${name ?? "order"}`
        switch (command.op) {
          case "again": {
            const targets = entry.targets.map(({ mode, path }) => ({ mode, path: LockPath.toInput(path) }))
            const lease = Option.getOrUndefined(yield* store.lookup(id))
            const request = session.request(targets, { id, within: entry.within })
            const { token } = yield* Session.due(store.acquire(request), `the repeated answer to ${id}`)
            assert.strictEqual(token, lease?.token, `a repeated request gets what ${id} has`)
            return
          }
          case "cancel":
            yield* session.cancel(id)
            return model.remove(id)
          case "release":
            assert.strictEqual(yield* store.release(id, name), isDone, `the release of ${id} ${by}`)
            if (isDone) model.remove(id)
            return name === undefined ? yield* revoked([entry], "released") : undefined
          case "downgrade":
            assert.strictEqual(yield* store.downgrade(id, name), isDone, `the downgrade of ${id} ${by}`)
            return isDone ? model.downgrade(id) : undefined
          case "break":
            assert.isTrue(yield* store.breakLease(id), `${id} can be broken`)
            model.remove(id)
            return yield* revoked([entry], "broken")
          case "expire":
            return yield* expire(entry)
          case "refresh": {
            const refreshed = yield* store.refresh(id, Duration.millis(ttl(command.ttl)), name)
            assert.strictEqual(Option.isSome(refreshed), isDone, `the refresh of ${id} ${by}`)
            return isDone ? model.refresh(id, ttl(command.ttl), name) : undefined
          }
          case "restore": {
            const owner = command.by === "owner" ? entry.owner : `${id}.${++lastOwner}`
            const lease = Option.getOrUndefined(yield* store.restore(id, Duration.millis(ttl(command.ttl)), owner))
            assert.deepStrictEqual(lease?.targets.slice(), entry.targets.slice(), `the targets of ${id}`)
            model.restore(id, ttl(command.ttl), owner)
            return owner === entry.owner ? undefined : yield* revoked([entry], "taken")
          }
          case "giveBack": {
            const isBack = isDone && entry.former !== undefined
            assert.strictEqual(yield* store.giveBack(id, name ?? ""), isBack, `the return of ${id} ${by}`)
            if (!isBack) return
            model.giveBack(id)
            // Its former deadline may have passed.
            return yield* revoked(model.expire(), "expired")
          }
        }
      }).pipe(Effect.orDie)

    const step: Driver["step"] = (command) => Effect.zipRight(run(command), compare)

    const finish: Driver["finish"] = Effect.gen(function* () {
      // A client releases a lease when what it does inside of it is done.
      for (;;) {
        const done = model.held.find(({ id }) => model.waitsFor(id).length === 0)
        if (done === undefined) break
        yield* step({ op: "release", by: "owner", pick: model.held.indexOf(done) })
      }
      const left = model.entries.map(({ id, state }) => `${id} (${state})`)
      assert.deepStrictEqual(left, [], "no cycle of requests went unnoticed")
      assert.strictEqual(yield* session.pendingRevocations, 0, "no lease was revoked without reason")
      yield* session.end
    })

    return { model, step, finish }
  })
