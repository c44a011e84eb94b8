import { assert, describe, layer } from "@effect/vitest"
import { HierarchicalLock, LockError, LockPath, LockStore, Target } from "@hilok/core"
import { RedisStore } from "@hilok/redis"
import { Session } from "@hilok/testing"
import {
  Config,
  ConfigProvider,
  Context,
  Duration,
  Effect,
  Either,
  Fiber,
  Layer,
  Logger,
  LogLevel,
  Redacted
} from "effect"
import { Redis, type RedisOptions } from "ioredis"
import { Redis as OtherRedis } from "ioredis6"
import * as FakeServer from "./support/fakeServer.ts"
import { connections, type Fixture, leavesNothing, TestServer, until, withOwnServer } from "./support/fixture.ts"
import * as Server from "./support/server.ts"

const { read, write } = Target

const open = (store: Layer.Layer<LockStore.LockStore, unknown>) =>
  Effect.map(Layer.build(store), Context.get(LockStore.LockStore))

/** A lock is taken, another client waits for it and gets it; `during` runs while it is held. */
const works = (store: LockStore.LockStore["Type"], during: Effect.Effect<void> = Effect.void) =>
  Effect.gen(function* () {
    const session = yield* Session.make(store)
    const held = yield* session.held([write("a/b")])
    const next = yield* session.queued([read("a")])
    // With one that waits, all the keys are there.
    yield* during
    yield* store.release(held.id, held.id)
    yield* session.granted(next)
    yield* session.end
  }).pipe(Effect.scoped)

const keysAre = (admin: Redis, names: ReadonlyArray<string>) =>
  Effect.promise(async () => assert.sameMembers(await admin.keys("*"), [...names]))

const failure = <A, E>(effect: Effect.Effect<A, E>) => Effect.timed(Effect.flip(effect))

/** A server that says nothing is not ready, for an ioredis that asks it something first; for older ones it does not answer. */
const unanswered = (millis: number): RegExp => new RegExp(`(not ready|did not answer) within ${millis} ms`)

const refusedBecause = (effect: Effect.Effect<unknown, unknown>, reason: RegExp) =>
  Effect.gen(function* () {
    const error = yield* Effect.flip(effect)
    assert.instanceOf(error, LockError.StoreError)
    assert.match(error.message, reason)
    return error
  })

const client = (server: Server.Server, options: RedisOptions) =>
  Effect.acquireRelease(
    Effect.sync(() => new Redis({ path: server.url, ...options })),
    (redis) => Effect.sync(() => redis.disconnect())
  )

const listeners = (redis: Redis) => redis.eventNames().map((name) => [name, redis.listenerCount(name)])

