/**
 * The lock service: hierarchical read-write locks as scoped Effect resources.
 *
 * @since 0.1.0
 */
import type * as ConfigError from "effect/ConfigError"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as guard from "./internal/guard.ts"
import * as nesting from "./internal/nesting.ts"
import { eitherOrder, make as makeService } from "./internal/service.ts"
import type { Lease } from "./Lease.ts"
import type { LockEntry } from "./LockEntry.ts"
import type {
  Deadlock,
  InvalidOptions,
  InvalidPath,
  LockLost,
  LockTimeout,
  StoreError,
  WouldBlock
} from "./LockError.ts"
import * as LockOptions from "./LockOptions.ts"
import type * as LockPath from "./LockPath.ts"
import { LockStore } from "./LockStore.ts"
import type { Target } from "./Target.ts"

/**
 * What an acquire with the options `O` can fail with: `WouldBlock` only with `block: false`, `LockTimeout` only with a
 * `timeout`.
 *
 * @since 0.1.0
 * @category models
 */
export type AcquireError<O> =
  | Deadlock
  | InvalidPath
  | InvalidOptions
  | StoreError
  | ("block" extends keyof O ? (O["block"] extends true | undefined ? never : WouldBlock) : never)
  | ("timeout" extends keyof O ? (O["timeout"] extends undefined ? never : LockTimeout) : never)

/**
 * What runs under a lock: an effect, or a function from the lease to one.
 *
 * @since 0.1.0
 * @category models
 */
export type Use<A, E, R> = Effect.Effect<A, E, R> | ((lease: Lease) => Effect.Effect<A, E, R>)

/** @since 0.1.0 @category models */
export interface AcquireOne<R> {
  <const O extends LockOptions.AcquireOptions = {}>(
    path: LockPath.Input,
    options?: O
  ): Effect.Effect<Lease, AcquireError<O>, Scope.Scope | R>
}

/** @since 0.1.0 @category models */
export interface AcquireAll<R> {
  <const O extends LockOptions.AcquireOptions = {}>(
    targets: ReadonlyArray<Target>,
    options?: O
  ): Effect.Effect<Lease, AcquireError<O>, R>
}

/** @since 0.1.0 @category models */
export interface With<What, R0> {
  <const O extends LockOptions.AcquireOptions = {}>(
    what: What,
    options?: O
  ): <A, E, R>(use: Use<A, E, R>) => Effect.Effect<A, E | LockLost | AcquireError<O>, R | R0>
  <A, E, R, const O extends LockOptions.AcquireOptions = {}>(
    use: Use<A, E, R>,
    what: What,
    options?: O
  ): Effect.Effect<A, E | LockLost | AcquireError<O>, R | R0>
}

/**
 * The functions of the service; `R` is what each of them needs besides.
 *
 * @since 0.1.0
 * @category models
 */
export interface Operations<R> {
  /**
   * Holds the node and everything below it, shared, until the scope closes. The lease is refreshed by a fiber of the
   * scope.
   *
   * When it is lost (and `onLost` is not `"signal"`), the work is stopped. In `HierarchicalLock.scoped`, that is all that
   * runs in it, and it fails with `LockLost`. In any other scope the fiber that acquired the lease is interrupted, or, if
   * that has ended, the one that joined it; if there is none, an error is logged. That scope's end has the `LockLost` as a
   * defect, so the loss is never taken for a success or an interruption alone.
   *
   * The wait can be interrupted, and then leaves nothing behind, as does any failure.
   */
  readonly read: AcquireOne<R>
  /** As `read`, exclusive. */
  readonly write: AcquireOne<R>
  /** As `read`, the node alone. */
  readonly readNode: AcquireOne<R>
  /** As `read`, exclusive, the node alone. */
  readonly writeNode: AcquireOne<R>
  /** As `read`, for several targets, which are granted all or none. */
  readonly locks: AcquireAll<Scope.Scope | R>

  /**
   * Runs an effect while the lock is held, and releases it whatever comes. When the lease is lost, the effect is
   * interrupted and the whole fails with `LockLost`. A release that fails does not change the result: the ttl ends the
   * lease then.
   */
  readonly withRead: With<LockPath.Input, R>
  /** As `withRead`, exclusive. */
  readonly withWrite: With<LockPath.Input, R>
  /** As `withRead`, the node alone. */
  readonly withReadNode: With<LockPath.Input, R>
  /** As `withRead`, exclusive, the node alone. */
  readonly withWriteNode: With<LockPath.Input, R>
  /** As `withRead`, for several targets, which are granted all or none. */
  readonly withLocks: With<ReadonlyArray<Target>, R>

  /**
   * A lease outside any scope, which nobody refreshes: the caller refreshes and releases it, by id, here or in another
   * process. It does not enclose what its fiber asks for later. An interruption right after the call loses it (the ttl
   * ends it then): acquire it in `Effect.acquireRelease`, where a `timeout` is kept as well.
   */
  readonly acquire: AcquireAll<R>

