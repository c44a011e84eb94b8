/**
 * Which partition decides on what: by a hash of a path's first segment. So all that conflicts below the root is decided in one
 * partition, and only a subtree that begins at the root lies in all of them.
 */
import { LockMode, type LockPath } from "@hilok/core"
import type { NonEmptyReadonlyArray } from "effect/Array"

/** The greatest number of partitions. */
export const most = 64

/** What of a request lies in one partition: its targets there, and which of the request's they are, by number. */
export interface Part {
  readonly at: number
  readonly targets: NonEmptyReadonlyArray<LockMode.Region>
  readonly numbers: ReadonlyArray<number>
}

const encoder = new TextEncoder()

/** FNV-1a of 32 bits (Fowler, Noll, Vo) over UTF-8, its halves folded, as they advise where fewer bits are used. */
const hash = (text: string): number => {
  let sum = 0x811c9dc5
  for (const byte of encoder.encode(text)) sum = Math.imul(sum ^ byte, 0x01000193)
  return (sum ^ (sum >>> 16)) & 0xffff
}

/** The partition of a path. That of the root is the first. */
export const partitionOf = (path: LockPath.LockPath, count: number): number =>
  path === "" ? 0 : hash(path.slice(0, path.indexOf("/"))) % count

const isEverywhere = ({ mode, path }: LockMode.Region): boolean => path === "" && LockMode.coversSubtree(mode)

/** The parts of a request, in the order in which they are taken: whoever takes several waits for a later one only. */
export const split = (targets: ReadonlyArray<LockMode.Region>, count: number): NonEmptyReadonlyArray<Part> => {
  const [only] = targets
  if (targets.length === 1 && !isEverywhere(only!)) {
    return [{ at: partitionOf(only!.path, count), targets: [only!], numbers: [0] }]
  }
  const parts = Array.from({ length: count }, (_, at) => ({
    at,
    targets: [] as Array<LockMode.Region>,
    numbers: [] as Array<number>
  }))
  for (const [number, target] of targets.entries()) {
    const concerned = isEverywhere(target) ? parts : [parts[partitionOf(target.path, count)]!]
    for (const part of concerned) {
      part.targets.push(target)
      part.numbers.push(number)
    }
  }
  return parts.filter((part) => part.targets.length > 0) as ReadonlyArray<unknown> as NonEmptyReadonlyArray<Part>
}

/** Where there may be something at a path or below it. */
export const partitionsBelow = (path: LockPath.LockPath, count: number): ReadonlyArray<number> =>
  path === "" ? Array.from({ length: count }, (_, at) => at) : [partitionOf(path, count)]
