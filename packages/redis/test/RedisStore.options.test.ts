/**
 * Where a store connects to, by which client, and what it says and prints about that.
 */
import { assert, describe, it as plain } from "@effect/vitest"
import { LockError, LockStore, Target } from "@hilok/core"
import { RedisServer, RedisStore } from "@hilok/redis"
import { Session } from "@hilok/testing"
import { Context, Effect, Either, Exit, Layer, Option, Redacted, Scope } from "effect"
import { Command, Redis, type RedisOptions } from "ioredis"
import { Redis as OtherRedis } from "ioredis6"
import * as Url from "../src/internal/url.ts"
import { timeLimit, until } from "./support/faults.ts"
import { type Fixture, leavesNothing, withOwnServer } from "./support/fixture.ts"
import { printed } from "./support/printed.ts"
import * as Server from "./support/server.ts"

const { read, write } = Target

type Store = LockStore.LockStore["Type"]

const secret = "open sesame"

const open = (layer: Layer.Layer<LockStore.LockStore, unknown>) =>
  Effect.map(Layer.build(layer), Context.get(LockStore.LockStore))

/** A lock is taken, another client waits for it and gets it. */
const works = (store: Store) =>
  Effect.gen(function* () {
    const session = yield* Session.make(store)
    const held = yield* session.held([write("a/b")])
    const next = yield* session.queued([read("a")])
    assert.isTrue(Option.isSome(yield* store.lookup(held.id)))
    yield* store.release(held.id)
    yield* session.granted(next)
    yield* session.end
  }).pipe(Effect.scoped)

const client = (server: Server.Server, options: RedisOptions) =>
  Effect.acquireRelease(
    Effect.sync(() => new Redis({ path: server.url, ...options }).on("error", () => undefined)),
    (redis) => Effect.sync(() => redis.disconnect())
  )

const refused = (effect: Effect.Effect<unknown, unknown, Scope.Scope>, option: string, reason: RegExp) =>
  Effect.gen(function* () {
    const error = yield* Effect.flip(Effect.scoped(effect))
    assert.instanceOf(error, LockError.InvalidOptions, String(error))
    assert.strictEqual(error.option, option)
    assert.match(error.reason, reason)
  })

describe("a URL", () => {
  plain("says where the server is", () => {
    for (const [url, options] of [
      ["redis://host", { host: "host" }],
      ["redis://host:7/3", { host: "host", port: 7, db: 3 }],
      ["redis://user:a%20%25@host/", { host: "host", username: "user", password: "a %" }],
      ["redis://:pw@[::1]:6380", { host: "::1", port: 6380, password: "pw" }],
      ["rediss://host?db=2&family=6", { host: "host", db: 2, family: 6, tls: {} }],
      ["redis://host/1?db=2&password=a%2Bb", { host: "host", db: 1, password: "a+b" }],
      ["redis://user@host?keyPrefix=k:", { host: "host", username: "user", keyPrefix: "k:" }],
      ["/a b/%20.sock", { path: "/a b/%20.sock" }],
      ["/sock?password=pw&db=4", { path: "/sock", password: "pw", db: 4 }],
      ["unix:///a%20b/sock", { path: "/a b/sock" }],
      ["unix://user:p%40@/sock?db=5", { path: "/sock", username: "user", password: "p@", db: 5 }],
      ["unix://:pw@/sock", { path: "/sock", password: "pw" }],
      ["unix:///sock?username=u&password=pw", { path: "/sock", username: "u", password: "pw" }]
    ] as const) {
      assert.deepStrictEqual(Url.parse(url), Either.right(options as RedisOptions), url)
    }
  })

  plain("is shown without what is secret", () => {
    for (const [url, shown] of [
      ["redis://user:sesame@host:7/3?password=sesame", "redis://host:7/3"],
      ["rediss://:sesame@[::1]", "rediss://[::1]"],
      ["/sock?password=sesame", "/sock"],
      ["unix://user:sesame@/sock?db=5&password=sesame", "/sock, database 5"],
      ["unix://:sesame%@/sock", "a URL that is not valid"],
      ["sesame", "a URL that is not valid"]
    ] as const) {
      assert.strictEqual(RedisServer.address(url), shown)
      assert.strictEqual(RedisServer.address(Redacted.make(url)), shown)
    }
  })
})

