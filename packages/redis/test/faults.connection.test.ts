import { assert } from "@effect/vitest"
import { Target } from "@hilok/core"
import { Effect, type Scope } from "effect"
import * as Script from "../src/internal/script.ts"
import { assertRising, hold, open, soon, timeLimit, until, watch } from "./support/faults.ts"
import { type Fixture, leavesNothing, withOwnServer } from "./support/fixture.ts"
import * as History from "./support/history.ts"
import * as Proxy from "./support/proxy.ts"

/** A service whose connections go through a proxy. What its leases outlast is not their ttl, unless a test says so. */
const through = (
  fixture: Fixture,
  options: { readonly ttl: number; readonly commandTimeout?: number; readonly refreshInterval?: number }
) =>
  Effect.gen(function* () {
    const proxy = yield* Proxy.start(fixture.server.url)
    const { commandTimeout = 10_000, ...rest } = options
    const locks = yield* open(fixture, { ...rest, store: { url: proxy.url, commandTimeout } })
    return { proxy, locks, watch: yield* watch(fixture) }
  })

/** Another client, which nothing disturbs. */
const outsider = (fixture: Fixture) => open(fixture, { ttl: 60_000 })

const long = 60_000

const test = (body: (fixture: Fixture) => Effect.Effect<void, unknown, Scope.Scope>) => () =>
  leavesNothing((fixture) => body(fixture))

