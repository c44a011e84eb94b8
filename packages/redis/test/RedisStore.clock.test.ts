/**
 * The server's clock is set, or another server with another clock takes over: tokens rise, and leases end.
 */
import { assert } from "@effect/vitest"
import { Target } from "@hilok/core"
import { Session } from "@hilok/testing"
import { Effect } from "effect"
import { type Fixture, leavesNothing, withOwnServer } from "./support/fixture.ts"
import * as Proxy from "./support/proxy.ts"
import * as raw from "./support/raw.ts"
import * as Server from "./support/server.ts"

const { write } = Target

const second = 1_000_000
const hour = 3600 * second

/** A simple request: id, target. */
const asks = (...requests: ReadonlyArray<string>) => ['["host",1]', "10000", ...requests]

/** With leases that are young as long as they can be, and with such as never are. */
const both = (fixture: Fixture, body: (table: raw.Raw, start: number) => Effect.Effect<void>) =>
  Effect.gen(function* () {
    const start = yield* raw.start(fixture)
    for (const variant of ["young", "entered"] as const) {
      const table = yield* raw.make(fixture, variant)
      yield* body(table, start)
      yield* table.clear
    }
  })

/** Moves the last token of a namespace, as if the clock had been ahead when it was given. */
const moveToken = (fixture: Fixture, by: number) =>
  Effect.promise(async () => {
    const script = `
      for _, field in ipairs({ 'm', 's' }) do
        local stored = redis.call('HGET', KEYS[1], field)
        if stored then
          local values = { cmsgpack.unpack(stored) }
          values[2] = values[2] + ARGV[1]
          redis.call('HSET', KEYS[1], field, cmsgpack.pack(unpack(values)))
        end
      end`
    await fixture.admin.eval(script, 1, fixture.keys[0], by)
  })