withOwnServer("a store with", { password: secret }, (it) => {
  it.effect("a unix socket as its URL, a password in it or beside it, works", () =>
    leavesNothing(({ namespace, server: { url } }) =>
      Effect.gen(function* () {
        const encoded = encodeURIComponent(secret)
        for (const options of [
          { url: `${url}?password=${encoded}` },
          { url: `unix://:${encoded}@${url}` },
          { url: `unix://default:${encoded}@${url}?db=3` },
          { url: `unix://${url}?db=3&password=${encoded}` },
          { url: `unix://${url}?password=wrong`, password: Redacted.make(secret) },
          { url: `unix://${url}`, redis: { password: secret } }
        ] satisfies ReadonlyArray<RedisStore.Options>) {
          yield* Effect.scoped(Effect.flatMap(RedisStore.make({ ...options, namespace }), works))
        }
        for (const bad of [`${url}?password=sesame`, `unix://:sesame@${url}`, `/nowhere?password=sesame`]) {
          const error = yield* Effect.flip(Effect.scoped(RedisStore.make({ url: bad, connectTimeout: 300 })))
          assert.instanceOf(error, LockError.StoreError)
          assert.notInclude(String(error) + JSON.stringify(error), "sesame")
        }
      })
    )
  )
})

withOwnServer("a store with the options of its client", undefined, (it) => {
  it.effect("is refused when the server does not have its database, however it is named", () =>
    leavesNothing(({ namespace, server }) =>
      Effect.gen(function* () {
        const tcp = `redis://127.0.0.1:${server.port}`
        const reason = /does not let the client into database 20/
        const store = (options: RedisStore.Options) => RedisStore.make({ ...options, namespace })
        yield* refused(store({ url: `${tcp}/20` }), "url", reason)
        yield* refused(store({ url: `${server.url}?db=20` }), "url", reason)
        yield* refused(store({ url: server.url, redis: { db: 20 } }), "redis.db", reason)
        const layer = (options: RedisOptions) =>
          Effect.flatMap(client(server, options), (redis) => Effect.asVoid(open(RedisStore.layerClient(redis))))
        yield* refused(layer({ db: 20 }), "client.options.db", reason)
        yield* refused(layer({ db: 20, lazyConnect: true }), "client.options.db", reason)
        yield* Effect.scoped(Effect.flatMap(store({ url: `${tcp}/15` }), works))
      })
    )
  )

  it.effect("works, or is refused, when they change the answers", () =>
    leavesNothing(({ namespace, server }) =>
      Effect.gen(function* () {
        const own = (redis: RedisOptions) => RedisStore.make({ url: server.url, namespace, redis })
        const foreign = (options: RedisOptions) =>
          Effect.flatMap(client(server, options), (redis) => open(RedisStore.layerClient(redis, { namespace })))
        yield* Effect.scoped(Effect.flatMap(own({ stringNumbers: true }), works))
        yield* Effect.scoped(Effect.flatMap(own({ replyMapping: "resp3" } as RedisOptions), works))
        yield* Effect.scoped(Effect.flatMap(own({ protocol: 3, replyMapping: "resp3" } as RedisOptions), works))
        yield* refused(foreign({ stringNumbers: true }), "client", /stringNumbers/)
        for (const command of ["fcall", "eval", "evalsha"]) {
          Command.setReplyTransformer(command, (reply: unknown) => (Array.isArray(reply) ? reply.slice(1) : reply))
          const undo = Effect.sync(() => Command.setReplyTransformer(command, (reply: unknown) => reply))
          yield* Effect.ensuring(
            Effect.zipRight(
              refused(own({}), "redis", new RegExp(`replies to ${command}`)),
              refused(foreign({}), "client", new RegExp(`replies to ${command}`))
            ),
            undo
          )
        }
        for (const options of [{}, { protocol: 2 }, { protocol: 3, replyMapping: "resp3" }] as const) {
          yield* Effect.scoped(
            Effect.gen(function* () {
              const redis = yield* Effect.acquireRelease(
                Effect.sync(() => new OtherRedis(server.url, options)),
                (made) => Effect.sync(() => made.disconnect())
              )
              yield* works(yield* open(RedisStore.layerClient(redis as unknown as Redis, { namespace })))
            })
          )
        }
      })
    )
  )

  it.effect("shares its client with many others, with a few listeners for all", () =>
    leavesNothing(({ namespace, server }) =>
      Effect.gen(function* () {
        const warnings: Array<string> = []
        const note = (warning: Error) => void warnings.push(warning.name)
        yield* Effect.acquireRelease(
          Effect.sync(() => process.on("warning", note)),
          () => Effect.sync(() => process.off("warning", note))
        )
        const redis = yield* client(server, { connectionName: namespace, lazyConnect: true })
        const before = redis.eventNames().map((name) => [name, redis.listenerCount(name)])
        const limit = redis.getMaxListeners()
        yield* Effect.scoped(
          Effect.gen(function* () {
            const stores = yield* Effect.forEach(
              Array.from({ length: 25 }, (_, i) => `${namespace}-${i}`),
              (each) => open(RedisStore.layerClient(redis, { namespace: each })),
              { concurrency: "unbounded" }
            )
            yield* Effect.forEach(stores, works, { concurrency: 5, discard: true })
            assert.isAtMost(Math.max(...redis.eventNames().map((name) => redis.listenerCount(name))), 3)
          })
        )
        yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
        assert.deepStrictEqual(warnings, [])
        assert.strictEqual(redis.getMaxListeners(), limit)
        assert.deepStrictEqual(
          redis.eventNames().map((name) => [name, redis.listenerCount(name)]),
          before
        )
      })
    )
  )

  it.effect("has a password that the server does not ask for, it says so once, and ioredis prints nothing", () =>
    leavesNothing(({ namespace, server: { url } }) =>
      Effect.gen(function* () {
        const store = Effect.flatMap(RedisStore.make({ url, namespace, password: Redacted.make(secret) }), works)
        const { foreign, own } = yield* printed(Effect.scoped(store))
        assert.deepStrictEqual(foreign, [])
        for (const text of own) assert.strictEqual(text, "A password was given, but the server does not ask for one")
        assert.isAtMost(own.length, 1)
      })
    )
  )

  it.effect("tells others the first 256 characters of a label, a reason and a host", () =>
    leavesNothing(({ store }) =>
      Effect.gen(function* () {
        const made = yield* store()
        const session = yield* Session.make(made)
        // A character of two units lies on the border.
        const text = `${"x".repeat(255)}🔒${"y".repeat(1_000_000)}`
        const request = session.request([write("a")])
        const holder = { label: text, reason: text, host: text }
        yield* made.acquire({ ...request, holder })
        const entry = Option.getOrThrow(yield* made.lookup(request.id))
        for (const shown of [entry.label, entry.reason, entry.host]) assert.strictEqual(shown, "x".repeat(255))
        const short = { label: "🔒".repeat(128), reason: "", host: "h" }
        const other = session.request([write("b")])
        yield* made.acquire({ ...other, holder: short })
        const { host, label, reason } = Option.getOrThrow(yield* made.lookup(other.id))
        assert.deepStrictEqual({ host, label, reason }, short)
        yield* made.release(request.id)
        yield* made.release(other.id)
      })
    )
  )
})

