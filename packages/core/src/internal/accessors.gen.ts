// Generated from operations.ts by `npm run codegen`. Do not edit.
import type * as Effect from "effect/Effect"
import type * as Option from "effect/Option"
import type * as Stream from "effect/Stream"
import type { LockLost } from "../LockError.ts"
import type * as LockOptions from "../LockOptions.ts"
import type * as LockPath from "../LockPath.ts"
import type { Target } from "../Target.ts"
import type { HierarchicalLock } from "../HierarchicalLock.ts"
import { accessors } from "./accessors.ts"
import type { AcquireError, Use, WrongOrder, Operations, Layers } from "./operations.ts"

/**
 * Holds the node and everything below it, shared, until the scope closes.
 *
 * Waits for its turn and can be interrupted while it does; an interruption, like any failure, leaves nothing behind.
 * Fails with `Deadlock` when it would wait forever, with `LockTimeout` when it has a `timeout` and that is over, with
 * `WouldBlock` when it has `block: false` and the lock is not free, with `InvalidPath` and `InvalidOptions` before
 * anything is sent, and with `StoreError`.
 *
 * The lease is refreshed by a fiber of the scope. When it is lost, the work is stopped: in `HierarchicalLock.scoped` all
 * that runs in it, which then fails with `LockLost`; in any other scope the fiber that acquired the lease, or, if that has
 * ended, the one that joined it. If there is none, nobody can be stopped, and an error is logged. That scope's end has the
 * `LockLost` as a defect, so a loss is never taken for a success or an interruption alone. With `onLost: "signal"`, only
 * `lease.lost` fails. A release that fails is no failure of the scope: the ttl ends the lease then.
 *
 * @example
 * ```ts
 * import { HierarchicalLock } from "@hilok/core"
 * import { Console, Effect } from "effect"
 *
 * const audit = Effect.gen(function* () {
 *   const lease = yield* HierarchicalLock.read("north", { reason: "audit" })
 *   yield* Console.log("nobody writes below", lease.targets)
 * }).pipe(HierarchicalLock.scoped)
 *
 * await Effect.runPromise(Effect.provide(audit, HierarchicalLock.layerMemory()))
 * ```
 *
 * @since 0.1.0
 * @category accessors
 */
export const read: Operations<HierarchicalLock>["read"] = accessors.read

/**
 * Holds the node and everything below it, exclusive, until the scope closes.
 *
 * Waits for its turn and can be interrupted while it does; an interruption, like any failure, leaves nothing behind.
 * Fails with `Deadlock` when it would wait forever, with `LockTimeout` when it has a `timeout` and that is over, with
 * `WouldBlock` when it has `block: false` and the lock is not free, with `InvalidPath` and `InvalidOptions` before
 * anything is sent, and with `StoreError`.
 *
 * The lease is refreshed by a fiber of the scope. When it is lost, the work is stopped: in `HierarchicalLock.scoped` all
 * that runs in it, which then fails with `LockLost`; in any other scope the fiber that acquired the lease, or, if that has
 * ended, the one that joined it. If there is none, nobody can be stopped, and an error is logged. That scope's end has the
 * `LockLost` as a defect, so a loss is never taken for a success or an interruption alone. With `onLost: "signal"`, only
 * `lease.lost` fails. A release that fails is no failure of the scope: the ttl ends the lease then.
 *
 * @example
 * ```ts
 * import { HierarchicalLock } from "@hilok/core"
 * import { Console, Effect } from "effect"
 *
 * const program = Effect.gen(function* () {
 *   const lease = yield* HierarchicalLock.write("north/b1", { timeout: "10s" })
 *   yield* Console.log("the branch is mine, with token", lease.token)
 * }).pipe(
 *   HierarchicalLock.scoped,
 *   Effect.catchTag("LockTimeout", ({ blocker }) => Console.log("in the way:", blocker?.reason))
 * )
 *
 * await Effect.runPromise(Effect.provide(program, HierarchicalLock.layerMemory()))
 * ```
 *
 * @since 0.1.0
 * @category accessors
 */
export const write: Operations<HierarchicalLock>["write"] = accessors.write

/**
 * Holds the node alone, shared, until the scope closes: what is below it may be written.
 *
 * Waits for its turn and can be interrupted while it does; an interruption, like any failure, leaves nothing behind.
 * Fails with `Deadlock` when it would wait forever, with `LockTimeout` when it has a `timeout` and that is over, with
 * `WouldBlock` when it has `block: false` and the lock is not free, with `InvalidPath` and `InvalidOptions` before
 * anything is sent, and with `StoreError`.
 *
 * The lease is refreshed by a fiber of the scope. When it is lost, the work is stopped: in `HierarchicalLock.scoped` all
 * that runs in it, which then fails with `LockLost`; in any other scope the fiber that acquired the lease, or, if that has
 * ended, the one that joined it. If there is none, nobody can be stopped, and an error is logged. That scope's end has the
 * `LockLost` as a defect, so a loss is never taken for a success or an interruption alone. With `onLost: "signal"`, only
 * `lease.lost` fails. A release that fails is no failure of the scope: the ttl ends the lease then.
 *
 * @example
 * ```ts
 * import { HierarchicalLock } from "@hilok/core"
 * import { Effect } from "effect"
 *
 * const program = Effect.gen(function* () {
 *   yield* HierarchicalLock.readNode("docs")
 *   // Nobody renames the folder meanwhile. What is in it is free.
 *   yield* HierarchicalLock.withWrite(Effect.void, "docs/plan", { block: false })
 * }).pipe(HierarchicalLock.scoped)
 *
 * await Effect.runPromise(Effect.provide(program, HierarchicalLock.layerMemory()))
 * ```
 *
 * @since 0.1.0
 * @category accessors
 */
export const readNode: Operations<HierarchicalLock>["readNode"] = accessors.readNode

/**
 * Holds the node alone, exclusive, until the scope closes: work below it continues.
 *
 * Waits for its turn and can be interrupted while it does; an interruption, like any failure, leaves nothing behind.
 * Fails with `Deadlock` when it would wait forever, with `LockTimeout` when it has a `timeout` and that is over, with
 * `WouldBlock` when it has `block: false` and the lock is not free, with `InvalidPath` and `InvalidOptions` before
 * anything is sent, and with `StoreError`.
 *
 * The lease is refreshed by a fiber of the scope. When it is lost, the work is stopped: in `HierarchicalLock.scoped` all
 * that runs in it, which then fails with `LockLost`; in any other scope the fiber that acquired the lease, or, if that has
 * ended, the one that joined it. If there is none, nobody can be stopped, and an error is logged. That scope's end has the
 * `LockLost` as a defect, so a loss is never taken for a success or an interruption alone. With `onLost: "signal"`, only
 * `lease.lost` fails. A release that fails is no failure of the scope: the ttl ends the lease then.
 *
 * @example
 * ```ts
 * import { HierarchicalLock } from "@hilok/core"
 * import { Effect } from "effect"
 *
 * const program = Effect.gen(function* () {
 *   yield* HierarchicalLock.writeNode("docs")
 *   yield* HierarchicalLock.withWrite(Effect.void, "docs/plan", { block: false })
 * }).pipe(HierarchicalLock.scoped)
 *
 * await Effect.runPromise(Effect.provide(program, HierarchicalLock.layerMemory()))
 * ```
 *
 * @since 0.1.0
 * @category accessors
 */
