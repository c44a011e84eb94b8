/**
 * From what a caller asks for to a request that can be sent: everything that is checked before anything is sent.
 */
import * as Duration from "effect/Duration"
import * as Either from "effect/Either"
import type { Holder } from "../LockEntry.ts"
import { InvalidOptions, type InvalidPath, StoreError } from "../LockError.ts"
import * as LockMode from "../LockMode.ts"
import * as LockOptions from "../LockOptions.ts"
import * as LockPath from "../LockPath.ts"
import * as LockStore from "../LockStore.ts"
import type * as Target from "../Target.ts"
import type { Context } from "./context.ts"
import type { AnyFiber } from "./effectInternals.ts"
import { HeldLease } from "./heldLease.ts"
import * as nesting from "./nesting.ts"

/**
 * One target as a caller of `withWrite` and the like names it.
 *
 * What lives while a request waits is made by constructors here and in what follows, and not written as literals: V8
 * takes note where the objects that outlive a collection were written, and makes later ones of the same place old from
 * the start. With many requests at once that filled the memory with what is used for a moment.
 */
class Wanted implements Target.Target {
  readonly mode: LockMode.LockMode
  readonly path: LockPath.Input

  constructor(mode: LockMode.LockMode, path: LockPath.Input) {
    this.mode = mode
    this.path = path
  }
}

export const single = (mode: LockMode.LockMode, path: LockPath.Input): ReadonlyArray<Target.Target> =>
  Array.of(new Wanted(mode, path))

class Region implements LockMode.Region {
  readonly mode: LockMode.LockMode
  readonly path: LockPath.LockPath

  constructor(mode: LockMode.LockMode, path: LockPath.LockPath) {
    this.mode = mode
    this.path = path
  }
}

/** A request that was checked. */
export class Pending {
  readonly fiber: AnyFiber
  readonly lease: HeldLease
  readonly targets: LockStore.LockRequest["targets"]
  readonly settings: LockOptions.Settings
  readonly enclosing: ReadonlyArray<HeldLease>
  readonly traces: boolean

  constructor(
    context: Context,
    fiber: AnyFiber,
    targets: LockStore.LockRequest["targets"],
    settings: LockOptions.Settings,
    enclosing: ReadonlyArray<HeldLease>
  ) {
    this.fiber = fiber
    const id = crypto.randomUUID()
    this.lease = new HeldLease(context, id, id, targets, settings)
    this.targets = targets
    this.settings = settings
    this.enclosing = enclosing
    this.traces = context.traces(fiber)
  }
}

export type Invalid = InvalidPath | InvalidOptions

export const closed = (operation: string): StoreError =>
  new StoreError({ operation, reason: "the lock service is closed", kind: "closed" })

export const prepare = (
  context: Context,
  fiber: AnyFiber,
  targets: ReadonlyArray<Target.Target>,
  options: LockOptions.AcquireOptions | undefined
): Pending | Invalid | StoreError => {
  if (context.isClosed) return closed("acquire")
  let settings = context.settings
  if (options !== undefined) {
    const decoded = LockOptions.decodeRequest(options, settings)
    if (Either.isLeft(decoded)) return decoded.left
    settings = decoded.right
  }
  if (!Array.isArray(targets) || targets.length === 0) {
    const reason = Array.isArray(targets) ? "at least one target is needed" : "they must be a list"
    return new InvalidOptions({ option: "targets", reason })
  }
  let problem: Invalid | undefined
  const regions = targets.map((target) => {
    const region = parseTarget(target, context.separator)
    if (!(region instanceof Region)) problem ??= region
    return region
  })
  if (problem !== undefined) return problem
  const enclosing = nesting.current(fiber, context)
  const within = enclosing.length === 0 ? settings.within : [...settings.within, ...enclosing.map(({ id }) => id)]
  const wanted = { targets: regions as unknown as LockStore.LockRequest["targets"], within }
  const tooLarge = LockStore.tooLarge(wanted)
  if (tooLarge !== undefined) return new InvalidOptions({ option: "targets", reason: tooLarge })
  return new Pending(context, fiber, wanted.targets, settings, enclosing)
}

const parseTarget = ({ mode, path }: Target.Target, separator: string): Region | Invalid => {
  if (!LockMode.all.includes(mode)) {
    const reason = `the mode ${JSON.stringify(mode)} is not one of ${LockMode.all.join(", ")}`
    return new InvalidOptions({ option: "targets", reason })
  }
  const parsed = LockPath.encode(path, separator)
  return typeof parsed === "string" ? new Region(mode, parsed) : parsed
}

/** A lease of the caller's own that is in the way of a strict request, as far as this service knows. */
export const obstacleOf = ({ enclosing, settings, targets }: Pending): HeldLease | undefined =>
  enclosing.length === 0 || settings.reentrant
    ? undefined
    : enclosing.find((lease) => lease.isLive && LockMode.anyConflict(targets, lease.regions))

/** The request as it is sent. */
class Sent implements LockStore.LockRequest {
  readonly id: string
  readonly targets: LockStore.LockRequest["targets"]
  readonly ttl: Duration.Duration
  readonly waitTtl: Duration.Duration | undefined
  readonly within: ReadonlyArray<string>
  readonly holder: Holder
  readonly delegable: boolean

  constructor({ holder }: Context, { lease, settings, targets }: Pending, within: ReadonlyArray<string>) {
    this.id = lease.id
    this.targets = targets
    this.ttl = settings.first
    // What it may be held for does not limit how long it may wait.
    this.waitTtl = settings.maxHold < settings.ttl ? Duration.millis(settings.ttl) : undefined
    this.within = within
    // What is acquired by hand may be restored elsewhere by its id, and what encloses it from outside is not known here.
    this.delegable = settings.delegate && lease.isKept && settings.within.length === 0
    this.holder =
      settings.reason === undefined && settings.label === holder.label
        ? holder
        : { ...holder, label: settings.label, reason: settings.reason }
  }
}

const nobody: ReadonlyArray<string> = []

/** `inside`: within the enclosing leases; else it waits like an outsider. */
export const toRequest = (context: Context, pending: Pending, inside: boolean): LockStore.LockRequest =>
  new Sent(context, pending, inside ? within(pending) : nobody)

const within = ({ enclosing, settings }: Pending): ReadonlyArray<string> =>
  enclosing.length === 0
    ? settings.within
    : Array.from(new Set([...settings.within, ...enclosing.filter(({ isLive }) => isLive).map(({ id }) => id)]))
