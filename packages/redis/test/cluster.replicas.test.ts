/**
 * Grants that replicas must have, on a Redis Cluster.
 */
import { assert, layer } from "@effect/vitest"
import { Target } from "@hilok/core"
import { Effect, Option, type Scope } from "effect"
import { type ClusterFixture, leavesNothing, TestCluster } from "./support/clusterFixture.ts"
import { assertRising, hold, open, timeLimit, until } from "./support/faults.ts"

const x = [Target.write("x")]
const y = [Target.write("y")]
const replicas = { min: 1, timeout: "5 seconds" } as const

const test = (body: (fixture: ClusterFixture) => Effect.Effect<void, unknown, Scope.Scope>) => () => leavesNothing(body)

const enter = (...args: Parameters<typeof hold>) =>
  Effect.gen(function* () {
    const held = yield* hold(...args)
    return { ...held, token: (yield* held.entered).lease.token }
  })

/** Deletes the note of the number of partitions, which stays until somebody does, and nothing else. */
const forgetPartitions = ({ cluster, key }: ClusterFixture): Effect.Effect<void> =>
  Effect.flatMap(cluster.serving(key), ({ primary: { admin } }) =>
    Effect.promise(async () => {
      assert.deepStrictEqual([await admin.hkeys(key), await admin.ttl(key)], [["m"], -1])
      await admin.del(key)
    })
  )

layer(TestCluster.layer(), { excludeTestServices: true })("with replicas on a Redis Cluster", (it) => {
  it.effect(
    "grants go on, each at the primary that has the slot, when the slot moves and when a replica takes over",
    test((fixture) =>
      Effect.gen(function* () {
        const { cluster, key, primary } = fixture
        const locks = yield* open(fixture, { ttl: 20_000, refreshInterval: 200, store: { replicas } })
        const other = yield* open(fixture, { ttl: 20_000, store: { replicas } })
        const first = yield* enter(locks, x)
        const to = cluster.nodes.slice(0, 3).find((node) => node !== primary)!
        yield* cluster.moveSlot(key, to)
        const second = yield* enter(other, y)
        assert.strictEqual(yield* second.leave, "done")
        yield* cluster.settled(key)
        const now = yield* cluster.serving(key)
        yield* Effect.promise(() => now.replicas[0]!.admin.cluster("FAILOVER"))
        yield* until(
          Effect.map(cluster.serving(key), (then) => then.primary !== now.primary),
          "the failover"
        )
        yield* cluster.settled(key)
        const third = yield* enter(other, y)
        assertRising(second.token, third.token)
        assert.strictEqual(yield* third.leave, "done")
        assert.isTrue(first.isIn())
        const waiter = yield* hold(other, x)
        assert.strictEqual(yield* first.leave, "done")
        assertRising(first.token, (yield* waiter.entered).lease.token)
        assert.strictEqual(yield* waiter.leave, "done")
      })
    ),
    timeLimit
  )

  it.effect(
    "over several partitions, a lock on the root is on a replica of each primary when it is reported",
    test((fixture) =>
      Effect.gen(function* () {
        yield* Effect.addFinalizer(() => forgetPartitions(fixture))
        const store = yield* fixture.store({ replicas, partitions: 3 })
        const locks = yield* open({ store: () => Effect.succeed(store) }, { ttl: 20_000 })
        const root = yield* enter(locks, [Target.write("")])
        for (const at of [0, 1, 2]) {
          const key = `hilok:{${fixture.namespace}:${at}}/3:table`
          const { replicas } = yield* fixture.cluster.serving(key)
          const keys = yield* Effect.promise(() => replicas[0]!.admin.keys(key))
          assert.deepStrictEqual(keys, [key])
        }
        assert.strictEqual(yield* root.leave, "done")
      })
    ),
    timeLimit
  )

  it.effect(
    "a grant that was reported survives when its primary is killed, and what no replica can have any more is refused",
    test((fixture) =>
      Effect.gen(function* () {
        const { primary, replica } = fixture
        const options = { ttl: 25_000, refreshInterval: 200 }
        const locks = yield* open(fixture, { ...options, store: { replicas, commandTimeout: 1000 } })
        const plain = yield* fixture.store({ commandTimeout: 1000 })
        const held = yield* enter(locks, x)
        yield* primary.kill
        const isKnown = Effect.map(plain.inspect(Target.write("x").path as never), (entries) =>
          entries.some(({ token }) => token === held.token)
        )
        yield* until(
          Effect.orElseSucceed(isKnown, () => false),
          "the lease at the one that took over"
        )
        const refused = yield* Effect.flip(locks.withLocks(Effect.void, y))
        assert.match(refused.message, /0 replicas had the lock within 5000 ms, but replicas\.min asks for 1/)
        assert.isTrue(held.isIn())
        assert.strictEqual(yield* held.leave, "done")
        assert.isTrue(
          Option.isNone(yield* Effect.map(plain.inspect("" as never), (all) => Option.fromNullable(all[0])))
        )
        assert.match(yield* Effect.promise(() => replica.admin.info("replication")), /^role:master/m)
      })
    ),
    timeLimit
  )
})
