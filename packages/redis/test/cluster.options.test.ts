/**
 * Where a store on a Redis Cluster connects to, by which client, and what it says of what is wrong.
 */
import { createServer } from "node:net"
import { assert, describe, layer, it as plain } from "@effect/vitest"
import { LockError, LockStore, Target } from "@hilok/core"
import { RedisStore } from "@hilok/redis"
import { Session } from "@hilok/testing"
import { Cause, ConfigProvider, Context, Effect, Exit, Fiber, Layer, Option, Redacted, type Scope } from "effect"
import { Cluster, type ClusterOptions, Redis } from "ioredis"
import { Cluster as OtherCluster } from "ioredis6"
import * as Clusters from "./support/cluster.ts"
import { type ClusterFixture, leavesNothing, TestCluster } from "./support/clusterFixture.ts"
import { timeLimit } from "./support/faults.ts"
import { TestServer } from "./support/fixture.ts"
import { printed } from "./support/printed.ts"
import * as rights from "./support/rights.ts"

const secret = "open sesame"

const open = (layer: Layer.Layer<LockStore.LockStore, unknown>) =>
  Effect.map(Layer.build(layer), Context.get(LockStore.LockStore))

/** A lock is taken, another client waits for it and gets it. */
const works = (store: LockStore.LockStore["Type"]) =>
  Effect.gen(function* () {
    const session = yield* Session.make(store)
    const held = yield* session.held([Target.write("a/b")])
    const next = yield* session.queued([Target.read("a")])
    assert.isTrue(Option.isSome(yield* store.lookup(held.id)))
    yield* store.release(held.id)
    yield* session.granted(next)
    yield* session.end
  }).pipe(Effect.scoped)

/** Fails, and shows no password. */
const problem = (effect: Effect.Effect<unknown, unknown, Scope.Scope>) =>
  Effect.map(Effect.exit(Effect.scoped(effect)), (exit) => {
    if (Exit.isSuccess(exit)) throw new Error("it should have failed")
    const error = Cause.squash(exit.cause)
    assert.notInclude(String(error) + JSON.stringify(error) + Cause.pretty(exit.cause), "sesame")
    return error
  })

const refused = (options: RedisStore.Options, reason: RegExp) =>
  Effect.gen(function* () {
    const error = yield* problem(RedisStore.validate(options))
    assert.instanceOf(error, LockError.InvalidOptions)
    assert.match(error.option, /^cluster/)
    assert.match(error.reason, reason)
  })

const storeError = (effect: Effect.Effect<unknown, unknown, Scope.Scope>, reason: RegExp, kind: string) =>
  Effect.map(problem(effect), (error) => {
    assert.instanceOf(error, LockError.StoreError)
    assert.match(error.reason, reason)
    assert.strictEqual(error.kind, kind)
    return error
  })

const inCluster = /^the server is part of a Redis Cluster: name its nodes by the option cluster, REDIS_CLUSTER_NODES or/

const parts = (address: string) => {
  const [host = "", port] = address.split(":")
  return { host, port: Number(port) }
}

/** A client of the application, made by this copy of ioredis or by another. */
const clientOf = (
  { cluster, namespace }: ClusterFixture,
  make: (nodes: Array<{ host: string; port: number }>, options: ClusterOptions) => Cluster,
  options?: ClusterOptions
) =>
  Effect.acquireRelease(
    Effect.sync(() =>
      make(cluster.addresses.map(parts), {
        ...options,
        redisOptions: { password: secret, connectionName: namespace, ...options?.redisOptions }
      }).on("error", () => undefined)
    ),
    (client) => Effect.sync(() => client.disconnect())
  )
const here = (nodes: Array<{ host: string; port: number }>, options: ClusterOptions) => new Cluster(nodes, options)
const elsewhere = (nodes: Array<{ host: string; port: number }>, options: ClusterOptions) =>
  new OtherCluster(nodes, options as never) as unknown as Cluster