export const writeNode: Operations<HierarchicalLock>["writeNode"] = accessors.writeNode

/**
 * Holds several targets until the scope closes; they are granted together or not at all.
 *
 * Waits for its turn and can be interrupted while it does; an interruption, like any failure, leaves nothing behind.
 * Fails with `Deadlock` when it would wait forever, with `LockTimeout` when it has a `timeout` and that is over, with
 * `WouldBlock` when it has `block: false` and the lock is not free, with `InvalidPath` and `InvalidOptions` before
 * anything is sent, and with `StoreError`.
 *
 * The lease is refreshed by a fiber of the scope. When it is lost, the work is stopped: in `HierarchicalLock.scoped` all
 * that runs in it, which then fails with `LockLost`; in any other scope the fiber that acquired the lease, or, if that has
 * ended, the one that joined it. If there is none, nobody can be stopped, and an error is logged. That scope's end has the
 * `LockLost` as a defect, so a loss is never taken for a success or an interruption alone. With `onLost: "signal"`, only
 * `lease.lost` fails. A release that fails is no failure of the scope: the ttl ends the lease then.
 *
 * @example
 * ```ts
 * import { HierarchicalLock, Target } from "@hilok/core"
 * import { Effect } from "effect"
 *
 * const program = Effect.gen(function* () {
 *   yield* HierarchicalLock.locks([Target.write("north/b1/a1"), Target.read("rates")])
 * }).pipe(HierarchicalLock.scoped)
 *
 * await Effect.runPromise(Effect.provide(program, HierarchicalLock.layerMemory()))
 * ```
 *
 * @since 0.1.0
 * @category accessors
 */
export const locks: Operations<HierarchicalLock>["locks"] = accessors.locks

/**
 * Runs an effect while the node and everything below it are held, shared, and releases the lock whatever happens.
 *
 * Takes the effect, or a function from the lease to one, first or in a `pipe`. Waits for its turn, and can be
 * interrupted at any time; an interruption, like any failure, leaves nothing behind. Fails as the effect does, with
 * `Deadlock` when it would wait forever, with `LockTimeout` when it has a `timeout` and that is over, with `WouldBlock`
 * when it has `block: false` and the lock is not free, with `InvalidPath` and `InvalidOptions` before anything is sent,
 * and with `StoreError`.
 *
 * When the lease is lost, the effect is interrupted and the whole fails with `LockLost`. A release that fails does not
 * change the result: the ttl ends the lease then.
 *
 * @example
 * ```ts
 * import { HierarchicalLock } from "@hilok/core"
 * import { Console, Effect } from "effect"
 *
 * const audit = Console.log("nobody writes below north").pipe(HierarchicalLock.withRead("north"))
 *
 * await Effect.runPromise(Effect.provide(audit, HierarchicalLock.layerMemory()))
 * ```
 *
 * @since 0.1.0
 * @category accessors
 */
export const withRead: {
  /**
   * Runs an effect while the node and everything below it are held, shared, and releases the lock whatever happens.
   *
   * Takes the effect, or a function from the lease to one, first or in a `pipe`. Waits for its turn, and can be
   * interrupted at any time; an interruption, like any failure, leaves nothing behind. Fails as the effect does, with
   * `Deadlock` when it would wait forever, with `LockTimeout` when it has a `timeout` and that is over, with `WouldBlock`
   * when it has `block: false` and the lock is not free, with `InvalidPath` and `InvalidOptions` before anything is sent,
   * and with `StoreError`.
   *
   * When the lease is lost, the effect is interrupted and the whole fails with `LockLost`. A release that fails does not
   * change the result: the ttl ends the lease then.
   *
   * @example
   * ```ts
   * import { HierarchicalLock } from "@hilok/core"
   * import { Console, Effect } from "effect"
   *
   * const audit = Console.log("nobody writes below north").pipe(HierarchicalLock.withRead("north"))
   *
   * await Effect.runPromise(Effect.provide(audit, HierarchicalLock.layerMemory()))
   * ```
   *
   * @since 0.1.0
   * @category accessors
   */
  <A, E, R, const O extends LockOptions.AcquireOptions = {}>(
    use: Use<A, E, R>,
    what: LockPath.Input,
    options?: O
  ): Effect.Effect<A, E | LockLost | AcquireError<O>, R | HierarchicalLock>
  <A, E, R>(
    what: LockPath.Input,
    use: Use<A, E, R>,
    options?: LockOptions.AcquireOptions
  ): WrongOrder<"the effect comes before the path or the targets, or in a pipe: effect.pipe(withWrite(path))">
  (
    what: LockPath.Input,
    options?: undefined
  ): <A, E, R>(use: Use<A, E, R>) => Effect.Effect<A, E | LockLost | AcquireError<{}>, R | HierarchicalLock>
  <const O extends LockOptions.AcquireOptions>(
    what: LockPath.Input,
    options: O | undefined
  ): <A, E, R>(use: Use<A, E, R>) => Effect.Effect<A, E | LockLost | AcquireError<O>, R | HierarchicalLock>
} = accessors.withRead

/**
 * Runs an effect while the node and everything below it are held, exclusive.
 *
 * Takes the effect, or a function from the lease to one, first or in a `pipe`. Waits for its turn, and can be
 * interrupted at any time; an interruption, like any failure, leaves nothing behind. Fails as the effect does, with
 * `Deadlock` when it would wait forever, with `LockTimeout` when it has a `timeout` and that is over, with `WouldBlock`
 * when it has `block: false` and the lock is not free, with `InvalidPath` and `InvalidOptions` before anything is sent,
 * and with `StoreError`.
 *
 * When the lease is lost, the effect is interrupted and the whole fails with `LockLost`. A release that fails does not
 * change the result: the ttl ends the lease then.
 *
 * @example
 * ```ts
 * import { HierarchicalLock } from "@hilok/core"
 * import { Console, Effect } from "effect"
 *
 * const nightly = Console.log("the only one").pipe(
 *   HierarchicalLock.withWrite("jobs/nightly", { block: false }),
 *   Effect.catchTag("WouldBlock", ({ blocker }) => Console.log("runs already, on", blocker?.host))
 * )
 * // In place of an effect, a function of the lease.
 * const fenced = HierarchicalLock.withWrite(({ token }) => Console.log("with token", token), "report")
 *
 * await Effect.runPromise(Effect.provide(Effect.all([nightly, fenced]), HierarchicalLock.layerMemory()))
 * ```
 *
 * @since 0.1.0
 * @category accessors
 */
