/**
 * When a process asks for the subtree above several of its delegations: it seems to work there alone. Where it turns out
 * not to, it asks less and less often.
 */
import { anyConflict, type Region } from "../LockMode.ts"
import type { LockPath } from "../LockPath.ts"
import type { Delegation } from "./delegation.ts"
import { Pauses } from "./pauses.ts"

export interface WideningOptions {
  readonly widen: boolean
  /** How many delegations there have to be below a node. */
  readonly widenAfter: number
  /** How many segments the path of such a node has at least. */
  readonly widenTo: number
}

/** How long the store below may still know a delegation that was given back (milliseconds), and how many of those are remembered. */
const knownFor = 1_000
const mostLeft = 1_000

export class Widening {
  private readonly options: WideningOptions
  /** How many live delegations there are below each node. */
  private readonly counts = new Map<LockPath, number>()
  /** Where somebody else was there, too. */
  private readonly pauses = new Pauses(1_000, 60_000)
  /** Those that were given back, or taken back before they were granted, and when. */
  private readonly left: Array<{ readonly delegation: Delegation; readonly at: number }> = []

  constructor(options: WideningOptions) {
    this.options = options
  }

  /** A delegation has come to cover what is asked for, or does not any more. */
  note(path: LockPath, change: 1 | -1): void {
    if (!this.options.widen) return
    for (const node of this.above(path)) {
      const count = (this.counts.get(node) ?? 0) + change
      if (count === 0) this.counts.delete(node)
      else this.counts.set(node, count)
    }
  }

  /** The nearest node above the path with so many delegations below it that their subtree may be asked for now. */
  nodeFor(path: LockPath, now: number): LockPath | undefined {
    if (!this.options.widen) return undefined
    for (const node of this.above(path)) {
      if ((this.counts.get(node) ?? 0) >= this.options.widenAfter && this.pauses.isOver(node, now)) return node
    }
    return undefined
  }

  /** May the subtree of a node be asked for now? */
  mayAskFor(node: LockPath, now: number): boolean {
    return this.options.widen && node.split("/").length - 1 >= this.options.widenTo && this.pauses.isOver(node, now)
  }

  /** A delegation is over, and the store below will hear of it. */
  leave(delegation: Delegation, now: number): void {
    if (!this.options.widen) return
    this.left.push({ delegation, at: now })
    // Half of them at a time.
    if (this.left.length > 2 * mostLeft) this.left.splice(0, mostLeft)
  }

  /** Those in the way of a target that the store below may not have heard of yet. They are no obstacle either. */
  leaving(target: Region, now: number): ReadonlyArray<Delegation> {
    const first = this.left.findIndex(({ at }) => now < at + knownFor)
    this.left.splice(0, first === -1 ? this.left.length : first)
    return this.left.flatMap(({ delegation }) => (anyConflict([delegation.region], [target]) ? [delegation] : []))
  }

  /** Somebody else is there, too. */
  failed(node: LockPath, now: number): void {
    this.pauses.begin(node, now)
  }

  /** The nodes above a path, without those that are too high up; the nearest first. */
  private *above(path: LockPath): IterableIterator<LockPath> {
    let depth = path.split("/").length - 2
    let end = path.length
    while (depth >= this.options.widenTo && depth > 0) {
      end = path.lastIndexOf("/", end - 2) + 1
      yield path.slice(0, end) as LockPath
      depth--
    }
  }
}
