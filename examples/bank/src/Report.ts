/** What a run says at its end: a table for each kind of worker, and the verdict in words. */

import { type Hold, type Kind, kinds } from "./Hold.ts"
import type { Verdict } from "./Proof.ts"

export interface Outcome {
  readonly locks: boolean
  readonly holds: ReadonlyArray<Hold>
  readonly accounts: number
  readonly expected: number
  readonly sum: number
  readonly unreadable: number
  readonly verdict: Verdict
}

/** The smallest value that a share of the values does not exceed. */
export const percentile = (values: ReadonlyArray<number>, share: number): number => {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? 0
}

const count = new Intl.NumberFormat("en-US")
const millis = (value: number): string => `${value.toFixed(1)} ms`
const plural = (n: number, word: string, words = `${word}s`): string => `${count.format(n)} ${n === 1 ? word : words}`

const isAudit = (kind: Kind): boolean => kind === "branchAudit" || kind === "headAudit"

export const tally = (holds: ReadonlyArray<Hold>) => ({
  transfers: holds.filter(({ kind }) => !isAudit(kind)).length,
  audits: holds.filter(({ kind }) => isAudit(kind)).length,
  anomalies: holds.filter(({ finding }) => finding !== undefined).length
})

export const table = (holds: ReadonlyArray<Hold>): string => {
  const rows = Object.entries(kinds).map(([kind, name]) => {
    const own = holds.filter((hold) => hold.kind === kind)
    const waits = own.map(({ asked, granted }) => granted - asked)
    const anomalies = own.filter(({ finding }) => finding !== undefined).length
    return [
      name,
      count.format(own.length),
      millis(percentile(waits, 0.5)),
      millis(percentile(waits, 0.99)),
      `${anomalies}`
    ]
  })
  const all = [["", "count", "wait p50", "wait p99", "anomalies"], ...rows]
  const widths = all[0]!.map((_, column) => Math.max(...all.map((row) => row[column]!.length)))
  return all
    .map((row) => row.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join("   "))
    .join("\n")
}

const balance = ({ sum, expected, unreadable, accounts }: Outcome): string => {
  const lost = unreadable === 0 ? "" : `, and ${plural(unreadable, "file")} cannot be read`
  if (sum === expected)
    return `the final sum over ${plural(accounts, "account")} is ${count.format(sum)}, as it must be${lost}`
  const change =
    sum < expected
      ? `${count.format(expected - sum)} have vanished`
      : `${count.format(sum - expected)} came from nowhere`
  return `the final sum is ${count.format(sum)} where it must be ${count.format(expected)}: ${change}${lost}`
}

/** No anomaly, the right sum, no clash and no token out of order. */
export const isSound = ({ holds, sum, expected, unreadable, verdict }: Outcome): boolean =>
  tally(holds).anomalies === 0 &&
  sum === expected &&
  unreadable === 0 &&
  verdict.pairs === 0 &&
  verdict.inversions === 0

export const words = (outcome: Outcome): string => {
  const { holds, locks, verdict } = outcome
  const { transfers, audits, anomalies } = tally(holds)
  const findings = holds.flatMap(({ kind, finding }) => (finding !== undefined && isAudit(kind) ? [finding] : []))
  const example = findings.find((finding) => finding.includes(" should have ")) ?? findings[0]
  const done = `${plural(transfers, "transfer")}, ${plural(audits, "audit")}`
  if (isSound(outcome)) {
    const lead = locks
      ? `RIGHT. ${done}: every sum was right, and ${balance(outcome)}.`
      : `RIGHT, by luck. ${done} without locks: nothing went wrong this time, and ${balance(outcome)}. Try more --workers.`
    return locks
      ? `${lead}\nThe record agrees: of ${plural(holds.length, "hold")}, no two that exclude each other overlapped, and the fencing tokens rose.`
      : lead
  }
  return [
    `WRONG. ${done}${locks ? "" : " without locks"}: ${plural(anomalies, "anomaly", "anomalies")}, and ${balance(outcome)}.`,
    ...(example === undefined ? [] : [`One of the audits: ${example}.`]),
    `${plural(verdict.pairs, "pair")} of jobs were at the same file at the same time though one of them wrote there.`,
    ...(verdict.inversions === 0 ? [] : [`${plural(verdict.inversions, "fencing token")} came out of order.`]),
    ...(locks ? [] : ["With locks (leave out --no-locks) the same run has none of this."])
  ].join("\n")
}