export const withWrite: {
  /**
   * Runs an effect while the node and everything below it are held, exclusive.
   *
   * Takes the effect, or a function from the lease to one, first or in a `pipe`. Waits for its turn, and can be
   * interrupted at any time; an interruption, like any failure, leaves nothing behind. Fails as the effect does, with
   * `Deadlock` when it would wait forever, with `LockTimeout` when it has a `timeout` and that is over, with `WouldBlock`
   * when it has `block: false` and the lock is not free, with `InvalidPath` and `InvalidOptions` before anything is sent,
   * and with `StoreError`.
   *
   * When the lease is lost, the effect is interrupted and the whole fails with `LockLost`. A release that fails does not
   * change the result: the ttl ends the lease then.
   *
   * @example
   * ```ts
   * import { HierarchicalLock } from "@hilok/core"
   * import { Console, Effect } from "effect"
   *
   * const nightly = Console.log("the only one").pipe(
   *   HierarchicalLock.withWrite("jobs/nightly", { block: false }),
   *   Effect.catchTag("WouldBlock", ({ blocker }) => Console.log("runs already, on", blocker?.host))
   * )
   * // In place of an effect, a function of the lease.
   * const fenced = HierarchicalLock.withWrite(({ token }) => Console.log("with token", token), "report")
   *
   * await Effect.runPromise(Effect.provide(Effect.all([nightly, fenced]), HierarchicalLock.layerMemory()))
   * ```
   *
   * @since 0.1.0
   * @category accessors
   */
  <A, E, R, const O extends LockOptions.AcquireOptions = {}>(
    use: Use<A, E, R>,
    what: LockPath.Input,
    options?: O
  ): Effect.Effect<A, E | LockLost | AcquireError<O>, R | HierarchicalLock>
  <A, E, R>(
    what: LockPath.Input,
    use: Use<A, E, R>,
    options?: LockOptions.AcquireOptions
  ): WrongOrder<"the effect comes before the path or the targets, or in a pipe: effect.pipe(withWrite(path))">
  (
    what: LockPath.Input,
    options?: undefined
  ): <A, E, R>(use: Use<A, E, R>) => Effect.Effect<A, E | LockLost | AcquireError<{}>, R | HierarchicalLock>
  <const O extends LockOptions.AcquireOptions>(
    what: LockPath.Input,
    options: O | undefined
  ): <A, E, R>(use: Use<A, E, R>) => Effect.Effect<A, E | LockLost | AcquireError<O>, R | HierarchicalLock>
} = accessors.withWrite

/**
 * Runs an effect while the node alone is held, shared: what is below it may be written.
 *
 * Takes the effect, or a function from the lease to one, first or in a `pipe`. Waits for its turn, and can be
 * interrupted at any time; an interruption, like any failure, leaves nothing behind. Fails as the effect does, with
 * `Deadlock` when it would wait forever, with `LockTimeout` when it has a `timeout` and that is over, with `WouldBlock`
 * when it has `block: false` and the lock is not free, with `InvalidPath` and `InvalidOptions` before anything is sent,
 * and with `StoreError`.
 *
 * When the lease is lost, the effect is interrupted and the whole fails with `LockLost`. A release that fails does not
 * change the result: the ttl ends the lease then.
 *
 * @example
 * ```ts
 * import { HierarchicalLock } from "@hilok/core"
 * import { Console, Effect } from "effect"
 *
 * const list = Console.log("nobody renames the folder").pipe(HierarchicalLock.withReadNode("docs"))
 *
 * await Effect.runPromise(Effect.provide(list, HierarchicalLock.layerMemory()))
 * ```
 *
 * @since 0.1.0
 * @category accessors
 */
export const withReadNode: {
  /**
   * Runs an effect while the node alone is held, shared: what is below it may be written.
   *
   * Takes the effect, or a function from the lease to one, first or in a `pipe`. Waits for its turn, and can be
   * interrupted at any time; an interruption, like any failure, leaves nothing behind. Fails as the effect does, with
   * `Deadlock` when it would wait forever, with `LockTimeout` when it has a `timeout` and that is over, with `WouldBlock`
   * when it has `block: false` and the lock is not free, with `InvalidPath` and `InvalidOptions` before anything is sent,
   * and with `StoreError`.
   *
   * When the lease is lost, the effect is interrupted and the whole fails with `LockLost`. A release that fails does not
   * change the result: the ttl ends the lease then.
   *
   * @example
   * ```ts
   * import { HierarchicalLock } from "@hilok/core"
   * import { Console, Effect } from "effect"
   *
   * const list = Console.log("nobody renames the folder").pipe(HierarchicalLock.withReadNode("docs"))
   *
   * await Effect.runPromise(Effect.provide(list, HierarchicalLock.layerMemory()))
   * ```
   *
   * @since 0.1.0
   * @category accessors
   */
  <A, E, R, const O extends LockOptions.AcquireOptions = {}>(
    use: Use<A, E, R>,
    what: LockPath.Input,
    options?: O
  ): Effect.Effect<A, E | LockLost | AcquireError<O>, R | HierarchicalLock>
  <A, E, R>(
    what: LockPath.Input,
    use: Use<A, E, R>,
    options?: LockOptions.AcquireOptions
  ): WrongOrder<"the effect comes before the path or the targets, or in a pipe: effect.pipe(withWrite(path))">
  (
    what: LockPath.Input,
    options?: undefined
  ): <A, E, R>(use: Use<A, E, R>) => Effect.Effect<A, E | LockLost | AcquireError<{}>, R | HierarchicalLock>
  <const O extends LockOptions.AcquireOptions>(
    what: LockPath.Input,
    options: O | undefined
  ): <A, E, R>(use: Use<A, E, R>) => Effect.Effect<A, E | LockLost | AcquireError<O>, R | HierarchicalLock>
} = accessors.withReadNode

/**
 * Runs an effect while the node alone is held, exclusive: work below it continues.
 *
 * Takes the effect, or a function from the lease to one, first or in a `pipe`. Waits for its turn, and can be
 * interrupted at any time; an interruption, like any failure, leaves nothing behind. Fails as the effect does, with
 * `Deadlock` when it would wait forever, with `LockTimeout` when it has a `timeout` and that is over, with `WouldBlock`
 * when it has `block: false` and the lock is not free, with `InvalidPath` and `InvalidOptions` before anything is sent,
 * and with `StoreError`.
 *
 * When the lease is lost, the effect is interrupted and the whole fails with `LockLost`. A release that fails does not
 * change the result: the ttl ends the lease then.
 *
 * @example
 * ```ts
 * import { HierarchicalLock } from "@hilok/core"
 * import { Console, Effect } from "effect"
 *
 * const settings = Console.log("changed").pipe(HierarchicalLock.withWriteNode("docs"))
 *
 * await Effect.runPromise(Effect.provide(settings, HierarchicalLock.layerMemory()))
 * ```
 *
 * @since 0.1.0
 * @category accessors
 */
