/**
 * What a test on a Redis Cluster starts from, and what must not be left when it ends: keys and connections on any node.
 */
import { assert } from "@effect/vitest"
import { RedisStore } from "@hilok/redis"
import { Context, Effect, Layer, Redacted, type Scope } from "effect"
import * as Cluster from "./cluster.ts"
import { until } from "./faults.ts"
import { connections, type Fixture } from "./fixture.ts"

export class TestCluster extends Context.Tag("@hilok/redis/test/TestCluster")<TestCluster, Cluster.Cluster>() {
  static readonly layer = (options?: Parameters<typeof Cluster.start>[0]): Layer.Layer<TestCluster> =>
    Layer.scoped(TestCluster, Cluster.start(options))
}

export interface ClusterFixture extends Pick<Fixture, "namespace" | "store"> {
  readonly cluster: Cluster.Cluster
  /** A key of the namespace. */
  readonly key: string
  /** Options for a store in the namespace. */
  readonly options: RedisStore.Options & { readonly cluster: { readonly nodes: ReadonlyArray<string> } }
  readonly primary: Cluster.Node
  readonly replica: Cluster.Node
}

/** A namespace whose primary has a replica that can take over. */
const make = (cluster: Cluster.Cluster): Effect.Effect<ClusterFixture> =>
  Effect.gen(function* () {
    const namespace = `test-${crypto.randomUUID()}`
    const key = `hilok:{${namespace}}:table`
    yield* cluster.settled(key)
    const { primary, replicas } = yield* cluster.serving(key)
    if (replicas[0] === undefined) return yield* make(cluster)
    const options = {
      cluster: { nodes: cluster.addresses, options: { redisOptions: { connectionName: namespace } } },
      namespace,
      ...(cluster.password === undefined ? {} : { password: Redacted.make(cluster.password) })
    }
    const store = (more?: RedisStore.Options) => Effect.orDie(RedisStore.make({ ...options, ...more }))
    return { cluster, namespace, key, options, primary, replica: replicas[0], store }
  })

/** Runs a test, and checks that it leaves no key and no connection on any node that is still there. */
export const leavesNothing = <A, E, R>(
  body: (fixture: ClusterFixture) => Effect.Effect<A, E, R>
): Effect.Effect<void, E, Exclude<R, Scope.Scope> | TestCluster> =>
  Effect.gen(function* () {
    const cluster = yield* TestCluster
    const made = yield* make(cluster)
    yield* Effect.scoped(body(made))
    yield* cluster.settled(made.key)
    let last: unknown
    const clean = Effect.gen(function* () {
      const here = cluster.nodes.filter(({ admin }) => admin.status === "ready")
      const names = (yield* Effect.forEach(here, ({ admin }) => connections(admin))).flat()
      const { primary } = yield* cluster.serving(made.key)
      last = {
        keys: yield* Effect.promise(() => primary.admin.keys(`*${made.namespace}*`)),
        connections: names.filter((name) => name.includes(made.namespace))
      }
      return JSON.stringify(last) === JSON.stringify({ keys: [], connections: [] })
    })
    yield* until(clean, "a clean end").pipe(
      Effect.catchAllDefect(() => Effect.sync(() => assert.deepStrictEqual(last, { keys: [], connections: [] })))
    )
  })
