import { inspect } from "node:util"
import { assert, describe, vi } from "@effect/vitest"
import { HierarchicalLock, LockError, LockPath, LockStore, Target } from "@hilok/core"
import { RedisStore } from "@hilok/redis"
import { Session } from "@hilok/testing"
import { Cause, Deferred, Duration, Effect, Exit, Fiber, Logger, LogLevel, Option, Redacted, Tracer } from "effect"
import type { Redis } from "ioredis"
import * as FakeServer from "./support/fakeServer.ts"
import { type Fixture, leavesNothing, until, withOwnServer } from "./support/fixture.ts"
import * as layout from "./support/layout.ts"

const { read, write } = Target

type Store = LockStore.LockStore["Type"]

const refusedBecause = (effect: Effect.Effect<unknown, unknown>, reason: RegExp) =>
  Effect.gen(function* () {
    const error = yield* Effect.flip(effect)
    assert.instanceOf(error, LockError.StoreError)
    assert.match(error.message, reason)
  })

/** A service over a store of the fixture. */
const service = ({ store }: Fixture, options?: Parameters<typeof HierarchicalLock.make>[0]) =>
  Effect.flatMap(store(), (made) => Effect.provideService(HierarchicalLock.make(options), LockStore.LockStore, made))

const entries = (store: Store) => Effect.orDie(store.inspect(LockPath.root))

const secret = "open sesame"

/** Runs an effect, and checks that nothing that can be seen of it shows the password. */
const showsNoPassword = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const seen: Array<unknown> = []
    const logger = Logger.make<unknown, void>(({ annotations, cause, message }) => {
      seen.push(message, Cause.pretty(cause), annotations)
    })
    const native = yield* Effect.tracer
    const tracer = Tracer.make({
      context: (run, fiber) => native.context(run, fiber),
      span: (...args) => {
        const span = native.span(...args)
        seen.push(span)
        return span
      }
    })
    const exit = yield* effect.pipe(
      Effect.provide(Logger.replace(Logger.defaultLogger, logger)),
      Logger.withMinimumLogLevel(LogLevel.All),
      Effect.withTracer(tracer),
      Effect.exit
    )
    if (Exit.isFailure(exit)) seen.push(exit.cause, Cause.pretty(exit.cause), JSON.stringify(exit.cause))
    const shown = inspect(seen, { depth: 12, showHidden: true, maxArrayLength: null })
    for (const hidden of [secret, encodeURIComponent(secret)]) assert.notInclude(shown, hidden)
    return exit
  })

/** Runs an effect, and answers with the warnings of it, and of ioredis on the console. */
const warningsOf = <E, R>(effect: Effect.Effect<void, E, R>) => {
  const own: Array<string> = []
  const foreign: Array<string> = []
  const logger = Logger.make(({ message }) => {
    own.push(String(message))
  })
  return Effect.acquireUseRelease(
    Effect.sync(() => vi.spyOn(console, "warn").mockImplementation((text) => void foreign.push(String(text)))),
    () => Effect.as(Effect.provide(effect, Logger.replace(Logger.defaultLogger, logger)), { own, foreign }),
    (spy) => Effect.sync(() => spy.mockRestore())
  )
}