export const withWriteNode: {
  /**
   * Runs an effect while the node alone is held, exclusive: work below it continues.
   *
   * Takes the effect, or a function from the lease to one, first or in a `pipe`. Waits for its turn, and can be
   * interrupted at any time; an interruption, like any failure, leaves nothing behind. Fails as the effect does, with
   * `Deadlock` when it would wait forever, with `LockTimeout` when it has a `timeout` and that is over, with `WouldBlock`
   * when it has `block: false` and the lock is not free, with `InvalidPath` and `InvalidOptions` before anything is sent,
   * and with `StoreError`.
   *
   * When the lease is lost, the effect is interrupted and the whole fails with `LockLost`. A release that fails does not
   * change the result: the ttl ends the lease then.
   *
   * @example
   * ```ts
   * import { HierarchicalLock } from "@hilok/core"
   * import { Console, Effect } from "effect"
   *
   * const settings = Console.log("changed").pipe(HierarchicalLock.withWriteNode("docs"))
   *
   * await Effect.runPromise(Effect.provide(settings, HierarchicalLock.layerMemory()))
   * ```
   *
   * @since 0.1.0
   * @category accessors
   */
  <A, E, R, const O extends LockOptions.AcquireOptions = {}>(
    use: Use<A, E, R>,
    what: LockPath.Input,
    options?: O
  ): Effect.Effect<A, E | LockLost | AcquireError<O>, R | HierarchicalLock>
  <A, E, R>(
    what: LockPath.Input,
    use: Use<A, E, R>,
    options?: LockOptions.AcquireOptions
  ): WrongOrder<"the effect comes before the path or the targets, or in a pipe: effect.pipe(withWrite(path))">
  (
    what: LockPath.Input,
    options?: undefined
  ): <A, E, R>(use: Use<A, E, R>) => Effect.Effect<A, E | LockLost | AcquireError<{}>, R | HierarchicalLock>
  <const O extends LockOptions.AcquireOptions>(
    what: LockPath.Input,
    options: O | undefined
  ): <A, E, R>(use: Use<A, E, R>) => Effect.Effect<A, E | LockLost | AcquireError<O>, R | HierarchicalLock>
} = accessors.withWriteNode

/**
 * Runs an effect while several targets are held; they are granted together or not at all.
 *
 * Takes the effect, or a function from the lease to one, first or in a `pipe`. Waits for its turn, and can be
 * interrupted at any time; an interruption, like any failure, leaves nothing behind. Fails as the effect does, with
 * `Deadlock` when it would wait forever, with `LockTimeout` when it has a `timeout` and that is over, with `WouldBlock`
 * when it has `block: false` and the lock is not free, with `InvalidPath` and `InvalidOptions` before anything is sent,
 * and with `StoreError`.
 *
 * When the lease is lost, the effect is interrupted and the whole fails with `LockLost`. A release that fails does not
 * change the result: the ttl ends the lease then.
 *
 * @example
 * ```ts
 * import { HierarchicalLock, Target } from "@hilok/core"
 * import { Console, Effect } from "effect"
 *
 * const transfer = Console.log("both accounts are mine").pipe(
 *   HierarchicalLock.withLocks([Target.write("north/b1/a1"), Target.write("south/b2/a7")], { reason: "transfer 31" })
 * )
 *
 * await Effect.runPromise(Effect.provide(transfer, HierarchicalLock.layerMemory()))
 * ```
 *
 * @since 0.1.0
 * @category accessors
 */
export const withLocks: {
  /**
   * Runs an effect while several targets are held; they are granted together or not at all.
   *
   * Takes the effect, or a function from the lease to one, first or in a `pipe`. Waits for its turn, and can be
   * interrupted at any time; an interruption, like any failure, leaves nothing behind. Fails as the effect does, with
   * `Deadlock` when it would wait forever, with `LockTimeout` when it has a `timeout` and that is over, with `WouldBlock`
   * when it has `block: false` and the lock is not free, with `InvalidPath` and `InvalidOptions` before anything is sent,
   * and with `StoreError`.
   *
   * When the lease is lost, the effect is interrupted and the whole fails with `LockLost`. A release that fails does not
   * change the result: the ttl ends the lease then.
   *
   * @example
   * ```ts
   * import { HierarchicalLock, Target } from "@hilok/core"
   * import { Console, Effect } from "effect"
   *
   * const transfer = Console.log("both accounts are mine").pipe(
   *   HierarchicalLock.withLocks([Target.write("north/b1/a1"), Target.write("south/b2/a7")], { reason: "transfer 31" })
   * )
   *
   * await Effect.runPromise(Effect.provide(transfer, HierarchicalLock.layerMemory()))
   * ```
   *
   * @since 0.1.0
   * @category accessors
   */
  <A, E, R, const O extends LockOptions.AcquireOptions = {}>(
    use: Use<A, E, R>,
    what: ReadonlyArray<Target>,
    options?: O
  ): Effect.Effect<A, E | LockLost | AcquireError<O>, R | HierarchicalLock>
  <A, E, R>(
    what: ReadonlyArray<Target>,
    use: Use<A, E, R>,
    options?: LockOptions.AcquireOptions
  ): WrongOrder<"the effect comes before the path or the targets, or in a pipe: effect.pipe(withWrite(path))">
  (
    what: ReadonlyArray<Target>,
    options?: undefined
  ): <A, E, R>(use: Use<A, E, R>) => Effect.Effect<A, E | LockLost | AcquireError<{}>, R | HierarchicalLock>
  <const O extends LockOptions.AcquireOptions>(
    what: ReadonlyArray<Target>,
    options: O | undefined
  ): <A, E, R>(use: Use<A, E, R>) => Effect.Effect<A, E | LockLost | AcquireError<O>, R | HierarchicalLock>
} = accessors.withLocks

/**
 * Runs an effect while the node and everything below it are held, shared, if that is free at once: then the result is a
 * `Some`. Otherwise the effect is not run, and the result is `None`.
 *
 * Takes the effect, or a function from the lease to one, first or in a `pipe`. Never waits, and never passes those who do.
 * Can be interrupted at any time; an interruption, like any failure, leaves nothing behind. Fails as the effect does, also
 * with a `WouldBlock` of its own, with `InvalidPath` and `InvalidOptions` before anything is sent, and with `StoreError`.
 *
 * When the lease is lost, the effect is interrupted and the whole fails with `LockLost`.
 *
 * @example
 * ```ts
 * import { HierarchicalLock } from "@hilok/core"
 * import { Effect, Option } from "effect"
 * import assert from "node:assert"
 *
 * const once = Effect.succeed("done").pipe(HierarchicalLock.withReadIfAvailable("north"))
 *
 * const program = HierarchicalLock.withWrite(HierarchicalLock.detached(once), "north")
 * assert(Option.isNone(await Effect.runPromise(Effect.provide(program, HierarchicalLock.layerMemory()))))
 * ```
 *
 * @since 0.2.0
 * @category accessors
 */
export const withReadIfAvailable: {
  /**
   * Runs an effect while the node and everything below it are held, shared, if that is free at once: then the result is a
   * `Some`. Otherwise the effect is not run, and the result is `None`.
   *
   * Takes the effect, or a function from the lease to one, first or in a `pipe`. Never waits, and never passes those who do.
   * Can be interrupted at any time; an interruption, like any failure, leaves nothing behind. Fails as the effect does, also
   * with a `WouldBlock` of its own, with `InvalidPath` and `InvalidOptions` before anything is sent, and with `StoreError`.
   *
   * When the lease is lost, the effect is interrupted and the whole fails with `LockLost`.
   *
   * @example
   * ```ts
   * import { HierarchicalLock } from "@hilok/core"
   * import { Effect, Option } from "effect"
   * import assert from "node:assert"
   *
   * const once = Effect.succeed("done").pipe(HierarchicalLock.withReadIfAvailable("north"))
   *
   * const program = HierarchicalLock.withWrite(HierarchicalLock.detached(once), "north")
   * assert(Option.isNone(await Effect.runPromise(Effect.provide(program, HierarchicalLock.layerMemory()))))
   * ```
   *
   * @since 0.2.0
   * @category accessors
   */
  <A, E, R>(
    use: Use<A, E, R>,
    what: LockPath.Input,
    options?: LockOptions.IfAvailableOptions
  ): Effect.Effect<Option.Option<A>, E | LockLost | AcquireError<{}>, R | HierarchicalLock>
  (
    what: LockPath.Input,
    options?: LockOptions.IfAvailableOptions
  ): <A, E, R>(use: Use<A, E, R>) => Effect.Effect<Option.Option<A>, E | LockLost | AcquireError<{}>, R | HierarchicalLock>
} = accessors.withReadIfAvailable