withOwnServer("when the clock of the server", undefined, (it) => {
  it.effect("is behind the greatest token that a client has seen, grants go above that, however they are made", () =>
    leavesNothing((fixture) =>
      both(fixture, (table, time) =>
        Effect.gen(function* () {
          const floor = time + 5 * second
          const a = { client: "a", time, floor }
          const free = yield* table.run("acquire", a, asks("one", "Wx/", "two", "Wy/"))
          assert.deepStrictEqual([free.answer[4], free.answer[7]], [floor + 1, floor + 2])
          // Handed over, by whoever has seen as much.
          yield* table.run("acquire", { client: "b", time: time + 1 }, asks("next", "Wx/"))
          const handed = yield* table.run("release", { client: "a", time: time + 2, floor: floor + 10 }, ["one"])
          assert.match(handed.messages.join(), new RegExp(`g next ${floor + 11} ${time + 2 + 10 * second}`))
          // The namespace remembers it, also when nothing is left, for those who have seen nothing.
          yield* table.run("release", { client: "b", time: time + 3 }, ["next", "two"])
          const later = yield* table.run("acquire", { client: "c", time: time + 4 }, asks("three", "Wx/"))
          assert.strictEqual(later.answer[4], floor + 12)
          yield* table.run("release", { client: "c", time: time + 5 }, ["three"])
          // It still knows when it is late.
          const late = { client: "a", time: time + 6, late: time, floor }
          assert.deepStrictEqual((yield* table.run("acquire", late, asks("four", "Wx/"))).answer, [time + 6, -1])
          assert.deepStrictEqual((yield* table.run("look", late, [])).answer, [time + 6, -1])
        })
      )
    )
  )

  it.effect(
    "is set back, what a client has left behind ends its ttl later, not when the old clock would have ended it",
    () =>
      leavesNothing((fixture) =>
        both(fixture, (table, before) =>
          Effect.gen(function* () {
            yield* table.run("acquire", { client: "gone", time: before }, asks("held", "Wx/"))
            yield* table.run("acquire", { client: "gone", time: before + 1 }, asks("waits", "Wx/"))
            const time = before - hour
            const asked = yield* table.run("acquire", { client: "a", time }, asks("mine", "Wx/"))
            assert.strictEqual(asked.answer[3], 2)
            // It says that it still waits, as any client does, and is told when to look again at the latest.
            const look = (at: number) =>
              Effect.map(table.run("look", { client: "a", time: at }, ["mine", "10000"]), ({ answer }) =>
                answer.slice(3)
              )
            const [, waits, gone] = yield* look(time + 1)
            assert.strictEqual(waits, "waits")
            assert.isAtMost(Number(gone), time + 1 + 10 * second)
            // When the one before it is gone, the lease is in the way.
            yield* look(Number(gone) - 1)
            const [, held, end] = yield* look(Number(gone) + 1)
            assert.strictEqual(held, "held")
            assert.isAtMost(Number(end), Number(gone) + 1 + 10 * second)
            yield* look(Number(end) - 1)
            assert.strictEqual((yield* look(Number(end) + 1))[0], 1)
            yield* table.run("release", { client: "a", time: Number(end) + 2 }, ["mine"])
            // The same for somebody who does not wait, and asks now and then.
            yield* table.run("acquire", { client: "gone", time: before }, asks("held", "Wx/"))
            const polls = (at: number) => {
              const args = asks("", "polls", "10000", "t", "[]", "1", "wx/", "0")
              return Effect.map(table.run("acquire", { client: "b", time: at }, args), ({ answer }) => answer.slice(3))
            }
            const [refused, blocker] = (yield* polls(time)) as [number, ReadonlyArray<number>]
            assert.deepStrictEqual([refused, blocker[5]], [3, time + 10 * second])
            assert.strictEqual((yield* polls(time + 10 * second + 1))[0], 1)
            yield* table.run("release", { client: "b", time: time + 10 * second + 2 }, ["polls"])
          })
        )
      )
  )

  it.effect("stays as it is, a lease that was refreshed for longer than it began with keeps that", () =>
    leavesNothing((fixture) =>
      both(fixture, (table, time) =>
        Effect.gen(function* () {
          yield* table.run("acquire", { client: "a", time }, asks("held", "Wx/"))
          yield* table.run("refresh", { client: "a", time }, ["held", "60000"])
          yield* table.run("acquire", { client: "b", time: time + 1 }, asks("waits", "Wx/"))
          const looked = yield* table.run("look", { client: "b", time: time + 2 }, ["waits", "10000"])
          assert.deepStrictEqual(looked.answer.slice(3), [2, "held", time + 60 * second])
          const { scored } = yield* table.look
          assert.strictEqual(scored.get("hheld"), time + 60 * second)
          yield* table.run("release", { client: "a", time: time + 3 }, ["held"])
          yield* table.run("release", { client: "b", time: time + 4 }, ["waits"])
        })
      )
    )
  )

  it.effect("is behind that of the server before it, tokens rise for a client that lives through it", () =>
    leavesNothing((fixture) =>
      Effect.gen(function* () {
        const other = yield* Server.start()
        const proxy = yield* Proxy.start(fixture.server.url)
        const store = yield* fixture.store({ url: proxy.url })
        const session = yield* Session.make(store)
        const first = yield* session.held([write("a")])
        // What follows was granted by a clock that is five seconds ahead.
        yield* moveToken(fixture, 5 * second)
        const ahead = yield* session.held([write("b")])
        assert.isAbove(ahead.token, first.token + 5 * second - 1)
        yield* store.release(ahead.id)
        yield* store.release(first.id)
        proxy.target = other.url
        proxy.cut()
        const after = yield* session.held([write("b")])
        assert.isAbove(after.token, ahead.token)
        // Those who have seen nothing get no smaller one either, now.
        const fresh = yield* fixture.store({ url: other.url })
        const granted = yield* Session.make(fresh)
        const next = yield* granted.held([write("c")])
        assert.isAbove(next.token, after.token)
        yield* fresh.release(next.id)
        yield* store.release(after.id)
        yield* Effect.promise(() => fixture.admin.del(...fixture.keys))
      })
    )
  )
})
