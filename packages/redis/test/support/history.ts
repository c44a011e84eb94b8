/**
 * Who held what when, as the holders themselves wrote it down, and a proof that they kept out of each other's way.
 *
 * It has a notion of conflict of its own, taken from what the modes mean: it looks at the nodes of the tree, and at who
 * was there when. A hold is written down after it was granted and before it is given up, so it lies within its lease:
 * what overlaps here has overlapped in the server. A process that is stopped between the grant and the first step of its
 * work, past the ttl, enters too late, and no lock can keep it from that: so of what such a process entered after it was
 * stopped, only what was held to the end proves something by its times. The same goes for what may be held for some milliseconds only:
 * on a busy machine any process is kept from running for so long.
 */
import type { Target } from "@hilok/core"

/** What a process writes down, one a line. Times are in microseconds, on a clock that all processes share. */
export type Line =
  | {
      readonly what: "enter"
      readonly hold: string
      readonly at: number
      readonly token: number
      readonly targets: ReadonlyArray<Target.Target>
      /** Of the lease, when others may take it over. */
      readonly id?: string
      /** It may be held for some milliseconds only. */
      readonly isShort?: boolean
    }
  /**
   * It is about to take over or end somebody's lease: who had it until then has it no longer for sure. `hold` is the one that begins if
   * it is taken over.
   */
  | { readonly what: "order"; readonly id: string; readonly hold: string; readonly at: number }
  | { readonly what: "leave"; readonly hold: string; readonly at: number }
  /** Written when the lock is given back: was it held to the end? */
  | { readonly what: "end"; readonly hold: string; readonly outcome: string }

/**
 * The time on the system's monotonic clock. It is one clock for all processes of a machine, and nobody sets it. (The
 * times of `performance` begin with the wall clock at the start of a process, and that may be set in between.)
 */
export const now = (): number => Number(process.hrtime.bigint() / 1000n)

export interface Hold {
  /** The process and the hold. */
  readonly name: string
  readonly token: number
  /** Of its lease, when it may be that of other holds, too: of one before, or behind. */
  readonly id?: string
  readonly targets: ReadonlyArray<Target.Target>
  readonly entered: number
  /** Until when it was surely held: for one that was lost or whose process was killed, just when it was entered. */
  readonly left: number
  /** Was the lock surely held when it was entered? Else its times say nothing. */
  readonly isSure: boolean
  readonly outcome: string
}

/** Two holds that exclude each other, the one that was entered first in front. */
interface Pair {
  readonly first: Hold
  readonly second: Hold
}

export interface Verdict {
  /** Both were there at the same time. */
  readonly overlaps: ReadonlyArray<Pair>
  /** The one that was entered later has the smaller token. */
  readonly falling: ReadonlyArray<Pair>
  /** Two holds, of any kind, with the same token; under delegations two that exclude each other. */
  readonly equal: ReadonlyArray<Pair>
  /** How many pairs exclude each other, and how many others were there at the same time: what the proof is worth. */
  readonly conflicts: number
  readonly together: number
}

/** Reads what a process wrote. The last line of one that was killed may be torn. */
export const read = (process: string, text: string, stoppedAt = Number.POSITIVE_INFINITY): ReadonlyArray<Hold> => {
  const holds = new Map<string, { -readonly [K in keyof Hold]: Hold[K] }>()
  for (const row of text.split("\n").slice(0, -1)) {
    const line = JSON.parse(row) as Line
    if (line.what === "enter") {
      const { at, hold, id, isShort = false, targets, token } = line
      const name = `${process} ${hold}`
      const its = { name, token, ...(id === undefined ? {} : { id }), targets, entered: at, left: at }
      holds.set(hold, { ...its, isSure: at < stoppedAt && !isShort, outcome: "unknown" })
      continue
    }
    if (line.what === "order") continue
    const hold = holds.get(line.hold)
    if (hold === undefined) throw new Error(`${process} left ${line.hold}, which it had not entered`)
    if (line.what === "leave") hold.left = line.at
    else hold.outcome = line.outcome
  }
  return Array.from(holds.values(), (hold) =>
    hold.outcome === "done" ? { ...hold, isSure: true } : { ...hold, left: hold.entered }
  )
}

/**
 * The holds, each only up to when somebody else was about to take over or end its lease: another process, or another fiber of the
 * same one. Whoever held it learns so a moment later, and may even enter before that: then its times say nothing.
 */
