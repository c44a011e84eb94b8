import { assert, describe, it } from "@effect/vitest"
import { LockMode, LockPath, LockTable, Target } from "@hilok/core"
import { Command, Conformance, Session } from "@hilok/core/testing"
import { FastCheck } from "effect"
import { TableDriver } from "./support/tableDriver.ts"

const { read, write } = Target

const request = (id: string, targets: ReadonlyArray<Target.Target>, more?: Partial<LockTable.Request>) => ({
  id,
  targets: targets.map(Session.region),
  ttl: 10_000,
  waitTtl: Number.POSITIVE_INFINITY,
  within: [],
  holder: {},
  ...more
})

describe("the conformance data", () => {
  it("has every row and every step", () => {
    assert.strictEqual(Conformance.conflicts.length, 192)
    assert.strictEqual(Conformance.deadlocks.length, 6)
    assert.strictEqual(Conformance.scenarios.length, 200)
    assert.strictEqual(
      Conformance.scenarios.reduce((steps, scenario) => steps + scenario.steps.length, 0),
      7157
    )
  })

  it.each([...Conformance.scenarios, ...Conformance.deadlocks])("is what the table answers: $name", ({ steps }) => {
    const table = new LockTable.LockTable()
    for (const [at, step] of steps.entries()) {
      const where = `step ${at + 1}: ${JSON.stringify(step)}`
      if (step.op === "acquire" || step.op === "try") {
        const asked = request(`${step.id}`, step.targets, { within: step.within.map(String) })
        const outcome = step.op === "try" ? table.tryAcquire(asked, at) : table.acquire(asked, at)
        assert.strictEqual(outcome._tag.toLowerCase(), step.expect, where)
        assert.deepStrictEqual(table.takeEvents(), [], where)
      } else if ("granted" in step) {
        if (step.op === "downgrade") table.downgrade(`${step.id}`, at)
        else table.release(`${step.id}`, at, `${step.id}`)
        const events = table.takeEvents()
        assert.deepStrictEqual(
          events.map((event) => `${event._tag} ${event.id}`),
          step.granted.map((id) => `Granted ${id}`),
          where
        )
      }
    }
  })
})

describe("whatever is asked of it, the table does as a brute-force reading of the rules", () => {
  const numRuns = 100
  const timeout = 30_000

  it("while time goes by and leases expire together", { timeout }, () => {
    FastCheck.assert(
      FastCheck.property(Command.commands({ time: true, maxLength: 60 }), (commands) => {
        const driver = new TableDriver()
        for (const command of commands) driver.step(command)
        driver.finish()
      }),
      { numRuns }
    )
  })

  it("while waiting requests expire, too", { timeout }, () => {
    FastCheck.assert(
      FastCheck.property(
        Command.commands({ time: true, maxLength: 60 }),
        FastCheck.integer({ min: 1, max: 20 }),
        (commands, seconds) => {
          const driver = new TableDriver({ waitTtl: seconds * 1000 })
          for (const command of commands) driver.step(command)
          driver.finish()
        }
      ),
      { numRuns }
    )
  })

  it("in a single long run", { timeout }, () => {
    const [commands] = FastCheck.sample(
      FastCheck.array(Command.commands({ time: false, maxLength: 20 }), { minLength: 60, maxLength: 60 }),
      { numRuns: 1 }
    )
    const driver = new TableDriver()
    for (const command of commands!.flat()) {
      // Keeps the table small enough for the brute-force side.
      if (driver.model.entries.length > 25) driver.step({ op: "release", by: "owner", pick: 0 })
      driver.step(command)
    }
    driver.finish()
  })
})

