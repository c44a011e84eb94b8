/**
 * What becomes of a settlement that comes late, twice, or not at all: the connection of the process that has the delegation fails.
 */
import { assert } from "@effect/vitest"
import { DelegatingStore, HierarchicalLock, LockStore, Target } from "@hilok/core"
import { Effect, type Scope } from "effect"
import * as Script from "../src/internal/script.ts"
import { assertRising, hold, open, soon, timeLimit, until, watch } from "./support/faults.ts"
import { type Fixture, leavesNothing, withOwnServer } from "./support/fixture.ts"
import * as Proxy from "./support/proxy.ts"

const ttl = 60_000
const inner = [Target.read("r/a")]
const beside = [Target.write("r/b")]
const whole = [Target.write("r")]

/** A process with delegations, whose connections go through a proxy, and one without, which nothing disturbs. */
const two = (fixture: Fixture, commandTimeout = 10_000) =>
  Effect.gen(function* () {
    const proxy = yield* Proxy.start(fixture.server.url)
    const below = yield* fixture.store({ url: proxy.url, commandTimeout })
    const store = yield* Effect.orDie(
      Effect.provideService(DelegatingStore.make({ widen: true, widenAfter: 2 }), LockStore.LockStore, below)
    )
    const locks = yield* Effect.orDie(
      Effect.provideService(HierarchicalLock.make({ spans: false, ttl }), LockStore.LockStore, store)
    )
    const other = yield* open(fixture, { ttl })
    return { proxy, locks, other, watch: yield* watch(fixture) }
  })

/** The process has the subtree, and holds two locks there that nobody else knows. */
const alone = (fixture: Fixture, commandTimeout?: number) =>
  Effect.gen(function* () {
    const all = yield* two(fixture, commandTimeout)
    for (const path of ["r/1", "r/2"]) yield* all.locks.withWrite(Effect.void, path)
    const isWide = Effect.map(all.watch.entries, (entries) => entries.length === 1 && entries[0]?.delegated === true)
    yield* until(isWide, "one delegation over both")
    const held = [yield* hold(all.locks, inner), yield* hold(all.locks, beside)] as const
    const tokens = [(yield* held[0].entered).lease.token, (yield* held[1].entered).lease.token]
    return { ...all, held, tokens }
  })

const test = (body: (fixture: Fixture) => Effect.Effect<void, unknown, Scope.Scope>) => () =>
  leavesNothing((fixture) => body(fixture))

withOwnServer("a settlement", undefined, (it) => {
  const cases = [
    ["whose answer is lost is sent again, and done once", "cutBeforeReply"],
    ["that does not arrive is sent again", "cutBeforeCommand"]
  ] as const
  for (const [what, how] of cases) {
    it.effect(
      what,
      test((fixture) =>
        Effect.gen(function* () {
          const { held, other, proxy, tokens, watch } = yield* alone(fixture)
          const cut = yield* proxy[how](Script.settle)
          const next = yield* hold(other, whole)
          yield* soon(cut.happened, "the cut")
          yield* watch.waiting(1)
          const known = Effect.map(watch.entries, (entries) =>
            entries.filter(({ delegated, state }) => state === "held" && delegated !== true).map(({ token }) => token)
          )
          yield* until(
            Effect.map(known, (found) => JSON.stringify(found.sort()) === JSON.stringify([...tokens].sort())),
            "the leases, each once, with the tokens that their holders have"
          )
          assert.isFalse(next.isIn())
          for (const one of held) {
            assert.isTrue(one.isIn())
            assert.strictEqual(yield* one.leave, "done")
          }
          assertRising(Math.max(...tokens), (yield* next.entered).lease.token)
          assert.strictEqual(yield* next.leave, "done")
          yield* until(
            Effect.map(watch.entries, (entries) => entries.length === 0),
            "an empty table"
          )
        })
      ),
      timeLimit
    )
  }

  it.effect(
    "that is late changes nothing any more, and the next one does it",
    test((fixture) =>
      Effect.gen(function* () {
        const { held, other, proxy, tokens, watch } = yield* alone(fixture, 300)
        // What is sent stays on its way; the command gives up, and is sent again on a connection that works.
        proxy.silence(false, "commands")
        const next = yield* hold(other, whole)
        yield* watch.waiting(1)
        yield* until(
          Effect.map(watch.entries, (entries) => entries.every(({ delegated }) => delegated !== true)),
          "the delegation given back"
        )
        for (const one of held) {
          assert.isTrue(one.isIn())
          assert.strictEqual(yield* one.leave, "done")
        }
        assertRising(Math.max(...tokens), (yield* next.entered).lease.token)
        assert.strictEqual(yield* next.leave, "done")
      })
    ),
    timeLimit
  )
})
