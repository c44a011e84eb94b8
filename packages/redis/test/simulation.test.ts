import { assert, describe, it } from "@effect/vitest"
import { simulate } from "./support/simulation/simulation.ts"

describe("simulation", () => {
  it("holds", async () => {
    const from = Number(process.env.HILOK_SIM_SEED ?? 0)
    const count = Number(process.env.HILOK_SIM_SEEDS ?? 20)
    const failed: Array<string> = []
    let shown = false
    const outcomes = new Map<string, number>()
    let grants = 0
    let lines = 0
    for (let seed = from; seed < from + count; seed++) {
      const started = performance.now()
      const result = await simulate(seed)
      if (process.env.VERBOSE)
        console.log(seed, result.violation, (performance.now() - started).toFixed(0), result.trace.length)
      grants += result.grants
      lines += result.trace.length
      for (const [k, v] of result.outcomes) outcomes.set(k, (outcomes.get(k) ?? 0) + v)
      if (result.violation !== undefined) {
        failed.push(`${seed}: ${result.violation}`)
        if (!shown && process.env.TRACE) console.log(result.trace.slice(-Number(process.env.TRACE)).join("\n"))
        shown = true
      }
    }
    console.log(outcomes, grants, lines)
    assert.deepStrictEqual(failed, [])
  }, 600_000)
})