/**
 * Runs an effect while the node and everything below it are held, exclusive, if that is free at once.
 *
 * Takes the effect, or a function from the lease to one, first or in a `pipe`. Never waits, and never passes those who do.
 * Can be interrupted at any time; an interruption, like any failure, leaves nothing behind. Fails as the effect does, also
 * with a `WouldBlock` of its own, with `InvalidPath` and `InvalidOptions` before anything is sent, and with `StoreError`.
 *
 * When the lease is lost, the effect is interrupted and the whole fails with `LockLost`.
 *
 * @example
 * ```ts
 * import { HierarchicalLock } from "@hilok/core"
 * import { Console, Effect, Option } from "effect"
 * import assert from "node:assert"
 *
 * const done = Console.log("it was free").pipe(HierarchicalLock.withWriteIfAvailable("jobs/nightly"))
 *
 * const result = await Effect.runPromise(Effect.provide(done, HierarchicalLock.layerMemory()))
 * assert(Option.isSome(result))
 * ```
 *
 * @since 0.2.0
 * @category accessors
 */
export const withWriteIfAvailable: {
  /**
   * Runs an effect while the node and everything below it are held, exclusive, if that is free at once.
   *
   * Takes the effect, or a function from the lease to one, first or in a `pipe`. Never waits, and never passes those who do.
   * Can be interrupted at any time; an interruption, like any failure, leaves nothing behind. Fails as the effect does, also
   * with a `WouldBlock` of its own, with `InvalidPath` and `InvalidOptions` before anything is sent, and with `StoreError`.
   *
   * When the lease is lost, the effect is interrupted and the whole fails with `LockLost`.
   *
   * @example
   * ```ts
   * import { HierarchicalLock } from "@hilok/core"
   * import { Console, Effect, Option } from "effect"
   * import assert from "node:assert"
   *
   * const done = Console.log("it was free").pipe(HierarchicalLock.withWriteIfAvailable("jobs/nightly"))
   *
   * const result = await Effect.runPromise(Effect.provide(done, HierarchicalLock.layerMemory()))
   * assert(Option.isSome(result))
   * ```
   *
   * @since 0.2.0
   * @category accessors
   */
  <A, E, R>(
    use: Use<A, E, R>,
    what: LockPath.Input,
    options?: LockOptions.IfAvailableOptions
  ): Effect.Effect<Option.Option<A>, E | LockLost | AcquireError<{}>, R | HierarchicalLock>
  (
    what: LockPath.Input,
    options?: LockOptions.IfAvailableOptions
  ): <A, E, R>(use: Use<A, E, R>) => Effect.Effect<Option.Option<A>, E | LockLost | AcquireError<{}>, R | HierarchicalLock>
} = accessors.withWriteIfAvailable

/**
 * Runs an effect while the node alone is held, shared, if that is free at once.
 *
 * Takes the effect, or a function from the lease to one, first or in a `pipe`. Never waits, and never passes those who do.
 * Can be interrupted at any time; an interruption, like any failure, leaves nothing behind. Fails as the effect does, also
 * with a `WouldBlock` of its own, with `InvalidPath` and `InvalidOptions` before anything is sent, and with `StoreError`.
 *
 * When the lease is lost, the effect is interrupted and the whole fails with `LockLost`.
 *
 * @example
 * ```ts
 * import { HierarchicalLock } from "@hilok/core"
 * import { Console, Effect, Option } from "effect"
 * import assert from "node:assert"
 *
 * const done = Console.log("it was free").pipe(HierarchicalLock.withReadNodeIfAvailable("docs"))
 *
 * const result = await Effect.runPromise(Effect.provide(done, HierarchicalLock.layerMemory()))
 * assert(Option.isSome(result))
 * ```
 *
 * @since 0.2.0
 * @category accessors
 */
export const withReadNodeIfAvailable: {
  /**
   * Runs an effect while the node alone is held, shared, if that is free at once.
   *
   * Takes the effect, or a function from the lease to one, first or in a `pipe`. Never waits, and never passes those who do.
   * Can be interrupted at any time; an interruption, like any failure, leaves nothing behind. Fails as the effect does, also
   * with a `WouldBlock` of its own, with `InvalidPath` and `InvalidOptions` before anything is sent, and with `StoreError`.
   *
   * When the lease is lost, the effect is interrupted and the whole fails with `LockLost`.
   *
   * @example
   * ```ts
   * import { HierarchicalLock } from "@hilok/core"
   * import { Console, Effect, Option } from "effect"
   * import assert from "node:assert"
   *
   * const done = Console.log("it was free").pipe(HierarchicalLock.withReadNodeIfAvailable("docs"))
   *
   * const result = await Effect.runPromise(Effect.provide(done, HierarchicalLock.layerMemory()))
   * assert(Option.isSome(result))
   * ```
   *
   * @since 0.2.0
   * @category accessors
   */
  <A, E, R>(
    use: Use<A, E, R>,
    what: LockPath.Input,
    options?: LockOptions.IfAvailableOptions
  ): Effect.Effect<Option.Option<A>, E | LockLost | AcquireError<{}>, R | HierarchicalLock>
  (
    what: LockPath.Input,
    options?: LockOptions.IfAvailableOptions
  ): <A, E, R>(use: Use<A, E, R>) => Effect.Effect<Option.Option<A>, E | LockLost | AcquireError<{}>, R | HierarchicalLock>
} = accessors.withReadNodeIfAvailable

/**
 * Runs an effect while the node alone is held, exclusive, if that is free at once.
 *
 * Takes the effect, or a function from the lease to one, first or in a `pipe`. Never waits, and never passes those who do.
 * Can be interrupted at any time; an interruption, like any failure, leaves nothing behind. Fails as the effect does, also
 * with a `WouldBlock` of its own, with `InvalidPath` and `InvalidOptions` before anything is sent, and with `StoreError`.
 *
 * When the lease is lost, the effect is interrupted and the whole fails with `LockLost`.
 *
 * @example
 * ```ts
 * import { HierarchicalLock } from "@hilok/core"
 * import { Console, Effect, Option } from "effect"
 * import assert from "node:assert"
 *
 * const done = Console.log("it was free").pipe(HierarchicalLock.withWriteNodeIfAvailable("docs"))
 *
 * const result = await Effect.runPromise(Effect.provide(done, HierarchicalLock.layerMemory()))
 * assert(Option.isSome(result))
 * ```
 *
 * @since 0.2.0
 * @category accessors
 */
