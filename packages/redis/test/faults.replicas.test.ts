/**
 * Grants that are to be on replicas: what a failover loses without that, and what happens when there are too few.
 */
import { assert } from "@effect/vitest"
import { LockError, LockPath, type LockStore, Target } from "@hilok/core"
import { Session } from "@hilok/testing"
import { Cause, Duration, Effect, Exit, Fiber, Logger, Option, Scope } from "effect"
import { assertRising, hold, open, soon, timeLimit, until } from "./support/faults.ts"
import { type Fixture, leavesNothing, withOwnServer } from "./support/fixture.ts"
import * as Proxy from "./support/proxy.ts"
import { follow, told } from "./support/replication.ts"
import * as Server from "./support/server.ts"

/** A ttl that is not over within a test. */
const long = 120_000
const minute = Duration.minutes(1)

const r = [Target.write("r")]
const one = { min: 1, timeout: "25 seconds" } as const

type Store = LockStore.LockStore["Type"]

const test = (body: (fixture: Fixture) => Effect.Effect<void, unknown, Scope.Scope>) => () => leavesNothing(body)

/** A server and one that follows it. */
const pair = Effect.gen(function* () {
  const primary = yield* Server.start()
  return { primary, replica: yield* follow(primary) }
})

/** The server's process stops, to the end of the test at the latest. */
const stop = (server: Server.Server) =>
  Effect.acquireRelease(
    Effect.sync(() => process.kill(server.pid, "SIGSTOP")),
    () => resume(server)
  )

const resume = (server: Server.Server) => Effect.sync(() => process.kill(server.pid, "SIGCONT"))

/** From now on the replica gets nothing more, not even what is on its way. */
const cutOff = ({ primary, replica }: Effect.Effect.Success<typeof pair>) =>
  Effect.zipRight(
    stop(replica),
    Effect.promise(() => primary.admin.call("CLIENT", "KILL", "TYPE", "replica"))
  )

/** The primary is gone, and the replica takes over behind the same address. */
const takeOver = ({ primary, replica }: Effect.Effect.Success<typeof pair>, proxy: Proxy.Proxy) =>
  Effect.gen(function* () {
    yield* primary.kill
    yield* resume(replica)
    yield* Effect.promise(() => replica.admin.replicaof("NO", "ONE"))
    proxy.target = replica.url
  })

const nothingLeft = (server: Server.Server) =>
  until(
    Effect.promise(async () => (await server.admin.keys("*")).length === 0),
    "an empty server"
  )

const tooFew = /0 replicas had the lock within \d+ ms, but replicas\.min asks for 1/

const failsBusy = (effect: Effect.Effect<unknown, unknown>) =>
  Effect.gen(function* () {
    const error = yield* soon(Effect.flip(effect), "the error")
    assert.instanceOf(error, LockError.StoreError)
    assert.strictEqual(error.kind, "busy")
    assert.match(error.message, tooFew)
  })

const isHeld = (store: Store, id: string) =>
  until(
    Effect.map(store.lookup(id), (found) => Option.isSome(found) && found.value.state === "held"),
    "the grant in the server"
  )

const waitCalls = (server: Server.Server) =>
  Effect.promise(async () => Number(/cmdstat_wait:calls=(\d+)/.exec(await server.admin.info("commandstats"))?.[1] ?? 0))

/** The connections on which a WAIT is under way. */
const waitingClients = (server: Server.Server) =>
  Effect.promise(async () =>
    String(await server.admin.client("LIST"))
      .split("\n")
      .filter((line) => / flags=\w*b\w* .* cmd=wait /.test(line))
      .map((line) => Number(/id=(\d+)/.exec(line)?.[1]))
  )

