/**
 * The contract between `HierarchicalLock` and the stores that keep the locks.
 *
 * A store decides who holds what: it applies the grant rule, keeps the queue, and expires leases by its own clock. It knows
 * nothing of scopes, timeouts, refresh loops or spans; those are written once, in `HierarchicalLock`.
 * `@hilok/testing` has the suite that every store must pass.
 *
 * @since 0.1.0
 */
import type { NonEmptyReadonlyArray } from "effect/Array"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as Either from "effect/Either"
import type * as Option from "effect/Option"
import type * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import type { Holder, LockEntry } from "./LockEntry.ts"
import type { Deadlock, LockLost, StoreError } from "./LockError.ts"
import type { Region } from "./LockMode.ts"
import type { LockPath } from "./LockPath.ts"

/**
 * A request for one or more regions: all of them are granted, or none.
 *
 * - `id`: made by the client, unique (a UUID); 1 to 64 characters out of `A-Z a-z 0-9 _ . : -`. `acquire` and `release`
 *   are idempotent by it.
 * - `targets`: the regions. A request never conflicts with itself.
 * - `ttl`: how long the lease lasts unless it is refreshed.
 * - `waitTtl`: how long the request stays in the queue unless the client says that it still waits, in a store whose waiting
 *   clients can vanish. Default: `ttl`.
 * - `within`: the ids of the leases that enclose the request. Conflicts with them are waived, and unless the list is
 *   empty the request does not queue behind others.
 * - `holder`: who makes the request, shown by `inspect`.
 * - `delegable`: a `DelegatingStore` may decide about the request by itself. Other stores ignore it.
 * - `delegated`: the request is for a delegation, of one region, and this is the name of the client that is to have it.
 * - `impatient`: for `tryAcquire`; see there.
 *
 * @since 0.1.0
 * @category models
 */
export interface LockRequest {
  readonly id: string
  readonly targets: NonEmptyReadonlyArray<Region>
  readonly ttl: Duration.Duration
  readonly waitTtl?: Duration.Duration | undefined
  readonly within: ReadonlyArray<string>
  readonly holder: Holder
  readonly delegable?: boolean | undefined
  readonly delegated?: string | undefined
  readonly impatient?: boolean | undefined
}

/**
 * How large a request may be: a store must be able to decide on it within some tens of milliseconds, because it serves nobody else
 * meanwhile. `targets` counts its targets and the leases that enclose it, `segments` those of the paths of all its targets.
 *
 * @since 0.1.0
 * @category constants
 */
export const limits = { targets: 3900, segments: 4000 } as const

/**
 * What is too large about a request, in words: `undefined` when nothing is.
 *
 * @since 0.1.0
 * @category guards
 */
export const tooLarge = ({ targets, within }: Pick<LockRequest, "targets" | "within">): string | undefined => {
  const count = targets.length + within.length
  if (count > limits.targets) {
    return `it has ${count} targets and enclosing leases, but must not have more than ${limits.targets}`
  }
  // The longest path has far fewer.
  if (targets.length === 1) return undefined
  let segments = 0
  for (const { path } of targets) segments += path.split("/").length - 1
  return segments > limits.segments
    ? `the paths of its ${targets.length} targets have ${segments} segments, but must not have more than ${limits.segments} together`
    : undefined
}

/**
 * A granted request.
 *
 * - `token`: the fencing token, strictly increasing over all grants of the namespace.
 * - `deadline`: the time on this process's monotonic clock (`Clock.currentTimeNanos`, in milliseconds) after which the
 *   holder must assume that the lease is gone. Never later than the store's own deadline: it is counted from a time before
 *   the grant.
 * - `wanted`: of a delegation: somebody already waits for what it covers. That counts as a recall.
 *
 * @since 0.1.0
 * @category models
 */
export interface Grant {
  readonly token: number
  readonly deadline: number
  readonly wanted?: boolean | undefined
}

/**
 * One of many leases to refresh.
 *
 * - `ttl`: how long the lease lasts from now on.
 * - `owner`: the name of its owner; without it, the lease is refreshed by hand.
 *
 * @since 0.2.0
 * @category models
 */
export interface Refresh {
  readonly id: string
  readonly ttl: Duration.Duration
  readonly owner?: string | undefined
}

/**
 * What a waiting request waits for.
 *
 * - `blocker`: one lease or waiting request that is in its way. There may be others.
 * - `ahead`: how many waiting requests come before it, from the blocker to the first one, which waits for a lease. At most
 *   `mostAhead` are counted.
 *
 * @since 0.2.0
 * @category models
 */
export interface Blocked {
  readonly blocker: LockEntry
  readonly ahead: number
}

/**
 * How many requests ahead of a waiting one are counted.
 *
 * @since 0.2.0
 * @category constructors
 */
