/**
 * A namespace in partitions on a Redis Cluster: which servers its locks are on, and what becomes of them when one dies.
 */
import { assert, layer } from "@effect/vitest"
import { HierarchicalLock, LockPath, LockStore, Target } from "@hilok/core"
import { RedisStore } from "@hilok/redis"
import { Session } from "@hilok/testing"
import { Duration, Effect, Either, Option } from "effect"
import * as Keys from "../src/internal/keys.ts"
import { TestCluster } from "./support/clusterFixture.ts"
import { timeLimit, until } from "./support/faults.ts"
import { inPartition } from "./support/partitions.ts"

const { read, write } = Target
const count = 8
const paths = Array.from({ length: count }, (_, at) => inPartition(at, count))

const start = Effect.gen(function* () {
  const cluster = yield* TestCluster
  const namespace = `test-${crypto.randomUUID()}`
  const tables = Array.from({ length: count }, (_, at) => Keys.makePartition("hilok", namespace, at, count).keys[0])
  const nodes = yield* Effect.forEach(tables, (table) => cluster.serving(table))
  const client = Effect.gen(function* () {
    const store = yield* RedisStore.make({ cluster: { nodes: cluster.addresses }, namespace, partitions: count })
    return { store, session: yield* Session.make(store, { partitioned: true }) }
  })
  return { client, cluster, namespace, nodes, tables }
})

layer(TestCluster.layer(), { excludeTestServices: true })("a namespace in partitions, on a Redis Cluster", (it) => {
  it.scoped("has its locks on several primaries, and who waits is told by each of them", () =>
    Effect.gen(function* () {
      const { client, nodes, tables } = yield* start
      assert.isAbove(new Set(nodes.map(({ primary }) => primary.port)).size, 1)
      const [one, other] = [yield* client, yield* client]
      const held = yield* Effect.forEach(paths, (path) => one.session.held([write(path)]))
      for (const [at, { primary }] of nodes.entries()) {
        assert.strictEqual(yield* Effect.promise(() => primary.admin.exists(tables[at]!)), 1, `partition ${at}`)
      }
      const waiting = yield* Effect.forEach(paths, (path) => other.session.queued([read([path, "x"])]))
      for (const { id } of held) yield* one.store.release(id, id)
      for (const asked of waiting) yield* other.session.granted(asked)
      const root = yield* one.session.queued([write("")])
      for (const { id } of waiting) yield* other.store.release(id, id)
      yield* one.session.granted(root)
      for (const { session } of [one, other]) yield* session.end
    })
  )

  it.scoped("is locked as a whole by a service, and no two do so at once", () =>
    Effect.gen(function* () {
      const { client } = yield* start
      const locks = yield* Effect.forEach([1, 2, 3], () =>
        Effect.flatMap(client, ({ store }) =>
          Effect.provideService(HierarchicalLock.make({ spans: false }), LockStore.LockStore, store)
        )
      )
      let inside = 0
      const work = Effect.gen(function* () {
        assert.strictEqual(++inside, 1)
        yield* Effect.yieldNow()
        inside--
      })
      yield* Effect.forEach(locks, (one) => Effect.replicateEffect(one.withWrite(work, ""), 5), {
        concurrency: "unbounded"
      })
    })
  )

  it.scoped(
    "goes on when a primary dies: a lock on the root that waits is granted, with all of its parts",
    () =>
      Effect.gen(function* () {
        const { client, cluster, nodes, tables } = yield* start
        const [one, other] = [yield* client, yield* client]
        const last = count - 1
        const victim = nodes.findIndex(
          ({ primary, replicas }, at) => at < last && replicas.length > 0 && primary !== nodes[last]!.primary
        )
        assert.isAtLeast(victim, 0, "a primary with a replica, other than that of the last partition")
        const holder = yield* other.session.held([write(paths[last]!)])
        const root = yield* one.session.queued([write("")], { ttl: "20 seconds", waitTtl: "1 minute" })
        const { primary } = nodes[victim]!
        yield* Effect.promise(() => primary.admin.wait(1, 20_000))
        yield* primary.kill
        assert.isTrue(yield* other.store.release(holder.id, holder.id))
        const { token } = yield* until(
          Effect.sync(() => root.fiber.unsafePoll() !== null),
          "the grant"
        ).pipe(Effect.zipRight(one.session.granted(root)))
        assert.isAbove(token, holder.token)
        yield* cluster.settled(tables[victim]!)
        assert.isTrue(Option.isSome(yield* one.store.refresh(root.id, Duration.minutes(1), root.id)))
        for (const path of paths) {
          const refused = yield* other.session.attempt(other.session.request([read(path)]))
          assert.isTrue(Either.isLeft(refused) && refused.left.id === root.id, path)
        }
        assert.deepStrictEqual(
          (yield* other.store.inspect(LockPath.root)).map(({ id, state }) => [id, state]),
          [[root.id, "held"]]
        )
        for (const { session } of [one, other]) yield* session.end
      }),
    timeLimit
  )
})