withOwnServer("when the primary is lost", undefined, (it) => {
  it.effect(
    "without `replicas` a grant that was not copied is gone: the next one has a greater token, and the holder learns it",
    test((fixture) =>
      Effect.gen(function* () {
        const both = yield* pair
        const proxy = yield* Proxy.start(both.primary.url)
        const locks = yield* open(fixture, { ttl: 8000, refreshInterval: 100, store: { url: proxy.url } })
        yield* cutOff(both)
        const holder = yield* hold(locks, r)
        const { lease } = yield* holder.entered
        yield* takeOver(both, proxy)
        const other = yield* open(fixture, { ttl: long, store: { url: both.replica.url } })
        const next = yield* hold(other, r)
        assertRising(lease.token, (yield* next.entered).lease.token)
        assert.strictEqual(yield* holder.outcome, "LockLost expired")
        assert.isTrue(next.isIn())
        yield* next.leave
      })
    ),
    timeLimit
  )

  it.effect(
    "with `min: 1` a grant that was reported survives, however it came",
    test((fixture) =>
      Effect.gen(function* () {
        const both = yield* pair
        const proxy = yield* Proxy.start(both.primary.url)
        const store = { url: proxy.url, replicas: one }
        const locks = yield* open(fixture, { ttl: 8000, refreshInterval: 100, store })
        const plain = yield* open(fixture, { ttl: long, store: { url: both.primary.url } })
        const first = yield* hold(plain, [Target.write("queued")])
        yield* first.entered
        const queued = yield* hold(locks, [Target.write("queued")])
        const direct = yield* fixture.store({ url: both.primary.url })
        yield* until(
          Effect.map(direct.inspect(LockPath.root), ({ length }) => length === 2),
          "a queue of one"
        )
        const holder = yield* hold(locks, r)
        const { lease } = yield* holder.entered
        yield* first.leave
        yield* queued.entered
        yield* takeOver(both, proxy)
        const other = yield* open(fixture, { ttl: long, store: { url: both.replica.url } })
        for (const targets of [r, [Target.read("queued")]]) {
          const refused = yield* hold(other, targets, { block: false })
          assert.strictEqual(yield* refused.outcome, "WouldBlock")
        }
        assert.isTrue(holder.isIn() && queued.isIn())
        const next = yield* hold(other, r)
        assert.strictEqual(yield* holder.leave, "done")
        assertRising(lease.token, (yield* next.entered).lease.token)
        yield* next.leave
        yield* queued.leave
      })
    ),
    timeLimit
  )

  it.effect(
    "while a grant waits for replicas, it is asked for again where the new primary does not know it",
    test((fixture) =>
      Effect.gen(function* () {
        const both = yield* pair
        const proxy = yield* Proxy.start(both.primary.url)
        const { session, store } = yield* fixture.client({ url: proxy.url, replicas: one })
        const direct = yield* fixture.store({ url: both.primary.url })
        yield* cutOff(both)
        const request = session.request(r)
        const asked = yield* Effect.fork(store.acquire(request))
        yield* isHeld(direct, request.id)
        yield* takeOver(both, proxy)
        const third = yield* follow(both.replica)
        const { token } = yield* soon(Fiber.join(asked), "the grant")
        const found = yield* store.lookup(request.id)
        assert.strictEqual(Option.getOrThrow(found).token, token)
        // It is on the replica of the new one.
        assert.isAbove(yield* Effect.promise(() => third.admin.dbsize()), 0)
        assert.isTrue(yield* store.release(request.id, request.id))
      })
    ),
    timeLimit
  )
})

