/**
 * The delegations of this process: found by id, by what they cover, and by what they are in the way of.
 */
import * as LockMode from "../LockMode.ts"
import type { Delegation } from "./delegation.ts"
import { HeldIndex, type Reach } from "./regionIndex.ts"

const reachOf = ({ mode, path }: LockMode.Region): Reach => ({
  keys: path === "" ? [] : path.slice(0, -1).split("/"),
  subtree: LockMode.coversSubtree(mode)
})

export class OwnDelegations {
  private readonly byId = new Map<string, Delegation>()
  /** Those that are asked for. */
  private readonly awaited = new HeldIndex<Delegation>()
  private lastOrder = 0
  /** The live ones by their paths; of those at one path each knows the next. */
  private readonly byPath = new Map<string, Delegation>()
  /** The live and the serving ones. */
  private readonly shared = new HeldIndex<Delegation>()
  private readonly exclusive = new HeldIndex<Delegation>()
  /** How many are live or serving. */
  granted = 0

  get(id: string): Delegation | undefined {
    return this.byId.get(id)
  }

  values(): IterableIterator<Delegation> {
    return this.byId.values()
  }

  /** Those that are asked for and that one could serve, in the order in which they were asked for. */
  askedWithin({ place, region }: Delegation): ReadonlyArray<Delegation> {
    const found: Array<Delegation> = []
    this.awaited.each(place, (asked) => {
      if (LockMode.covers(region, asked.region)) found.push(asked)
    })
    return found.sort((a, b) => a.order - b.order)
  }

  /** One that is asked for. */
  add(delegation: Delegation): void {
    this.byId.set(delegation.id, delegation)
    delegation.order = ++this.lastOrder
    this.awaited.add(delegation.place)
  }

  /** It was granted, and covers what is asked for from now on, unless it is `serving`. */
  grant(delegation: Delegation): void {
    this.granted++
    this.awaited.remove(delegation.place)
    this.indexOf(delegation).add(delegation.place)
    if (delegation.state !== "live") return
    delegation.nextAtPath = this.byPath.get(delegation.region.path)
    this.byPath.set(delegation.region.path, delegation)
  }

  /** It covers nothing new from now on. */
  stopCovering(delegation: Delegation): void {
    const { path } = delegation.region
    let before: Delegation | undefined
    let at = this.byPath.get(path)
    while (at !== undefined && at !== delegation) {
      before = at
      at = at.nextAtPath
    }
    if (at === undefined) return
    if (before !== undefined) before.nextAtPath = at.nextAtPath
    else if (at.nextAtPath !== undefined) this.byPath.set(path, at.nextAtPath)
    else this.byPath.delete(path)
    delegation.nextAtPath = undefined
  }

  delete(delegation: Delegation): void {
    this.byId.delete(delegation.id)
    if (delegation.state === "live") this.stopCovering(delegation)
    if (delegation.state === "live" || delegation.state === "serving") this.granted--
    // Of whichever index it is in.
    this.indexOf(delegation).remove(delegation.place)
  }

  /** A live one that covers all of the targets and has room for one more user. */
  covering(targets: ReadonlyArray<LockMode.Region>, most: number): Delegation | undefined {
    if (this.byPath.size === 0) return undefined
    const { path } = targets[0]!
    for (let end = path.length; ; ) {
      const key = end === path.length ? path : path.slice(0, end)
      for (let found = this.byPath.get(key); found !== undefined; found = found.nextAtPath) {
        if (found.users < most && found.covers(targets)) return found
      }
      if (end === 0) return undefined
      // The separator that ends the parent's path, or the root.
      end = path.lastIndexOf("/", end - 2) + 1
    }
  }

  /** The live and the serving ones that conflict with any of the targets. */
  conflicting(targets: ReadonlyArray<LockMode.Region>): ReadonlyArray<Delegation> {
    if (this.granted === 0) return none
    const found = new Set<Delegation>()
    for (const target of targets) {
      const reach = reachOf(target)
      this.exclusive.each(reach, (delegation) => found.add(delegation))
      if (LockMode.isExclusive(target.mode)) this.shared.each(reach, (delegation) => found.add(delegation))
    }
    return found.size === 0 ? none : Array.from(found)
  }

  /** Those that are asked for and conflict with a region. */
  conflictingAsked(region: LockMode.Region): ReadonlyArray<Delegation> {
    const found: Array<Delegation> = []
    this.awaited.each(reachOf(region), (asked) => {
      if (LockMode.isExclusive(region.mode) || LockMode.isExclusive(asked.region.mode)) found.push(asked)
    })
    return found
  }

  /** Those that overlap with the subtree of a node: the live and the serving ones first, then those that are asked for. */
  overlapping(node: LockMode.Region["path"]): ReadonlyArray<Delegation> {
    const found: Array<Delegation> = []
    const visit = (delegation: Delegation): void => void found.push(delegation)
    const reach = reachOf({ mode: "write", path: node })
    for (const index of [this.exclusive, this.shared, this.awaited]) index.each(reach, visit)
    return found
  }

  private indexOf({ region }: Delegation): HeldIndex<Delegation> {
    return LockMode.isExclusive(region.mode) ? this.exclusive : this.shared
  }
}

const none: ReadonlyArray<Delegation> = []
