/**
 * The connection that listens, when it was away: what was said meanwhile is found by looking, and is no reason to connect anew.
 */
import { assert } from "@effect/vitest"
import { Target } from "@hilok/core"
import { Effect, Fiber, type Scope } from "effect"
import { timeLimit, until } from "./support/faults.ts"
import { type Fixture, leavesNothing, withOwnServer } from "./support/fixture.ts"
import * as Proxy from "./support/proxy.ts"

const ttl = 60_000

const test = (body: (fixture: Fixture) => Effect.Effect<void, unknown, Scope.Scope>) => () => leavesNothing(body)

/** How many connections the server has accepted, ever. */
const accepted = ({ admin }: Fixture): Effect.Effect<number> =>
  Effect.promise(async () => Number(/^total_connections_received:(\d+)/m.exec(await admin.info("stats"))?.[1]))

/** Waits until so many connections listen. */
const listening = ({ admin }: Fixture, count: number): Effect.Effect<void> =>
  until(
    Effect.promise(
      async () => String(await admin.call("CLIENT", "LIST", "TYPE", "pubsub")).match(/\bsub=1\b/g)?.length === count
    ),
    `${count} connections that listen`
  )

/** So many waiters through a proxy, each behind a lock of another client. */
const waiters = (fixture: Fixture, count: number) =>
  Effect.gen(function* () {
    const proxy = yield* Proxy.start(fixture.server.url)
    const { session } = yield* fixture.client({ url: proxy.url })
    const others = yield* fixture.client()
    const pairs = yield* Effect.forEach(
      Array.from({ length: count }),
      (_, i) =>
        Effect.gen(function* () {
          const targets = [Target.write(`x/${i}`)] as const
          const holder = yield* others.session.held(targets, { ttl })
          return { free: others.store.release(holder.id, holder.id), waiter: yield* session.queued(targets, { ttl }) }
        }),
      { concurrency: 20 }
    )
    return { proxy, session, others: others.session, pairs }
  })

withOwnServer("the connection that listens, when it comes back", undefined, (it) => {
  it.effect(
    "stays, though locks were granted while it was away",
    test((fixture) =>
      Effect.gen(function* () {
        const { others, pairs, proxy, session } = yield* waiters(fixture, 3)
        const [first, second, third] = pairs as [(typeof pairs)[0], (typeof pairs)[0], (typeof pairs)[0]]
        const before = yield* accepted(fixture)
        proxy.refuse(true)
        proxy.cut("listening")
        yield* listening(fixture, 1)
        yield* first.free
        yield* second.free
        proxy.refuse(false)
        yield* session.granted(first.waiter)
        yield* session.granted(second.waiter)
        yield* listening(fixture, 2)
        const messages = proxy.messages()
        yield* third.free
        yield* session.granted(third.waiter)
        assert.isAbove(proxy.messages(), messages, "the last one was told")
        assert.strictEqual(yield* accepted(fixture), before + 1)
        yield* session.end
        yield* others.end
      })
    ),
    timeLimit
  )

  it.effect(
    "stays while locks are granted all the time",
    test((fixture) =>
      Effect.gen(function* () {
        const { others, pairs, proxy, session } = yield* waiters(fixture, 200)
        const before = yield* accepted(fixture)
        const granted = yield* Effect.forkScoped(Effect.forEach(pairs, ({ waiter }) => session.granted(waiter)))
        for (const [i, { free }] of pairs.entries()) {
          if (i === 20) proxy.cut("listening")
          yield* free
        }
        yield* Fiber.join(granted)
        yield* listening(fixture, 2)
        assert.strictEqual(yield* accepted(fixture), before + 1)
        yield* session.end
        yield* others.end
      })
    ),
    timeLimit
  )
})