  /**
   * Takes over a live lease by its id, wherever it was acquired, and from there on is as `read`: it is refreshed, and
   * released when the scope closes. Whoever kept it until then loses it (`taken`). Its deadline is never brought nearer.
   * Fails with `LockLost` when it is not live.
   *
   * A lease that this service keeps already has one more holder then: it is released when the last of their scopes closes,
   * and what is left of its `maxHold` goes on.
   *
   * Interrupted or failed, it leaves the owner and the deadline of the lease as they were.
   */
  readonly restore: (
    id: string,
    options?: RestoreOptions
  ) => Effect.Effect<Lease, LockLost | InvalidOptions | StoreError, Scope.Scope | R>

  /**
   * Moves the deadline of a lease to `ttl` from now (default: the service's; for a lease that a scope or `withX` of
   * this service keeps, no less than its own). The deadline of a lease that another client owns is never brought nearer.
   * Fails with `LockLost` when it is not live.
   */
  readonly refresh: (
    lease: Lease | string,
    options?: { readonly ttl?: Duration.DurationInput | undefined }
  ) => Effect.Effect<void, LockLost | InvalidOptions | StoreError, R>

  /**
   * Ends a lease, or takes a waiting request out of the queue, whoever owns it. A holder other than the caller learns at once
   * (`LockLost`, `released`). `false`, and no change, when the id is not live.
   */
  readonly release: (lease: Lease | string) => Effect.Effect<boolean, StoreError, R>

  /**
   * Turns `write` into `read` and `writeNode` into `readNode`, in place and without a gap, and lets in those who may
   * now enter. What is shared stays. Fails with `LockLost` when the lease is not live. An interrupted downgrade goes on; one
   * that fails has happened or has not: `lease.targets` says which, as soon as the store can be asked.
   */
  readonly downgrade: (lease: Lease) => Effect.Effect<Lease, LockLost | StoreError, R>

  /** The leases and the waiting requests at the path or below it (default: all), in the order of their tickets. */
  readonly inspect: (path?: LockPath.Input) => Effect.Effect<ReadonlyArray<LockEntry>, InvalidPath | StoreError, R>

  /**
   * For operators: ends a lease whoever holds it. The holder learns at once (`LockLost`, `broken`). `false` when the
   * id is not a live lease.
   */
  readonly breakLease: (lease: Lease | string) => Effect.Effect<boolean, StoreError, R>

  /** Runs an effect as an outsider: what it asks for is not inside the leases of its fiber. */
  readonly detached: <A, E, R1>(effect: Effect.Effect<A, E, R1>) => Effect.Effect<A, E, R1>
}

/**
 * As `AcquireOptions`, for a lease that exists.
 *
 * @since 0.1.0
 * @category models
 */
export type RestoreOptions = Pick<LockOptions.AcquireOptions, "ttl" | "refreshInterval" | "onLost" | "maxHold">

/**
 * The service.
 *
 * @since 0.1.0
 * @category services
 */
export class HierarchicalLock extends Context.Tag("@hilok/core/HierarchicalLock")<
  HierarchicalLock,
  Operations<never>
>() {}

/**
 * Makes the service over the store in the context. Fails with `InvalidOptions` before anything is sent.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  options?: LockOptions.Options
): Effect.Effect<Operations<never>, InvalidOptions, LockStore | Scope.Scope> =>
  Effect.flatMap(LockStore, (store) => makeService(store, options ?? {}))

/**
 * The service with options.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options?: LockOptions.Options): Layer.Layer<HierarchicalLock, InvalidOptions, LockStore> =>
  Layer.scoped(HierarchicalLock, make(options))

/**
 * The service with options from the environment: `HILOK_TTL`, `HILOK_REFRESH_INTERVAL`, `HILOK_SEPARATOR`, … (see
 * `LockOptions.config`). A wrong value is a `ConfigError` that names the variable.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerConfig: Layer.Layer<HierarchicalLock, ConfigError.ConfigError, LockStore> = Layer.scoped(
  HierarchicalLock,
  // What the config has let through is valid.
  Effect.flatMap(LockOptions.config, (options) => Effect.catchTag(make(options), "InvalidOptions", Effect.die))
)

// -- Accessors: the functions of the service in the context

type Access = Operations<HierarchicalLock>

const access = <const K extends "read" | "write" | "readNode" | "writeNode" | "locks" | "acquire">(
  name: K
): Access[K] =>
  ((what: never, options?: LockOptions.AcquireOptions) =>
    Effect.flatMap(HierarchicalLock, (service) => service[name](what, options))) as Access[K]

const accessWith = <const K extends "withRead" | "withWrite" | "withReadNode" | "withWriteNode" | "withLocks">(
  name: K
): Access[K] =>
  eitherOrder((use, what, options) =>
    // One step where `Effect.flatMap(HierarchicalLock, …)` takes four.
    Effect.withFiberRuntime<unknown, unknown, unknown>(({ currentContext }) =>
      (Context.unsafeGet(currentContext as Context.Context<HierarchicalLock>, HierarchicalLock)[name] as AnyWith)(
        use,
        what,
        options
      )
    )
  ) as unknown as Access[K]

type AnyWith = (use: unknown, what: unknown, options: unknown) => Effect.Effect<unknown, unknown, unknown>

/**
 * Holds the node and everything below it, shared, until the scope closes. See `Operations`.
 *
 * @since 0.1.0
 * @category accessors
 */
