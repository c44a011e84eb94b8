import { Effect, Metric, type MetricPair } from "effect"

/** Every metric of this library, as a monitoring system would read it. */
const all: Effect.Effect<ReadonlyArray<MetricPair.MetricPair.Untyped>> = Effect.map(Metric.snapshot, (pairs) =>
  pairs.filter(({ metricKey }) => metricKey.name.startsWith("hilok_"))
)

/** The value of a gauge or of a counter, or the count of a histogram, or 0 when it is not there yet. */
export const value = (name: string): Effect.Effect<number> =>
  Effect.map(all, (pairs) => {
    const state: unknown = pairs.find(({ metricKey }) => metricKey.name === name)?.metricState
    if (typeof state !== "object" || state === null) return 0
    if ("value" in state) return Number(state.value)
    return "count" in state ? Number(state.count) : 0
  })