withOwnServer("when too few replicas have a grant", undefined, (it) => {
  const hasty = { min: 1, timeout: 1500 } as const

  it.effect(
    "the request fails, others of the client go on meanwhile, and nothing stays behind",
    test((fixture) =>
      Effect.gen(function* () {
        const both = yield* pair
        const { primary, replica } = both
        const { session, store } = yield* fixture.client({ url: primary.url, replicas: { min: 1, timeout: 2000 } })
        const plain = yield* fixture.client({ url: primary.url })
        const before = yield* session.held([Target.write("before")])
        for (const [cut, mend] of [
          [stop(replica), resume(replica)],
          [
            Effect.promise(() => replica.admin.replicaof("NO", "ONE")),
            Effect.promise(() => replica.admin.replicaof("127.0.0.1", primary.port))
          ]
        ] as const) {
          yield* cut
          const [request, tried] = [session.request(r), session.request([Target.write("other")])]
          const failing = yield* Effect.fork(Effect.exit(store.acquire(request)))
          const alsoFailing = yield* Effect.fork(Effect.exit(store.tryAcquire(tried)))
          yield* isHeld(plain.store, request.id)
          // Somebody waits behind it.
          const behind = yield* plain.session.queued(r)
          const refreshed = yield* store.refresh(before.id, minute, before.id)
          assert.isTrue(Option.isSome(refreshed))
          assert.strictEqual(yield* store.release("nobody"), false)
          assert.isNull(failing.unsafePoll(), "none of these had to wait for the replicas")
          yield* failsBusy(Effect.flatten(Fiber.join(failing)))
          yield* failsBusy(Effect.flatten(Fiber.join(alsoFailing)))
          yield* plain.session.granted(behind)
          yield* plain.store.release(behind.id)
          yield* mend
          yield* until(told(primary.admin, "replication", /state=online.*lag=[01]/), "the replica")
          const after = yield* soon(session.held(r), "the next grant")
          yield* store.release(after.id, after.id)
        }
        assert.isTrue(yield* store.release(before.id, before.id))
        yield* nothingLeft(primary)
      })
    ),
    timeLimit
  )

  it.effect(
    "a grant by a message is given back, and the next in the queue gets in",
    test((fixture) =>
      Effect.gen(function* () {
        const { primary, replica } = yield* pair
        const { session, store } = yield* fixture.client({ url: primary.url, replicas: hasty })
        const plain = yield* fixture.client({ url: primary.url })
        const holder = yield* plain.session.held(r)
        const waiter = yield* session.queued(r)
        const behind = yield* plain.session.queued(r)
        yield* stop(replica)
        yield* plain.store.release(holder.id, holder.id)
        yield* failsBusy(Fiber.join(waiter.fiber))
        yield* plain.session.granted(behind)
        yield* resume(replica)
        const next = yield* session.queued(r)
        yield* plain.store.release(behind.id, behind.id)
        yield* session.granted(next)
        assert.isTrue(yield* store.release(next.id, next.id))
        yield* nothingLeft(primary)
      })
    ),
    timeLimit
  )

  it.effect(
    "an interruption while it waits ends the lease at once, and so does the end of the store",
    test((fixture) =>
      Effect.gen(function* () {
        const { primary, replica } = yield* pair
        const scope = yield* Scope.make()
        const store = yield* Scope.extend(fixture.store({ url: primary.url, replicas: one }), scope)
        const session = yield* Session.make(store)
        const direct = yield* fixture.store({ url: primary.url })
        yield* stop(replica)
        for (const end of ["interruption", "close"]) {
          const request = session.request(r)
          const asked = yield* Effect.fork(store.acquire(request))
          yield* isHeld(direct, request.id)
          yield* end === "close" ? Scope.close(scope, Exit.void) : Effect.asVoid(Fiber.interrupt(asked))
          yield* nothingLeft(primary)
          const exit = yield* Fiber.await(asked)
          const failed = Exit.isFailure(exit) ? Cause.failureOption(exit.cause) : Option.none()
          const kind = Option.map(failed, (error) => error._tag === "StoreError" && error.kind)
          assert.deepStrictEqual(kind, end === "close" ? Option.some("closed") : Option.none())
          assert.isTrue(Exit.isFailure(exit))
        }
      })
    ),
    timeLimit
  )

  it.effect(
    "an order that ends the lease meanwhile fails the request at once",
    test((fixture) =>
      Effect.gen(function* () {
        const { primary, replica } = yield* pair
        const { session, store } = yield* fixture.client({ url: primary.url, replicas: one })
        const direct = yield* fixture.store({ url: primary.url })
        yield* stop(replica)
        for (const order of [direct.breakLease, (id: string) => direct.release(id)]) {
          const request = session.request(r)
          const asked = yield* Effect.fork(store.acquire(request))
          yield* isHeld(direct, request.id)
          assert.isTrue(yield* order(request.id))
          const error = yield* soon(Effect.flip(Fiber.join(asked)), "the error")
          assert.match(error.message, /by an order/)
        }
        yield* nothingLeft(primary)
      })
    ),
    timeLimit
  )

  it.effect(
    "a lease that is taken over can be given back",
    test((fixture) =>
      Effect.gen(function* () {
        const { primary, replica } = yield* pair
        const { session, store } = yield* fixture.client({ url: primary.url, replicas: hasty })
        const held = yield* session.held(r)
        const taken = yield* store.restore(held.id, minute, "taker")
        assert.strictEqual(Option.getOrThrow(taken).token, held.token)
        assert.isTrue(yield* store.giveBack(held.id, "taker"))
        assert.isTrue(Option.isNone(yield* store.restore("nobody", minute, "taker")))
        yield* stop(replica)
        yield* failsBusy(store.restore(held.id, minute, "taker"))
        assert.isTrue(yield* store.giveBack(held.id, "taker"))
        assert.isTrue(yield* store.release(held.id, held.id))
        yield* nothingLeft(primary)
      })
    ),
    timeLimit
  )

  it.effect(
    "as the server has too few, that is said at the start and at each grant",
    test((fixture) =>
      Effect.gen(function* () {
        const { primary } = yield* pair
        const warnings: Array<string> = []
        const logger = Logger.make(({ logLevel, message }) => {
          if (logLevel.label === "WARN") warnings.push(String(message))
        })
        const replicas = { min: 3, timeout: 1500 }
        const { session, store } = yield* fixture
          .client({ url: primary.url, replicas })
          .pipe(Effect.provide(Logger.replace(Logger.defaultLogger, logger)))
        assert.deepStrictEqual(warnings, [
          "The server has 1 replica, but replicas.min asks for 3: until it has as many, every request for a lock fails"
        ])
        const error = yield* Effect.flip(store.acquire(session.request(r)))
        assert.match(error.message, /1 replica had the lock within 1500 ms, but replicas\.min asks for 3/)
        yield* nothingLeft(primary)
      })
    ),
    timeLimit
  )
})

