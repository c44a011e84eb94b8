import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert } from "@effect/vitest"
import { Target } from "@hilok/core"
import { Effect, type Scope } from "effect"
import { assertRising, hold, open, timeLimit, watch } from "./support/faults.ts"
import { type Fixture, leavesNothing, withOwnServer } from "./support/fixture.ts"
import * as History from "./support/history.ts"
import { type Worker, Workers } from "./support/workers.ts"

/** A ttl that is over soon, and one that is not over within a test. */
const ttl = 700
const long = 60_000

const r = [Target.write("r")]

const test = (body: (fixture: Fixture) => Effect.Effect<void, unknown, Scope.Scope | Workers>) => () =>
  leavesNothing(body)

const worker = (fixture: Fixture, options: { readonly ttl: number }) =>
  Effect.flatMap(Workers, (workers) => workers.open(fixture, options))

/** Asks for a lock in another process, and waits until it is granted. */
const entered = (process: Worker, targets = r, name = "it") =>
  Effect.zipRight(process.tell({ what: "hold", name, targets }), process.next("entered", name))

/** Lets a process that holds a lock, or waits for one, end that, and answers with what became of it. */
const left = (process: Worker, name = "it") =>
  Effect.zipRight(
    process.tell({ what: "leave", name }),
    Effect.map(process.next("ended", name), ({ outcome }) => outcome)
  )

/** A file that is not there yet: a process can be blocked until it is. */
const latch = Effect.map(
  Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "hilok-latch-"))),
    (folder) => Effect.sync(() => rmSync(folder, { recursive: true, force: true }))
  ),
  (folder) => {
    const file = join(folder, "go-on")
    return { file, open: Effect.sync(() => writeFileSync(file, "")) }
  }
)