describe("RedisStore, in trouble", () => {
  withOwnServer("with a password", { password: secret }, (it) => {
    const lock = (options: RedisStore.Options) =>
      Effect.scoped(
        Effect.gen(function* () {
          const store = yield* RedisStore.make({ connectTimeout: "10 seconds", ...options })
          const locks = yield* Effect.provideService(HierarchicalLock.make(), LockStore.LockStore, store)
          yield* locks.write("a")
        })
      )

    it.effect("it is told to the server, and to nobody else", () =>
      leavesNothing(({ server: { port, url } }) =>
        Effect.gen(function* () {
          const host = `127.0.0.1:${port}`
          const encoded = encodeURIComponent(secret)
          for (const options of [
            { url, password: Redacted.make(secret) },
            { url: `redis://:${encoded}@${host}` },
            { url: Redacted.make(`redis://default:${encoded}@${host}/0`) },
            { url: `redis://${host}`, username: "default", password: Redacted.make(secret) },
            { redis: { path: url, password: secret } }
          ] satisfies ReadonlyArray<RedisStore.Options>) {
            assert.isTrue(Exit.isSuccess(yield* showsNoPassword(lock(options))), inspect(options))
          }
        })
      )
    )

    it.effect("a wrong one, or none, is refused at once", () =>
      leavesNothing(({ server: { port, url } }) =>
        Effect.gen(function* () {
          for (const options of [
            { url },
            { url, password: Redacted.make(`${secret}!`) },
            { url: `redis://:${encodeURIComponent(secret)}x@127.0.0.1:${port}` },
            { url, username: "somebody", password: Redacted.make(secret) }
          ] satisfies ReadonlyArray<RedisStore.Options>) {
            const [took, exit] = yield* Effect.timed(showsNoPassword(lock(options)))
            assert.isTrue(Exit.isFailure(exit))
            yield* refusedBecause(exit, /the server refuses the user or the password/)
            assert.isBelow(Duration.toMillis(took), 9000, "without waiting for better times")
          }
        })
      )
    )

    it.effect("a user needs no more than the scripts do, on the keys and channels of the store", () =>
      leavesNothing(({ admin, server: { url } }) =>
        Effect.gen(function* () {
          const commands =
            "fcall function|load eval evalsha publish subscribe unsubscribe time hmget hset hdel del exists pexpire zadd " +
            "zrem zcard zscore zmscore zrange zrangebylex zrevrangebylex zrangebyscore zremrangebylex"
          const rules = ["on", `>${secret}`, "~hilok:*", "&hilok:*", ...commands.split(" ").map((name) => `+${name}`)]
          yield* Effect.promise(() => admin.acl("SETUSER", "app", ...rules))
          yield* Effect.promise(() => admin.acl("SETUSER", "reader", "on", `>${secret}`, "~*", "+@read", "+info"))
          const app = { url, username: "app", password: Redacted.make(secret) }
          const { foreign, own } = yield* warningsOf(
            Effect.gen(function* () {
              const store = yield* RedisStore.make(app)
              const session = yield* Session.make(store)
              const held = yield* session.held([write("a")])
              const next = yield* session.queued([write("a/b")])
              yield* layout.expire(admin, ["hilok:{default}:table", "", "hilok:{default}:deadlines"], [held.id])
              yield* store.lookup("nobody")
              yield* session.granted(next)
              yield* session.held([write("c")])
              yield* session.end
            }).pipe(Effect.scoped)
          )
          assert.lengthOf(own, 1)
          assert.match(own[0]!, /^The server's version and settings were not checked: .*NOPERM/)
          assert.deepStrictEqual(foreign, [], "ioredis prints nothing")
          yield* refusedBecause(Effect.scoped(RedisStore.make({ ...app, username: "reader" })), /may not run/)
          const elsewhere = Effect.scoped(
            Effect.flatMap(RedisStore.make({ ...app, keyPrefix: "other" }), (store) => store.lookup("x"))
          )
          yield* warningsOf(refusedBecause(elsewhere, /may not run/))
        })
      )
    )
  })

  withOwnServer("of its server", undefined, (it) => {
    it.effect("when memory is short no lock is given, but those that are held are kept, handed over and released", () =>
      leavesNothing(({ admin, client }) =>
        Effect.gen(function* () {
          const { session, store } = yield* client()
          const held = yield* session.held([write("a")], { ttl: "3 seconds" })
          const other = yield* session.held([write("b")], { ttl: "1 second" })
          const next = yield* session.queued([write("a")], { ttl: "1 second" })
          yield* Effect.promise(() => admin.config("SET", "maxmemory", "1"))
          yield* refusedBecause(store.acquire(session.request([write("c")])), /out of memory/)
          yield* refusedBecause(store.tryAcquire(session.request([write("c")])), /out of memory/)
          const extended = Option.getOrThrow(yield* store.refresh(held.id, Duration.seconds(10), held.id))
          assert.isAbove(extended, held.deadline + 1000)
          yield* store.refresh(other.id, Duration.minutes(1), other.id)
          // The one that waits says so, three times per ttl, and is not dropped.
          yield* Effect.sleep("1200 millis")
          const waiting = (yield* entries(store)).find(({ id }) => id === next.id)
          assert.strictEqual(waiting?.state, "waiting")
          assert.isAbove(waiting?.timeLeft ?? 0, 0)
          assert.isTrue(yield* store.downgrade(other.id, other.id))
          assert.isTrue(yield* store.release(held.id, held.id))
          yield* session.granted(next)
          assert.isTrue(yield* store.breakLease(next.id))
          assert.isTrue(yield* store.release(other.id, other.id))
          yield* Effect.promise(() => admin.config("SET", "maxmemory", "0"))
          yield* session.held([write("c")])
          yield* session.revocation
          yield* session.end
        }).pipe(Effect.ensuring(Effect.promise(() => admin.config("SET", "maxmemory", "0"))))
      )
    )

    it.effect("when it becomes a replica it says so, and when it is no longer one the work goes on", () =>
      leavesNothing(({ admin, client, options }) =>
        Effect.gen(function* () {
          const { session, store } = yield* client({ commandTimeout: "300 millis" })
          const held = yield* session.held([write("a")])
          yield* Effect.promise(() => admin.replicaof("127.0.0.1", 1))
          const replica = /read-only replica/
          yield* refusedBecause(store.tryAcquire(session.request([write("b")])), replica)
          const waiting = yield* Effect.fork(store.acquire(session.request([write("b")])))
          yield* refusedBecause(store.refresh(held.id, Duration.minutes(1), held.id), replica)
          yield* refusedBecause(store.release(held.id, held.id), replica)
          yield* refusedBecause(Effect.scoped(RedisStore.make(options)), /is a replica/)
          yield* Effect.promise(() => admin.replicaof("NO", "ONE"))
          const { token } = yield* Session.due(Fiber.join(waiting), "what waited for a primary")
          assert.isAbove(token, held.token)
          // The release is carried out, too, though its caller did not wait for that.
          yield* until(
            Effect.map(entries(store), (all) => all.length === 1 && all[0]!.token === token),
            "the release"
          )
          yield* store.release((yield* entries(store))[0]!.id)
          yield* session.end
        }).pipe(Effect.ensuring(Effect.promise(() => admin.replicaof("NO", "ONE"))))
      )
    )

    it.effect("a key that is somebody else's is refused, and stays as it is", () =>
      leavesNothing(({ admin, client, keys }) =>
        Effect.gen(function* () {
          const { session, store } = yield* client()
          const foreign: ReadonlyArray<(key: string) => Promise<unknown>> = [
            (key) => admin.set(key, "theirs"),
            (key) => admin.rpush(key, "theirs", "too"),
            (key) => admin.sadd(key, "theirs"),
            (key) => (key.endsWith("table") ? admin.zadd(key, 1, "theirs") : admin.hset(key, "theirs", 1))
          ]
          for (const key of keys) {
            for (const make of foreign) {
              yield* Effect.promise(() => make(key))
              const before = yield* Effect.promise(() => admin.dumpBuffer(key))
              const wrong = /holds something else: choose another key prefix or namespace/
              yield* refusedBecause(store.acquire(session.request([write("a")])), wrong)
              yield* refusedBecause(store.tryAcquire(session.request([read("a"), write("b")])), wrong)
              yield* Effect.exit(store.refresh("x", Duration.minutes(1), "x"))
              yield* Effect.exit(store.release("x"))
              yield* Effect.exit(store.inspect(LockPath.root))
              assert.deepStrictEqual(yield* Effect.promise(() => admin.dumpBuffer(key)), before)
              assert.deepStrictEqual(yield* Effect.promise(() => admin.keys("*")), [key])
              yield* Effect.promise(() => admin.del(key))
            }
          }
          yield* session.held([write("a")])
          yield* session.end
        })
      )
    )

    it.effect("a reply that is not one of ours is an error, and the next one is read as usual", () =>
      leavesNothing(({ client }) =>
        Effect.gen(function* () {
          let reply = ":1\r\n"
          const url = yield* FakeServer.start((command) => {
            if (command === "info") return FakeServer.info({})
            if (command === "fcall" || command === "evalsha" || command === "eval") return reply
            return command === "subscribe" ? "*3\r\n$9\r\nsubscribe\r\n$1\r\nx\r\n:1\r\n" : "+OK\r\n"
          })
          const { session, store } = yield* client({ url, commandTimeout: "200 millis" })
          for (const unknown of [
            ":1\r\n",
            "$-1\r\n",
            "+OK\r\n",
            "*0\r\n",
            "*1\r\n$1\r\nx\r\n",
            "*3\r\n:1\r\n:0\r\n:7\r\n",
            "*4\r\n:1\r\n:0\r\n$0\r\n\r\n$5\r\nhello\r\n",
            "-ERR unknown command\r\n",
            "-NOSCRIPT No matching script\r\n",
            "-BUSY Redis is busy\r\n"
          ]) {
            reply = unknown
            // One that waits is asked for again while the server is busy.
            if (!unknown.startsWith("-BUSY")) yield* Effect.flip(store.acquire(session.request([write("a")])))
            yield* Effect.flip(store.tryAcquire(session.request([write("a")])))
            for (const effect of [
              Effect.asVoid(store.inspect(LockPath.root)),
              Effect.asVoid(store.lookup("x")),
              Effect.asVoid(store.refresh("x", Duration.minutes(1), "x")),
              Effect.asVoid(store.restore("x", Duration.minutes(1), "x")),
              Effect.asVoid(store.release("x")),
              Effect.asVoid(store.downgrade("x", "x")),
              Effect.asVoid(store.giveBack("x", "x")),
              Effect.asVoid(store.blockers(["x", "y"])),
              Effect.asVoid(store.breakLease("x"))
            ]) {
              const exit = yield* Effect.exit(effect)
              assert.isTrue(Exit.isSuccess(exit) || Cause.isFailure(exit.cause), `no defect for ${unknown}`)
            }
          }
          reply = "*6\r\n:1000000\r\n:0\r\n$0\r\n\r\n:1\r\n:5\r\n:2000000\r\n"
          assert.strictEqual((yield* store.acquire(session.request([write("a")]))).token, 5)
        })
      )
    )

    it.effect("when all its data is deleted, a lease is lost at the next refresh, and those who wait queue anew", () =>
      leavesNothing((fixture) =>
        Effect.gen(function* () {
          const locks = yield* service(fixture, { ttl: "300 millis", refreshInterval: "100 millis" })
          const { session, store } = yield* fixture.client()
          const held = yield* Deferred.make<void>()
          const body = Effect.zipRight(Deferred.succeed(held, undefined), Effect.never)
          const holder = yield* Effect.fork(locks.withWrite(body, "a"))
          yield* Deferred.await(held)
          const short = { ttl: "300 millis" } as const
          const next = yield* session.queued([write("a")], short)
          const last = yield* session.queued([write("a/b")], short)
          yield* Effect.promise(() => fixture.admin.flushall())
          const lost = yield* Session.due(Effect.flip(Fiber.join(holder)), "the loss")
          assert.instanceOf(lost, LockError.LockLost)
          assert.strictEqual(lost.reason, "expired")
          // In whichever order they come back.
          const grants = [next, last].map(({ fiber, id }) => Effect.as(Fiber.join(fiber), id))
          const first = yield* Session.due(Effect.raceAll(grants), "a grant of one")
          yield* store.release(first, first)
          yield* Session.due(Fiber.join((first === next.id ? last : next).fiber), "the grant of the other")
          yield* store.release(next.id, next.id)
          yield* store.release(last.id, last.id)
          yield* session.end
        })
      )
    )

    it.effect("when it forgets the scripts, nobody notices", () =>
      leavesNothing(({ admin, client }) =>
        Effect.gen(function* () {
          const { session, store } = yield* client()
          const flush = Effect.promise(() => admin.script("FLUSH"))
          yield* flush
          const held = yield* session.held([write("a")])
          yield* flush
          const next = yield* session.queued([write("a")])
          yield* flush
          assert.isTrue(Option.isSome(yield* store.refresh(held.id, Duration.minutes(1), held.id)))
          yield* flush
          assert.isTrue(yield* store.downgrade(held.id, held.id))
          yield* flush
          assert.isTrue(Option.isSome(yield* store.restore(held.id, Duration.minutes(1), held.id)))
          yield* flush
          assert.strictEqual((yield* entries(store)).length, 2)
          yield* flush
          assert.isTrue(yield* store.release(held.id, held.id))
          yield* session.granted(next)
          yield* flush
          assert.isTrue(yield* store.breakLease(next.id))
          yield* session.revocation
          yield* session.end
        })
      )
    )
  })

  withOwnServer("of the line", undefined, (it) => {
    const patience = "400 millis"
    const lateness = /did not answer within 400 ms/

    /** Holds up all scripts until `during` has ended, and then waits until all that was sent has been run. */
    const pausing = <A, E>(admin: Redis, during: Effect.Effect<A, E>) =>
      Effect.gen(function* () {
        yield* Effect.promise(() => admin.client("PAUSE", 10_000, "WRITE"))
        const result = yield* Effect.ensuring(
          during,
          Effect.promise(() => admin.client("UNPAUSE"))
        )
        yield* Effect.promise(() => admin.ping())
        return result
      })

    const lastTicket = (admin: Redis, keys: Fixture["keys"]) =>
      Effect.map(layout.look(admin, keys), (table) => table.lastTicket)

    it.effect("a request that comes too late is not even looked at", () =>
      leavesNothing(({ admin, client, keys }) =>
        Effect.gen(function* () {
          const { session, store } = yield* client({ commandTimeout: patience })
          const held = yield* session.held([write("a")])
          const before = yield* lastTicket(admin, keys)
          yield* pausing(
            admin,
            Effect.all(
              [
                refusedBecause(store.acquire(session.request([write("b")])), lateness),
                refusedBecause(store.acquire(session.request([write("a")])), lateness),
                refusedBecause(store.tryAcquire(session.request([write("c"), read("d")])), lateness)
              ],
              { concurrency: "unbounded" }
            )
          )
          yield* until(
            Effect.map(entries(store), (all) => all.length === 1),
            "the end of what was given up"
          )
          assert.strictEqual(yield* lastTicket(admin, keys), before)
          assert.strictEqual((yield* entries(store))[0]?.id, held.id)
          yield* session.end
        })
      )
    )

    it.effect("not even the first one of a client", () =>
      leavesNothing(({ admin, client, keys }) =>
        Effect.gen(function* () {
          const other = yield* client()
          yield* other.session.held([write("a")])
          const before = yield* lastTicket(admin, keys)
          const { session, store } = yield* client({ commandTimeout: patience })
          yield* pausing(admin, refusedBecause(store.acquire(session.request([write("b")])), lateness))
          assert.strictEqual((yield* entries(store)).length, 1)
          assert.strictEqual(yield* lastTicket(admin, keys), before)
          yield* other.session.end
        })
      )
    )

    it.effect(
      "a refresh, restore, downgrade or break that comes too late does nothing, a release that does is done",
      () =>
        leavesNothing(({ admin, client }) =>
          Effect.gen(function* () {
            const { session, store } = yield* client({ commandTimeout: patience })
            const held = yield* session.held([write("a")], { ttl: "2 seconds" })
            const other = yield* session.held([write("b")])
            const restored = yield* session.held([write("c")])
            yield* store.restore(restored.id, Duration.minutes(5), "another")
            yield* session.revocation
            const timeLeft = Effect.map(store.lookup(held.id), (entry) => Option.getOrThrow(entry).timeLeft!)
            yield* pausing(
              admin,
              Effect.all(
                [
                  refusedBecause(store.refresh(held.id, Duration.minutes(1), held.id), lateness),
                  refusedBecause(store.restore(held.id, Duration.minutes(1), held.id), lateness),
                  refusedBecause(store.restore(held.id, Duration.minutes(1), "another"), lateness),
                  refusedBecause(store.downgrade(held.id, held.id), lateness),
                  refusedBecause(store.downgrade(held.id), lateness),
                  refusedBecause(store.breakLease(held.id), lateness),
                  refusedBecause(store.giveBack(restored.id, "another"), lateness),
                  refusedBecause(store.release(other.id, other.id), lateness)
                ],
                { concurrency: "unbounded" }
              )
            )
            assert.isBelow(yield* timeLeft, 2000)
            assert.strictEqual(Option.getOrThrow(yield* store.lookup(held.id)).targets[0]?.mode, "write")
            assert.isTrue(
              Option.isSome(yield* store.refresh(held.id, Duration.seconds(2), held.id)),
              "it is still its own"
            )
            assert.strictEqual(yield* session.pendingRevocations, 0)
            assert.isTrue(yield* store.release(restored.id, restored.id), "what is given back late is given back")
            assert.isTrue(Option.isNone(yield* store.lookup(other.id)))
            yield* store.release(held.id, held.id)
            yield* session.end
          })
        )
    )

    it.effect("those who wait when their store is closed are told so, and leave the queue", () =>
      leavesNothing((fixture) =>
        Effect.gen(function* () {
          const { session } = yield* fixture.client()
          const held = yield* session.held([write("a")])
          const waiting = yield* Effect.scoped(
            Effect.gen(function* () {
              const { store } = yield* fixture.client()
              const wait = (path: string) => store.acquire(session.request([write(path)]))
              const waiting = yield* Effect.forkDaemon(wait("a"))
              yield* until(
                Effect.map(entries(store), (all) => all.length === 2),
                "a place in the queue"
              )
              // One that is on its way, and one that is not yet.
              const others = [yield* Effect.forkDaemon(wait("a/b")), yield* Effect.forkDaemon(wait("c"))]
              yield* Effect.yieldNow()
              return [waiting, ...others]
            })
          )
          for (const fiber of waiting) yield* refusedBecause(Fiber.join(fiber), /it is closed/)
          assert.deepStrictEqual(
            (yield* session.observe).entries.map(({ id }) => id),
            [held.id]
          )
          yield* session.end
        })
      )
    )
  })
})
