import { assert, describe, it } from "@effect/vitest"
import { Target } from "@hilok/core"
import { Context, Effect, Exit, Fiber, Logger, LogLevel, Option, TestClock, Tracer } from "effect"
import { Faults } from "./support/doubles.ts"
import { open, settle, stranger } from "./support/locks.ts"
import * as metrics from "./support/metrics.ts"

interface Recorded {
  readonly name: string
  readonly parent: string | undefined
  readonly attributes: Map<string, unknown>
  ended: Exit.Exit<unknown, unknown> | undefined
}

/** A tracer that records its spans. */
const recording = () => {
  const spans: Array<Recorded> = []
  const tracer = Tracer.make({
    span: (name, parent, context, links, startTime, kind) => {
      const found = Option.getOrUndefined(parent)
      const parentName = found?._tag === "Span" ? found.name : undefined
      const recorded: Recorded = { name, parent: parentName, attributes: new Map(), ended: undefined }
      spans.push(recorded)
      return {
        _tag: "Span",
        spanId: String(spans.length),
        traceId: "trace",
        name,
        parent,
        context: context ?? Context.empty(),
        links: [...links],
        kind,
        sampled: true,
        status: { _tag: "Started", startTime },
        attributes: recorded.attributes,
        attribute: (key, value) => recorded.attributes.set(key, value),
        end: (_, exit) => {
          recorded.ended = exit
        },
        event: () => {},
        addLinks: () => {}
      }
    },
    context: (run) => run()
  })
  return { spans, tracer }
}

const ours = (spans: ReadonlyArray<Recorded>) => spans.filter(({ name }) => name.startsWith("hilok."))

describe("spans", () => {
  it.effect("withX has one for the acquire and one for the hold, with mode, path, wait and token", () =>
    Effect.gen(function* () {
      const { spans, tracer } = recording()
      const { locks, store } = yield* open({ separator: ":" })
      const { free } = yield* stranger(store, "a/b")
      const work = locks.withLocks(
        ({ token }) => Effect.withSpan(Effect.as(Effect.sleep("1 second"), token), "inside"),
        [Target.write("a:b"), Target.read("c")]
      )
      const fiber = yield* Effect.fork(work.pipe(Effect.withSpan("outside"), Effect.withTracer(tracer)))
      yield* TestClock.adjust("3 seconds")
      yield* free
      yield* TestClock.adjust("1 second")
      const token = yield* Fiber.join(fiber)
      assert.deepStrictEqual(
        spans.map(({ name, parent }) => [name, parent]),
        [
          ["outside", undefined],
          ["hilok.acquire", "outside"],
          ["hilok.hold", "outside"],
          ["inside", "hilok.hold"]
        ]
      )
      const [acquire, hold] = ours(spans)
      assert.deepStrictEqual(Object.fromEntries(acquire!.attributes), {
        "hilok.namespace": "default",
        "hilok.mode": "write,read",
        "hilok.path": "a:b,c",
        "hilok.token": token,
        "hilok.wait_ms": 3000
      })
      assert.deepStrictEqual(Object.fromEntries(hold!.attributes), {
        "hilok.namespace": "default",
        "hilok.mode": "write,read",
        "hilok.path": "a:b,c",
        "hilok.token": token
      })
      for (const { ended } of spans) assert.isTrue(ended !== undefined && Exit.isSuccess(ended))
    }).pipe(Effect.scoped)
  )

  it.effect("a scoped lock has both, the hold ending with the scope", () =>
    Effect.gen(function* () {
      const { spans, tracer } = recording()
      const { locks } = yield* open()
      yield* Effect.scoped(
        Effect.gen(function* () {
          yield* locks.write("a")
          assert.deepStrictEqual(
            ours(spans).map(({ ended, name }) => [name, ended !== undefined]),
            [
              ["hilok.acquire", true],
              ["hilok.hold", false]
            ]
          )
        })
      ).pipe(Effect.withTracer(tracer))
      assert.isDefined(ours(spans)[1]?.ended)
      const lease = yield* locks.acquire([Target.write("a")])
      yield* Effect.scoped(locks.restore(lease.id)).pipe(Effect.withTracer(tracer))
      assert.strictEqual(ours(spans)[2]?.attributes.get("hilok.token"), lease.token)
    }).pipe(Effect.scoped)
  )

  it.effect("a refusal ends the span of the acquire with the error, and there is no hold", () =>
    Effect.gen(function* () {
      const { spans, tracer } = recording()
      const { locks, store } = yield* open()
      yield* stranger(store, "a")
      yield* Effect.exit(locks.withWrite(Effect.void, "a", { block: false })).pipe(Effect.withTracer(tracer))
      assert.deepStrictEqual(
        ours(spans).map(({ name }) => name),
        ["hilok.acquire"]
      )
      assert.isTrue(Exit.isFailure(spans[0]!.ended!))
    }).pipe(Effect.scoped)
  )

  it.effect("are not opened with `spans: false`", () =>
    Effect.gen(function* () {
      const { spans, tracer } = recording()
      const { locks } = yield* open({ spans: false })
      yield* locks.withWrite(Effect.void, "a").pipe(Effect.withTracer(tracer))
      yield* Effect.scoped(locks.write("a")).pipe(Effect.withTracer(tracer))
      assert.deepStrictEqual(spans, [])
    }).pipe(Effect.scoped)
  )
})