withOwnServer("a process", undefined, (it) => {
  it.layer(Workers.layer(3), { timeout: timeLimit })((it) => {
    it.effect(
      "that holds a lock and is killed lets in the one that waits, after its ttl",
      test((fixture) =>
        Effect.gen(function* () {
          const killed = yield* worker(fixture, { ttl })
          const before = yield* entered(killed)
          const waiter = yield* hold(yield* open(fixture, { ttl: long }), r)
          const { entries, waiting } = yield* watch(fixture)
          yield* waiting(1)
          const looked = History.now()
          const [entry] = yield* entries
          yield* killed.kill
          const after = yield* waiter.entered
          assert.isAtLeast(
            after.at,
            looked + (entry?.timeLeft ?? 0) * 1000 - 5000,
            "not before the deadline of the lease"
          )
          assertRising(before.token, after.lease.token)
          assert.strictEqual(yield* waiter.leave, "done")
        })
      ),
      timeLimit
    )

    it.effect(
      "that reads among others and is killed does them no harm, and a writer gets in after them",
      test((fixture) =>
        Effect.gen(function* () {
          const killed = yield* worker(fixture, { ttl })
          const locks = yield* open(fixture, { ttl: long })
          const { gone, waiting } = yield* watch(fixture)
          const first = yield* hold(locks, [Target.read("r")])
          yield* first.entered
          const { id } = yield* entered(killed, [Target.read("r/a")])
          const second = yield* hold(locks, [Target.read("r/a")])
          const before = yield* second.entered
          const writer = yield* hold(locks, r)
          yield* waiting(1)
          yield* killed.kill
          yield* gone(id)
          assert.isTrue(first.isIn() && second.isIn() && !writer.isIn())
          assert.strictEqual(yield* first.leave, "done")
          assert.isFalse(writer.isIn())
          assert.strictEqual(yield* second.leave, "done")
          const after = yield* writer.entered
          assertRising(before.lease.token, after.lease.token)
          assert.strictEqual(yield* writer.leave, "done")
        })
      ),
      timeLimit
    )

    for (const place of ["head", "middle"] as const) {
      it.effect(
        `that waits at the ${place} of a queue and is killed lets in those behind it`,
        test((fixture) =>
          Effect.gen(function* () {
            const killed = yield* worker(fixture, { ttl })
            const locks = yield* open(fixture, { ttl: long })
            const { entries, gone, waiting } = yield* watch(fixture)
            const holder = yield* hold(locks, r)
            yield* holder.entered
            const ahead = place === "middle" ? [yield* hold(locks, r)] : []
            yield* waiting(ahead.length)
            yield* killed.tell({ what: "hold", name: "it", targets: r })
            yield* waiting(ahead.length + 1)
            const dead = (yield* entries)[ahead.length + 1]!
            const behind = [yield* hold(locks, r)]
            yield* waiting(ahead.length + 2)
            behind.push(yield* hold(locks, r))
            yield* waiting(ahead.length + 3)
            yield* killed.kill
            if (place === "middle") yield* gone(dead.id)
            // (At the head it may be granted once more, to nobody.)
            assert.strictEqual(yield* holder.leave, "done")
            const tokens: Array<number> = []
            for (const [i, next] of [...ahead, ...behind].entries()) {
              tokens.push((yield* next.entered).lease.token)
              assert.isFalse([...ahead, ...behind].slice(i + 1).some((later) => later.isIn()))
              assert.strictEqual(yield* next.leave, "done")
            }
            assertRising(...tokens)
          })
        ),
        timeLimit
      )
    }

    it.effect(
      "whose event loop is blocked past its ttl learns that it has lost the lock; another got in",
      test((fixture) =>
        Effect.gen(function* () {
          const blocked = yield* worker(fixture, { ttl })
          const { file, open: release } = yield* latch
          yield* blocked.tell({ what: "hold", name: "it", targets: r, blockUntil: file })
          const before = yield* blocked.next("entered")
          const other = yield* hold(yield* open(fixture, { ttl: long }), r)
          const after = yield* other.entered
          assertRising(before.token, after.lease.token)
          yield* release
          // In the same turn it goes on as if nothing had happened; then it is interrupted.
          yield* blocked.next("wrote")
          const { at, outcome } = yield* blocked.next("ended")
          assert.include(["LockLost expired", "LockLost unreachable"], outcome)
          assert.isAbove(at, after.at)
          assert.isTrue(other.isIn())
          assert.strictEqual(yield* other.leave, "done")
        })
      ),
      timeLimit
    )

    it.effect(
      "that holds a lock and is stopped past its ttl learns that it has lost it; another got in",
      test((fixture) =>
        Effect.gen(function* () {
          const stopped = yield* worker(fixture, { ttl })
          const before = yield* entered(stopped)
          yield* stopped.stop
          const other = yield* hold(yield* open(fixture, { ttl: long }), r)
          const after = yield* other.entered
          assertRising(before.token, after.lease.token)
          yield* stopped.goOn
          const { outcome } = yield* stopped.next("ended")
          assert.include(["LockLost expired", "LockLost unreachable"], outcome)
          assert.isTrue(other.isIn(), "and it has not ended the other's")
          // It is a client like any other again.
          yield* stopped.tell({ what: "hold", name: "again", targets: r })
          yield* (yield* watch(fixture)).waiting(1)
          assert.strictEqual(yield* other.leave, "done")
          const last = yield* stopped.next("entered", "again")
          assertRising(after.lease.token, last.token)
          assert.strictEqual(yield* left(stopped, "again"), "done")
        })
      ),
      timeLimit
    )

    it.effect(
      "that waits and is stopped past its ttl lets in those behind it, and then queues anew",
      test((fixture) =>
        Effect.gen(function* () {
          const stopped = yield* worker(fixture, { ttl })
          const locks = yield* open(fixture, { ttl: long })
          const { entries, gone, waiting } = yield* watch(fixture)
          const holder = yield* hold(locks, r)
          yield* holder.entered
          yield* stopped.tell({ what: "hold", name: "it", targets: r })
          yield* waiting(1)
          const { id } = (yield* entries)[1]!
          yield* stopped.stop
          const behind = yield* hold(locks, r)
          yield* gone(id)
          assert.strictEqual(yield* holder.leave, "done")
          const next = yield* behind.entered
          yield* stopped.goOn
          yield* waiting(1)
          assert.strictEqual(yield* behind.leave, "done")
          const last = yield* stopped.next("entered")
          assertRising(next.lease.token, last.token)
          assert.strictEqual(yield* left(stopped), "done")
        })
      ),
      timeLimit
    )

    it.effect(
      "that is granted a lock and loses it while it is stopped does not begin its work, but queues anew",
      test((fixture) =>
        Effect.gen(function* () {
          const stopped = yield* worker(fixture, { ttl })
          const locks = yield* open(fixture, { ttl: long })
          const { entries, gone, waiting } = yield* watch(fixture)
          const holder = yield* hold(locks, r)
          yield* holder.entered
          yield* stopped.tell({ what: "hold", name: "it", targets: r })
          yield* waiting(1)
          const { id } = (yield* entries)[1]!
          yield* stopped.stop
          const behind = yield* hold(locks, r)
          yield* waiting(2)
          // It is next, and does not know.
          assert.strictEqual(yield* holder.leave, "done")
          yield* gone(id)
          const next = yield* behind.entered
          yield* stopped.goOn
          yield* waiting(1)
          assert.isFalse(stopped.has("entered"))
          assert.strictEqual(yield* behind.leave, "done")
          const last = yield* stopped.next("entered")
          assertRising(next.lease.token, last.token)
          assert.strictEqual(yield* left(stopped), "done")
        })
      ),
      timeLimit
    )

    it.effect(
      "learns at once that another one has broken its lease",
      test((fixture) =>
        Effect.gen(function* () {
          const operator = yield* worker(fixture, { ttl: long })
          const other = yield* worker(fixture, { ttl: long })
          const { waiting } = yield* watch(fixture)
          const here = yield* hold(yield* open(fixture, { ttl: long }), [Target.write("x")])
          const mine = yield* here.entered
          const theirs = yield* entered(other)
          yield* operator.tell({ what: "hold", name: "next", targets: [Target.read("")] })
          yield* waiting(1)
          // With a ttl of a minute, nothing but the word of the server can tell them.
          for (const id of [mine.lease.id, theirs.id]) {
            yield* operator.tell({ what: "break", id })
            assert.isTrue((yield* operator.next("broke")).live)
          }
          assert.strictEqual(yield* here.outcome, "LockLost broken")
          assert.strictEqual((yield* other.next("ended")).outcome, "LockLost broken")
          const next = yield* operator.next("entered", "next")
          assertRising(mine.lease.token, theirs.token, next.token)
          assert.strictEqual(yield* left(operator, "next"), "done")
          yield* operator.tell({ what: "break", id: theirs.id })
          assert.isFalse((yield* operator.next("broke")).live)
        })
      ),
      timeLimit
    )

    it.effect(
      "that was paused writes after its successor, and only a store that looks at the tokens keeps it out",
      test((fixture) =>
        Effect.gen(function* () {
          /** What is protected: the last write counts, or the one with the greatest token does. */
          const plain = { value: "" }
          const fenced = { value: "", token: 0 }
          const write = (value: string, token: number): boolean => {
            plain.value = value
            if (token < fenced.token) return false
            fenced.value = value
            fenced.token = token
            return true
          }
          const paused = yield* worker(fixture, { ttl })
          const { file, open: release } = yield* latch
          yield* paused.tell({ what: "hold", name: "it", targets: r, blockUntil: file })
          const first = yield* paused.next("entered")
          assert.isTrue(write("the first holder's", first.token))

          const successor = yield* hold(yield* open(fixture, { ttl: long }), r)
          const { lease } = yield* successor.entered
          assert.isTrue(write("the successor's", lease.token))

          // It wakes up in the middle of its work, and writes before it can have learnt of its loss.
          yield* release
          const late = yield* paused.next("wrote")
          assert.isTrue(successor.isIn(), "the successor holds the lock and relies on it")
          assert.isFalse(write("the first holder's again", late.token))
          assert.strictEqual(plain.value, "the first holder's again", "without fencing, the successor's work is lost")
          assert.strictEqual(fenced.value, "the successor's")

          assert.include((yield* paused.next("ended")).outcome, "LockLost")
          assert.isTrue(write("the successor's again", lease.token))
          assert.strictEqual(yield* successor.leave, "done")
        })
      ),
      timeLimit
    )
  })
})
