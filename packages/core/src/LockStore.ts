/**
 * The contract between `HierarchicalLock` and what keeps the locks.
 *
 * A store decides who holds what: it applies the grant rule, keeps the queue, expires leases by its own clock. It knows
 * nothing of scopes, timeouts, refresh loops or spans; those are written once, in `HierarchicalLock`.
 * `@hilok/testing` holds the suite that every store must pass.
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
 * A request for one or more regions, granted all or none.
 *
 * - `id`: made by the client, unique (a UUID); 1 to 64 characters out of `A-Z a-z 0-9 _ . : -`. `acquire`, `release`
 *   are idempotent by it.
 * - `targets`: what is asked for. A request never conflicts with itself.
 * - `ttl`: how long the lease lasts unless it is refreshed.
 * - `waitTtl`: how long the request stays in the queue of a store whose waiting clients can vanish, unless the client says
 *   that it still waits. Default: `ttl`.
 * - `within`: the ids of the leases that enclose the request. Conflicts with them are waived, and when the list is not
 *   empty the request does not queue behind those that wait.
 * - `holder`: who asks, for people.
 * - `delegable`: who asks lets the store between decide by itself (see `DelegatingStore`). Others take no notice.
 * - `delegated`: what is asked for is a delegation, of one region, and this is the name of the client that is to have it.
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
 * How large a request may be: so large that a store decides on it within some tens of milliseconds, as nobody else is served
 * meanwhile. `targets` are its targets and the leases that enclose it, `segments` those of the paths of all its targets.
 *
 * @since 0.1.0
 * @category constants
 */
export const limits = { targets: 3900, segments: 4000 } as const

/**
 * What is too large about a request, for people: `undefined` when nothing is.
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
 *   holder must assume that the lease is gone. Never later than the store's own deadline: it is reckoned from before
 *   the store granted.
 * - `wanted`: for a delegation: somebody whom it keeps out waits already. That counts as a recall.
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
 * A refresh of one lease, among many.
 *
 * - `ttl`: the lease lasts for so long from now on.
 * - `owner`: the name of its owner; without it, it is refreshed by hand.
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
 * - `ahead`: how many waiting requests come before it, from that one on to the lease for which the first of them waits. Not
 *   more than `mostAhead` are counted.
 *
 * @since 0.2.0
 * @category models
 */
export interface Blocked {
  readonly blocker: LockEntry
  readonly ahead: number
}

/**
 * How many of those ahead of a waiting request are counted.
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
 * A lease of this client ended without its doing, or is another's now (`taken`). `owner` is who owned it until then. A
 * message may be late: whether a lease was taken, its next refresh tells for certain.
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
 * A lease that was granted under a delegation, for the store that gave the delegation.
 *
 * - `request`: as its holder asked for it, with the targets that it has by now. Its `ttl` begins when it is registered.
 * - `token`: what its holder has got.
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
 * What a client that has delegations tells the store, in this order: the leases that it goes on with as ordinary ones, and
 * the delegations that it gives back. `floor` is the greatest token that was given under a delegation.
 *
 * @since 0.2.0
 * @category models
 */
export interface Settlement {
  readonly registrations: ReadonlyArray<Registration>
  readonly releases: ReadonlyArray<{ readonly id: string; readonly floor: number }>
}

/**
 * Somebody waits for what a delegation covers. `client` is the name that it was asked for with; `urgent`: for one that does
 * not wait for long.
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
 * that was asked for with `delegated`; for who holds what, it is one like any other. It differs in this:
 *
 * - A request that has to wait *recalls* every delegation that conflicts with it and that it is not `within`: `recalls` tells
 *   the delegation's client, once for each delegation, and once more when the first `impatient` request wants it. A
 *   delegation that is granted while such a request waits is told so with its grant (`wanted`), and not again.
 * - A request for a delegation (not an `impatient` one) does not recall those of the same client that cover it.
 * - One that is `within` others is to take their place, and it may be within leases that its client knows. It passes no more of those
 *   who wait than the requests for delegations of the same client that it covers: the client withdraws them then.
 *
 * A message may be lost; then it comes again when the waiting request is looked at, and `refresh` tells it, too.
 *
 * @since 0.2.0
 * @category models
 */
export interface Delegations {
  /**
   * Registers leases, in the order given, and then releases delegations. It may take several steps, and may be done again, as
   * a whole or in part, when it is not known how far it has come: what was done is not done twice.
   *
   * A registration is granted while its delegation is live, whatever else is held; it never waits. It answers `false`, and changes
   * nothing, when the delegation is not live and the id is not that of a live lease.
   *
   * A release first makes all later tokens greater than `floor`, also when the delegation has ended already, and then lets in
   * those who waited.
   */
  readonly settle: (settlement: Settlement) => Effect.Effect<ReadonlyArray<boolean>, StoreError>

  /**
   * As `refresh` of the store, for a delegation by its client: the local deadline, and whether somebody wanted it since it was
   * granted.
   */
  readonly refresh: (
    id: string,
    ttl: Duration.Duration
  ) => Effect.Effect<Option.Option<{ readonly deadline: number; readonly wanted: boolean }>, StoreError>

  /** The recalls of delegations that were asked for through this store, from the time of subscribing on. */
  readonly recalls: Effect.Effect<Queue.Dequeue<Recall>, never, Scope.Scope>
}

