/**
 * From what a caller asks for to a request that can be sent: everything that is checked before anything is sent.
 */
import * as Duration from "effect/Duration"
import * as Either from "effect/Either"
import { InvalidOptions, type InvalidPath, StoreError } from "../LockError.ts"
import * as LockMode from "../LockMode.ts"
import * as LockOptions from "../LockOptions.ts"
import * as LockPath from "../LockPath.ts"
import type { LockRequest } from "../LockStore.ts"
import type * as Target from "../Target.ts"
import type { AnyFiber, Context } from "./context.ts"
import { HeldLease } from "./heldLease.ts"
import * as nesting from "./nesting.ts"

/** A request that was checked. */
export interface Pending {
  readonly fiber: AnyFiber
  readonly lease: HeldLease
  readonly targets: LockRequest["targets"]
  readonly settings: LockOptions.Settings
  readonly enclosing: ReadonlyArray<HeldLease>
  readonly traces: boolean
}

export type Invalid = InvalidPath | InvalidOptions

export const closed = (operation: string): StoreError =>
  new StoreError({ operation, reason: "the lock service is closed" })

export const prepare = (
  context: Context,
  fiber: AnyFiber,
  targets: ReadonlyArray<Target.Target>,
  options: LockOptions.AcquireOptions | undefined
): Either.Either<Pending, Invalid | StoreError> => {
  if (context.isClosed) return Either.left(closed("acquire"))
  let settings = context.settings
  if (options !== undefined) {
    const decoded = LockOptions.decodeRequest(options, settings)
    if (Either.isLeft(decoded)) return Either.left(decoded.left)
    settings = decoded.right
  }
  const regions = parseTargets(targets, context.separator)
  if (Either.isLeft(regions)) return Either.left(regions.left)
  const id = crypto.randomUUID()
  return Either.right({
    fiber,
    lease: new HeldLease(context, id, regions.right, context.display(regions.right), settings),
    targets: regions.right,
    settings,
    enclosing: nesting.current(fiber, context),
    traces: context.traces(fiber)
  })
}

const parseTargets = (
  targets: ReadonlyArray<Target.Target>,
  separator: string
): Either.Either<LockRequest["targets"], Invalid> => {
  const [first, ...others] = targets
  if (first === undefined) {
    return Either.left(new InvalidOptions({ option: "targets", reason: "at least one target is needed" }))
  }
  const region = parseTarget(first, separator)
  if (Either.isLeft(region)) return Either.left(region.left)
  const regions: [LockMode.Region, ...Array<LockMode.Region>] = [region.right]
  for (const target of others) {
    const other = parseTarget(target, separator)
    if (Either.isLeft(other)) return Either.left(other.left)
    regions.push(other.right)
  }
  return Either.right(regions)
}

const parseTarget = ({ mode, path }: Target.Target, separator: string): Either.Either<LockMode.Region, Invalid> => {
  if (!LockMode.all.includes(mode)) {
    const reason = `the mode ${JSON.stringify(mode)} is not one of ${LockMode.all.join(", ")}`
    return Either.left(new InvalidOptions({ option: "targets", reason }))
  }
  const parsed = LockPath.parse(path, separator)
  return Either.isLeft(parsed) ? Either.left(parsed.left) : Either.right({ mode, path: parsed.right })
}

/** A lease of the caller's own that is in the way of a strict request, as far as this service knows. */
export const obstacleOf = ({ enclosing, settings, targets }: Pending): HeldLease | undefined =>
  enclosing.length === 0 || settings.reentrant
    ? undefined
    : enclosing.find((lease) => lease.isLive && LockMode.anyConflict(targets, lease.regions))

/** The request as it is sent. `inside`: within the enclosing leases; else it waits like an outsider. */
export const toRequest = (context: Context, pending: Pending, inside: boolean): LockRequest => {
  const { lease, settings, targets } = pending
  return {
    id: lease.id,
    targets,
    ttl: Duration.millis(lease.ttl),
    within: inside ? within(pending) : [],
    holder:
      settings.reason === undefined && settings.label === context.holder.label
        ? context.holder
        : { ...context.holder, label: settings.label, reason: settings.reason }
  }
}

const within = ({ enclosing, settings }: Pending): ReadonlyArray<string> =>
  enclosing.length === 0
    ? settings.within
    : Array.from(new Set([...settings.within, ...enclosing.filter(({ isLive }) => isLive).map(({ id }) => id)]))
