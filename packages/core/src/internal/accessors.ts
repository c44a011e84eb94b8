/**
 * The functions of a service, for those who have it in the context, and the layers that make it. One implementation for
 * the module `HierarchicalLock` and for every tag of its kind.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { HierarchicalLock } from "../HierarchicalLock.ts"
import type { InvalidOptions } from "../LockError.ts"
import * as LockOptions from "../LockOptions.ts"
import { LockStore } from "../LockStore.ts"
import * as MemoryStore from "../MemoryStore.ts"
import * as guard from "./guard.ts"
import * as nesting from "./nesting.ts"
import type { Layers, Operations } from "./operations.ts"
import * as service from "./service.ts"
import * as streams from "./streams.ts"

export type AnyTag<I> = Context.Tag<I, Operations<never>>

export const make = (
  options?: LockOptions.Options
): Effect.Effect<Operations<never>, InvalidOptions, LockStore | Scope.Scope> =>
  Effect.flatMap(LockStore, (store) => service.make(store, options ?? {}))

type Any = (...args: ReadonlyArray<unknown>) => never

const method = (operations: Operations<never>, name: keyof Operations<never>): Any => operations[name] as Any

type Accessor = <I>(tag: AnyTag<I>, name: keyof Operations<never>) => unknown

const call: Accessor = (tag, name) => (first: unknown, second: unknown) =>
  Effect.flatMap(tag, (operations) => method(operations, name)(first, second))

const around: Accessor = (tag, name) =>
  service.eitherOrder((use, what, options) =>
    // One step where `Effect.flatMap(tag, …)` takes four.
    Effect.withFiberRuntime<unknown, unknown, unknown>(({ currentContext }) =>
      method(Context.unsafeGet(currentContext as Context.Context<never>, tag as never), name)(use, what, options)
    )
  )

const under: Accessor = (tag, name) =>
  streams.eitherOrder((stream, what, options) =>
    Stream.unwrap(Effect.map(tag, (operations) => method(operations, name)(stream, what, options)))
  )

const stream: Accessor = (tag, name) => (first: unknown, second: unknown) =>
  Stream.unwrap(Effect.map(tag, (operations) => method(operations, name)(first, second)))

/** Needs no service. */
const itself =
  (value: unknown): Accessor =>
  () =>
    value

const kinds: { readonly [Name in keyof Operations<never>]: Accessor } = {
  read: call,
  write: call,
  readNode: call,
  writeNode: call,
  locks: call,
  withRead: around,
  withWrite: around,
  withReadNode: around,
  withWriteNode: around,
  withLocks: around,
  withReadIfAvailable: around,
  withWriteIfAvailable: around,
  withReadNodeIfAvailable: around,
  withWriteNodeIfAvailable: around,
  withLocksIfAvailable: around,
  streamLocks: under,
  acquire: call,
  restore: call,
  refresh: call,
  release: call,
  downgrade: call,
  share: call,
  inspect: call,
  changes: stream,
  breakLease: call,
  scoped: itself(guard.scoped),
  detached: itself(nesting.outside)
}

const layers = <I>(tag: AnyTag<I>): Layers<I> => {
  const layer: Layers<I>["layer"] = (options) => Layer.scoped(tag, make(options))
  return {
    layer,
    layerConfig: (options = LockOptions.config) =>
      Layer.scoped(
        tag,
        LockOptions.fromConfig<LockOptions.Options, Operations<never>, InvalidOptions, LockStore | Scope.Scope>(
          options,
          make
        )
      ),
    layerMemory: (options) => Layer.provide(layer(options), MemoryStore.layer())
  }
}

/** Everything for the service behind a tag. */
export const of = <I>(tag: AnyTag<I>): Operations<I> & Layers<I> => {
  const operations = Object.entries(kinds).map(([name, accessor]) => [
    name,
    accessor(tag, name as keyof Operations<never>)
  ])
  return { ...(Object.fromEntries(operations) as Operations<I>), ...layers(tag) }
}

export const key = "@hilok/core/HierarchicalLock"

/** Those of the module `HierarchicalLock`. */
export const accessors: Operations<HierarchicalLock> & Layers<HierarchicalLock> = of(
  Context.GenericTag<HierarchicalLock, Operations<never>>(key)
)
