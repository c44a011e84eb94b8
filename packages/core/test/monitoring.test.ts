import { readdirSync, readFileSync } from "node:fs"
import { assert, describe, it } from "@effect/vitest"
import { LockError } from "@hilok/core"

const read = (path: string) => readFileSync(new URL(path, import.meta.url), "utf8")

const page = read("../../../docs/monitoring.md")
const sources = readdirSync(new URL("../src", import.meta.url), { recursive: true, encoding: "utf8" })
  .filter((file) => file.endsWith(".ts"))
  .map((file) => read(`../src/${file}`))
  .join("\n")

const sorted = (values: Iterable<string>) => Array.from(new Set(values)).sort()
const all = (text: string, pattern: RegExp) => Array.from(text.matchAll(pattern), (found) => found.slice(1).join(" "))

/** What a cell of the table of tags names: the values of `reason` for a metric. */
const reasonsOf = (metric: string) => {
  const cell = page.split("\n").find((line) => line.startsWith(`| \`reason\` | \`${metric}\``))
  return cell === undefined ? [] : sorted(all(cell.split("|")[3]!, /`([a-z]+)`/g))
}

describe("docs/monitoring.md", () => {
  it("has a row for each metric of the code, and no other", () => {
    const metrics = read("../src/internal/metrics.ts") + read("../src/internal/delegationMetrics.ts")
    const made = all(metrics, /= (?:Metric\.)?(gauge|counter|histogram)\(\s*"(hilok_\w+)"/g)
    assert.isAbove(made.length, 5)
    const told = all(page, /^\| `(hilok_\w+)` \| (\w+) /gm).map((row) => row.split(" ").reverse().join(" "))
    assert.deepStrictEqual([...told].sort(), [...made].sort())
    // Those that are spoken of elsewhere on the page exist as well.
    const names = made.map((metric) => metric.split(" ")[1]!)
    assert.deepStrictEqual(sorted(all(page, /\b(hilok_[a-z_]+)\b/g)), sorted(names))
  })

  it("names the spans, attributes and events of the code, and no others", () => {
    const made = sorted(all(sources, /"(hilok\.\w+)"/g))
    assert.isAbove(made.length, 5)
    assert.deepStrictEqual(sorted(all(page, /`(hilok\.\w+)`/g)), made)
  })

  it("has all reasons", () => {
    assert.deepStrictEqual(reasonsOf("hilok_store_errors_total"), sorted(LockError.StoreErrorKind.literals))
    const lost = sorted(LockError.LockLost.fields.reason.literals)
    assert.deepStrictEqual(reasonsOf("hilok_lost_total"), lost)
  })

  it("quotes the log lines as they are", () => {
    for (const line of [
      "The fiber that acquired it has ended, so nobody was stopped",
      "The option `onWait` of a lock request failed"
    ]) {
      assert.include(page.replaceAll("\\`", "`"), line)
      assert.include(sources, line)
    }
  })
})
