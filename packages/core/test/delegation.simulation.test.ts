/**
 * Processes with delegations under everything that can befall them, by seed.
 *
 * `HILOK_SIM_SEEDS=10000` tries more seeds than usual, `HILOK_SIM_FROM=200` others; `HILOK_SIM_SEED=17` runs that one alone,
 * and prints its trace.
 */
import { assert, describe, it } from "@effect/vitest"
import type { Rules } from "./support/delegation/server.ts"
import { type Result, simulate } from "./support/delegation/simulation.ts"

const alone = process.env.HILOK_SIM_SEED
const first = Number(alone ?? process.env.HILOK_SIM_FROM ?? 0)
const count = alone === undefined ? Number(process.env.HILOK_SIM_SEEDS ?? 200) : 1

const shownLines = 40

const report = ({ seed, violation }: Result): string =>
  [
    `SEED=${seed}: ${violation}`,
    `Run it alone, with its whole trace: HILOK_SIM_SEED=${seed} npm test -- --project core delegation.simulation`,
    ...simulate(seed, { isVerbose: true }).trace.slice(-shownLines)
  ].join("\n")

describe("simulation of delegations", () => {
  it(`holds for ${count} seeds from ${first} on`, { timeout: 60_000 + count * 500 }, () => {
    const seen = new Map<string, number>()
    for (let seed = first; seed < first + count; seed++) {
      const result = simulate(seed, { isVerbose: alone !== undefined })
      if (alone !== undefined) console.log(result.trace.join("\n"))
      if (result.violation !== undefined) assert.fail(report(result))
      for (const [what, times] of Object.entries(result.counts)) seen.set(what, (seen.get(what) ?? 0) + times)
    }
    if (count < 200) return
    // A simulation in which little happens finds nothing.
    for (const what of [
      ...["local", "below", "settlements", "recalls", "widenings", "downgrades", "lost", "crashed", "broken"],
      ...["Deadlock", "refused", "StoreError", "contended"]
    ]) {
      assert.isAbove(seen.get(what) ?? 0, 20, what)
    }
  })

  describe("notices", () => {
    const cases: ReadonlyArray<readonly [what: string, left: keyof Rules, says: RegExp]> = [
      ["that tokens do not go on above a delegation that was given back", "floors", /has token \d+, after/],
      ["that a recall is not told", "recalls", /waits for|all wait for each other/],
      ["that a loss is not told", "revocations", /does not know that|waits for nobody|all wait/],
      ["that a lease is not taken in", "registrations", /the server knows nothing of it|at the same time/],
      [
        "that a lease of a lost delegation is said to be taken in",
        "refusals",
        /does not know that|knows nothing of it/
      ],
      ["that an impatient request waits for a user", "impatience", /was not to wait|waits for nobody|all wait/]
    ]
    for (const [what, left, says] of cases) {
      it(what, { timeout: 60_000 }, () => {
        let noticed: string | undefined
        for (let seed = 0; seed < 400 && noticed === undefined; seed++) {
          noticed = simulate(seed, { rules: { [left]: false } }).violation
        }
        assert.match(noticed ?? "nothing was noticed", says)
      })
    }
  })

  it("does the same again for the same seed", () => {
    for (const seed of [3, 11, 42]) {
      const [one, other] = [simulate(seed, { isVerbose: true }), simulate(seed, { isVerbose: true })]
      assert.deepStrictEqual(one.trace, other.trace)
    }
    assert.notDeepEqual(simulate(1, { isVerbose: true }).trace, simulate(2, { isVerbose: true }).trace)
  })
})