export const withWriteNodeIfAvailable: {
  /**
   * Runs an effect while the node alone is held, exclusive, if that is free at once.
   *
   * Takes the effect, or a function from the lease to one, first or in a `pipe`. Never waits, and never passes those who do.
   * Can be interrupted at any time; an interruption, like any failure, leaves nothing behind. Fails as the effect does, also
   * with a `WouldBlock` of its own, with `InvalidPath` and `InvalidOptions` before anything is sent, and with `StoreError`.
   *
   * When the lease is lost, the effect is interrupted and the whole fails with `LockLost`.
   *
   * @example
   * ```ts
   * import { HierarchicalLock } from "@hilok/core"
   * import { Console, Effect, Option } from "effect"
   * import assert from "node:assert"
   *
   * const done = Console.log("it was free").pipe(HierarchicalLock.withWriteNodeIfAvailable("docs"))
   *
   * const result = await Effect.runPromise(Effect.provide(done, HierarchicalLock.layerMemory()))
   * assert(Option.isSome(result))
   * ```
   *
   * @since 0.2.0
   * @category accessors
   */
  <A, E, R>(
    use: Use<A, E, R>,
    what: LockPath.Input,
    options?: LockOptions.IfAvailableOptions
  ): Effect.Effect<Option.Option<A>, E | LockLost | AcquireError<{}>, R | HierarchicalLock>
  (
    what: LockPath.Input,
    options?: LockOptions.IfAvailableOptions
  ): <A, E, R>(use: Use<A, E, R>) => Effect.Effect<Option.Option<A>, E | LockLost | AcquireError<{}>, R | HierarchicalLock>
} = accessors.withWriteNodeIfAvailable

/**
 * Runs an effect while several targets are held, if all are free at once.
 *
 * Takes the effect, or a function from the lease to one, first or in a `pipe`. Never waits, and never passes those who do.
 * Can be interrupted at any time; an interruption, like any failure, leaves nothing behind. Fails as the effect does, also
 * with a `WouldBlock` of its own, with `InvalidPath` and `InvalidOptions` before anything is sent, and with `StoreError`.
 *
 * When the lease is lost, the effect is interrupted and the whole fails with `LockLost`.
 *
 * @example
 * ```ts
 * import { HierarchicalLock, Target } from "@hilok/core"
 * import { Console, Effect, Option } from "effect"
 * import assert from "node:assert"
 *
 * const done = Console.log("it was free").pipe(HierarchicalLock.withLocksIfAvailable([Target.write("a"), Target.read("b")]))
 *
 * const result = await Effect.runPromise(Effect.provide(done, HierarchicalLock.layerMemory()))
 * assert(Option.isSome(result))
 * ```
 *
 * @since 0.2.0
 * @category accessors
 */
export const withLocksIfAvailable: {
  /**
   * Runs an effect while several targets are held, if all are free at once.
   *
   * Takes the effect, or a function from the lease to one, first or in a `pipe`. Never waits, and never passes those who do.
   * Can be interrupted at any time; an interruption, like any failure, leaves nothing behind. Fails as the effect does, also
   * with a `WouldBlock` of its own, with `InvalidPath` and `InvalidOptions` before anything is sent, and with `StoreError`.
   *
   * When the lease is lost, the effect is interrupted and the whole fails with `LockLost`.
   *
   * @example
   * ```ts
   * import { HierarchicalLock, Target } from "@hilok/core"
   * import { Console, Effect, Option } from "effect"
   * import assert from "node:assert"
   *
   * const done = Console.log("it was free").pipe(HierarchicalLock.withLocksIfAvailable([Target.write("a"), Target.read("b")]))
   *
   * const result = await Effect.runPromise(Effect.provide(done, HierarchicalLock.layerMemory()))
   * assert(Option.isSome(result))
   * ```
   *
   * @since 0.2.0
   * @category accessors
   */
  <A, E, R>(
    use: Use<A, E, R>,
    what: ReadonlyArray<Target>,
    options?: LockOptions.IfAvailableOptions
  ): Effect.Effect<Option.Option<A>, E | LockLost | AcquireError<{}>, R | HierarchicalLock>
  (
    what: ReadonlyArray<Target>,
    options?: LockOptions.IfAvailableOptions
  ): <A, E, R>(use: Use<A, E, R>) => Effect.Effect<Option.Option<A>, E | LockLost | AcquireError<{}>, R | HierarchicalLock>
} = accessors.withLocksIfAvailable

/**
 * Puts a stream under locks: they are acquired when it is run, and released when it ends, however it does.
 *
 * Takes the stream first or in a `pipe`. Fails as the stream does, and as `withLocks` does otherwise. When the lease is
 * lost, the stream is interrupted and fails with `LockLost`, so that a stream that ends without a failure held its
 * locks to the end. What is done with the elements further down is not interrupted: it sees the failure when it asks
 * for the next element. Do the work that needs the locks in the stream that is put under them.
 *
 * @example
 * ```ts
 * import { HierarchicalLock, Target } from "@hilok/core"
 * import { Effect, Stream } from "effect"
 * import assert from "node:assert"
 *
 * const rows = Stream.make(1, 2, 3).pipe(
 *   Stream.mapEffect((row) => Effect.succeed(row * 10)),
 *   HierarchicalLock.streamLocks([Target.read("table")])
 * )
 *
 * const found = await Effect.runPromise(Effect.provide(Stream.runCollect(rows), HierarchicalLock.layerMemory()))
 * assert.deepStrictEqual([...found], [10, 20, 30])
 * ```
 *
 * @since 0.2.0
 * @category accessors
 */
export const streamLocks: {
  /**
   * Puts a stream under locks: they are acquired when it is run, and released when it ends, however it does.
   *
   * Takes the stream first or in a `pipe`. Fails as the stream does, and as `withLocks` does otherwise. When the lease is
   * lost, the stream is interrupted and fails with `LockLost`, so that a stream that ends without a failure held its
   * locks to the end. What is done with the elements further down is not interrupted: it sees the failure when it asks
   * for the next element. Do the work that needs the locks in the stream that is put under them.
   *
   * @example
   * ```ts
   * import { HierarchicalLock, Target } from "@hilok/core"
   * import { Effect, Stream } from "effect"
   * import assert from "node:assert"
   *
   * const rows = Stream.make(1, 2, 3).pipe(
   *   Stream.mapEffect((row) => Effect.succeed(row * 10)),
   *   HierarchicalLock.streamLocks([Target.read("table")])
   * )
   *
   * const found = await Effect.runPromise(Effect.provide(Stream.runCollect(rows), HierarchicalLock.layerMemory()))
   * assert.deepStrictEqual([...found], [10, 20, 30])
   * ```
   *
   * @since 0.2.0
   * @category accessors
   */
  <A, E, R, const O extends LockOptions.StreamOptions = {}>(
    stream: Stream.Stream<A, E, R>,
    what: ReadonlyArray<Target>,
    options?: O
  ): Stream.Stream<A, E | LockLost | AcquireError<O>, R | HierarchicalLock>
  <const O extends LockOptions.StreamOptions = {}>(
    what: ReadonlyArray<Target>,
    options?: O
  ): <A, E, R>(stream: Stream.Stream<A, E, R>) => Stream.Stream<A, E | LockLost | AcquireError<O>, R | HierarchicalLock>
} = accessors.streamLocks

