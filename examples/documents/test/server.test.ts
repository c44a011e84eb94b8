import { HttpApiClient, HttpClient, HttpClientRequest, type HttpMethod } from "@effect/platform"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import { assert, describe, it } from "@effect/vitest"
import { HierarchicalLock, type LockEntry, LockError, Target } from "@hilok/core"
import { Context, Effect, Fiber, Layer, Stream, TestClock } from "effect"
import { Api } from "../src/Api.ts"
import * as Server from "../src/Server.ts"

/** The application on a port of its own, its locks, and a client. */
const over = <E>(locks: Layer.Layer<HierarchicalLock.HierarchicalLock, E>) =>
  Server.layer.pipe(Layer.provideMerge(NodeHttpServer.layerTest), Layer.provideMerge(locks))

const app = over(HierarchicalLock.layerMemory())

const ask = (
  method: HttpMethod.HttpMethod,
  path: string,
  parameters: Readonly<Record<string, string>> = {},
  body?: unknown
) =>
  Effect.gen(function* () {
    const request = HttpClientRequest.make(method)(path).pipe(HttpClientRequest.setUrlParams(parameters))
    const { headers, status, text } = yield* HttpClient.execute(
      body === undefined ? request : HttpClientRequest.bodyUnsafeJson(request, body)
    )
    const said = yield* text
    return { status, retryAfter: headers["retry-after"], body: said === "" ? undefined : JSON.parse(said) }
  }).pipe(Effect.scoped)

const edit = (path: string, content: string, manner: Readonly<Record<string, string>> = {}) =>
  ask("PUT", "/document", { path, ...manner }, { content })
const read = (path: string) => ask("GET", "/document", { path })

/** Waits until the locks are as wanted. Requests come over a socket, which the clock of a test does not move. */
const until = (what: string, isSo: (entries: ReadonlyArray<LockEntry.LockEntry>) => boolean) =>
  Effect.gen(function* () {
    const end = performance.now() + 20_000
    while (!isSo(yield* HierarchicalLock.inspect())) {
      assert.isBelow(performance.now(), end, `not so within 20 s: ${what}`)
      yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
    }
  })

const waits =
  (reason: string) =>
  (entries: ReadonlyArray<LockEntry.LockEntry>): boolean =>
    entries.some((entry) => entry.state === "waiting" && entry.reason === reason)
const holds =
  (reason: string) =>
  (entries: ReadonlyArray<LockEntry.LockEntry>): boolean =>
    entries.some((entry) => entry.state === "held" && entry.reason === reason)