export const read: Access["read"] = access("read")

/**
 * Holds the node and everything below it, exclusive, until the scope closes. See `Operations`.
 *
 * @since 0.1.0
 * @category accessors
 */
export const write: Access["write"] = access("write")

/**
 * Holds the node alone, shared, until the scope closes. See `Operations`.
 *
 * @since 0.1.0
 * @category accessors
 */
export const readNode: Access["readNode"] = access("readNode")

/**
 * Holds the node alone, exclusive, until the scope closes. See `Operations`.
 *
 * @since 0.1.0
 * @category accessors
 */
export const writeNode: Access["writeNode"] = access("writeNode")

/**
 * Holds several targets, granted all or none, until the scope closes. See `Operations`.
 *
 * @since 0.1.0
 * @category accessors
 */
export const locks: Access["locks"] = access("locks")

/**
 * A lease outside any scope, which the caller refreshes and releases. See `Operations`.
 *
 * @since 0.1.0
 * @category accessors
 */
export const acquire: Access["acquire"] = access("acquire")

/**
 * Runs an effect while the node and everything below it are held, shared. See `Operations`.
 *
 * @since 0.1.0
 * @category accessors
 */
export const withRead: Access["withRead"] = accessWith("withRead")

/**
 * Runs an effect while the node and everything below it are held, exclusive. See `Operations`.
 *
 * @since 0.1.0
 * @category accessors
 */
export const withWrite: Access["withWrite"] = accessWith("withWrite")

/**
 * Runs an effect while the node alone is held, shared. See `Operations`.
 *
 * @since 0.1.0
 * @category accessors
 */
export const withReadNode: Access["withReadNode"] = accessWith("withReadNode")

/**
 * Runs an effect while the node alone is held, exclusive. See `Operations`.
 *
 * @since 0.1.0
 * @category accessors
 */
export const withWriteNode: Access["withWriteNode"] = accessWith("withWriteNode")

/**
 * Runs an effect while several targets are held, granted all or none. See `Operations`.
 *
 * @since 0.1.0
 * @category accessors
 */
export const withLocks: Access["withLocks"] = accessWith("withLocks")

/**
 * Takes over a live lease by its id, until the scope closes. See `Operations`.
 *
 * @since 0.1.0
 * @category accessors
 */
export const restore: Access["restore"] = (id, options) =>
  Effect.flatMap(HierarchicalLock, (service) => service.restore(id, options))

/**
 * Moves the deadline of a lease. See `Operations`.
 *
 * @since 0.1.0
 * @category accessors
 */
export const refresh: Access["refresh"] = (lease, options) =>
  Effect.flatMap(HierarchicalLock, (service) => service.refresh(lease, options))

/**
 * Ends a lease by its id; `false` when it is not live. See `Operations`.
 *
 * @since 0.1.0
 * @category accessors
 */
export const release: Access["release"] = (lease) =>
  Effect.flatMap(HierarchicalLock, (service) => service.release(lease))

/**
 * Turns the exclusive targets of a lease into shared ones, in place. See `Operations`.
 *
 * @since 0.1.0
 * @category accessors
 */
export const downgrade: Access["downgrade"] = (lease) =>
  Effect.flatMap(HierarchicalLock, (service) => service.downgrade(lease))

/**
 * The leases and the waiting requests at the path or below it. See `Operations`.
 *
 * @since 0.1.0
 * @category accessors
 */
export const inspect: Access["inspect"] = (path) => Effect.flatMap(HierarchicalLock, (service) => service.inspect(path))

/**
 * For operators: ends a lease whoever holds it. See `Operations`.
 *
 * @since 0.1.0
 * @category accessors
 */
export const breakLease: Access["breakLease"] = (lease) =>
  Effect.flatMap(HierarchicalLock, (service) => service.breakLease(lease))

/**
 * `Effect.scoped`, with the loss of a lease as an error: the loss of any lease that is acquired in the scope, by whichever
 * fiber, stops the effect, which then fails with `LockLost`.
 *
 * @since 0.2.0
 * @category scopes
 */
export const scoped: <A, E, R>(
  effect: Effect.Effect<A, E, R>
) => Effect.Effect<A, E | LockLost, Exclude<R, Scope.Scope>> = guard.scoped

/**
 * Runs an effect as an outsider: what it asks for is not inside the leases of its fiber. For work that happens to run
 * under a lease held for a process's lifetime and must queue like everyone else.
 *
 * @since 0.1.0
 * @category accessors
 */
export const detached: <A, E, R>(effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R> = nesting.outside
