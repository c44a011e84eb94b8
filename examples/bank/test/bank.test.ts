import { assert, describe, it } from "@effect/vitest"
import { Target } from "@hilok/core"
import { Either } from "effect"
import * as Bank from "../src/Bank.ts"
import type { Hold } from "../src/Hold.ts"
import * as Proof from "../src/Proof.ts"
import * as Report from "../src/Report.ts"
import * as Settings from "../src/Settings.ts"

const hold = (
  name: string,
  from: number,
  to: number,
  token: number,
  ...targets: ReadonlyArray<Target.Target>
): Hold => ({
  worker: name,
  kind: "transfer",
  targets,
  asked: from,
  granted: from,
  done: to,
  token
})

describe("the proof", () => {
  const branches = Bank.plan(12)
  const check = (...holds: ReadonlyArray<Hold>) => {
    const { clashes, pairs, inversions } = Proof.check(holds, branches)
    return { nodes: clashes.map(({ node }) => node), pairs, inversions }
  }
  const fine = { nodes: [], pairs: 0, inversions: 0 }

  it("accepts what follows one another, what is apart, and readers together", () => {
    assert.deepStrictEqual(
      check(
        hold("a", 0, 10, 1, Target.write("north/b1/a1")),
        hold("b", 0, 10, 2, Target.write("north/b1/a2")),
        hold("c", 10, 20, 3, Target.read("north/b1")),
        hold("d", 12, 22, 4, Target.read("")),
        hold("e", 30, 40, 5, Target.writeNode("north/b1")),
        hold("f", 30, 40, 6, Target.write("north/b1/a1"))
      ),
      fine
    )
  })

  it("finds two writers at one account, and a writer below a reader", () => {
    assert.deepStrictEqual(
      check(hold("a", 0, 10, 1, Target.write("north/b1/a1")), hold("b", 9, 20, 2, Target.write("north/b1/a1"))),
      { ...fine, nodes: ["north/b1/a1"], pairs: 1 }
    )
    assert.deepStrictEqual(
      check(hold("a", 0, 10, 1, Target.read("")), hold("b", 5, 6, 2, Target.write("south/b2/a3"))),
      { ...fine, nodes: ["south/b2/a3"], pairs: 1 }
    )
  })

  it("finds a fencing token that fell", () => {
    assert.deepStrictEqual(
      check(hold("a", 0, 10, 2, Target.write("north/b1/a1")), hold("b", 10, 20, 1, Target.write("north/b1/a1"))),
      { ...fine, inversions: 1 }
    )
  })
})

describe("the bank", () => {
  it("has as many accounts as asked for, and at least two in a branch", () => {
    for (const accounts of [2, 3, 7, 8, 12, 13, 57, 1000]) {
      const branches = Bank.plan(accounts)
      const all = branches.flatMap((branch) => branch.accounts)
      assert.strictEqual(new Set(all).size, accounts)
      assert.isTrue(branches.every((branch) => branch.accounts.length >= 2))
      assert.strictEqual(new Set(branches.map(({ path }) => path)).size, branches.length)
      assert.isTrue(
        branches.every(({ path, accounts }) => accounts.every((account) => Bank.branchOf(account) === path))
      )
    }
  })
})

describe("the report", () => {
  it("takes the percentile that values reach", () => {
    assert.strictEqual(Report.percentile([], 0.5), 0)
    assert.strictEqual(Report.percentile([3, 1, 2], 0.5), 2)
    assert.strictEqual(Report.percentile([3, 1, 2], 0.99), 3)
  })
})

describe("the options", () => {
  const refusal = (...args: ReadonlyArray<string>) =>
    Either.match(Settings.parse(args), { onLeft: ({ message }) => message, onRight: () => undefined })

  it("have defaults", () => {
    assert.deepStrictEqual(
      Settings.parse([]),
      Either.right({
        seconds: 6,
        workers: 16,
        accounts: 12,
        seed: 1,
        dir: undefined,
        locks: true,
        delegation: false,
        redis: undefined,
        processes: 1
      })
    )
  })

  it("take --redis with and without an address, and --processes implies it", () => {
    for (const [args, redis, processes] of [
      [["--redis", "--seconds", "1"], "auto", 4],
      [["--redis", "redis://host:1", "--processes", "2"], "redis://host:1", 2],
      [["--redis=redis://host:1"], "redis://host:1", 4],
      [["--processes=3"], "auto", 3]
    ] as const) {
      const settings = Either.getOrThrow(Settings.parse(args))
      assert.isTrue(settings !== "help" && settings.redis === redis && settings.processes === processes)
    }
  })

  it("take --delegation with locks of either kind, and not without", () => {
    for (const args of [["--delegation"], ["--delegation", "--redis"]]) {
      const settings = Either.getOrThrow(Settings.parse(args))
      assert.isTrue(settings !== "help" && settings.delegation)
    }
    assert.strictEqual(refusal("--delegation", "--no-locks"), "--no-locks goes without --delegation")
  })

  it("are refused in words", () => {
    assert.strictEqual(refusal("--seconds", "soon"), `--seconds must be a number from 0.5 to 600, not "soon"`)
    assert.strictEqual(refusal("--workers=1.5"), `--workers must be a whole number from 1 to 1000, not "1.5"`)
    assert.strictEqual(refusal("--accounts="), `--accounts must be a whole number from 2 to 1000, not ""`)
    assert.strictEqual(
      refusal("--seed", "NaN"),
      `--seed must be a whole number from -2147483648 to 2147483647, not "NaN"`
    )
    assert.strictEqual(refusal("--redis", "localhost"), "--redis must be an address such as redis://localhost:6379")
    assert.strictEqual(refusal("six"), `Unexpected argument "six"`)
    assert.strictEqual(refusal("--wurkers", "3"), "Unknown option '--wurkers'")
    assert.strictEqual(refusal("--no-locks", "--redis"), "--no-locks goes without --redis and --processes")
  })
})
