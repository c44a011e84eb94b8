import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { assert } from "@effect/vitest"
import { Target } from "@hilok/core"
import { type Duration, Effect, Fiber } from "effect"
import { hold, open, timeLimit, until, watch } from "./support/faults.ts"
import { type Fixture, leavesNothing, withOwnServer } from "./support/fixture.ts"
import * as History from "./support/history.ts"
import * as Proxy from "./support/proxy.ts"
import { type Options, type Worker, Workers } from "./support/workers.ts"

const processes = 6
const fibers = 4
const millis = 1200
const rounds = 12

/**
 * Lets processes work at random, begins with all of them at once, and checks what they wrote down. `disturb` answers when
 * it stopped the first of them (never: `Infinity`).
 */
const run = (
  fixture: Fixture,
  options: Options & { readonly seed: number; readonly mixed?: boolean },
  disturb: (workers: ReadonlyArray<Worker>) => Effect.Effect<number>
) =>
  Effect.gen(function* () {
    const folder = yield* Effect.acquireRelease(
      Effect.sync(() => mkdtempSync(join(tmpdir(), "hilok-history-"))),
      (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
    )
    const service = yield* Workers
    const workers = yield* Effect.all(
      Array.from({ length: processes }, () => service.open(fixture, options)),
      { concurrency: "unbounded" }
    )
    const gate = yield* hold(yield* open(fixture, { ttl: 60_000 }), [Target.write("")])
    yield* gate.entered
    const files = workers.map((_, i) => join(folder, `${i + 1}.jsonl`))
    for (const [i, worker] of workers.entries()) {
      const seed = options.seed * 100 + i
      const { mixed = false } = options
      yield* worker.tell({ what: "work", seed, millis, rounds, fibers, file: files[i]!, mixed })
    }
    // Those who ask at random whether they would have to wait do not queue.
    const { entries } = yield* watch(fixture)
    yield* until(
      Effect.map(entries, (all) => new Set(all.map(({ pid }) => pid)).size === processes + 1),
      "a queue of all processes"
    )
    yield* gate.leave
    const stoppedAt = yield* disturb(workers)
    const journals = files.map((file, i) => ({ process: `process ${i + 1}`, text: readFileSync(file, "utf8") }))
    const holds = History.cutByOrders(
      journals.flatMap(({ process, text }, i) => History.read(process, text, i === 0 ? stoppedAt : undefined)),
      journals
    )
    const verdict = History.check(holds, options)
    assert.deepStrictEqual(History.violations(verdict).slice(0, 3), [])
    // The proof is worth something: there was much to keep apart, and much that went on side by side.
    assert.isAbove(verdict.conflicts, 500)
    assert.isAbove(verdict.together, 10)
    return { holds, entries }
  })

/** Stops the first process past its ttl and kills the next two, as a `disturb` of `run`. `atEnd`: once the first goes on. */
const stopOneAndKillTwo =
  (before: Duration.DurationInput, pause: Duration.DurationInput, atEnd: Effect.Effect<unknown> = Effect.void) =>
  ([stopped, ...others]: ReadonlyArray<Worker>): Effect.Effect<number> =>
    Effect.gen(function* () {
      yield* Effect.sleep(before)
      const stoppedAt = History.now()
      yield* stopped!.stop
      yield* others[0]!.kill
      yield* Effect.sleep(pause)
      yield* others[1]!.kill
      yield* Effect.sleep(pause)
      yield* stopped!.goOn
      yield* atEnd
      yield* Effect.forEach([stopped!, ...others.slice(2)], (worker) => worker.next("worked"), { discard: true })
      return stoppedAt
    })

const count = (holds: ReadonlyArray<History.Hold>, outcome: string): number =>
  holds.filter((hold) => hold.outcome === outcome).length

withOwnServer("readers and writers in six processes", undefined, (it) => {
  it.layer(Workers.layer(processes), { timeout: timeLimit })((it) => {
    it.effect(
      "never hold at the same time what excludes each other, and their tokens rise",
      () =>
        leavesNothing((fixture) =>
          Effect.gen(function* () {
            const { entries, holds } = yield* run(fixture, { ttl: 10_000, seed: 1 }, (workers) =>
              Effect.as(
                Effect.forEach(workers, (worker) => worker.next("worked")),
                Number.POSITIVE_INFINITY
              )
            )
            assert.isAbove(count(holds, "done"), 100)
            // Ended in time, interrupted by its own timeout, or by that of the hold around it: but nothing else, above all
            // no loss.
            const isDue = (hold: History.Hold) =>
              hold.outcome === "done" ||
              hold.outcome === "TimeoutException" ||
              (hold.outcome === "interrupted" && History.outer(holds, hold)?.outcome === "TimeoutException")
            assert.deepStrictEqual(
              holds.filter((hold) => !isDue(hold)),
              []
            )
            assert.deepStrictEqual(yield* entries, [])
          })
        ),
      timeLimit
    )

    it.effect(
      "nor when one of them is stopped past its ttl, and two are killed",
      () =>
        leavesNothing((fixture) =>
          Effect.gen(function* () {
            const { entries, holds } = yield* run(
              fixture,
              { ttl: 500, seed: 2 },
              stopOneAndKillTwo("200 millis", "400 millis")
            )
            assert.isAbove(count(holds, "done"), 50)
            // Looking drops what the killed ones have left.
            yield* until(
              Effect.map(entries, (all) => all.length === 0),
              "the end of what was left"
            )
          })
        ),
      timeLimit
    )

    for (const cuts of [false, true]) {
      it.effect(
        `nor with delegations${cuts ? " and connections that are cut" : ""}, one stopped past its ttl, and two killed`,
        () =>
          leavesNothing((fixture) =>
            Effect.gen(function* () {
              const proxy = yield* Proxy.start(fixture.server.url)
              const options = { ttl: 700, seed: cuts ? 21 : 20, delegates: true, ...(cuts ? { url: proxy.url } : {}) }
              const { entries, holds } = yield* run(fixture, options, (workers) =>
                Effect.gen(function* () {
                  const cut = Effect.forever(
                    Effect.zipRight(
                      Effect.sleep("150 millis"),
                      Effect.sync(() => proxy.cut())
                    )
                  )
                  const cutting = yield* Effect.fork(cut)
                  return yield* stopOneAndKillTwo("300 millis", "500 millis", Fiber.interrupt(cutting))(workers)
                })
              )
              assert.isAbove(count(holds, "done"), 50)
              // What is only kept is given back after a while, too.
              yield* until(
                Effect.map(entries, (all) => all.length === 0),
                "the end of what was left"
              )
            })
          ),
        timeLimit
      )
    }

    it.effect(
      "nor when leases are taken over by others, given up to them, downgraded, and ended by orders",
      () =>
        leavesNothing((fixture) =>
          Effect.gen(function* () {
            const outcomes = [
              ...["done", "restored: done", "LockLost taken", "LockLost broken", "LockLost released"],
              "LockLost expired"
            ]
            const seen: Array<History.Hold> = []
            const isSeen = (outcome: string) => count(seen, outcome) > 0
            const downgraded = () => seen.filter(({ name }) => name.endsWith("'")).length
            const round = (seed: number) =>
              Effect.gen(function* () {
                const { entries, holds } = yield* run(fixture, { ttl: 2000, seed, mixed: true }, (workers) =>
                  Effect.as(
                    Effect.forEach(workers, (worker) => worker.next("worked")),
                    Number.POSITIVE_INFINITY
                  )
                )
                seen.push(...holds)
                // What was left to others expires.
                yield* until(
                  Effect.map(entries, (all) => all.length === 0),
                  "the end of what was left"
                )
              }).pipe(Effect.scoped)
            // Who meets whom is chance: as many rounds as it takes until all of it has been seen.
            for (let seed = 3; seed < 15 && !(outcomes.every(isSeen) && downgraded() > 10); seed++) yield* round(seed)
            for (const outcome of outcomes) assert.isTrue(isSeen(outcome), outcome)
            assert.isAbove(downgraded(), 10)
          })
        ),
      timeLimit
    )
  })
})
