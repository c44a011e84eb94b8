/**
 * The client as it is, under everything that can befall it, by seed.
 *
 * `HILOK_SIM_SEEDS=5000` tries more seeds than usual, `HILOK_SIM_FROM=200` others; `HILOK_SIM_SEED=17` runs that one alone,
 * and prints its trace.
 */
import { assert, describe, it } from "@effect/vitest"
import type { Rules } from "./support/simulation/decisions.ts"
import { type Options, type Result, simulate } from "./support/simulation/simulation.ts"

const alone = process.env.HILOK_SIM_SEED
const first = Number(alone ?? process.env.HILOK_SIM_FROM ?? 0)
const count = alone === undefined ? Number(process.env.HILOK_SIM_SEEDS ?? 200) : 1

/** Generous: a busy machine takes a tenth of a second for one. */
const patience = { timeout: 60_000 + count * 1000 }

const shownLines = 40

const report = ({ seed, trace, violation }: Result): string =>
  [
    `SEED=${seed}: ${violation}`,
    `Run it alone, with its whole trace: HILOK_SIM_SEED=${seed} npm test -- --project redis simulation`,
    ...trace.slice(-shownLines)
  ].join("\n")

/** The first of the seeds from 0 on that notices that something is wrong, and what it says. */
const firstToNotice = async (options: Options, limit: number): Promise<Result | undefined> => {
  for (let seed = 0; seed < limit; seed++) {
    const result = await simulate(seed, options)
    if (result.violation !== undefined) return result
  }
  return undefined
}

describe("simulation", () => {
  it(`holds for ${count} seeds from ${first} on`, patience, async () => {
    const outcomes = new Map<string, number>()
    for (let seed = first; seed < first + count; seed++) {
      const result = await simulate(seed)
      if (alone !== undefined) console.log(result.trace.join("\n"))
      if (result.violation !== undefined) assert.fail(report(result))
      for (const [outcome, times] of result.outcomes) outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + times)
    }
    if (count < 100) return
    // A simulation in which little happens finds nothing.
    for (const outcome of [
      "done",
      "interrupted",
      "Deadlock",
      "LockTimeout",
      "WouldBlock",
      "StoreError",
      "LockLost broken",
      "LockLost expired",
      "LockLost unreachable"
    ]) {
      assert.isAbove(outcomes.get(outcome) ?? 0, 0, outcome)
    }
  })

  it("does the same again for the same seed", async () => {
    for (const seed of [3, 11, 42]) {
      const [one, other] = [await simulate(seed), await simulate(seed)]
      assert.strictEqual(one.hash, other.hash)
      assert.isAbove(one.grants, 0)
    }
    assert.notStrictEqual((await simulate(1)).hash, (await simulate(2)).hash)
  })

  describe("notices", () => {
    const without = (rule: keyof Rules): Options => ({ rules: { [rule]: false } })
    const cases: ReadonlyArray<readonly [what: string, options: Options, says: RegExp]> = [
      ["that a late command is done", without("late"), /gave that up; it is let in all the same/],
      ["that nobody is told of a grant", without("messages"), /and does not know it/],
      [
        "that a lease does not end when it is released",
        without("releases"),
        /there is left in the server|and does not know it/
      ],
      ["that a lease that is over is refreshed", without("expiry"), /after it was disturbed|is not live/],
      ["that a deadline is told later than it is", without("deadlines"), /is not live in the server/],
      ["that one who conflicts does not wait", without("exclusion"), /conflict/],
      ["that tokens fall", without("tokens"), /gives token \d+ after \d+/]
    ]
    for (const [what, options, says] of cases) {
      it(what, async () => {
        const result = await firstToNotice(options, 50)
        assert.match(result?.violation ?? "nothing was noticed", says)
      })
    }
  })
})