withOwnServer("waiting for replicas", undefined, (it) => {
  it.effect(
    "many that are granted at once share a WAIT",
    test((fixture) =>
      Effect.gen(function* () {
        const { primary } = yield* pair
        const { session, store } = yield* fixture.client({ url: primary.url, replicas: one })
        const requests = Array.from({ length: 300 }, (_, i) => session.request([Target.write(`many/${i}`)]))
        const before = yield* waitCalls(primary)
        const grants = yield* Effect.forEach(requests, (request) => store.acquire(request), {
          concurrency: "unbounded"
        })
        // They are asked for in ten commands.
        assert.isAtMost((yield* waitCalls(primary)) - before, 10)
        assert.strictEqual(new Set(grants.map(({ token }) => token)).size, requests.length)
        yield* Effect.forEach(requests, ({ id }) => store.release(id, id), { concurrency: "unbounded" })
        yield* nothingLeft(primary)
      })
    ),
    timeLimit
  )

  it.effect(
    "goes on over a new connection with what was written there, never with what was written on the last one",
    test((fixture) =>
      Effect.gen(function* () {
        const { primary, replica } = yield* pair
        const proxy = yield* Proxy.start(primary.url)
        const { session, store } = yield* fixture.client({ url: proxy.url, replicas: one })
        const direct = yield* fixture.store({ url: primary.url })
        yield* stop(replica)
        const request = session.request(r)
        const asked = yield* Effect.fork(store.acquire(request))
        yield* isHeld(direct, request.id)
        let last = 0
        for (let round = 0; round < 4; round++) {
          // On a new connection WAIT would be answered at once, if nothing was written there before.
          const next = Effect.map(waitingClients(primary), (ids) => {
            const found = ids.find((id) => id > last)
            last = found ?? last
            return found !== undefined
          })
          yield* until(next, "the next WAIT")
          assert.isNull(asked.unsafePoll())
          if (round < 3) proxy.cut("waiting")
        }
        yield* resume(replica)
        yield* soon(Fiber.join(asked), "the grant")
        assert.isTrue(yield* store.release(request.id, request.id))
      })
    ),
    timeLimit
  )

  it.effect(
    "on a connection that is dead without a word fails in time, and the next one has a new connection",
    test((fixture) =>
      Effect.gen(function* () {
        const { primary } = yield* pair
        const proxy = yield* Proxy.start(primary.url)
        const { session, store } = yield* fixture.client({ url: proxy.url, replicas: { min: 1, timeout: 1000 } })
        proxy.silence(false, "waiting")
        const error = yield* soon(Effect.flip(store.acquire(session.request(r))), "the error")
        assert.match(error.message, /did not say within 1000 ms which replicas have the lock: replicas\.min asks for 1/)
        assert.strictEqual(error._tag === "StoreError" && error.kind, "timeout")
        const next = yield* soon(session.held(r), "the next grant")
        yield* store.release(next.id, next.id)
        yield* nothingLeft(primary)
      })
    ),
    timeLimit
  )

  it.effect(
    "loads the library again when the server has forgotten it",
    test((fixture) =>
      Effect.gen(function* () {
        const { primary } = yield* pair
        const { session, store } = yield* fixture.client({ url: primary.url, replicas: one })
        for (let round = 0; round < 3; round++) {
          yield* Effect.promise(() => primary.admin.function("FLUSH").catch(() => primary.admin.script("FLUSH")))
          const held = yield* session.held(r)
          yield* store.release(held.id, held.id)
        }
        yield* nothingLeft(primary)
      })
    ),
    timeLimit
  )
})
