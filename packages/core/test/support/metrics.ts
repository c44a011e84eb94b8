import { Effect, Metric, type MetricPair } from "effect"

/** Every metric of this library, as a monitoring system would read it. */
const all: Effect.Effect<ReadonlyArray<MetricPair.MetricPair.Untyped>> = Effect.map(Metric.snapshot, (pairs) =>
  pairs.filter(({ metricKey }) => metricKey.name.startsWith("hilok_"))
)

const valueOf = (state: unknown): number => {
  if (typeof state !== "object" || state === null) return 0
  if ("value" in state) return Number(state.value)
  return "count" in state ? Number(state.count) : 0
}

const labelsOf = ({ metricKey }: MetricPair.MetricPair.Untyped): ReadonlyArray<string> =>
  metricKey.tags.map(({ key, value }) => `${key}=${value}`)

/**
 * The value of a gauge or of a counter, or the count of a histogram, or 0 when it is not there yet: the sum of those that have
 * all of the labels (`key=value`).
 */
export const value = (name: string, ...labels: ReadonlyArray<string>): Effect.Effect<number> =>
  Effect.map(all, (pairs) =>
    pairs
      .filter(({ metricKey }) => metricKey.name === name)
      .filter((pair) => labels.every((label) => labelsOf(pair).includes(label)))
      .reduce((sum, { metricState }) => sum + valueOf(metricState), 0)
  )