describe("time", () => {
  it("a lease is live until its deadline, and gone at it", () => {
    const table = new LockTable.LockTable()
    table.acquire(request("a", [write("a")]), 5)
    assert.strictEqual(table.lookup("a", 10_004)?.timeLeft, 1)
    assert.isUndefined(table.lookup("a", 10_005))
    assert.deepStrictEqual(table.takeEvents(), [
      { _tag: "Ended", id: "a", owner: "a", state: "held", reason: "expired" }
    ])
  })

  it("every operation first ends what is due", () => {
    const operations: ReadonlyArray<(table: LockTable.LockTable) => unknown> = [
      (table) => table.acquire(request("b", [read("b")]), 10_000),
      (table) => table.tryAcquire(request("b", [read("b")]), 10_000),
      (table) => table.release("b", 10_000, "b"),
      (table) => table.refresh("a", 10_000, 10_000),
      (table) => table.downgrade("a", 10_000),
      (table) => table.breakLease("a", 10_000),
      (table) => table.restore("a", 10_000, 10_000, "b"),
      (table) => table.giveBack("a", 10_000, "b"),
      (table) => table.lookup("a", 10_000),
      (table) => table.lease("a", 10_000),
      (table) => table.inspect(LockPath.root, 10_000),
      (table) => table.expire(10_000)
    ]
    for (const operation of operations) {
      const table = new LockTable.LockTable()
      table.acquire(request("a", [write("a")]), 0)
      table.acquire(request("waiter", [read("a")]), 0)
      operation(table)
      assert.deepStrictEqual(
        table.takeEvents().map((event) => `${event._tag} ${event.id}`),
        ["Ended a", "Granted waiter"]
      )
    }
  })

  it("a waiting request that is not refreshed leaves the queue and lets in those behind it", () => {
    const table = new LockTable.LockTable()
    table.acquire(request("reader", [read("a")], { ttl: 60_000 }), 0)
    table.acquire(request("writer", [write("a")], { waitTtl: 5_000 }), 0)
    table.acquire(request("late", [read("a")], { waitTtl: 60_000 }), 0)
    assert.strictEqual(table.refresh("writer", 5_000, 3_000), 8_000)
    table.expire(7_999)
    assert.deepStrictEqual(table.takeEvents(), [])
    table.expire(8_000)
    assert.deepStrictEqual(
      table.takeEvents().map((event) => `${event._tag} ${event.id}`),
      ["Ended writer", "Granted late"]
    )
  })

  it("tokens follow the clock, go on growing within one microsecond, and never fall when it is set back", () => {
    const table = new LockTable.LockTable()
    const tokenAt = (id: string, now: number) => {
      const outcome = table.acquire(request(id, [read("a")]), now)
      return outcome._tag === "Granted" ? outcome.token : 0
    }
    assert.deepStrictEqual(
      [tokenAt("1", 0), tokenAt("2", 0), tokenAt("3", 5), tokenAt("4", 5.0004), tokenAt("5", 5.0021), tokenAt("6", 2)],
      [1, 2, 5000, 5001, 5002, 5003]
    )
  })

  it("events that were taken do not change any more", () => {
    const table = new LockTable.LockTable()
    const before = table.takeEvents()
    table.acquire(request("a", [write("a")]), 0)
    table.breakLease("a", 0)
    assert.strictEqual(before.length, 0)
    assert.strictEqual(table.takeEvents().length, 1)
  })
})