describe("RedisStore, its layers", () => {
  withOwnServer("opens connections of its own", undefined, (it) => {
    it.effect("to a unix socket, a TCP port, and a database of its own", () =>
      leavesNothing(({ admin, server }) =>
        Effect.gen(function* () {
          const tcp = `redis://127.0.0.1:${server.port}`
          for (const options of [
            { url: server.url },
            { url: tcp },
            { url: Redacted.make(tcp) },
            { redis: { host: "127.0.0.1", port: server.port } },
            { url: tcp, redis: { db: 2 } }
          ] satisfies ReadonlyArray<RedisStore.Options>) {
            yield* Effect.scoped(Effect.flatMap(RedisStore.make(options), works))
          }
          const store = yield* RedisStore.make({ url: `${tcp}/3` })
          const keys = Effect.promise(async () => {
            await admin.select(3)
            assert.strictEqual((await admin.keys("hilok:{default}:*")).length, 3)
            await admin.select(0)
            assert.deepStrictEqual(await admin.keys("*"), [])
          })
          yield* works(store, keys)
        })
      )
    )

    it.effect("two of them, whatever the number of those who wait, and closes them", () =>
      leavesNothing(({ admin, client, namespace }) =>
        Effect.gen(function* () {
          const { session, store } = yield* client()
          yield* session.held([write("a")])
          yield* Effect.forEach(Array.from({ length: 300 }), () => session.ask(session.request([write("a")])), {
            concurrency: "unbounded"
          })
          assert.deepStrictEqual(yield* connections(admin), [namespace, namespace])
          assert.strictEqual((yield* store.inspect(LockPath.root)).length, 301)
          yield* session.end
        })
      )
    )

    it.effect("as the environment says", () =>
      leavesNothing(({ admin, server }) =>
        Effect.gen(function* () {
          const from = (variables: Record<string, string>) =>
            Layer.provide(
              RedisStore.layerConfig(),
              Layer.setConfigProvider(ConfigProvider.fromMap(new Map(Object.entries(variables))))
            )
          const REDIS_URL = server.url
          yield* works(
            yield* open(from({ REDIS_URL })),
            keysAre(
              admin,
              ["table", "index", "deadlines"].map((name) => `hilok:{default}:${name}`)
            )
          )
          const store = yield* open(from({ REDIS_URL, HILOK_NAMESPACE: "ns", HILOK_KEY_PREFIX: "pre" }))
          assert.strictEqual(store.namespace, "ns")
          yield* works(
            store,
            keysAre(
              admin,
              ["table", "index", "deadlines"].map((name) => `pre:{ns}:${name}`)
            )
          )

          const spread = from({ REDIS_URL, HILOK_NAMESPACE: "spread", HILOK_PARTITIONS: "2" })
          yield* Effect.scoped(Effect.flatMap(open(spread), (store) => works(store)))
          assert.strictEqual(
            yield* Effect.promise(() => admin.del("hilok:{spread}:table")),
            1,
            "the note of the number"
          )

          const slow = yield* open(from({ REDIS_URL, HILOK_COMMAND_TIMEOUT: "50" }))
          yield* Effect.promise(() => admin.client("PAUSE", 1000, "WRITE"))
          yield* refusedBecause(slow.lookup("x"), /did not answer within 50 ms/)
          yield* Effect.promise(() => admin.client("UNPAUSE"))

          const alone = yield* open(from({ REDIS_URL, HILOK_REPLICAS_MIN: "2", HILOK_REPLICAS_TIMEOUT: "1.5s" }))
          const session = yield* Session.make(alone)
          yield* refusedBecause(alone.acquire(session.request([write("a")])), /within 1500 ms.* asks for 2/)

          const nobody = yield* FakeServer.start(() => undefined)
          const hasty = from({ REDIS_URL: nobody, HILOK_CONNECT_TIMEOUT: "0.3s" })
          yield* refusedBecause(Effect.scoped(open(hasty)), unanswered(300))

          const options = { url: Config.succeed(REDIS_URL), namespace: Config.string("APP_LOCKS") }
          const other = (variables: Record<string, string>) =>
            Layer.provide(
              RedisStore.layerConfig(options),
              Layer.setConfigProvider(ConfigProvider.fromMap(new Map(Object.entries(variables))))
            )
          assert.strictEqual((yield* open(other({ APP_LOCKS: "mine" }))).namespace, "mine")
          const refused = yield* Effect.flip(Effect.scoped(open(other({ APP_LOCKS: "{x}" }))))
          assert.match(String(refused), /Invalid data at namespace/)

          for (const [variables, message] of [
            [{}, /Missing data at REDIS_URL: "Expected/],
            [{ REDIS_URL, HILOK_CONNECT_TIMEOUT: "soon" }, /HILOK_CONNECT_TIMEOUT/],
            [
              { REDIS_URL, HILOK_COMMAND_TIMEOUT: "10x" },
              /HILOK_COMMAND_TIMEOUT.*must be a duration such as "10 seconds"/
            ],
            [{ REDIS_URL: "nonsense" }, /Invalid data at REDIS_URL/],
            [{ REDIS_URL, HILOK_NAMESPACE: "{x}" }, /HILOK_NAMESPACE/],
            [{ REDIS_URL, HILOK_KEY_PREFIX: "" }, /HILOK_KEY_PREFIX/],
            [{ REDIS_URL, HILOK_COMMAND_TIMEOUT: "0 millis" }, /HILOK_COMMAND_TIMEOUT/],
            [{ REDIS_URL, HILOK_CONNECT_TIMEOUT: "0" }, /HILOK_CONNECT_TIMEOUT/],
            [
              { REDIS_URL, HILOK_REPLICAS_MIN: "11" },
              /HILOK_REPLICAS_MIN.*it is 11, but must be a whole number from 1 to 10/
            ],
            [{ REDIS_URL, HILOK_REPLICAS_MIN: "one" }, /HILOK_REPLICAS_MIN/],
            [{ REDIS_URL, HILOK_REPLICAS_MIN: "1", HILOK_REPLICAS_TIMEOUT: "0" }, /HILOK_REPLICAS_TIMEOUT/],
            [{ REDIS_URL, HILOK_REPLICAS_TIMEOUT: "1s" }, /HILOK_REPLICAS_MIN.*HILOK_REPLICAS_TIMEOUT is set/],
            [{ REDIS_URL, HILOK_PARTITIONS: "some" }, /HILOK_PARTITIONS/],
            [{ REDIS_URL, HILOK_PARTITIONS: "65" }, /HILOK_PARTITIONS.*whole number from 1 to 64/]
          ] as const) {
            const error = yield* Effect.flip(Effect.scoped(open(from(variables as Record<string, string>))))
            assert.match(String(error), message)
          }
        })
      )
    )

    it.effect("unless an option is wrong: then it says which, and connects to nothing", () =>
      leavesNothing(({ admin, server: { url } }) =>
        Effect.gen(function* () {
          const received = Effect.promise(
            async () => /total_connections_received:(\d+)/.exec(await admin.info("stats"))?.[1]
          )
          const before = yield* received
          for (const [options, option] of [
            [{ url: "http://127.0.0.1" }, "url"],
            [{ url: "127.0.0.1:6379" }, "url"],
            [{ url: "redis://" }, "url"],
            [{ url: "redis://:sesame@" }, "url"],
            [{ url: "redis://user:sesame@host:port" }, "url"],
            [{ url: "redis://user:sesame@host/name" }, "url"],
            [{ url: "" }, "url"],
            [{ url: "redis://user:sesame%@host" }, "url"],
            [{ url: "redis://user:sesame%zz@host" }, "url"],
            [{ url: "redis://user:sesame%ff@host" }, "url"],
            [{ url: "redis://ho%zzst" }, "url"],
            [{ url: "redis://host/1?password=sesame%" }, "url"],
            [{ url: "redis://host?sesame=1" }, "url"],
            [{ url: "redis://host?db=x" }, "url"],
            [{ url: "redis://host/-1" }, "url"],
            [{ url: "/tmp/redis.sock?password=sesame%" }, "url"],
            [{ url: "/tmp/redis.sock?db=sesame" }, "url"],
            [{ url: "unix://" }, "url"],
            [{ url: "unix://tmp" }, "url"],
            [{ url: "unix://:sesame@" }, "url"],
            [{ url: "unix://user:sesame%@/tmp/redis.sock" }, "url"],
            [{ url: "unix:///tmp/%zz" }, "url"],
            [{ url, redis: { db: -1 } }, "redis.db"],
            [{ url, redis: { db: 1.5 } }, "redis.db"],
            [{ redis: { sentinels: [], name: "locks" } }, "redis"],
            [{ redis: { sentinels: [{ host: "sesame" }] } }, "redis"],
            [{ url: Redacted.make("sesame") }, "url"],
            [{ url, namespace: "" }, "namespace"],
            [{ url, namespace: "a{b" }, "namespace"],
            [{ url, namespace: "a}b" }, "namespace"],
            [{ url, namespace: "a\nb" }, "namespace"],
            [{ url, namespace: "a\u0000b" }, "namespace"],
            [{ url, namespace: "a".repeat(201) }, "namespace"],
            [{ url, keyPrefix: "" }, "keyPrefix"],
            [{ url, keyPrefix: "a{b}" }, "keyPrefix"],
            [{ url, keyPrefix: "\u007f" }, "keyPrefix"],
            [{ url, connectTimeout: 0 }, "connectTimeout"],
            [{ url, connectTimeout: Number.NaN }, "connectTimeout"],
            [{ url, connectTimeout: "10x" as never }, "connectTimeout"],
            [{ url, commandTimeout: -5 }, "commandTimeout"],
            [{ url, commandTimeout: Duration.infinity }, "commandTimeout"],
            ...[0, 11, 1.5, -1, Number.NaN, Number.POSITIVE_INFINITY, "1", undefined].map(
              (min) => [{ url, replicas: { min: min as number } }, "replicas.min"] as const
            ),
            [{ url, replicas: { min: 1, timeout: 0 } }, "replicas.timeout"],
            [{ url, replicas: { min: 1, timeout: Duration.infinity } }, "replicas.timeout"],
            [{ url, replicas: { min: 1, timeout: "soon" as never } }, "replicas.timeout"],
            [{ url, replicas: { min: 1, ...({ max: 2 } as object) } }, "replicas.max"],
            [{ url, replicas: 1 as never }, "replicas"],
            [{ url, ...({ nameSpace: "a" } as object) }, "nameSpace"],
            [{ url, ...({ ttl: "10s" } as object) }, "ttl"]
          ] satisfies ReadonlyArray<readonly [RedisStore.Options, string]>) {
            const error = yield* Effect.flip(Effect.scoped(RedisStore.make(options)))
            assert.instanceOf(error, LockError.InvalidOptions, JSON.stringify(options))
            assert.strictEqual(error.option, option)
            assert.notInclude(String(error), "sesame")
            assert.deepStrictEqual(yield* Effect.flip(RedisStore.validate(options)), error)
          }
          assert.strictEqual(yield* received, before)
          for (const namespace of ["a b", "ä:/*?", "default:x", "🔒".repeat(50)]) {
            yield* Effect.scoped(Effect.flatMap(RedisStore.make({ url, namespace, keyPrefix: namespace }), works))
          }
        })
      )
    )

    it.effect("and leaves no error behind when it is closed while it connects anew", () =>
      leavesNothing(({ admin, store }) =>
        Effect.gen(function* () {
          const rejected: Array<unknown> = []
          const note = (error: unknown) => void rejected.push(error)
          yield* Effect.acquireRelease(
            Effect.sync(() => process.on("unhandledRejection", note)),
            () => Effect.sync(() => process.off("unhandledRejection", note))
          )
          for (let step = 0; step < 30; step++) {
            yield* Effect.scoped(
              Effect.gen(function* () {
                yield* store()
                const connected = Effect.map(
                  Effect.promise(() => admin.pubsub("CHANNELS", "*")),
                  (channels) => channels.length === 1
                )
                yield* until(connected, "the subscription")
                yield* Effect.promise(() => admin.client("KILL", "TYPE", "pubsub"))
                // It comes back after 50 ms.
                yield* Effect.sleep(Duration.millis(48 + step / 4))
              })
            )
          }
          assert.deepStrictEqual(rejected, [])
        })
      )
    )

    it.effect("and warns when the server may evict locks", () =>
      leavesNothing(({ admin, store }) =>
        Effect.gen(function* () {
          const messages: Array<string> = []
          const logger = Logger.make(({ logLevel, message }) => {
            if (LogLevel.greaterThanEqual(logLevel, LogLevel.Warning)) messages.push(String(message))
          })
          const logged = Effect.provide(Effect.scoped(store()), Logger.replace(Logger.defaultLogger, logger))
          yield* logged
          assert.deepStrictEqual(messages, [])
          yield* Effect.promise(() => admin.config("SET", "maxmemory-policy", "allkeys-lru"))
          yield* logged
          yield* Effect.promise(() => admin.config("SET", "maxmemory-policy", "noeviction"))
          assert.strictEqual(messages.length, 1)
          assert.match(messages[0]!, /maxmemory-policy is allkeys-lru/)
        })
      )
    )
  })

  withOwnServer("fails in time when there is no server to work with", undefined, (it) => {
    const attempt = (options: RedisStore.Options) =>
      Effect.scoped(RedisStore.make({ connectTimeout: "400 millis", ...options }))

    it.effect("because nothing listens, nobody answers, or the host is not known", () =>
      leavesNothing(() =>
        Effect.gen(function* () {
          const silent = yield* FakeServer.start(() => undefined)
          for (const [url, reason] of [
            ["redis://127.0.0.1:1", /nothing listens/],
            ["/nowhere/redis.sock", /ENOENT/],
            [silent, unanswered(400)],
            ["redis://no-such-host.invalid", /host name is not known|within 400 ms/]
          ] as const) {
            const [took, error] = yield* failure(attempt({ url }))
            assert.instanceOf(error, LockError.StoreError)
            assert.match(error.message, reason)
            assert.strictEqual(error.operation, "connect")
            assert.isBelow(Duration.toMillis(took), 3000, "long before the default")
          }
        })
      )
    )

    it.effect("because it is too old, is loading, or is no lock server at all", () =>
      leavesNothing(() =>
        Effect.gen(function* () {
          const server = (lines: Record<string, string>) =>
            FakeServer.start((command) => (command === "info" ? FakeServer.info(lines) : "+OK\r\n"))
          yield* refusedBecause(attempt({ url: yield* server({ redis_version: "6.0.20" }) }), /6\.0\.20.*6\.2 or newer/)
          yield* refusedBecause(attempt({ url: yield* server({ redis_version: "2.8" }) }), /6\.2 or newer/)
          yield* refusedBecause(attempt({ url: yield* server({ role: "slave" }) }), /replica/)
          yield* refusedBecause(
            attempt({ url: yield* server({ loading: "1", loading_eta_seconds: "100" }) }),
            /loading/
          )
          const web = yield* FakeServer.start(() => "HTTP/1.1 400 Bad Request\r\n\r\n")
          yield* refusedBecause(attempt({ url: web }), /./)
        })
      )
    )

    it.effect("but waits for one that is about to come", () =>
      leavesNothing(({ server: { port } }) =>
        Effect.gen(function* () {
          const late = yield* Server.start()
          const free = late.port
          yield* late.kill
          const started = yield* Effect.fork(RedisStore.make({ url: `redis://127.0.0.1:${free}` }))
          yield* Effect.sleep("100 millis")
          yield* Server.start({ port: free })
          yield* works(yield* Fiber.join(started))
          assert.notStrictEqual(free, port)
        })
      )
    )

    it.effect("and connects by the ioredis that is installed", () =>
      leavesNothing(() =>
        Effect.gen(function* () {
          const versions = new Set<string>()
          const url = yield* FakeServer.start((command, [, what, version]) => {
            if (command === "client" && what === "LIB-VER") versions.add(String(version))
            return command === "info" ? FakeServer.info({ role: "slave" }) : "+OK\r\n"
          })
          yield* refusedBecause(attempt({ url }), /replica/)
          assert.match(Array.from(versions).join(), new RegExp(`^${process.env.HILOK_TEST_IOREDIS ?? "5"}\\.`))
        })
      )
    )

    it.effect("or that cannot be heard: a subscription that is refused", () =>
      leavesNothing(() =>
        Effect.gen(function* () {
          const deaf = yield* FakeServer.start((command) =>
            command === "info" ? FakeServer.info({}) : command === "subscribe" ? undefined : "+OK\r\n"
          )
          yield* refusedBecause(attempt({ url: deaf }), /did not answer within 400 ms/)
        })
      )
    )
  })

  withOwnServer("uses the application's client", undefined, (it) => {
    const check = ({ admin, server }: Fixture, options: RedisOptions, keys: string) =>
      Effect.gen(function* () {
        const redis = yield* client(server, { connectionName: "app", ...options })
        redis.on("error", () => undefined)
        if (options.lazyConnect !== true) yield* Effect.promise(() => redis.ping())
        const before = listeners(redis)
        const { db = 0 } = options
        yield* Effect.scoped(
          Effect.gen(function* () {
            const store = yield* open(RedisStore.layerClient(redis))
            assert.strictEqual((yield* connections(admin)).length, 2)
            const channels = Effect.promise(() => admin.pubsub("CHANNELS", "*"))
            assert.match(String(yield* channels), /^hilok:\{default\}:client:[\w-]{12}$/)
            yield* works(
              store,
              Effect.promise(async () => {
                await admin.select(db)
                const names = ["table", "index", "deadlines"].map((name) => keys + name)
                assert.sameMembers(await admin.keys("*"), names)
                await admin.select(0)
              })
            )
          })
        )
        assert.deepStrictEqual(listeners(redis), before)
        assert.strictEqual(redis.status, "ready")
        assert.strictEqual(yield* Effect.promise(() => redis.ping()), "PONG")
        yield* until(
          Effect.map(connections(admin), (names) => names.length === 1),
          "the end of the listening connection"
        )
      }).pipe(Effect.scoped)

    it.effect("with its key prefix and its database, and leaves it as it was", () =>
      leavesNothing((fixture) =>
        Effect.gen(function* () {
          yield* check(fixture, {}, "hilok:{default}:")
          yield* check(fixture, { keyPrefix: "app:" }, "app:hilok:{default}:")
          yield* check(fixture, { db: 4 }, "hilok:{default}:")
          yield* check(fixture, { lazyConnect: true, keyPrefix: "x", db: 1 }, "xhilok:{default}:")
          yield* check(fixture, { enableAutoPipelining: true }, "hilok:{default}:")
          yield* check(fixture, { enableReadyCheck: false, enableOfflineQueue: true }, "hilok:{default}:")
        })
      )
    )

    it.effect("which meets stores on connections of their own", () =>
      leavesNothing(({ client: own, namespace, server }) =>
        Effect.gen(function* () {
          const redis = yield* client(server, { connectionName: namespace })
          const store = yield* open(RedisStore.layerClient(redis, { namespace }))
          const session = yield* Session.make(store)
          const other = yield* own()
          const held = yield* session.held([write("a")])
          const waits = yield* other.session.queued([write("a")])
          yield* store.release(held.id, held.id)
          yield* other.session.granted(waits)
          assert.isTrue(yield* store.breakLease(waits.id))
          assert.deepStrictEqual(yield* other.session.revocation, { id: waits.id, owner: waits.id, reason: "broken" })
          yield* other.session.end
          yield* session.end
        })
      )
    )

    it.effect("whatever copy of ioredis it is of", () =>
      leavesNothing(({ admin, namespace, server }) =>
        Effect.gen(function* () {
          const redis = yield* Effect.acquireRelease(
            Effect.sync(() => new OtherRedis(server.url, { connectionName: namespace, keyPrefix: "app:" })),
            (redis) => Effect.sync(() => redis.disconnect())
          )
          const store = yield* open(RedisStore.layerClient(redis as unknown as Redis, { namespace }))
          yield* works(store)
          // It knows the scripts no more.
          yield* Effect.promise(() => admin.script("FLUSH"))
          yield* works(
            store,
            Effect.promise(async () => assert.isNotEmpty(await admin.keys(`app:hilok:{${namespace}}:*`)))
          )
        })
      )
    )

    it.effect("unless it has been closed, or is closed meanwhile", () =>
      leavesNothing(({ server }) =>
        Effect.gen(function* () {
          const closed = yield* client(server, {})
          closed.disconnect()
          yield* until(
            Effect.sync(() => closed.status === "end"),
            "the end of the client"
          )
          yield* refusedBecause(Effect.scoped(open(RedisStore.layerClient(closed))), /closed/)
          const redis = yield* client(server, {})
          const store = yield* open(RedisStore.layerClient(redis))
          redis.disconnect()
          yield* refusedBecause(store.lookup("x"), /closed/)
        })
      )
    )
  })

  withOwnServer("finds the server by Sentinel", undefined, (it) => {
    it.effect("under the name of the group", () =>
      leavesNothing(({ server }) =>
        Effect.gen(function* () {
          const port = yield* Server.startSentinel("locks", server)
          const sentinels = [{ host: "127.0.0.1", port }]
          yield* Effect.scoped(Effect.flatMap(RedisStore.make({ redis: { sentinels, name: "locks" } }), works))
          const unknown = { redis: { sentinels, name: "others" }, connectTimeout: "200 millis" } as const
          yield* refusedBecause(Effect.scoped(RedisStore.make(unknown)), /[Ss]entinel/)
          // A Sentinel keeps connections to what it watches.
          yield* Effect.promise(() => server.admin.client("KILL", "TYPE", "normal", "SKIPME", "yes"))
        })
      )
    )
  })

  layer(TestServer.layer, { excludeTestServices: true })("keeps clients apart and together", (it) => {
    it.effect("requests in two namespaces, or under two prefixes, never meet", () =>
      leavesNothing(({ admin, client, namespace }) =>
        Effect.gen(function* () {
          const one = yield* client()
          const two = yield* client({ namespace: `${namespace}-2` })
          const three = yield* client({ keyPrefix: "other" })
          const held = yield* Effect.forEach([one, two, three], ({ session }) => session.held([write("")]))
          for (const [at, { store }] of [one, two, three].entries()) {
            assert.deepStrictEqual(
              (yield* store.inspect(LockPath.root)).map(({ id }) => id),
              [held[at]!.id]
            )
          }
          assert.strictEqual((yield* Effect.promise(() => admin.keys(`*${namespace}*`))).length, 9)
          yield* Effect.forEach([one, two, three], ({ session }) => session.end)
        })
      )
    )

    it.effect("clients with different separators meet", () =>
      leavesNothing(({ store }) =>
        Effect.gen(function* () {
          const locks = (separator: string) =>
            Effect.flatMap(store(), (made) =>
              Effect.provideService(HierarchicalLock.make({ separator }), LockStore.LockStore, made)
            )
          const [slash, colons] = [yield* locks("/"), yield* locks("::")]
          yield* Effect.scoped(
            Effect.gen(function* () {
              yield* slash.write("a/b")
              for (const path of ["a::b", "a::b::c", "a", ""]) {
                const refused = yield* Effect.either(colons.read(path, { block: false }))
                assert.isTrue(Either.isLeft(refused), path)
              }
              yield* colons.read("a::b/c", { block: false })
              yield* colons.write("a/b", { block: false })
            })
          )
        })
      )
    )
  })
})