describe("metrics", () => {
  const names = [
    "hilok_waiting",
    "hilok_held",
    "hilok_wait_ms",
    "hilok_hold_ms",
    "hilok_lost_total",
    "hilok_timeouts_total",
    "hilok_refused_total"
  ] as const
  const read = Effect.map(
    Effect.all(names.map((name) => metrics.value(name))),
    (values) => new Map(names.map((name, i) => [name, values[i]!]))
  )
  const moved = (before: ReadonlyMap<string, number>, after: ReadonlyMap<string, number>) =>
    Object.fromEntries(
      names.flatMap((name) =>
        after.get(name) === before.get(name) ? [] : [[name, after.get(name)! - before.get(name)!]]
      )
    )

  it.effect("count what waits and what is held, and come back to where they were", () =>
    Effect.gen(function* () {
      const before = yield* read
      const { locks, store } = yield* open()
      const { free } = yield* stranger(store, "a")
      const fiber = yield* Effect.fork(locks.withWrite(Effect.sleep("1 second"), "a"))
      yield* settle
      assert.deepStrictEqual(moved(before, yield* read), { hilok_waiting: 1 })
      yield* free
      yield* settle
      assert.deepStrictEqual(moved(before, yield* read), { hilok_held: 1, hilok_wait_ms: 1 })
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(moved(before, yield* read), { hilok_wait_ms: 1, hilok_hold_ms: 1 })
    }).pipe(Effect.scoped)
  )

  it.effect("count refusals, deadlocks, timeouts and losses", () =>
    Effect.gen(function* () {
      const { locks, store } = yield* open()
      yield* stranger(store, "a")
      const before = yield* read
      yield* Effect.flip(locks.withRead(Effect.void, "a", { block: false }))
      assert.deepStrictEqual(moved(before, yield* read), { hilok_refused_total: 1 })
      const late = yield* Effect.fork(Effect.flip(locks.withRead(Effect.void, "a", { timeout: "1 second" })))
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(late)
      assert.deepStrictEqual(moved(before, yield* read), { hilok_refused_total: 1, hilok_timeouts_total: 1 })
      const own = locks.withWrite(Effect.flip(locks.withWrite(Effect.void, "b")), "b")
      assert.strictEqual((yield* own)._tag, "Deadlock")
      assert.strictEqual(moved(before, yield* read).hilok_refused_total, 2)
      const lost = locks.withWrite(({ id }) => Effect.zipRight(locks.breakLease(id), Effect.never), "c")
      assert.strictEqual((yield* Effect.flip(lost))._tag, "LockLost")
      assert.deepStrictEqual(moved(before, yield* read), {
        hilok_wait_ms: 2,
        hilok_hold_ms: 2,
        hilok_refused_total: 2,
        hilok_timeouts_total: 1,
        hilok_lost_total: 1
      })
    }).pipe(Effect.scoped)
  )
})

describe("the log", () => {
  it.effect("has nothing above debug for waiting, refusals, timeouts and failed releases", () => {
    const levels: Array<LogLevel.LogLevel> = []
    const logger = Logger.make(({ logLevel }) => {
      levels.push(logLevel)
    })
    return Effect.gen(function* () {
      const faults = new Faults()
      const { locks, store } = yield* open({}, faults.around)
      const { free } = yield* stranger(store, "a")
      const waiting = yield* Effect.fork(locks.withWrite(Effect.void, "a"))
      const late = yield* Effect.fork(Effect.flip(locks.withWrite(Effect.void, "a", { timeout: "1 second" })))
      yield* Effect.flip(locks.withWrite(Effect.void, "a", { block: false }))
      yield* TestClock.adjust("1 second")
      yield* Fiber.join(late)
      yield* free
      yield* Fiber.join(waiting)
      faults.set("release", "down")
      yield* locks.withWrite(Effect.void, "d")
      assert.isAbove(levels.length, 0, "the failed release is told at debug level")
      assert.isTrue(levels.every((level) => LogLevel.lessThanEqual(level, LogLevel.Debug)))
    }).pipe(
      Effect.scoped,
      Effect.provide(Logger.replace(Logger.defaultLogger, logger)),
      Logger.withMinimumLogLevel(LogLevel.All),
      Effect.provide(Logger.add(logger))
    )
  })
})
