/**
 * What did not pay is not tried again at once: where it fails again and again, less and less often.
 */
import type { LockPath } from "../LockPath.ts"

/** So many nodes are remembered, besides those whose pause goes on. */
const remembered = 1_000

interface Pause {
  readonly until: number
  readonly length: number
}

export class Pauses {
  private readonly shortest: number
  private readonly longest: number
  private readonly byNode = new Map<LockPath, Pause>()

  /** After a try that came to nothing: how long until the next, at first and at most, doubled each time (milliseconds). */
  constructor(shortest: number, longest: number) {
    this.shortest = shortest
    this.longest = longest
  }

  /** How long the pause is, or was: 0 where it did not come to nothing. */
  lengthAt(node: LockPath): number {
    return this.byNode.size === 0 ? 0 : (this.byNode.get(node)?.length ?? 0)
  }

  isOver(node: LockPath, now: number): boolean {
    return (this.byNode.get(node)?.until ?? now) <= now
  }

  /** It has come to nothing. */
  begin(node: LockPath, now: number): void {
    const before = this.byNode.get(node)
    // Those that were tried at the same time count as one.
    if (before !== undefined && now < before.until) return
    // What went well for long begins anew.
    const isForgotten = before === undefined || now > before.until + this.longest
    const length = isForgotten ? this.shortest : Math.min(before.length * 2, this.longest)
    this.byNode.set(node, { until: now + length, length })
    if (this.byNode.size <= remembered) return
    for (const [other, { until }] of this.byNode) if (until <= now) this.byNode.delete(other)
  }

  /** It did pay. */
  forget(node: LockPath): void {
    this.byNode.delete(node)
  }
}
