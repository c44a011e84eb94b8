/**
 * The lock service: hierarchical read-write locks as scoped Effect resources.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as accessors from "./internal/accessors.ts"
import type { Layers, Operations } from "./internal/operations.ts"
import type { InvalidOptions } from "./LockError.ts"
import type * as LockOptions from "./LockOptions.ts"
import type { LockStore } from "./LockStore.ts"

export * from "./internal/accessors.gen.ts"
export type {
  AcquireAll,
  AcquireError,
  AcquireOne,
  ChangesOptions,
  Layers,
  Operations,
  Under,
  Use,
  With,
  WithIfAvailable,
  WrongOrder
} from "./internal/operations.ts"

/**
 * Like `AcquireOptions`, for a lease that already exists.
 *
 * @since 0.1.0
 * @category models
 */
export type RestoreOptions = LockOptions.RestoreOptions

/**
 * The tag of a lock service, with all of its functions and layers.
 *
 * @since 0.2.0
 * @category models
 */
export interface TagClass<Self, Id extends string>
  extends Context.TagClass<Self, Id, Operations<never>>,
    Operations<Self>,
    Layers<Self> {}

/**
 * Makes the tag of another lock service, for a program that needs two: over two stores, in two namespaces, or with
 * different options. The class has everything that the module has: `Jobs.withWrite(…)`, `Jobs.layer(…)`.
 *
 * Leases enclose only requests to the same service.
 *
 * @example
 * ```ts
 * import { HierarchicalLock } from "@hilok/core"
 * import { Console, Effect, Layer } from "effect"
 *
 * class Jobs extends HierarchicalLock.Tag("app/Jobs")<Jobs>() {}
 *
 * const program = Console.log("both are mine").pipe(
 *   Jobs.withWrite("nightly", { block: false }),
 *   HierarchicalLock.withRead("north")
 * )
 *
 * const LocksLive = Layer.merge(HierarchicalLock.layerMemory(), Jobs.layerMemory({ ttl: "1m" }))
 * await Effect.runPromise(Effect.provide(program, LocksLive))
 * ```
 *
 * @since 0.2.0
 * @category constructors
 */
export const Tag =
  <const Id extends string>(id: Id) =>
  <Self>(): TagClass<Self, Id> => {
    const tag = Context.Tag(id)<Self, Operations<never>>()
    return Object.assign(tag, accessors.of<Self>(tag))
  }

/**
 * The service.
 *
 * @since 0.1.0
 * @category services
 */
export class HierarchicalLock extends Tag(accessors.key)<HierarchicalLock>() {}

/**
 * Makes the service over the store in the context. Fails with `InvalidOptions` before anything is sent. When the scope
 * closes, all leases still held are lost (`closed`) and released, and every later call fails with `StoreError`.
 *
 * @example
 * ```ts
 * import { HierarchicalLock, MemoryStore } from "@hilok/core"
 * import { Console, Effect } from "effect"
 *
 * const program = Effect.gen(function* () {
 *   const locks = yield* HierarchicalLock.make({ ttl: "10s" })
 *   yield* locks.withWrite(Console.log("mine"), "a")
 * }).pipe(Effect.scoped, Effect.provide(MemoryStore.layer()))
 *
 * await Effect.runPromise(program)
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make: (
  options?: LockOptions.Options
) => Effect.Effect<Operations<never>, InvalidOptions, LockStore | Scope.Scope> = accessors.make