export const mostAhead = 100

/**
 * A live lease that was looked up by its id.
 *
 * @since 0.1.0
 * @category models
 */
export interface RestoredGrant extends Grant {
  readonly targets: NonEmptyReadonlyArray<Region>
}

/**
 * A lease of this client was ended by somebody or something else, or has another owner now (`taken`). `owner` is who owned it until
 * then. The message may be late: only the next refresh tells for certain whether a lease was taken.
 *
 * @since 0.1.0
 * @category models
 */
export interface Revocation {
  readonly id: string
  readonly owner: string
  readonly reason: Exclude<LockLost["reason"], "unreachable" | "closed">
}

/**
 * A lease that was granted under a delegation, to be made known to the store that granted the delegation.
 *
 * - `request`: as its holder made it, with the targets that the lease has by now. Its `ttl` begins when it is registered.
 * - `token`: the token that its holder was given.
 * - `from`: the id of the delegation.
 *
 * @since 0.2.0
 * @category models
 */
export interface Registration {
  readonly request: LockRequest
  readonly token: number
  readonly from: string
}

/**
 * What a client with delegations tells the store, in this order: which leases become ordinary ones, and which
 * delegations it gives back. `floor` is the greatest token that was given under a delegation.
 *
 * @since 0.2.0
 * @category models
 */
export interface Settlement {
  readonly registrations: ReadonlyArray<Registration>
  readonly releases: ReadonlyArray<{ readonly id: string; readonly floor: number }>
}

/**
 * Somebody waits for what a delegation covers. `client` is the name with which the delegation was requested; `urgent`: an impatient
 * request waits for it.
 *
 * @since 0.2.0
 * @category models
 */
export interface Recall {
  readonly id: string
  readonly client: string
  readonly urgent: boolean
}

/**
 * What a store can do beyond its own locks: let clients decide about a part of the tree by themselves. A delegation is a lease
 * that was requested with `delegated`; in the grant rule it is a lease like any other. It differs in this:
 *
 * - A request that has to wait *recalls* every delegation that conflicts with it and that it is not `within`: `recalls` tells
 *   the delegation's client, once for each delegation, and once more when the first `impatient` request wants it. If
 *   such a request already waits when a delegation is granted, the grant says so (`wanted`), and no recall follows.
 * - A request for a delegation does not recall those of the same client that cover it, unless it is `impatient`.
 * - A request for a delegation that is `within` others is to take their place; it may also be within leases of its client. Of the
 *   requests that wait, it passes only those for delegations of the same client that it covers: the client then withdraws them.
 *
 * A message may be lost; it is repeated when the waiting request is looked at, and `refresh` tells it, too.
 *
 * @since 0.2.0
 * @category models
 */
export interface Delegations {
  /**
   * Registers leases, in the given order, and then releases delegations. This may take several steps, and it may be repeated, as
   * a whole or in part, when it is not known how far it came: nothing is done twice.
   *
   * A registration is granted as long as its delegation is live, whatever else is held; it never waits. The answer is `false`, and nothing
   * has changed, if the delegation is not live and the id is not that of a live lease.
   *
   * A release first makes all later tokens greater than `floor`, even if the delegation has already ended, and then grants
   * the requests that waited.
   */
  readonly settle: (settlement: Settlement) => Effect.Effect<ReadonlyArray<boolean>, StoreError>

  /**
   * Like `refresh` of the store, for a delegation by its client: the local deadline, and whether somebody has wanted the delegation
   * since it was granted.
   */
  readonly refresh: (
    id: string,
    ttl: Duration.Duration
  ) => Effect.Effect<Option.Option<{ readonly deadline: number; readonly wanted: boolean }>, StoreError>

  /** The recalls of delegations that were requested through this store, from the subscription on. */
  readonly recalls: Effect.Effect<Queue.Dequeue<Recall>, never, Scope.Scope>
}

/**
 * The store of locks. Every method can be interrupted at any point without breaking a rule, and then ends soon (within
 * some tens of milliseconds), whatever the store's server does: what is left to do goes on in the background.
 *
 * A lease has one owner, known by a name: at first the lease's id, after a `restore` the name given there. With an `owner`, `refresh`,
 * `release` and `downgrade` change nothing if the lease has another owner by now. Without one they are orders by hand, which
 * anybody may give.
 *
 * @since 0.1.0
 * @category services
 */