describe("the option cluster", () => {
  const nodes = ["127.0.0.1:7000"]
  const all: ReadonlyArray<readonly [what: string, options: object, reason: RegExp]> = [
    ["a URL beside it", { url: "redis://:sesame@h", cluster: { nodes } }, /cannot stand beside url/],
    [
      "options of a server beside it",
      { redis: { db: 1 }, cluster: { nodes } },
      /cannot stand beside redis.*redisOptions/
    ],
    ["no nodes", { cluster: { nodes: [] } }, /one or more/],
    ["no list of nodes", { cluster: { nodes: "a:1,b:2" } }, /one or more.*"host:port"/],
    ["nothing", { cluster: {} }, /one or more/],
    ["a node that is none", { cluster: { nodes: [...nodes, "sesame@b:2"] } }, /^node 2 of 2: it must be "host:port"/],
    ["a node without a host", { cluster: { nodes: [":7000"] } }, /^node 1 of 1: it must be/],
    ["a node that is a number", { cluster: { nodes: [7000] } }, /^node 1 of 1: it must be/],
    ["a port that is none", { cluster: { nodes: ["a:70000"] } }, /port must be a whole number from 1 to 65535/],
    ["an object with no port", { cluster: { nodes: [{ host: "a", port: "b" }] } }, /port must be a whole number/],
    ["a URL that is none", { cluster: { nodes: ["http://:sesame@a"] } }, /must begin with "redis:/],
    ["a unix socket", { cluster: { nodes: ["unix:///sesame/sock"] } }, /no unix socket/],
    ["a database in a URL", { cluster: { nodes: ["redis://:sesame@a/2"] } }, /no database but 0/],
    ["a database in an object", { cluster: { nodes: [{ host: "a", db: 2 }] } }, /no database but 0/],
    ["a database", { cluster: { nodes, options: { redisOptions: { db: 3 } } } }, /no database but 0/],
    ["what ioredis does not take", { cluster: { nodes, options: { scripts: { a: {} } } } }, /ioredis refuses it/]
  ]
  for (const [what, options, reason] of all) {
    plain.effect(`with ${what} is refused before anything is sent`, () =>
      refused(options as RedisStore.Options, reason)
    )
  }

  plain.effect("takes nodes as text, URLs and objects", () =>
    RedisStore.validate({
      cluster: { nodes: ["a", "a:1", "[::1]:7000", "rediss://u:p@a:1/0", Redacted.make("a:1"), { host: "a", port: 1 }] }
    })
  )

  const from = (variables: Record<string, string>) =>
    RedisStore.layerConfig().pipe(
      Layer.provide(Layer.setConfigProvider(ConfigProvider.fromMap(new Map(Object.entries(variables)))))
    )
  const wrong: ReadonlyArray<readonly [Record<string, string>, RegExp]> = [
    [
      { REDIS_URL: "redis://:sesame@h", REDIS_CLUSTER_NODES: "a:1" },
      /Invalid data at REDIS_CLUSTER_NODES: "REDIS_URL is set, too/
    ],
    [{ REDIS_CLUSTER_NODES: "" }, /Invalid data at REDIS_CLUSTER_NODES/],
    [{ REDIS_CLUSTER_NODES: "a:1,:sesame@" }, /Invalid data at REDIS_CLUSTER_NODES.*node 2 of 2/],
    [{}, /Missing data at REDIS_URL: "Expected REDIS_URL, or REDIS_CLUSTER_NODES/]
  ]
  plain.effect("comes from REDIS_CLUSTER_NODES, with which there must be no REDIS_URL", () =>
    Effect.forEach(wrong, ([variables, message]) =>
      Effect.map(problem(open(from(variables))), (error) => assert.match(String(error), message))
    )
  )

  plain.scopedLive("names nodes that are not there, or do not answer, within connectTimeout", () =>
    Effect.gen(function* () {
      const silent = yield* Effect.acquireRelease(
        Effect.async<{ readonly port: number; readonly close: () => void }>((resume) => {
          const sockets = new Set<{ destroy: () => void }>()
          const server = createServer((socket) => void sockets.add(socket))
          const close = () => {
            for (const socket of sockets) socket.destroy()
            server.close()
          }
          server.listen(0, "127.0.0.1", () =>
            resume(Effect.succeed({ port: (server.address() as { port: number }).port, close }))
          )
        }),
        ({ close }) => Effect.sync(close)
      )
      const store = (...nodes: ReadonlyArray<string>) =>
        RedisStore.make({ cluster: { nodes }, password: Redacted.make("sesame"), connectTimeout: 700 })
      const { foreign } = yield* printed(
        Effect.gen(function* () {
          const away = /nodes 127\.0\.0\.1:1, 127\.0\.0\.1:2 none can be used: nothing listens/
          yield* storeError(store("127.0.0.1:1", "redis://:sesame@127.0.0.1:2"), away, "connection")
          yield* storeError(
            store("nowhere.invalid:7000"),
            /nowhere\.invalid:7000.*host name is not known/,
            "connection"
          )
          const address = `127.0.0.1:${silent.port}`
          const mute = yield* storeError(store(address), new RegExp(`${address}.*did not answer`), "timeout")
          assert.isDefined(mute)
        })
      )
      assert.deepStrictEqual(foreign, [])
    })
  )
})

layer(TestServer.own(), { excludeTestServices: true })("a server outside a Cluster", (it) => {
  it.scoped("is no node of one, which is said at once", () =>
    Effect.flatMap(TestServer, ({ port }) =>
      storeError(
        RedisStore.make({ cluster: { nodes: [`127.0.0.1:${port}`] }, connectTimeout: "1 minute" }),
        /is not part of a Redis Cluster: use the option url/,
        "other"
      )
    )
  )
})

layer(TestCluster.layer({ password: secret }), { excludeTestServices: true })("a Redis Cluster", (it) => {
  it.effect(
    "is found by one of its nodes, with the password in its URL or beside it, at addresses that are mapped",
    () =>
      leavesNothing(({ cluster, namespace, options }) =>
        Effect.gen(function* () {
          const [address = ""] = cluster.addresses
          const encoded = encodeURIComponent(secret)
          const password = Redacted.make(secret)
          const mapped: Array<string> = []
          const natMap = (key: string) => {
            mapped.push(key)
            return { ...parts(key), host: "localhost" }
          }
          const { foreign, own } = yield* printed(
            Effect.gen(function* () {
              for (const one of [
                { cluster: { nodes: [`redis://:${encoded}@${address}`] } },
                { cluster: { nodes: ["127.0.0.1:1", address] }, username: "default", password },
                { cluster: { nodes: [parts(address)], options: { redisOptions: { password: secret } } } },
                { cluster: { nodes: [address], options: { natMap } }, password },
                { ...options, lazyListening: true }
              ] satisfies ReadonlyArray<RedisStore.Options>) {
                yield* Effect.scoped(Effect.flatMap(RedisStore.make({ ...one, namespace }), works))
              }
            })
          )
          assert.includeMembers(mapped, cluster.addresses.slice(0, 3))
          assert.deepStrictEqual([own, foreign], [[], []])
          const from = (nodes: string) =>
            RedisStore.layerConfig().pipe(
              Layer.provide(
                Layer.setConfigProvider(
                  ConfigProvider.fromMap(
                    new Map([
                      ["REDIS_CLUSTER_NODES", nodes],
                      ["HILOK_NAMESPACE", namespace]
                    ])
                  )
                )
              )
            )
          yield* works(yield* open(from(`redis://:${encoded}@${address}, 127.0.0.1:1`)))
        })
      ),
    timeLimit
  )

  it.effect("refuses a wrong password at once", () =>
    leavesNothing(({ options }) =>
      storeError(
        RedisStore.make({ ...options, password: Redacted.make("sesame"), connectTimeout: "1 minute" }),
        /none can be used: the server refuses the user or the password/,
        "denied"
      )
    )
  )

  it.effect(
    "needs of its user the rights in docs/production.md, with those for a Cluster, and no more",
    () =>
      leavesNothing((fixture) =>
        Effect.gen(function* () {
          const { cluster, key, options, primary } = fixture
          const [acl = "", ...rules] = [...rights.command, ...rights.cluster]
          assert.isAbove(rights.cluster.length, 1)
          yield* Effect.forEach(cluster.nodes, ({ admin }) => Effect.promise(() => admin.call(acl, ...rules)))
          const password = Redacted.make(rights.password)
          const store = yield* RedisStore.make({ ...options, username: rights.username, password })
          yield* works(store)
          const to = cluster.nodes.find((node, i) => i < 3 && node !== primary)!
          // ASK comes before MOVED; and where a key is missing, it is TRYAGAIN until the slot has moved.
          const working = yield* Effect.fork(works(store))
          yield* cluster.moveSlot(key, to, Effect.sleep("100 millis"))
          yield* Fiber.join(working)
          yield* works(store)
          yield* Effect.forEach(cluster.nodes, ({ admin }) =>
            Effect.promise(() => admin.call("ACL", "DELUSER", "locks"))
          )
          yield* Effect.promise(() => primary.admin.ping())
        })
      ),
    timeLimit
  )

  it.effect(
    "is refused to a client of one server, when the store is built or when it first finds out",
    () =>
      leavesNothing(({ cluster, namespace, primary }) =>
        Effect.gen(function* () {
          const password = Redacted.make(secret)
          const url = `redis://${primary.address}`
          yield* storeError(RedisStore.make({ url, password, namespace }), inCluster, "other")
          yield* storeError(
            Effect.acquireUseRelease(
              Effect.sync(() => new Redis(primary.port, { password: secret })),
              (redis) => Effect.scoped(open(RedisStore.layerClient(redis, { namespace }))),
              (redis) => Effect.sync(() => redis.disconnect())
            ),
            inCluster,
            "other"
          )
          // Somebody who may not ask for that.
          const other = cluster.nodes.find((node, i) => i < 3 && node !== primary)!
          const rules = ["on", "nopass", "~*", "&*", "+@all", "-info"]
          yield* Effect.promise(() => other.admin.acl("SETUSER", "blind", ...rules))
          const { own } = yield* printed(
            Effect.scoped(
              Effect.gen(function* () {
                const blind = { url: `redis://${other.address}`, username: "blind", password, namespace }
                const store = yield* RedisStore.make({ ...blind, redis: { connectionName: namespace } })
                yield* storeError(store.release("nobody"), inCluster, "other")
              })
            )
          )
          assert.match(own.join(), /were not checked/)
        })
      ),
    timeLimit
  )

  it.effect(
    "is reached by a client of the application, of this or another copy of ioredis, which is left as it was",
    () =>
      leavesNothing((fixture) =>
        Effect.gen(function* () {
          for (const [make, options] of [
            [here, {}],
            [here, { keyPrefix: "{app}:", lazyConnect: true }],
            [here, { enableAutoPipelining: true, scaleReads: "slave" }],
            [elsewhere, {}]
          ] as const) {
            const client = yield* clientOf(fixture, make, options)
            const { namespace } = fixture
            // (ioredis has one for `close`, while it is connected.)
            const names = () => client.eventNames().filter((name) => name !== "close")
            const listeners = () => names().map((name) => [name, client.listenerCount(name)])
            const before = listeners()
            yield* Effect.scoped(
              Effect.gen(function* () {
                const stores = yield* Effect.replicateEffect(open(RedisStore.layerClient(client, { namespace })), 3)
                for (const store of stores) yield* works(store)
              })
            )
            assert.strictEqual(client.status, "ready")
            assert.strictEqual(yield* Effect.promise(() => client.set(fixture.key, "x")), "OK")
            assert.strictEqual(yield* Effect.promise(() => client.del(fixture.key)), 1)
            assert.deepStrictEqual(listeners(), before)
          }
          const strange = yield* clientOf(fixture, here, { redisOptions: { stringNumbers: true } })
          // Wherever its slot is.
          for (let i = 0; i < 12; i++) {
            const error = yield* problem(
              open(RedisStore.layerClient(strange, { namespace: `${fixture.namespace}-${i}` }))
            )
            assert.instanceOf(error, LockError.InvalidOptions)
            assert.match(error.reason, /changes the answers/)
          }
          const closed = yield* clientOf(fixture, here, { lazyConnect: true })
          closed.disconnect()
          yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
          yield* storeError(open(RedisStore.layerClient(closed)), /closed/, "connection")
        })
      ),
    timeLimit
  )
})

describe("a Cluster of one primary", () => {
  plain.scopedLive("that announces an address of its own, mapped back, is listened to and waited for there, too", () =>
    Effect.gen(function* () {
      // Where nobody is.
      const { nodes } = yield* Clusters.start({ primaries: 1, replicas: 0, args: ["--cluster-announce-port", "1"] })
      const { address } = nodes[0]!
      const natMap = (key: string) => (key.endsWith(":1") ? parts(address) : parts(key))
      const options = { cluster: { nodes: [address], options: { natMap } } }
      yield* works(yield* RedisStore.make(options))
      const replicas = { min: 1, timeout: "500 millis" } as const
      const { value: store } = yield* printed(RedisStore.make({ ...options, replicas }))
      const { request } = yield* Session.make(store)
      yield* storeError(store.tryAcquire(request([Target.write("a")])), /0 replicas had the lock/, "busy")
    })
  )

  plain.scopedLive(
    "has all slots, so a client of one server works, and is warned",
    () =>
      Effect.gen(function* () {
        const { nodes } = yield* Clusters.start({ primaries: 1, replicas: 0 })
        const url = `redis://${nodes[0]!.address}`
        const { own } = yield* printed(Effect.scoped(Effect.flatMap(RedisStore.make({ url }), works)))
        assert.match(own.join(), /only primary of a Redis Cluster/)
        // A slot is given away.
        yield* Effect.scoped(
          Effect.gen(function* () {
            const store = yield* RedisStore.make({ cluster: { nodes: [nodes[0]!.address] }, commandTimeout: 2000 })
            const slot = Number(
              yield* Effect.promise(() => nodes[0]!.admin.cluster("KEYSLOT", "hilok:{default}:table"))
            )
            yield* Effect.promise(() => nodes[0]!.admin.cluster("DELSLOTS", slot))
            yield* storeError(store.refresh("x", 1000 as never), /Cluster/, "busy")
          })
        )
      }),
    timeLimit
  )
})