withOwnServer(
  "a store on a server without INFO",
  { args: ["--rename-command", "INFO", ""], admin: { enableReadyCheck: false } },
  (it) => {
    it.effect("works, and connects anew, and says once that it did not check", () =>
      Effect.scoped(
        Effect.gen(function* () {
          const server = yield* Server.start({
            args: ["--rename-command", "INFO", "", "--rename-command", "ROLE", ""],
            admin: { enableReadyCheck: false }
          })
          const { foreign, own } = yield* printed(
            Effect.scoped(
              Effect.gen(function* () {
                const store = yield* RedisStore.make({ url: server.url, namespace: "x" })
                yield* works(store)
                yield* Effect.promise(() => server.admin.client("KILL", "TYPE", "normal", "SKIPME", "yes"))
                yield* Effect.promise(() => server.admin.client("KILL", "TYPE", "pubsub"))
                yield* works(store)
              })
            )
          )
          assert.deepStrictEqual(foreign, [])
          assert.lengthOf(own, 1)
          assert.match(own[0]!, /version and settings were not checked: .*unknown command/)
        })
      )
    )
  }
)

withOwnServer("a store whose user lacks a right", undefined, (it) => {
  it.effect("inside a script, explains it as it does any other", () =>
    leavesNothing(({ admin, namespace, server: { port } }) =>
      Effect.gen(function* () {
        const lacks = (...rules: ReadonlyArray<string>) =>
          Effect.gen(function* () {
            yield* Effect.promise(() => admin.acl("SETUSER", "app", "reset", "on", ">pw", "+@all", ...rules))
            const url = `redis://app:pw@127.0.0.1:${port}`
            const store = yield* RedisStore.make({ url, namespace, connectTimeout: 1000 })
            const session = yield* Session.make(store)
            return yield* Effect.flip(store.acquire(session.request([write("a")])))
          }).pipe(Effect.scoped)
        for (const rules of [
          ["~*", "&*", "-hset"],
          ["~nothing", "&*"]
        ] as const) {
          const error = yield* lacks(...rules)
          assert.instanceOf(error, LockError.StoreError)
          assert.match(error.reason, /^the user may not run the store's commands/)
        }
      })
    )
  )
})

withOwnServer("a store that finds its server by Sentinel", undefined, (it) => {
  it.effect("warns on a client without failoverDetector, and prints nothing when the Sentinel is gone", () =>
    leavesNothing(({ namespace, server }: Fixture) =>
      Effect.gen(function* () {
        const scope = yield* Scope.make()
        const port = yield* Scope.extend(Server.startSentinel("locks", server), scope)
        const sentinels = [{ host: "127.0.0.1", port }]
        const { foreign, own } = yield* printed(
          Effect.scoped(
            Effect.gen(function* () {
              const app = (failoverDetector: boolean) =>
                Effect.acquireRelease(
                  Effect.sync(() =>
                    new Redis({ sentinels, name: "locks", failoverDetector, connectionName: namespace }).on(
                      "error",
                      () => undefined
                    )
                  ),
                  (redis) => Effect.sync(() => redis.disconnect())
                )
              const one = yield* app(false)
              yield* works(yield* open(RedisStore.layerClient(one, { namespace })))
              const made = yield* RedisStore.make({ redis: { sentinels, name: "locks" }, namespace })
              yield* works(made)
              yield* Scope.close(scope, Exit.void)
              yield* works(made)
              const gone = Effect.promise(
                () =>
                  new Promise<boolean>((resolve) => {
                    const probe = new Redis(port, "127.0.0.1", { lazyConnect: true, retryStrategy: () => null })
                    probe.on("error", () => undefined)
                    probe.connect().then(
                      () => resolve(false),
                      () => resolve(true)
                    )
                  })
              )
              yield* until(gone, "the end of the Sentinel")
            })
          )
        )
        assert.deepStrictEqual(foreign, [])
        assert.lengthOf(own, 1)
        assert.match(own[0]!, /failoverDetector/)
        yield* Effect.promise(() => server.admin.client("KILL", "TYPE", "normal", "SKIPME", "yes"))
      })
    )
  )
})

withOwnServer("the clocks of replicas", undefined, (it) => {
  it.effect(
    "are compared with the primary's, and one that cannot be asked says why",
    () =>
      leavesNothing(({ admin }) =>
        Effect.gen(function* () {
          assert.deepStrictEqual(yield* RedisServer.replicaClocks(admin), [])
          const password = secret
          const primary = yield* Server.start({ password, args: ["--repl-diskless-sync-delay", "0"] })
          const link = ["--masterauth", password]
          const near = yield* Server.start({ password, args: link })
          const locked = yield* Server.start({ password: "another", args: link })
          const isLinked = ({ admin: replica }: Server.Server) =>
            Effect.promise(async () => /master_link_status:up/.test(await replica.info("replication")))
          for (const replica of [near, locked]) {
            yield* Effect.promise(() => replica.admin.replicaof("127.0.0.1", primary.port))
            yield* until(isLinked(replica), "the link to the primary")
          }
          const clocks = yield* RedisServer.replicaClocks(primary.admin)
          assert.sameMembers(
            clocks.map(({ address }) => address),
            [`127.0.0.1:${near.port}`, `127.0.0.1:${locked.port}`]
          )
          const [good] = clocks.filter(({ address }) => address.endsWith(`:${near.port}`))
          // All are on this machine.
          assert.isAtMost(Math.abs(good!.ahead!), good!.precision + 1)
          const [bad] = clocks.filter(({ address }) => address.endsWith(`:${locked.port}`))
          assert.isUndefined(bad!.ahead)
          assert.match(bad!.problem!, /refuses the user or the password/)
          assert.notInclude(JSON.stringify(clocks), secret)
        })
      ),
    timeLimit
  )
})