/**
 * Acquires a lease outside any scope, which nobody refreshes: the caller refreshes and releases it, by id, here or in
 * another process.
 *
 * Waits and fails as `locks` does. It does not enclose what its fiber asks for later. An interruption right after the
 * call loses it (the ttl ends it then): acquire it in `Effect.acquireRelease`, where a `timeout` is kept as well. When
 * it is lost, only `lease.lost` and `lease.check` tell.
 *
 * @example
 * ```ts
 * import { HierarchicalLock, Target } from "@hilok/core"
 * import { Effect } from "effect"
 * import assert from "node:assert"
 *
 * const program = Effect.gen(function* () {
 *   const lease = yield* HierarchicalLock.acquire([Target.write("upload/7")], { ttl: "1m" })
 *   yield* HierarchicalLock.refresh(lease.id, { ttl: "1m" })
 *   assert(yield* HierarchicalLock.release(lease.id))
 * })
 *
 * await Effect.runPromise(Effect.provide(program, HierarchicalLock.layerMemory()))
 * ```
 *
 * @since 0.1.0
 * @category accessors
 */
export const acquire: Operations<HierarchicalLock>["acquire"] = accessors.acquire

/**
 * Takes over a live lease by its id, wherever it was acquired, until the scope closes: it is refreshed, and released
 * with the scope, as with `read`.
 *
 * Whoever kept the lease until then loses it (`taken`). Its deadline is never brought nearer. A lease that this service
 * keeps already has one more holder then: it is released when the last of their scopes closes, and what is left of its
 * `maxHold` goes on.
 *
 * Does not wait. Fails with `LockLost` when the lease is not live, with `InvalidOptions` and with `StoreError`. After an
 * interruption or a failure the owner and the deadline of the lease are as they were. A later loss is as with `read`.
 *
 * @example
 * ```ts
 * import { HierarchicalLock, Target } from "@hilok/core"
 * import { Effect } from "effect"
 * import assert from "node:assert"
 *
 * const program = Effect.gen(function* () {
 *   const { id, token } = yield* HierarchicalLock.acquire([Target.write("upload/7")])
 *   // Elsewhere, with the id that was sent there.
 *   const mine = yield* HierarchicalLock.restore(id)
 *   assert.strictEqual(mine.token, token)
 * }).pipe(HierarchicalLock.scoped)
 *
 * await Effect.runPromise(Effect.provide(program, HierarchicalLock.layerMemory()))
 * ```
 *
 * @since 0.1.0
 * @category accessors
 */
export const restore: Operations<HierarchicalLock>["restore"] = accessors.restore

/**
 * Moves the deadline of a lease to `ttl` from now (default: the service's; for a lease that a scope or `withX` of
 * this service keeps, no less than its own). The deadline of a lease that another client owns is never brought nearer.
 *
 * Fails with `LockLost` when the lease is not live, with `InvalidOptions` before anything is sent, and with
 * `StoreError`; then, as after an interruption, the deadline may have been moved.
 *
 * @example
 * ```ts
 * import { HierarchicalLock } from "@hilok/core"
 * import { Console, Effect } from "effect"
 *
 * const refresh = (id: string) =>
 *   HierarchicalLock.refresh(id, { ttl: "1m" }).pipe(
 *     Effect.catchTag("LockLost", ({ message }) => Console.log("too late:", message))
 *   )
 *
 * await Effect.runPromise(Effect.provide(refresh("an-old-id"), HierarchicalLock.layerMemory()))
 * ```
 *
 * @since 0.1.0
 * @category accessors
 */
export const refresh: Operations<HierarchicalLock>["refresh"] = accessors.refresh

/**
 * Ends a lease, or takes a waiting request out of the queue. By its id alone that is an order, whoever owns it. By the lease
 * that this service gave it ends nothing that another client has taken over. `false`, and no change, when it is not live.
 *
 * Fails with `StoreError`; then, as after an interruption, the lease may have ended, and otherwise its ttl ends it. A holder
 * other than the caller loses the lease at once (`released`); work that releases its own lease is not interrupted.
 *
 * @example
 * ```ts
 * import { HierarchicalLock } from "@hilok/core"
 * import { Effect } from "effect"
 * import assert from "node:assert"
 *
 * const program = HierarchicalLock.release("an-old-id")
 *
 * assert.strictEqual(await Effect.runPromise(Effect.provide(program, HierarchicalLock.layerMemory())), false)
 * ```
 *
 * @since 0.1.0
 * @category accessors
 */
export const release: Operations<HierarchicalLock>["release"] = accessors.release

/**
 * Turns `write` into `read` and `writeNode` into `readNode`, in place and without a gap, and grants the requests that
 * no longer conflict. Shared targets stay as they are. Returns the lease with its new targets.
 *
 * Fails with `LockLost` when the lease is not live, and with `StoreError`; then it has happened or has not, for both sides:
 * `lease.targets` says which, as soon as the store can be asked. An interrupted downgrade goes on.
 *
 * @example
 * ```ts
 * import { HierarchicalLock } from "@hilok/core"
 * import { Effect } from "effect"
 * import assert from "node:assert"
 *
 * const program = Effect.gen(function* () {
 *   const lease = yield* HierarchicalLock.write("report")
 *   // Written; from here on others may read it, too.
 *   const shared = yield* HierarchicalLock.downgrade(lease)
 *   assert.deepStrictEqual(shared.targets, [{ mode: "read", path: "report" }])
 * }).pipe(HierarchicalLock.scoped)
 *
 * await Effect.runPromise(Effect.provide(program, HierarchicalLock.layerMemory()))
 * ```
 *
 * @since 0.1.0
 * @category accessors
 */
export const downgrade: Operations<HierarchicalLock>["downgrade"] = accessors.downgrade

/**
 * Makes a lease known to all processes by its id, so that it can be sent and restored elsewhere. Needed over a
 * `DelegatingStore`, for a lease of a scope or of `withX`, which until then may be known in this process alone; over any other
 * store, and for a lease that was acquired by hand, it does nothing.
 *
 * Fails with `LockLost` when the lease is not live, and with `StoreError`. When it is interrupted, the lease may be known or not.
 *
 * @example
 * ```ts
 * import { HierarchicalLock, Lease } from "@hilok/core"
 * import { Console, Effect, Schema } from "effect"
 *
 * const handOver = HierarchicalLock.withWrite(
 *   (lease) =>
 *     HierarchicalLock.share(lease).pipe(
 *       Effect.zipRight(Schema.encode(Lease.Lease)(lease)),
 *       Effect.flatMap((encoded) => Console.log("to the other process:", encoded.id))
 *     ),
 *   "report"
 * )
 *
 * await Effect.runPromise(Effect.provide(handOver, HierarchicalLock.layerMemory()))
 * ```
 *
 * @since 0.2.0
 * @category accessors
 */
export const share: Operations<HierarchicalLock>["share"] = accessors.share

/**
 * The leases and the waiting requests at the path or below it (default: all), in order of arrival.
 *
 * Fails with `InvalidPath`, and with `StoreError`. Changes nothing.
 *
 * @example
 * ```ts
 * import { HierarchicalLock, LockEntry } from "@hilok/core"
 * import { Console, Effect } from "effect"
 *
 * const program = Effect.gen(function* () {
 *   yield* HierarchicalLock.write("north/b1", { reason: "transfer 31" })
 *   for (const entry of yield* HierarchicalLock.inspect("north")) yield* Console.log(LockEntry.format(entry))
 * }).pipe(HierarchicalLock.scoped)
 *
 * await Effect.runPromise(Effect.provide(program, HierarchicalLock.layerMemory()))
 * ```
 *
 * @since 0.1.0
 * @category accessors
 */