withOwnServer("when a connection fails", undefined, (it) => {
  it.effect(
    "before the reply of acquire, the lock is granted, once",
    test((fixture) =>
      Effect.gen(function* () {
        const { locks, proxy, watch } = yield* through(fixture, { ttl: long })
        for (const options of [undefined, { block: false }, { timeout: 30_000 }] as const) {
          const cut = yield* proxy.cutBeforeReply(Script.acquire)
          const held = yield* hold(locks, [Target.write("r/a"), Target.read("r/b")], options)
          yield* soon(cut.happened, "the cut")
          const { lease } = yield* held.entered
          const [entry, ...others] = yield* watch.entries
          assert.deepStrictEqual([entry?.id, entry?.token, others], [lease.id, lease.token, []])
          assert.strictEqual(yield* held.leave, "done")
          assert.deepStrictEqual(yield* watch.entries, [])
        }
      })
    ),
    timeLimit
  )

  it.effect(
    "before acquire gets to the server, the lock is granted",
    test((fixture) =>
      Effect.gen(function* () {
        const { locks, proxy } = yield* through(fixture, { ttl: long })
        const cut = yield* proxy.cutBeforeCommand(Script.acquire)
        const held = yield* hold(locks, [Target.write("r")])
        yield* soon(cut.happened, "the cut")
        yield* held.entered
        assert.strictEqual(yield* held.leave, "done")
      })
    ),
    timeLimit
  )

  it.effect(
    "before the reply of acquire that has to wait, it keeps its place in the queue",
    test((fixture) =>
      Effect.gen(function* () {
        const { locks, proxy, watch } = yield* through(fixture, { ttl: long })
        const other = yield* outsider(fixture)
        const first = yield* hold(other, [Target.write("r")])
        const before = yield* first.entered
        const cut = yield* proxy.cutBeforeReply(Script.acquire)
        const second = yield* hold(locks, [Target.write("r/a")])
        yield* soon(cut.happened, "the cut")
        yield* watch.waiting(1)
        const third = yield* hold(other, [Target.write("r")])
        yield* watch.waiting(2)
        assert.strictEqual(yield* first.leave, "done")
        const then = yield* second.entered
        assert.isFalse(third.isIn())
        assert.strictEqual(yield* second.leave, "done")
        const last = yield* third.entered
        assertRising(before.lease.token, then.lease.token, last.lease.token)
        yield* third.leave
      })
    ),
    timeLimit
  )

  it.effect(
    "for longer than a command may take, acquire fails, and what it got is given back, not left to its ttl",
    test((fixture) =>
      Effect.gen(function* () {
        const { locks, proxy, watch } = yield* through(fixture, { ttl: long, commandTimeout: 200 })
        // The first command does not know the server's clock yet, a later one does.
        for (const _ of [1, 2]) {
          const cut = yield* proxy.cutBeforeReply(Script.acquire)
          const held = yield* hold(locks, [Target.write("r")])
          yield* soon(cut.happened, "the cut")
          proxy.refuse(true)
          proxy.cut()
          assert.strictEqual(yield* held.outcome, "StoreError")
          assert.deepStrictEqual(
            (yield* watch.entries).map(({ state }) => state),
            ["held"]
          )
          proxy.refuse(false)
          const next = yield* hold(yield* outsider(fixture), [Target.write("r")])
          yield* next.entered
          assert.strictEqual(yield* next.leave, "done")
        }
      })
    ),
    timeLimit
  )

  it.effect(
    "in that a command comes late, it does nothing any more",
    test((fixture) =>
      Effect.gen(function* () {
        const { locks, proxy, watch } = yield* through(fixture, { ttl: long, commandTimeout: 200 })
        const answered = yield* hold(locks, [Target.write("x")])
        yield* answered.entered
        yield* answered.leave
        const cut = yield* proxy.cutBeforeCommand(Script.acquire)
        const held = yield* hold(locks, [Target.write("r")])
        yield* soon(cut.happened, "the cut")
        proxy.refuse(true)
        proxy.cut()
        assert.strictEqual(yield* held.outcome, "StoreError")
        // It is sent again by then, and so is its release: behind both comes the next.
        const released = proxy.sent(Script.release)
        proxy.refuse(false)
        yield* until(
          Effect.sync(() => proxy.sent(Script.release) > released),
          "the release"
        )
        assert.deepStrictEqual(yield* watch.entries, [])
        const next = yield* hold(locks, [Target.write("r")])
        yield* next.entered
        yield* next.leave
      })
    ),
    timeLimit
  )

  for (const [when, arm] of [
    ["before the reply of release", (proxy: Proxy.Proxy) => proxy.cutBeforeReply(Script.release)],
    ["before release gets to the server", (proxy: Proxy.Proxy) => proxy.cutBeforeCommand(Script.release)]
  ] as const) {
    it.effect(
      `${when}, the lock is free`,
      test((fixture) =>
        Effect.gen(function* () {
          const { locks, proxy, watch } = yield* through(fixture, { ttl: long })
          const held = yield* hold(locks, [Target.write("r")])
          const before = yield* held.entered
          const waiter = yield* hold(yield* outsider(fixture), [Target.write("r")])
          yield* watch.waiting(1)
          const cut = yield* arm(proxy)
          assert.strictEqual(yield* held.leave, "done")
          yield* soon(cut.happened, "the cut")
          const after = yield* waiter.entered
          assertRising(before.lease.token, after.lease.token)
          assert.strictEqual(yield* waiter.leave, "done")
        })
      ),
      timeLimit
    )
  }

  for (const [when, arm] of [
    ["before the reply of refresh", (proxy: Proxy.Proxy) => proxy.cutBeforeReply(Script.refresh)],
    ["before refresh gets to the server", (proxy: Proxy.Proxy) => proxy.cutBeforeCommand(Script.refresh)]
  ] as const) {
    it.effect(
      `${when}, the lease is kept`,
      test((fixture) =>
        Effect.gen(function* () {
          const { locks, proxy, watch } = yield* through(fixture, { ttl: 2000, refreshInterval: 200 })
          const cut = yield* arm(proxy)
          const held = yield* hold(locks, [Target.write("r")])
          const { lease } = yield* held.entered
          yield* soon(cut.happened, "the cut")
          const sent = proxy.sent(Script.refresh)
          yield* until(
            Effect.sync(() => proxy.sent(Script.refresh) >= sent + 3),
            "more refreshes"
          )
          assert.deepStrictEqual(
            (yield* watch.entries).map(({ id, state }) => [id, state]),
            [[lease.id, "held"]]
          )
          assert.strictEqual(yield* held.leave, "done")
        })
      ),
      timeLimit
    )
  }

  it.effect(
    "and is there again within the ttl, the work goes on unharmed, past the first deadline",
    test((fixture) =>
      Effect.gen(function* () {
        const { locks, proxy, watch } = yield* through(fixture, { ttl: 2000, refreshInterval: 200 })
        const held = yield* hold(locks, [Target.write("r")])
        const waiter = yield* hold(locks, [Target.read("r/a")])
        const before = yield* held.entered
        yield* watch.waiting(1)
        proxy.refuse(true)
        proxy.cut()
        yield* until(
          Effect.sync(() => proxy.refused() >= 3),
          "attempts to connect"
        )
        proxy.refuse(false)
        yield* until(
          Effect.sync(() => History.now() > held.asked + 2_100_000),
          "the first deadline"
        )
        assert.isTrue(held.isIn())
        assert.isFalse(waiter.isIn())
        assert.strictEqual(yield* held.leave, "done")
        const after = yield* waiter.entered
        assertRising(before.lease.token, after.lease.token)
        assert.strictEqual(yield* waiter.leave, "done")
      })
    ),
    timeLimit
  )

  it.effect(
    "past the local deadline, the lease is lost then and not before: the work is interrupted, `unreachable`",
    test((fixture) =>
      Effect.gen(function* () {
        const ttl = 900
        const { locks, proxy, watch } = yield* through(fixture, { ttl })
        const held = yield* hold(locks, [Target.write("r")])
        const before = yield* held.entered
        proxy.refuse(true)
        proxy.cut()
        const waiter = yield* hold(yield* outsider(fixture), [Target.write("r")])
        assert.strictEqual(yield* held.outcome, "LockLost unreachable")
        assert.isAtLeast((held.interrupted() ?? 0) - held.asked, ttl * 1000, "not before the local deadline")
        const after = yield* waiter.entered
        assert.isAtLeast(after.at, held.interrupted() ?? 0, "the other gets in when this one has gone")
        assertRising(before.lease.token, after.lease.token)
        yield* waiter.leave
        proxy.refuse(false)
        const again = yield* hold(locks, [Target.write("r")])
        const last = yield* again.entered
        assertRising(after.lease.token, last.lease.token)
        assert.strictEqual(yield* again.leave, "done")
        assert.deepStrictEqual(yield* watch.entries, [])
      })
    ),
    timeLimit
  )

  it.effect(
    "without a word, a new one is made, within the ttl, and the work goes on unharmed",
    test((fixture) =>
      Effect.gen(function* () {
        const { locks, proxy } = yield* through(fixture, { ttl: 3000, refreshInterval: 200, commandTimeout: 200 })
        const held = yield* hold(locks, [Target.write("r")])
        yield* held.entered
        proxy.silence(false)
        const lost = yield* hold(locks, [Target.write("x")])
        assert.strictEqual(yield* lost.outcome, "StoreError")
        const answers = proxy.answers()
        const refreshes = proxy.sent(Script.refresh)
        yield* until(
          Effect.sync(() => proxy.sent(Script.refresh) > refreshes && proxy.answers() > answers + 3),
          "a new connection"
        )
        const next = yield* hold(locks, [Target.write("x")])
        yield* next.entered
        yield* next.leave
        assert.isTrue(held.isIn())
        assert.strictEqual(yield* held.leave, "done")
      })
    ),
    timeLimit
  )

  it.effect(
    "without a word, and so do new ones, nothing waits for ever: a lease is lost and an acquire fails",
    test((fixture) =>
      Effect.gen(function* () {
        const ttl = 900
        const { locks, proxy } = yield* through(fixture, { ttl, commandTimeout: 200 })
        const held = yield* hold(locks, [Target.write("r")])
        yield* held.entered
        proxy.silence(true)
        const lost = yield* hold(locks, [Target.write("x")])
        assert.strictEqual(yield* lost.outcome, "StoreError")
        assert.strictEqual(yield* held.outcome, "LockLost unreachable")
        assert.isAtLeast((held.interrupted() ?? 0) - held.asked, ttl * 1000, "not before the local deadline")
        proxy.silence(false)
        const again = locks.withWrite(Effect.void, "r")
        yield* soon(Effect.retry(again, { while: ({ _tag }) => _tag === "StoreError" }), "a lock, by a new connection,")
      })
    ),
    timeLimit
  )

  it.effect(
    "while a request waits and is granted, it gets in when the connection is there again",
    test((fixture) =>
      Effect.gen(function* () {
        const { locks, proxy, watch } = yield* through(fixture, { ttl: long })
        const first = yield* hold(yield* outsider(fixture), [Target.write("r")])
        const before = yield* first.entered
        const waiter = yield* hold(locks, [Target.write("r")])
        yield* watch.waiting(1)
        proxy.refuse(true)
        proxy.cut()
        assert.strictEqual(yield* first.leave, "done")
        yield* watch.waiting(0)
        assert.isFalse(waiter.isIn())
        proxy.refuse(false)
        const after = yield* waiter.entered
        assertRising(before.lease.token, after.lease.token)
        assert.strictEqual(yield* waiter.leave, "done")
      })
    ),
    timeLimit
  )

  it.effect(
    "for longer than a waiting request lasts, it fails with the reason, and is not left in the queue",
    test((fixture) =>
      Effect.gen(function* () {
        const { locks, proxy, watch } = yield* through(fixture, { ttl: 500, commandTimeout: 200 })
        const first = yield* hold(yield* outsider(fixture), [Target.write("r")])
        yield* first.entered
        const waiter = yield* hold(locks, [Target.write("r")])
        yield* watch.waiting(1)
        proxy.refuse(true)
        proxy.cut()
        assert.strictEqual(yield* waiter.outcome, "StoreError")
        yield* watch.waiting(0)
        proxy.refuse(false)
        assert.strictEqual(yield* first.leave, "done")
      })
    ),
    timeLimit
  )

  it.effect(
    "in that messages are lost, a request that waits finds out by itself",
    test((fixture) =>
      Effect.gen(function* () {
        const { locks, proxy, watch } = yield* through(fixture, { ttl: 900 })
        const first = yield* hold(yield* outsider(fixture), [Target.write("r")])
        yield* first.entered
        const waiter = yield* hold(locks, [Target.write("r")])
        yield* watch.waiting(1)
        proxy.setMessages("drop")
        assert.strictEqual(yield* first.leave, "done")
        yield* waiter.entered
        assert.isAbove(proxy.messages(), 0, "there was a message")
        assert.strictEqual(yield* waiter.leave, "done")
      })
    ),
    timeLimit
  )

  it.effect(
    "in that messages come twice, each request is granted once",
    test((fixture) =>
      Effect.gen(function* () {
        const { locks, proxy, watch } = yield* through(fixture, { ttl: long })
        const other = yield* outsider(fixture)
        proxy.setMessages("twice")
        const first = yield* hold(other, [Target.write("r")])
        let token = (yield* first.entered).lease.token
        let before = first
        for (let i = 0; i < 5; i++) {
          const next = yield* hold(i % 2 === 0 ? locks : other, [Target.write("r")])
          yield* watch.waiting(1)
          assert.strictEqual(yield* before.leave, "done")
          const { lease } = yield* next.entered
          assertRising(token, lease.token)
          assert.lengthOf(yield* watch.entries, 1)
          token = lease.token
          before = next
        }
        assert.strictEqual(yield* before.leave, "done")
        assert.isAtLeast(proxy.messages(), 3)
      })
    ),
    timeLimit
  )

  it.effect(
    "in that a message of a grant comes when the lease is over, it grants nothing",
    test((fixture) =>
      Effect.gen(function* () {
        const { locks, proxy, watch } = yield* through(fixture, { ttl: 900 })
        const other = yield* outsider(fixture)
        const first = yield* hold(other, [Target.write("r")])
        yield* first.entered
        const waiter = yield* hold(locks, [Target.write("r")])
        yield* watch.waiting(1)
        const [, entry] = yield* watch.entries
        proxy.setMessages("hold")
        // The second client has it before the first one knows, and the first one asks again.
        const second = yield* hold(other, [Target.write("r")])
        yield* watch.waiting(2)
        yield* first.leave
        assert.isTrue(yield* other.breakLease(entry!.id))
        const { lease } = yield* second.entered
        yield* watch.waiting(1)
        proxy.setMessages("pass")
        // It is still the second one's, and the first has to wait: it said so to the server since.
        const looked = proxy.sent(Script.look)
        yield* until(
          Effect.sync(() => proxy.sent(Script.look) > looked),
          "a sign of life"
        )
        assert.isFalse(waiter.isIn())
        assert.strictEqual(yield* second.leave, "done")
        const last = yield* waiter.entered
        assertRising(lease.token, last.lease.token)
        assert.strictEqual(yield* waiter.leave, "done")
        assert.deepStrictEqual(yield* watch.entries, [])
      })
    ),
    timeLimit
  )
})
