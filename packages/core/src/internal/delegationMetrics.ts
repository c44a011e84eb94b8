/**
 * What is counted of delegations, for each namespace.
 */
import * as Metric from "effect/Metric"
import * as MetricBoundaries from "effect/MetricBoundaries"
import * as MetricLabel from "effect/MetricLabel"

// Ten bounds, from a tenth of a millisecond to half a minute.
const seconds = MetricBoundaries.exponential({ start: 0.0001, factor: 4, count: 11 })

const gauge = (name: string, description: string) => Metric.gauge(name, { description })
const counter = (name: string, description: string) => Metric.counter(name, { description, incremental: true })

const kept = gauge("hilok_delegations", "Delegations that this process has")
const idle = gauge("hilok_delegations_idle", "Delegations that nobody uses at the moment")
const local = counter("hilok_local_grants_total", "Locks that were granted without asking the store")
const recalls = counter("hilok_recalls_total", "Delegations that somebody else wanted")
const answer = Metric.histogram(
  "hilok_recall_answer_seconds",
  seconds,
  "From a recall until the delegation is given back"
)
const widenings = counter("hilok_widenings_total", "Requests for a subtree in place of delegations below it")

export class DelegationMetrics {
  private readonly labels: ReadonlyArray<MetricLabel.MetricLabel>
  private readonly inSeconds: ReadonlyArray<MetricLabel.MetricLabel>
  private readonly results: Readonly<Record<"granted" | "refused", ReadonlyArray<MetricLabel.MetricLabel>>>
  /** Both are counted by the delegate, and told from time to time: a lock costs hardly more than that. */
  private grants = 0
  private unused = 0

  constructor(namespace: string) {
    this.labels = [MetricLabel.make("namespace", namespace)]
    this.inSeconds = [...this.labels, MetricLabel.make("unit", "s")]
    this.results = {
      granted: [...this.labels, MetricLabel.make("result", "granted")],
      refused: [...this.labels, MetricLabel.make("result", "refused")]
    }
  }

  kept(change: number): void {
    kept.unsafeModify(change, this.labels)
  }

  granted(): void {
    this.grants++
  }

  /** `unused`: how many delegations nobody uses. */
  flush(unused: number): void {
    idle.unsafeModify(unused - this.unused, this.labels)
    this.unused = unused
    if (this.grants > 0) local.unsafeUpdate(this.grants, this.labels)
    this.grants = 0
  }

  recalled(): void {
    recalls.unsafeUpdate(1, this.labels)
  }

  recallAnswered(millis: number): void {
    answer.unsafeUpdate(millis / 1000, this.inSeconds)
  }

  widened(result: "granted" | "refused"): void {
    widenings.unsafeUpdate(1, this.results[result])
  }
}