export class LockStore extends Context.Tag("@hilok/core/LockStore")<
  LockStore,
  {
    /** Names the set of locks that the store's clients share. Requests in different namespaces never meet. */
    readonly namespace: string

    /**
     * Waits for its turn, then answers with the grant. A repeated call with the id of a live lease answers with that
     * lease's grant. Fails with `Deadlock` when the request closes a cycle of nested requests; it has then left the
     * queue. On interruption the request leaves the queue, even if the grant is already on its way: the caller
     * has to call `release` only if the interruption came after the answer.
     */
    readonly acquire: (request: LockRequest) => Effect.Effect<Grant, Deadlock | StoreError>

    /**
     * Answers at once: a grant, or one lease or waiting request that is in the way (`Left`). Never overtakes a waiting
     * request that it conflicts with. A refused request leaves nothing behind.
     *
     * With `impatient` it waits as long as only delegations are in its way, until they are given back: it is refused as soon
     * as another lease or an earlier request is in the way. On interruption it leaves the queue.
     */
    readonly tryAcquire: (request: LockRequest) => Effect.Effect<Either.Either<Grant, LockEntry>, StoreError>

    /**
     * Takes over a live lease by its id, from whoever owns it: `owner`, a new name of the same form as an id, owns it from now on, and
     * the former owner is told (`revocations`, `taken`). The deadline is `ttl` from now, unless it was later. Repeated by the same
     * `owner`, it only extends the deadline. `None`, and nothing has changed, if no such lease is live.
     *
     * After an interruption or a failure the lease may have been taken over, or may be yet: `giveBack` undoes that.
     */
    readonly restore: (
      id: string,
      ttl: Duration.Duration,
      owner: string
    ) => Effect.Effect<Option.Option<RestoredGrant>, StoreError>

    /**
     * Undoes a `restore` whose result its caller does not know, and prevents it from taking effect later: the former
     * owner and the deadline are as they were. `false`, and nothing has changed, if the lease does not belong to `owner`, or if
     * `owner` has refreshed it since.
     */
    readonly giveBack: (id: string, owner: string) => Effect.Effect<boolean, StoreError>

    /**
     * Moves the deadline of a live lease to `ttl` from now and answers with the local deadline. Only its owner may shorten
     * it: without `owner` it becomes the later of the old and the new one. `None` if the lease is not live, or has another
     * owner: a refresh never creates or revives a lease.
     */
    readonly refresh: (
      id: string,
      ttl: Duration.Duration,
      owner?: string
    ) => Effect.Effect<Option.Option<number>, StoreError>

    /**
     * The same for many leases, in as few commands as possible. The answers come in the order of the leases: that of `refresh`, or the
     * error if the store could not be reached.
     */
    readonly refreshAll: (
      leases: ReadonlyArray<Refresh>
    ) => Effect.Effect<ReadonlyArray<Option.Option<number> | StoreError>>

    /**
     * Ends a lease, or takes a waiting request out of the queue. Without the name of its owner it is an
     * order: the owner of the lease is told (`revocations`, `released`), and whoever still waits for the request fails with
     * `StoreError`. `false`, and nothing has changed, if the id is not live, or the lease has another owner.
     */
    readonly release: (id: string, owner?: string) => Effect.Effect<boolean, StoreError>

    /**
     * Turns the exclusive targets of a live lease into shared ones, in place, and grants the requests that are free now.
     * `false` if the id is not a live lease, or the lease has another owner. A shared target stays as it is. If the call fails, the
     * downgrade does not happen later.
     */
    readonly downgrade: (id: string, owner?: string) => Effect.Effect<boolean, StoreError>

    /**
     * Makes the lease known to the other clients of the store, so that they can `restore` it by its id. `false` if it is
     * known not to be live. Most stores have nothing to do for this, and answer `true`.
     */
    readonly share: (id: string) => Effect.Effect<boolean, StoreError>

    /**
     * Ends a lease by an operator's order: its holder is told (`revocations`, `broken`). `false`, and nothing has changed,
     * if the id is not a live lease.
     */
    readonly breakLease: (id: string) => Effect.Effect<boolean, StoreError>

    /**
     * The leases and waiting requests with a target at the path or below it, in the order of their tickets.
     */
    readonly inspect: (path: LockPath) => Effect.Effect<ReadonlyArray<LockEntry>, StoreError>

    /**
     * The lease or the waiting request with this id, if it is live.
     */
    readonly lookup: (id: string) => Effect.Effect<Option.Option<LockEntry>, StoreError>

    /**
     * What each of these waiting requests waits for; `None` for one that does not wait. In as few commands as possible.
     */
    readonly blockers: (ids: ReadonlyArray<string>) => Effect.Effect<ReadonlyArray<Option.Option<Blocked>>, StoreError>

    /**
     * The leases of this client that were not ended by their owner, or that were taken over, from the subscription on. What is missed
     * while a connection is lost shows at the next refresh.
     */
    readonly revocations: Effect.Effect<Queue.Dequeue<Revocation>, never, Scope.Scope>

    /** What `DelegatingStore` needs; `undefined` for a store that cannot delegate. */
    readonly delegations: Delegations | undefined
  }
>() {}
