/**
 * What is asked for in the same moment goes out as one command. It must be answered as if each had come alone, in order.
 */
import { assert, describe, it } from "@effect/vitest"
import { LockMode, type LockPath, LockTable } from "@hilok/core"
import { Chunk, Duration, Effect, Random } from "effect"
import { leavesNothing, TestServer, until } from "./support/fixture.ts"

const paths = [
  "",
  "a/",
  "a/b/",
  "a/b/c/",
  "a/bb/",
  "b/",
  "b/x/",
  "c/"
] as ReadonlyArray<unknown> as ReadonlyArray<LockPath.LockPath>

const pick = <A>(items: ReadonlyArray<A>): Effect.Effect<A> =>
  Effect.map(Random.nextIntBetween(0, items.length), (at) => items[at]!)

/** Up to 80 requests: mostly for one target that nothing is near, as the short way of the script wants them. */
const requests = (deep: number) =>
  Effect.gen(function* () {
    const count = yield* Random.nextIntBetween(1, 80)
    return yield* Effect.forEach(Chunk.range(1, count), (n) =>
      Effect.gen(function* () {
        const apart = (yield* Random.next) < deep
        const path = yield* pick(paths)
        const many = (yield* Random.next) < 0.1
        const targets = yield* Effect.forEach(Chunk.range(1, many ? 3 : 1), () =>
          Effect.map(pick(LockMode.all), (mode) => ({
            mode,
            path: (apart ? `${path}own-${n}/leaf/` : path) as LockPath.LockPath
          }))
        )
        return { id: crypto.randomUUID(), targets }
      })
    )
  })

describe("requests of the same moment", () => {
  it.live.each([0.98, 0.8, 0.3])(
    "are granted, and queue, as if each had come alone (%s of them apart from all others)",
    (deep) =>
      leavesNothing(({ store: open }) =>
        Effect.gen(function* () {
          const store = yield* open()
          for (let seed = 0; seed < 25; seed++) {
            const wanted = yield* Effect.withRandom(requests(deep), Random.make(`${deep} ${seed}`))
            const table = new LockTable.LockTable()
            const ttl = 30_000
            for (const { id, targets } of wanted) {
              table.acquire({ id, targets, ttl, waitTtl: ttl, within: [], holder: {} }, 0)
            }
            const expected = table.inspect("" as LockPath.LockPath, 0)
            yield* Effect.scoped(
              Effect.gen(function* () {
                for (const { id, targets } of wanted) {
                  yield* Effect.forkScoped(
                    store.acquire({
                      id,
                      targets: targets as never,
                      ttl: Duration.millis(ttl),
                      within: [],
                      holder: {}
                    })
                  )
                }
                // The fibers begin in order when this one lets them, all before the first command goes out.
                const asked = Effect.map(
                  store.inspect("" as LockPath.LockPath),
                  ({ length }) => length === wanted.length
                )
                yield* until(asked, "the requests")
                const found = yield* store.inspect("" as LockPath.LockPath)
                const shown = (entries: typeof found) => entries.map(({ id, state, ticket }) => ({ id, state, ticket }))
                const tickets = found.map(({ ticket }) => ticket)
                assert.deepStrictEqual(
                  tickets,
                  [...new Set(tickets)].sort((a, b) => a - b),
                  "tickets rise"
                )
                assert.deepStrictEqual(
                  shown(found).map((entry, i) => ({ ...entry, ticket: i + 1 })),
                  shown(expected),
                  `seed ${seed}`
                )
                const tokens = found.flatMap(({ token }) => (token === undefined ? [] : [token]))
                assert.deepStrictEqual(
                  tokens,
                  [...new Set(tokens)].sort((a, b) => a - b),
                  "tokens rise"
                )
              })
            )
            // All at once again, in whatever order.
            yield* Effect.forEach(wanted, ({ id }) => store.release(id, id), { concurrency: "unbounded" })
            assert.deepStrictEqual(yield* store.inspect("" as LockPath.LockPath), [], `seed ${seed}: nothing is left`)
          }
        })
      ).pipe(Effect.provide(TestServer.layer)),
    60_000
  )
})