describe("the documents over HTTP", () => {
  it.effect("are listed, read, edited, made, moved across folders, and deleted with all below", () =>
    Effect.gen(function* () {
      const names = (path: string) =>
        Effect.map(ask("GET", "/folder", { path }), ({ body }) => body.map(({ name }: { name: string }) => name))
      assert.deepStrictEqual(yield* names(""), ["archive", "plans"])
      assert.deepStrictEqual(yield* names("/plans/2026/"), ["budget", "offsite"])
      assert.strictEqual((yield* edit("plans/2026/budget", "More.")).status, 204)
      assert.deepStrictEqual((yield* read("plans/2026/budget")).body, { content: "More." })
      assert.strictEqual((yield* ask("PUT", "/folder", { path: "archive/old" })).status, 204)
      const moved = yield* ask("POST", "/move", { from: "plans/2026", to: "archive/old/2026" })
      assert.strictEqual(moved.status, 204)
      assert.deepStrictEqual(yield* names("plans"), ["notes"])
      assert.deepStrictEqual((yield* read("archive/old/2026/budget")).body, { content: "More." })
      assert.strictEqual((yield* ask("DELETE", "/subtree", { path: "archive/old" })).status, 204)
      assert.deepStrictEqual(yield* names("archive"), ["2025"])
      assert.strictEqual((yield* read("archive/old/2026/budget")).status, 404)
      assert.strictEqual((yield* ask("POST", "/move", { from: "plans", to: "plans/in/itself" })).status, 409)
      assert.strictEqual((yield* ask("GET", "/folder", { path: "a", takes: "soon" })).status, 400)
      assert.deepStrictEqual(yield* HierarchicalLock.inspect(), [])
    }).pipe(HierarchicalLock.scoped, Effect.provide(app))
  )

  it.effect("an edit keeps a deletion and a move of what is above it waiting, but not an edit beside it", () =>
    Effect.gen(function* () {
      const slow = yield* Effect.fork(edit("plans/2026/budget", "slow", { takes: "3" }))
      yield* until("the edit holds", holds("edit plans/2026/budget"))
      assert.strictEqual((yield* edit("plans/2026/offsite", "beside")).status, 204)
      const deletion = yield* Effect.fork(ask("DELETE", "/subtree", { path: "plans/2026" }))
      yield* until("the deletion waits", waits("delete plans/2026"))
      const move = yield* Effect.fork(ask("POST", "/move", { from: "plans", to: "archive/plans" }))
      yield* until("the move waits", waits("move plans to archive/plans"))
      yield* TestClock.adjust("3 seconds")
      assert.strictEqual((yield* Fiber.join(slow)).status, 204)
      assert.strictEqual((yield* Fiber.join(deletion)).status, 204)
      assert.strictEqual((yield* Fiber.join(move)).status, 204)
      const { body } = yield* ask("GET", "/folder", { path: "archive/plans" })
      assert.deepStrictEqual(body, [{ name: "notes", path: "archive/plans/notes", kind: "document" }])
    }).pipe(HierarchicalLock.scoped, Effect.provide(app))
  )

  it.effect("whoever does not want to wait is told at once who is in the way", () =>
    Effect.gen(function* () {
      yield* HierarchicalLock.write("plans", { label: "Ann", reason: "tidying up" })
      const { body, retryAfter, status } = yield* edit("plans/notes", "mine", { wait: "false" })
      assert.deepStrictEqual([status, retryAfter, body._tag], [423, "1", "WouldBlock"])
      assert.deepStrictEqual([body.blocker.label, body.blocker.reason], ["Ann", "tidying up"])
    }).pipe(HierarchicalLock.scoped, Effect.provide(app))
  )

  it.effect("whoever waits is told after five seconds, and has left the queue; nothing was written", () =>
    Effect.gen(function* () {
      yield* Effect.scoped(
        Effect.gen(function* () {
          yield* HierarchicalLock.write("plans", { reason: "tidying up" })
          const late = yield* Effect.fork(edit("plans/notes", "mine"))
          yield* until("it waits", waits("edit plans/notes"))
          yield* TestClock.adjust("4900 millis")
          assert.isTrue(waits("edit plans/notes")(yield* HierarchicalLock.inspect()))
          yield* TestClock.adjust("100 millis")
          const { body, retryAfter, status } = yield* Fiber.join(late)
          assert.deepStrictEqual([status, retryAfter, body._tag, body.timeout], [503, "1", "LockTimeout", 5000])
          assert.strictEqual(body.blocker.reason, "tidying up")
          assert.isFalse(waits("edit plans/notes")(yield* HierarchicalLock.inspect()))
        })
      )
      assert.deepStrictEqual((yield* read("plans/notes")).body, { content: "Ask everyone." })
    }).pipe(HierarchicalLock.scoped, Effect.provide(app))
  )

  it.effect("work whose lease is broken is stopped before it writes", () =>
    Effect.gen(function* () {
      const slow = yield* Effect.fork(edit("plans/notes", "never", { takes: "3" }))
      yield* until("it holds", holds("edit plans/notes"))
      for (const { id } of yield* HierarchicalLock.inspect()) yield* HierarchicalLock.breakLease(id)
      const { body, retryAfter, status } = yield* Fiber.join(slow)
      assert.deepStrictEqual([status, retryAfter, body._tag, body.reason], [503, "1", "LockLost", "broken"])
      yield* TestClock.adjust("3 seconds")
      assert.deepStrictEqual((yield* read("plans/notes")).body, { content: "Ask everyone." })
    }).pipe(HierarchicalLock.scoped, Effect.provide(app))
  )

  it.effect("a client that goes away leaves the queue, and those behind it go on", () =>
    Effect.gen(function* () {
      const holder = yield* Effect.fork(edit("plans/notes", "first", { takes: "3" }))
      yield* until("somebody holds", holds("edit plans/notes"))
      // A deletion keeps every later request for the folder waiting, for as long as it waits itself.
      const leaving = yield* Effect.fork(ask("DELETE", "/subtree", { path: "plans" }))
      yield* until("the deletion waits", waits("delete plans"))
      const behind = yield* Effect.fork(edit("plans/2026/budget", "behind"))
      yield* until("another waits behind it", waits("edit plans/2026/budget"))
      // The client aborts: its connection is closed.
      yield* Fiber.interrupt(leaving)
      assert.strictEqual((yield* Fiber.join(behind)).status, 204)
      assert.isFalse((yield* HierarchicalLock.inspect()).some(({ state }) => state === "waiting"))
      yield* TestClock.adjust("3 seconds")
      assert.strictEqual((yield* Fiber.join(holder)).status, 204)
      assert.deepStrictEqual((yield* read("plans/2026/budget")).body, { content: "behind" })
    }).pipe(HierarchicalLock.scoped, Effect.provide(app))
  )

  it.effect("a client that goes away while its work goes on gives the lock back, and has written nothing", () =>
    Effect.gen(function* () {
      const leaving = yield* Effect.fork(edit("plans/notes", "never", { takes: "3" }))
      yield* until("it holds", holds("edit plans/notes"))
      yield* Fiber.interrupt(leaving)
      yield* until("nobody holds", (entries) => entries.length === 0)
      yield* TestClock.adjust("3 seconds")
      assert.deepStrictEqual((yield* read("plans/notes")).body, { content: "Ask everyone." })
    }).pipe(HierarchicalLock.scoped, Effect.provide(app))
  )

  it.effect("a typed client gets the errors as they are", () =>
    Effect.gen(function* () {
      yield* HierarchicalLock.write("plans", { label: "Ann", reason: "tidying up" })
      const client = yield* HttpApiClient.make(Api)
      const asked = client.documents.read({ urlParams: { path: "plans/notes", wait: false, takes: 0 } })
      const error = yield* Effect.flip(asked)
      assert.instanceOf(error, LockError.WouldBlock)
      assert.include(error.message, `blocked by write "plans", held by "Ann", for "tidying up"`)
    }).pipe(HierarchicalLock.scoped, Effect.provide(app))
  )

  it.effect("a page is served, and the locks as they change", () =>
    Effect.gen(function* () {
      const page = yield* HttpClient.get("/")
      assert.include(page.headers["content-type"], "text/html")
      assert.include(yield* page.text, `new EventSource("/events")`)
      yield* HierarchicalLock.write("plans", { reason: "tidying up" })
      const events = yield* HttpClient.get("/events")
      assert.strictEqual(events.headers["content-type"], "text/event-stream")
      const first = yield* events.stream.pipe(Stream.decodeText(), Stream.take(1), Stream.mkString)
      assert.match(first, /^data: \[.*"reason":"tidying up".*\]\n\n$/)
      const locks = yield* ask("GET", "/locks")
      assert.deepStrictEqual(
        locks.body.map(({ reason }: { reason: string }) => reason),
        ["tidying up"]
      )
    }).pipe(HierarchicalLock.scoped, Effect.provide(app))
  )
})

