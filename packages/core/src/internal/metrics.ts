/**
 * What is counted of locks. Nothing is labelled by path, which would be without bound.
 */
import * as Metric from "effect/Metric"
import * as MetricBoundaries from "effect/MetricBoundaries"

// From a tenth of a millisecond to most of an hour, in milliseconds.
const durations = MetricBoundaries.exponential({ start: 0.1, factor: 4, count: 13 })

const waiting = Metric.gauge("hilok_waiting", { description: "Requests that wait for a lock" })
const held = Metric.gauge("hilok_held", { description: "Leases that are held" })
const wait = Metric.histogram("hilok_wait_ms", durations, "From the request to the grant, in milliseconds")
const hold = Metric.histogram("hilok_hold_ms", durations, "From the grant to the end of the lease, in milliseconds")
const lost = Metric.counter("hilok_lost_total", { description: "Leases that were lost", incremental: true })
const timeouts = Metric.counter("hilok_timeouts_total", { description: "Requests that timed out", incremental: true })
const refused = Metric.counter("hilok_refused_total", {
  description: "Requests refused at once: not free, or a deadlock",
  incremental: true
})

export const requested = (): void => waiting.unsafeModify(1, [])
export const answered = (): void => waiting.unsafeModify(-1, [])
export const granted = (waitedMillis: number): void => {
  held.unsafeModify(1, [])
  wait.unsafeUpdate(waitedMillis, [])
}
export const ended = (heldMillis: number): void => {
  held.unsafeModify(-1, [])
  hold.unsafeUpdate(heldMillis, [])
}
export const countLost = (): void => lost.unsafeUpdate(1, [])
export const countFailure = (failure: { readonly _tag: string }): void => {
  if (failure._tag === "LockTimeout") timeouts.unsafeUpdate(1, [])
  else if (failure._tag !== "StoreError") refused.unsafeUpdate(1, [])
}