export const inspect: Operations<HierarchicalLock>["inspect"] = accessors.inspect

/**
 * What `inspect` shows, as it is now and then each time it has changed: who holds and who waits for what. It looks
 * once a second, or as often as `every` says, and emits only when an entry was added, removed or changed; the passing of
 * time is no change.
 *
 * Does not end by itself. Fails with `InvalidPath` and `InvalidOptions` before anything is sent, and with `StoreError`:
 * `Stream.retry` looks again.
 *
 * @example
 * ```ts
 * import { HierarchicalLock } from "@hilok/core"
 * import { Console, Effect, Stream } from "effect"
 *
 * const watch = HierarchicalLock.changes("north", { every: "200ms" }).pipe(
 *   Stream.take(1),
 *   Stream.runForEach((entries) => Console.log(entries.length, "below north"))
 * )
 *
 * await Effect.runPromise(Effect.provide(watch, HierarchicalLock.layerMemory()))
 * ```
 *
 * @since 0.2.0
 * @category accessors
 */
export const changes: Operations<HierarchicalLock>["changes"] = accessors.changes

/**
 * For operators: ends a lease whoever holds it. The holder learns at once (`LockLost`, `broken`). `false` when the
 * id is not a live lease.
 *
 * Fails with `StoreError`; then, as after an interruption, the lease may have ended.
 *
 * @example
 * ```ts
 * import { HierarchicalLock } from "@hilok/core"
 * import { Effect } from "effect"
 *
 * const breakAll = Effect.gen(function* () {
 *   for (const entry of yield* HierarchicalLock.inspect("jobs/nightly")) {
 *     if (entry.state === "held") yield* HierarchicalLock.breakLease(entry.id)
 *   }
 * })
 *
 * await Effect.runPromise(Effect.provide(breakAll, HierarchicalLock.layerMemory()))
 * ```
 *
 * @since 0.1.0
 * @category accessors
 */
export const breakLease: Operations<HierarchicalLock>["breakLease"] = accessors.breakLease

/**
 * `Effect.scoped`, with the loss of a lease as an error: the loss of any lease that is acquired in the scope, by whichever
 * fiber, stops the effect, which then fails with `LockLost`.
 *
 * A lease belongs to the scope when that is what closes it, and when the fiber that acquired it has ended (as in
 * `Effect.all`, or in a layer). Interruption is as with `Effect.scoped`.
 *
 * @example
 * ```ts
 * import { HierarchicalLock } from "@hilok/core"
 * import { Console, Effect } from "effect"
 *
 * const program = Effect.gen(function* () {
 *   yield* Effect.all([HierarchicalLock.read("north"), HierarchicalLock.write("south")], { concurrency: 2 })
 *   yield* Console.log("both are held until the scope closes")
 * }).pipe(
 *   HierarchicalLock.scoped,
 *   Effect.catchTag("LockLost", ({ message }) => Console.log("stopped:", message))
 * )
 *
 * await Effect.runPromise(Effect.provide(program, HierarchicalLock.layerMemory()))
 * ```
 *
 * @since 0.2.0
 * @category accessors
 */
export const scoped: Operations<HierarchicalLock>["scoped"] = accessors.scoped

/**
 * Runs an effect as an outsider: what it asks for is not inside the leases of its fiber. For work that happens to run
 * under a lease held for a process's lifetime and must queue like everyone else.
 *
 * Adds no failure of its own, and changes nothing about interruption and loss: the fiber is the same.
 *
 * @example
 * ```ts
 * import { HierarchicalLock } from "@hilok/core"
 * import { Effect } from "effect"
 * import assert from "node:assert"
 *
 * const program = Effect.gen(function* () {
 *   yield* HierarchicalLock.write("leader")
 *   const inside = HierarchicalLock.withRead(Effect.void, "leader", { reentrant: true, timeout: 0 })
 *   yield* inside
 *   const error = yield* Effect.flip(HierarchicalLock.detached(inside))
 *   assert.strictEqual(error._tag, "LockTimeout")
 * }).pipe(HierarchicalLock.scoped)
 *
 * await Effect.runPromise(Effect.provide(program, HierarchicalLock.layerMemory()))
 * ```
 *
 * @since 0.1.0
 * @category accessors
 */
export const detached: Operations<HierarchicalLock>["detached"] = accessors.detached

/**
 * The service with options. Fails with `InvalidOptions` before anything is sent. When the layer is closed, the leases
 * that are held are lost (`closed`) and released, and every later call fails with `StoreError`.
 *
 * @example
 * ```ts
 * import { HierarchicalLock, MemoryStore } from "@hilok/core"
 * import { Console, Effect, Layer } from "effect"
 *
 * const LockLive = Layer.provide(HierarchicalLock.layer({ ttl: "10s", label: "report" }), MemoryStore.layer())
 *
 * const program = HierarchicalLock.withWrite(Console.log("mine"), "a")
 * await Effect.runPromise(Effect.provide(program, LockLive))
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layers<HierarchicalLock>["layer"] = accessors.layer

/**
 * The service with options from the configuration, by default from the environment: `HILOK_TTL`,
 * `HILOK_REFRESH_INTERVAL`, `HILOK_SEPARATOR`, … (see `LockOptions.config`). A wrong value is a `ConfigError` that names
 * the variable, or, when the configuration is another, the option.
 *
 * @example
 * ```ts
 * import { HierarchicalLock, LockDuration, MemoryStore } from "@hilok/core"
 * import { Config, ConfigProvider, Console, Effect, Layer } from "effect"
 *
 * // Other variables, and some of the options by code.
 * const Locks = HierarchicalLock.layerConfig({
 *   ttl: LockDuration.config("APP_LOCK_TTL"),
 *   label: Config.succeed("report")
 * })
 * const LockLive = Layer.provide(Locks, MemoryStore.layerConfig())
 *
 * const environment = ConfigProvider.fromMap(new Map([["APP_LOCK_TTL", "10s"]]))
 * const program = HierarchicalLock.withWrite(Console.log("mine"), "a").pipe(Effect.provide(LockLive))
 * await Effect.runPromise(Effect.withConfigProvider(program, environment))
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layerConfig: Layers<HierarchicalLock>["layerConfig"] = accessors.layerConfig

/**
 * The service over a memory store of its own, in one line: for first steps, for tests, and for locks between the
 * fibers of one process. Two that are built know nothing of each other: put it into a `const` and provide it once.
 *
 * @example
 * ```ts
 * import { HierarchicalLock } from "@hilok/core"
 * import { Console, Effect } from "effect"
 *
 * const program = HierarchicalLock.withWrite(Console.log("mine"), "a")
 * await Effect.runPromise(Effect.provide(program, HierarchicalLock.layerMemory()))
 * ```
 *
 * @since 0.2.0
 * @category layers
 */
export const layerMemory: Layers<HierarchicalLock>["layerMemory"] = accessors.layerMemory