/**
 * The store of locks. Every method can be interrupted at any point without breaking a rule, and then answers soon (within
 * some tens of milliseconds), whatever the store's server does: what is left to do goes on in the background.
 *
 * A lease has one owner, known by a name: at first its own id, after a `restore` the name given there. `refresh`,
 * `release` and `downgrade` that come with an `owner` change nothing when the lease is another's by now. Without one they
 * are orders by hand, whoever gives them.
 *
 * @since 0.1.0
 * @category services
 */
export class LockStore extends Context.Tag("@hilok/core/LockStore")<
  LockStore,
  {
    /** The set of locks that this store's clients share. Requests in different namespaces never meet. */
    readonly namespace: string

    /**
     * Waits for its turn, then answers with the grant. A repeated call with the id of a live lease answers with what
     * that lease got. Fails with `Deadlock` when the request closes a cycle of nested requests; it has then left the
     * queue. On interruption the request leaves the queue, also when the grant is already under way: the caller only
     * has to call `release` when the interruption came after the answer.
     */
    readonly acquire: (request: LockRequest) => Effect.Effect<Grant, Deadlock | StoreError>

    /**
     * Answers at once: a grant, or one lease or waiting request that is in the way (`Left`). Never overtakes those
     * that wait and conflict. A refused request leaves nothing behind.
     *
     * With `impatient` it waits while nothing but delegations is in its way, until these are given back: it is refused as soon
     * as it finds another lease or an earlier request there. On interruption it leaves the queue.
     */
    readonly tryAcquire: (request: LockRequest) => Effect.Effect<Either.Either<Grant, LockEntry>, StoreError>

    /**
     * Takes over a live lease by its id, from whoever owns it: `owner`, a new name (such as an id may be), owns it from now on, and the former
     * owner is told (`revocations`, `taken`). The deadline is `ttl` from now, unless it was later. By the same `owner` again
     * it only moves the deadline on. `None`, and nothing changed, when no such lease is live.
     *
     * Interrupted or failed, it may have been done, or may be done yet: `giveBack` undoes it.
     */
    readonly restore: (
      id: string,
      ttl: Duration.Duration,
      owner: string
    ) => Effect.Effect<Option.Option<RestoredGrant>, StoreError>

    /**
     * Undoes a `restore` of which its caller does not know what became, and keeps it from being done later: the former
     * owner and its deadline are as they were. `false`, and nothing changed, when the lease is not `owner`'s, or when that
     * has refreshed it since.
     */
    readonly giveBack: (id: string, owner: string) => Effect.Effect<boolean, StoreError>

    /**
     * Moves the deadline of a live lease to `ttl` from now and answers with the local deadline. Only its owner may bring
     * it nearer: without `owner` it is the later of the old and the new one. `None` when the lease is not live, or not the
     * owner's: a refresh never creates or revives a lease.
     */
    readonly refresh: (
      id: string,
      ttl: Duration.Duration,
      owner?: string
    ) => Effect.Effect<Option.Option<number>, StoreError>

    /**
     * The same for many leases, in as few commands as can be. Each gets its answer, in their order: that of `refresh`, or the
     * error when the store could not be asked.
     */
    readonly refreshAll: (
      leases: ReadonlyArray<Refresh>
    ) => Effect.Effect<ReadonlyArray<Option.Option<number> | StoreError>>

    /**
     * Ends a lease, or takes a waiting request out of the queue. With the name of its owner that is all. Without it is an
     * order: the owner of the lease is told (`revocations`, `released`), and whoever still waits for the request fails with
     * `StoreError`. `false`, and nothing changed, when the id is not live, or not the owner's.
     */
    readonly release: (id: string, owner?: string) => Effect.Effect<boolean, StoreError>

    /**
     * Turns the exclusive targets of a live lease into shared ones, in place, and lets in those who may now enter.
     * `false` when the id is not a live lease, or not the owner's. A shared target stays as it is. It never happens after
     * the call has failed.
     */
    readonly downgrade: (id: string, owner?: string) => Effect.Effect<boolean, StoreError>

    /**
     * Sees to it that other clients of the store know the lease by its id, so that they can `restore` it. `false` when it is
     * known not to be live. Most stores have nothing to do for it, and answer `true`.
     */
    readonly share: (id: string) => Effect.Effect<boolean, StoreError>

    /**
     * Ends a lease by an operator's order: its holder is told (`revocations`, `broken`). `false`, and nothing changed,
     * when the id is not a live lease.
     */
    readonly breakLease: (id: string) => Effect.Effect<boolean, StoreError>

    /**
     * The leases and waiting requests with a target at the path or below it, in the order of their tickets.
     */
    readonly inspect: (path: LockPath) => Effect.Effect<ReadonlyArray<LockEntry>, StoreError>

    /**
     * The lease or the waiting request with this id, when it is live.
     */
    readonly lookup: (id: string) => Effect.Effect<Option.Option<LockEntry>, StoreError>

    /**
     * For each of these waiting requests what it waits for; `None` for one that does not wait. In as few commands as can be.
     */
    readonly blockers: (ids: ReadonlyArray<string>) => Effect.Effect<ReadonlyArray<Option.Option<Blocked>>, StoreError>

    /**
     * The leases of this client that ended other than by their owner or that were taken over, from the time of subscribing
     * on. What is missed (a lost connection) shows at the next refresh.
     */
    readonly revocations: Effect.Effect<Queue.Dequeue<Revocation>, never, Scope.Scope>

    /** What `DelegatingStore` needs; `undefined` for a store that cannot delegate. */
    readonly delegations: Delegations | undefined
  }
>() {}
