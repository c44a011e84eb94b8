import { max, median } from "./stats.ts"

/** What was measured, a list of values for each name, one for each round. */
export class Metrics {
  private readonly values = new Map<string, Array<number>>()
  private readonly failures = new Map<string, string>()

  add(name: string, value: number): void {
    const known = this.values.get(name)
    if (known === undefined) this.values.set(name, [value])
    else known.push(value)
  }

  addAll(prefix: string, values: Readonly<Record<string, number>>): void {
    for (const [name, value] of Object.entries(values)) this.add(`${prefix}/${name}`, value)
  }

  /** `undefined`: not measured. */
  median(name: string): number | undefined {
    const values = this.values.get(name)
    return values === undefined ? undefined : median(values)
  }

  max(name: string): number | undefined {
    const values = this.values.get(name)
    return values === undefined ? undefined : max(values)
  }

  /** The medians of all that was measured whose name is such. */
  medians(isSuch: (name: string) => boolean): ReadonlyArray<number> {
    return Array.from(this.values.entries()).flatMap(([name, values]) => (isSuch(name) ? [median(values)] : []))
  }

  fail(name: string, reason: string): void {
    this.failures.set(name, reason)
  }

  failure(name: string): string | undefined {
    return this.failures.get(name)
  }

  toJSON(): unknown {
    return {
      values: Object.fromEntries(
        Array.from(this.values, ([name, values]) => [name, { median: median(values), rounds: values }])
      ),
      failures: Object.fromEntries(this.failures)
    }
  }
}