describe("each error of a lock has its status", () => {
  const targets = [Target.write("plans")]
  const cases = [
    { status: 423, error: new LockError.WouldBlock({ targets }) },
    { status: 503, error: new LockError.LockTimeout({ targets, timeout: 5000 }) },
    { status: 503, error: new LockError.LockLost({ id: "1", targets, reason: "expired" }) },
    { status: 409, error: new LockError.Deadlock({ targets, cycle: ["1", "2"] }) },
    { status: 400, error: new LockError.InvalidPath({ path: "a", reason: "it is wrong" }) },
    { status: 500, error: new LockError.InvalidOptions({ option: "ttl", reason: "it is wrong" }) },
    { status: 503, error: new LockError.StoreError({ operation: "acquire", reason: "it is away", kind: "connection" }) }
  ] as const

  it.effect.each(cases)("$status for $error._tag", ({ error, status }) => {
    /** Locks that fail. */
    const failing = Layer.map(HierarchicalLock.layerMemory(), (context) => {
      const locks = Context.get(context, HierarchicalLock.HierarchicalLock)
      const withLocks = (() => Effect.fail(error)) as unknown as typeof locks.withLocks
      return Context.make(HierarchicalLock.HierarchicalLock, { ...locks, withLocks })
    })
    return Effect.gen(function* () {
      const answers = yield* Effect.all([
        ask("GET", "/folder", { path: "" }),
        read("plans/notes"),
        edit("plans/notes", ""),
        ask("PUT", "/folder", { path: "new" }),
        ask("POST", "/move", { from: "plans", to: "archive/plans" }),
        ask("DELETE", "/subtree", { path: "plans" })
      ])
      for (const answer of answers) {
        assert.deepStrictEqual([answer.status, answer.body._tag], [status, error._tag])
        assert.strictEqual(answer.retryAfter, status === 503 || status === 423 ? "1" : undefined)
      }
    }).pipe(Effect.provide(over(failing)))
  })

  it.effect("and so does a path that is none", () =>
    Effect.gen(function* () {
      const { body, status } = yield* read("a\0")
      assert.deepStrictEqual([status, body._tag], [400, "InvalidPath"])
    }).pipe(HierarchicalLock.scoped, Effect.provide(app))
  )
})
