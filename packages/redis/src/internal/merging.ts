/**
 * One entry for what lies in several partitions.
 */
import { type LockEntry, LockMode, type Target } from "@hilok/core"
import type { NonEmptyReadonlyArray } from "effect/Array"
import type { Share } from "./codec.ts"

/** What a partition shows. What lies in several says which share of it this is. */
export type Shown = LockEntry.LockEntry & { readonly share?: Share | undefined }

/** An entry of one partition. */
export interface Found {
  readonly at: number
  readonly entry: Shown
}

/** In how many partitions it is. */
export const partsOf = ({ share }: Shown): number => share?.[0] ?? 1

/**
 * The targets of a request, in its order, of those of its parts. One that lies in several is shared as soon as it is in one of them:
 * whoever has it must not rely on more.
 */
export const mergeTargets = <A extends { readonly mode: LockMode.LockMode }>(
  parts: ReadonlyArray<{ readonly targets: ReadonlyArray<A>; readonly numbers: ReadonlyArray<number> }>
): NonEmptyReadonlyArray<A> => {
  const merged: Array<A> = []
  for (const { numbers, targets } of parts) {
    for (const [i, number] of numbers.entries()) {
      const target = targets[i]
      const other = merged[number]
      if (target !== undefined && (other === undefined || LockMode.isExclusive(other.mode))) merged[number] = target
    }
  }
  // What is not known yet leaves a gap.
  return merged.filter(() => true) as ReadonlyArray<A> as NonEmptyReadonlyArray<A>
}

const withoutShare = ({ share: _, ...entry }: Shown): LockEntry.LockEntry => entry

const pick = (choose: (...values: ReadonlyArray<number>) => number, values: ReadonlyArray<number | undefined>) => {
  const known = values.filter((value) => value !== undefined)
  return known.length === 0 ? undefined : choose(...known)
}

/**
 * One entry of all the parts that were found of it. It is held when all of them are: else it is still being taken, and waits. `all`: its
 * targets, where the caller knows them.
 */
export const merge = (found: NonEmptyReadonlyArray<Found>, all?: ReadonlyArray<Target.Target>): LockEntry.LockEntry => {
  const entries = found.map(({ entry }) => entry)
  const [first] = found
  if (partsOf(first.entry) === 1) return withoutShare(first.entry)
  const waiting = entries.filter(({ state }) => state === "waiting")
  const isHeld = waiting.length === 0 && entries.length === partsOf(first.entry)
  const parts = entries.map(({ share, targets }) => ({ targets, numbers: share?.slice(1) ?? [] }))
  const { delegated, token: _, ...rest } = withoutShare(first.entry)
  return {
    ...rest,
    ...(isHeld && delegated ? { delegated } : undefined),
    state: isHeld ? "held" : "waiting",
    targets: (isHeld ? undefined : all) ?? mergeTargets(parts),
    ticket: Math.min(...entries.map(({ ticket }) => ticket)),
    // As it was told when all of it was there.
    token: isHeld
      ? pick(
          Math.max,
          entries.map(({ token }) => token)
        )
      : undefined,
    // Granted when the last part was; waiting since the first was asked for.
    since: isHeld ? Math.max(...entries.map(({ since }) => since)) : Math.min(...entries.map(({ since }) => since)),
    age: isHeld ? Math.min(...entries.map(({ age }) => age)) : Math.max(...entries.map(({ age }) => age)),
    timeLeft: pick(
      Math.min,
      (isHeld ? entries : [...waiting, ...entries].slice(0, 1)).map(({ timeLeft }) => timeLeft)
    ),
    blockedBy: waiting[0]?.blockedBy
  }
}

/** In the order of arrival. */
export const inOrder = (entries: ReadonlyArray<LockEntry.LockEntry>): ReadonlyArray<LockEntry.LockEntry> =>
  [...entries].sort((a, b) => a.ticket - b.ticket)
