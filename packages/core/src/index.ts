/**
 * Hierarchical, distributed read-write locks for Effect.
 *
 * @module @hilok/core
 * @since 0.1.0
 */
export * as DelegatingStore from "./DelegatingStore.ts"
export * as HierarchicalLock from "./HierarchicalLock.ts"
export * as Lease from "./Lease.ts"
export * as LockDuration from "./LockDuration.ts"
export * as LockEntry from "./LockEntry.ts"
export * as LockError from "./LockError.ts"
export * as LockMode from "./LockMode.ts"
export * as LockOptions from "./LockOptions.ts"
export * as LockPath from "./LockPath.ts"
export * as LockStore from "./LockStore.ts"
export * as LockTable from "./LockTable.ts"
export * as MemoryStore from "./MemoryStore.ts"
export * as Target from "./Target.ts"
