/**
 * What is counted of locks, for each namespace. Nothing is labelled by path, which would be without bound.
 *
 * A list of labels is made once and used again: by it Effect finds the counter that belongs to them.
 */
import * as Effect from "effect/Effect"
import * as Metric from "effect/Metric"
import * as MetricBoundaries from "effect/MetricBoundaries"
import * as MetricLabel from "effect/MetricLabel"
import type * as Option from "effect/Option"
import { type LockError, type LockLost, StoreError } from "../LockError.ts"

// Twelve bounds, from a tenth of a millisecond to seven minutes.
const seconds = MetricBoundaries.exponential({ start: 0.0001, factor: 4, count: 13 })

const gauge = (name: string, description: string) => Metric.gauge(name, { description })
const counter = (name: string, description: string) => Metric.counter(name, { description, incremental: true })

const waiting = gauge("hilok_waiting", "Requests that wait for a lock")
const held = gauge("hilok_held", "Leases that are held")
const wait = Metric.histogram("hilok_wait_seconds", seconds, "From the request to the grant")
const hold = Metric.histogram("hilok_hold_seconds", seconds, "From the grant to the end of the lease")
const lost = counter("hilok_lost_total", "Leases that were lost")
const timeouts = counter("hilok_timeouts_total", "Requests that were not granted in time")
const refused = counter("hilok_refused_total", "Requests that were refused at once, as the lock was not free")
const deadlocks = counter("hilok_deadlocks_total", "Requests that would have waited forever")
const storeErrors = counter("hilok_store_errors_total", "Operations that the store failed to do")

/** The labels of a namespace with a reason, of which there are few: made when they are first needed. */
class Labelled {
  private readonly byReason = new Map<string, ReadonlyArray<MetricLabel.MetricLabel>>()
  private readonly labels: ReadonlyArray<MetricLabel.MetricLabel>

  constructor(labels: ReadonlyArray<MetricLabel.MetricLabel>) {
    this.labels = labels
  }

  with(reason: string): ReadonlyArray<MetricLabel.MetricLabel> {
    let labels = this.byReason.get(reason)
    if (labels === undefined) {
      labels = [...this.labels, MetricLabel.make("reason", reason)]
      this.byReason.set(reason, labels)
    }
    return labels
  }
}

export class Metrics {
  private readonly labels: ReadonlyArray<MetricLabel.MetricLabel>
  private readonly inSeconds: ReadonlyArray<MetricLabel.MetricLabel>
  private readonly reasons: Labelled

  constructor(namespace: string) {
    this.labels = [MetricLabel.make("namespace", namespace)]
    // The exporter for OpenTelemetry takes the unit from this label.
    this.inSeconds = [...this.labels, MetricLabel.make("unit", "s")]
    this.reasons = new Labelled(this.labels)
  }

  requested(): void {
    waiting.unsafeModify(1, this.labels)
  }

  answered(): void {
    waiting.unsafeModify(-1, this.labels)
  }

  granted(waitedMillis: number): void {
    held.unsafeModify(1, this.labels)
    wait.unsafeUpdate(waitedMillis / 1000, this.inSeconds)
  }

  ended(heldMillis: number): void {
    held.unsafeModify(-1, this.labels)
    hold.unsafeUpdate(heldMillis / 1000, this.inSeconds)
  }

  lost(reason: LockLost["reason"]): void {
    lost.unsafeUpdate(1, this.reasons.with(reason))
  }

  /** A request has failed. */
  failed(failure: LockError): void {
    switch (failure._tag) {
      case "LockTimeout":
        return timeouts.unsafeUpdate(1, this.labels)
      case "WouldBlock":
        return refused.unsafeUpdate(1, this.reasons.with(failure.blocker?.state ?? "unknown"))
      case "Deadlock":
        return deadlocks.unsafeUpdate(1, this.reasons.with(failure.enclosing === undefined ? "cycle" : "enclosing"))
      case "StoreError":
        return this.storeFailed(failure)
    }
  }

  private storeFailed({ kind }: StoreError): void {
    storeErrors.unsafeUpdate(1, this.reasons.with(kind ?? "other"))
  }

  /** Counts the errors among the answers, one that several share once. */
  failures(answers: ReadonlyArray<Option.Option<unknown> | StoreError>): void {
    let last: StoreError | undefined
    for (const answer of answers) {
      if (answer._tag !== "StoreError" || answer === last) continue
      this.storeFailed(answer)
      last = answer
    }
  }

  /** Counts an operation other than a request when the store fails to do it. */
  watch<A, E>(operation: Effect.Effect<A, E | StoreError>): Effect.Effect<A, E | StoreError> {
    return Effect.tapError(operation, (error) =>
      Effect.sync(() => {
        if (error instanceof StoreError) this.storeFailed(error)
      })
    )
  }
}