describe("the cost of an operation", () => {
  /** How often the table looks for what is in the way of a request. */
  const looksDuring = (table: LockTable.LockTable, run: () => void): number => {
    let looks = 0
    const original = Reflect.get(table, "findBlocker") as (...args: ReadonlyArray<unknown>) => unknown
    Reflect.set(table, "findBlocker", (...args: ReadonlyArray<unknown>) => {
      looks++
      return Reflect.apply(original, table, args)
    })
    run()
    Reflect.deleteProperty(table, "findBlocker")
    return looks
  }

  it("a release looks again at the one that it lets in, not at the queue behind it", () => {
    const table = new LockTable.LockTable()
    table.acquire(request("0", [write("a/b")]), 0)
    for (let i = 1; i <= 1000; i++) table.acquire(request(`${i}`, [write("a/b")]), 0)
    const looks = looksDuring(table, () => table.release("0", 0, "0"))
    assert.strictEqual(looks, 1)
    assert.deepStrictEqual(
      table.takeEvents().map(({ id }) => id),
      ["1"]
    )
  })

  it("a release on one path does not look at those that wait on others", () => {
    const table = new LockTable.LockTable()
    table.acquire(request("held", [write("a")]), 0)
    for (let i = 0; i < 500; i++) {
      table.acquire(request(`held ${i}`, [write(`b/${i}`)]), 0)
      table.acquire(request(`waits ${i}`, [write(`b/${i}`)]), 0)
    }
    assert.strictEqual(
      looksDuring(table, () => table.release("held", 0, "held")),
      0
    )
  })

  it("a downgrade looks at each waiting reader that it lets in once", () => {
    const table = new LockTable.LockTable()
    table.acquire(request("held", [write("a")]), 0)
    for (let i = 0; i < 100; i++) table.acquire(request(`${i}`, [read(`a/${i}`)]), 0)
    table.acquire(request("writer", [write("a")]), 0)
    for (let i = 100; i < 200; i++) table.acquire(request(`${i}`, [read(`a/${i}`)]), 0)
    assert.strictEqual(
      looksDuring(table, () => table.downgrade("held", 0)),
      100
    )
    assert.strictEqual(table.queueLength, 101)
  })
})

describe("a lease", () => {
  it("keeps nothing of the requests that waited for it or inside it", () => {
    const table = new LockTable.LockTable()
    table.acquire(request("held", [write("a")]), 0)
    table.acquire(request("other", [write("b")]), 0)
    for (let i = 0; i < 50; i++) {
      table.acquire(request(`outside ${i}`, [write("a")]), 0)
      table.acquire(request(`inside ${i}`, [write("b")], { within: ["held"] }), 0)
    }
    const entries = Reflect.get(table, "entries") as Map<string, { watchers?: Set<unknown>; nested?: Set<unknown> }>
    assert.deepStrictEqual(
      ["held", "other"].map((id) => [entries.get(id)?.watchers?.size, entries.get(id)?.nested?.size]),
      [
        [1, 50],
        [50, undefined]
      ]
    )
    for (let i = 49; i >= 0; i--) {
      table.release(`outside ${i}`, 0, `outside ${i}`)
      table.release(`inside ${i}`, 0, `inside ${i}`)
    }
    for (const id of ["held", "other"]) {
      assert.strictEqual(entries.get(id)?.watchers?.size ?? 0, 0)
      assert.strictEqual(entries.get(id)?.nested?.size ?? 0, 0)
    }
  })
})

describe("a long chain", () => {
  it("of nested requests, each waiting for the next, is followed to its end", () => {
    const table = new LockTable.LockTable()
    const length = 20_000
    for (let i = 0; i <= length; i++) table.acquire(request(`held ${i}`, [write(`${i}`)]), 0)
    for (let i = 0; i < length; i++) {
      const outcome = table.acquire(request(`waits ${i}`, [read(`${i + 1}`)], { within: [`held ${i}`] }), 0)
      assert.strictEqual(outcome._tag, "Waiting")
    }
    const last = table.acquire(request("last", [read("0")], { within: [`held ${length}`] }), 0)
    assert.strictEqual(last._tag === "Deadlock" ? last.cycle.length : 0, 2 * length + 2)
    assert.isUndefined(table.lookup("last", 0))
  })
})

describe("what the table shows", () => {
  it("is the mode and the path that the caller may write again", () => {
    const table = new LockTable.LockTable()
    const targets = LockMode.all.map((mode) => Target.make(mode, ["a/b", "%", "c"]))
    table.acquire(request("a", targets), 0)
    assert.deepStrictEqual(table.lookup("a", 0)?.targets, targets)
  })
})