export const cutByOrders = (
  holds: ReadonlyArray<Hold>,
  journals: ReadonlyArray<{ readonly process: string; readonly text: string }>
): ReadonlyArray<Hold> => {
  const orders = new Map<string, Array<{ readonly by: string; readonly at: number }>>()
  for (const { process, text } of journals) {
    for (const row of text.split("\n").slice(0, -1)) {
      const line = JSON.parse(row) as Line
      if (line.what !== "order") continue
      orders.set(line.id, [...(orders.get(line.id) ?? []), { by: `${process} ${line.hold}`, at: line.at }])
    }
  }
  return holds.map((hold) => {
    const others = (orders.get(hold.id ?? "") ?? []).filter(({ by }) => by !== hold.name)
    const first = Math.min(...others.map(({ at }) => at))
    return { ...hold, left: Math.min(hold.left, first), isSure: hold.isSure && first > hold.entered }
  })
}

/** The name of a hold that is taken inside another one. */
export const nameWithin = (outer: string | undefined, name: string): string =>
  outer === undefined ? name : `${outer}/${name}`

/** The one in which a hold was taken. */
export const outer = (holds: ReadonlyArray<Hold>, { name }: Hold): Hold | undefined =>
  holds.find((other) => other.name === name.slice(0, Math.max(0, name.lastIndexOf("/"))))

interface Reach {
  readonly segments: ReadonlyArray<string>
  readonly below: boolean
  readonly writes: boolean
}

const reach = ({ mode, path }: Target.Target): Reach => ({
  segments: (typeof path === "string" ? path.split("/") : path).filter((segment) => segment !== ""),
  below: mode === "read" || mode === "write",
  writes: mode === "write" || mode === "writeNode"
})

/** Is there a node that both reach? If so, the deeper of the two nodes is one. */
const meet = (a: Reach, b: Reach): boolean => {
  const [higher, deeper] = a.segments.length <= b.segments.length ? [a, b] : [b, a]
  if (higher.segments.some((segment, i) => deeper.segments[i] !== segment)) return false
  return higher.below || higher.segments.length === deeper.segments.length
}

const exclude = (a: ReadonlyArray<Reach>, b: ReadonlyArray<Reach>): boolean =>
  a.some((one) => b.some((other) => (one.writes || other.writes) && meet(one, other)))

/** Checks the holds of all processes. `delegates`: each delegation counts tokens for itself, so others may have the same. */
export const check = (holds: ReadonlyArray<Hold>, { delegates = false } = {}): Verdict => {
  const inOrder = holds
    .map((hold) => ({ hold, reaches: hold.targets.map(reach) }))
    .sort((a, b) => a.hold.entered - b.hold.entered || a.hold.token - b.hold.token)
  const overlaps: Array<Pair> = []
  const falling: Array<Pair> = []
  const equal: Array<Pair> = []
  let conflicts = 0
  let together = 0
  for (const [i, second] of inOrder.entries()) {
    for (const first of inOrder.slice(0, i)) {
      const pair = { first: first.hold, second: second.hold }
      // One lease, that was downgraded or taken over.
      if (pair.first.id !== undefined && pair.first.id === pair.second.id) continue
      const meanwhile = pair.second.entered < pair.first.left
      const isEqual = pair.first.token === pair.second.token
      if (isEqual && (!delegates || exclude(first.reaches, second.reaches))) equal.push(pair)
      if (!pair.first.isSure || !pair.second.isSure) continue
      if (!exclude(first.reaches, second.reaches)) {
        if (meanwhile) together++
        continue
      }
      conflicts++
      if (meanwhile) overlaps.push(pair)
      if (pair.second.token < pair.first.token) falling.push(pair)
    }
  }
  return { overlaps, falling, equal, conflicts, together }
}

/** What is wrong, for people; empty when nothing is. */
export const violations = ({ equal, falling, overlaps }: Verdict): ReadonlyArray<string> => {
  const show = ({ entered, left, name, targets, token }: Hold) =>
    `${name} (${targets.map(({ mode, path }) => `${mode} ${String(path)}`).join(", ")}; ` +
    `${entered} to ${left}, token ${token})`
  const list = (what: string, pairs: ReadonlyArray<Pair>) =>
    pairs.map(({ first, second }) => `${what}: ${show(first)}, ${show(second)}`)
  return [
    ...list("held at the same time", overlaps),
    ...list("entered in this order with falling tokens", falling),
    ...list("granted with the same token", equal)
  ]
}
