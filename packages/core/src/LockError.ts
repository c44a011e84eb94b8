/**
 * Every way in which a lock operation can fail: one tagged error for each case a caller would handle differently.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import * as LockEntry from "./LockEntry.ts"
import * as Target from "./Target.ts"

const targets = Schema.Array(Target.schema)

const seconds = (millis: number): string => (millis < 1000 ? `${Math.round(millis)} ms` : `${millis / 1000} s`)

/**
 * The lock is not free, and the caller chose not to wait (`block: false`). `blocker` is one lease or waiting request
 * that is in the way. Nothing is left behind.
 *
 * @since 0.1.0
 * @category errors
 */
export class WouldBlock extends Schema.TaggedError<WouldBlock>("@hilok/core/WouldBlock")("WouldBlock", {
  targets,
  blocker: Schema.optional(LockEntry.schema)
}) {
  override get message(): string {
    const blocker = this.blocker === undefined ? "" : `: blocked by ${LockEntry.format(this.blocker)}`
    return `The lock on ${Target.format(this.targets)} is not free${blocker}`
  }
}

/**
 * The lock was not granted within `timeout` (milliseconds). The request has left the queue.
 *
 * @since 0.1.0
 * @category errors
 */
export class LockTimeout extends Schema.TaggedError<LockTimeout>("@hilok/core/LockTimeout")("LockTimeout", {
  targets,
  timeout: Schema.Number,
  blocker: Schema.optional(LockEntry.schema)
}) {
  override get message(): string {
    const blocker = this.blocker === undefined ? "" : `: blocked by ${LockEntry.format(this.blocker)}`
    return `The lock on ${Target.format(this.targets)} was not granted within ${seconds(this.timeout)}${blocker}`
  }
}

/**
 * A lease is no longer held, although it was not released here.
 *
 * - `expired`: its deadline passed (or it never was).
 * - `broken`: an operator ended it.
 * - `released`: somebody else released it by hand, by its id.
 * - `taken`: somebody else restored it, and owns it now.
 * - `unreachable`: the store could not be reached before the local deadline, so somebody else may hold the lock by now.
 * - `closed`: the lock service was closed while the lease was held, and has released it.
 *
 * `maxHold` (milliseconds) is set when the lease ended because it had been held for the longest time allowed.
 *
 * @since 0.1.0
 * @category errors
 */
export class LockLost extends Schema.TaggedError<LockLost>("@hilok/core/LockLost")("LockLost", {
  id: Schema.String,
  targets,
  reason: Schema.Literal("expired", "broken", "released", "taken", "unreachable", "closed"),
  maxHold: Schema.optional(Schema.Number)
}) {
  override get message(): string {
    const what = this.targets.length === 0 ? `The lease ${this.id}` : `The lock on ${Target.format(this.targets)}`
    const lease = this.targets.length === 0 ? "" : ` (lease ${this.id})`
    switch (this.reason) {
      case "expired":
        return `${what} is not held${lease}: ${
          this.maxHold === undefined ? "it expired" : `its \`maxHold\` of ${seconds(this.maxHold)} is over`
        }`
      case "broken":
        return `${what} was broken by an operator${lease}`
      case "closed":
        return `${what} is no longer kept${lease}: the lock service was closed while it was held`
      case "released":
        return `${what} was released by hand elsewhere${lease}`
      case "taken":
        return `${what} was taken over${lease}: somebody else restored it`
      case "unreachable":
        return `${what} may be held by another${lease}: the store was not reached before the lease's deadline`
    }
  }
}

/**
 * The request could never be granted, because it waits for something that waits for it.
 *
 * - `cycle`: the ids of the requests and leases in the cycle, the failed request first; or, for a request that is
 *   blocked by a lease of its own fiber, that lease.
 * - `members`: the live ones among them, without the failed request: who they are, and what they hold or wait for.
 * - `enclosing`: the caller's own lease, when that is what is in the way. Ask with `reentrant: true` to be granted the
 *   lock all the same; or, in work that outlives the lease, such as a daemon, ask as an outsider (`detached`).
 * - `isForked`: the request was made by a fiber other than the one that holds `enclosing`. Whether the holder waits for
 *   that fiber cannot be known.
 *
 * The request has left the queue.
 *
 * @since 0.1.0
 * @category errors
 */
export class Deadlock extends Schema.TaggedError<Deadlock>("@hilok/core/Deadlock")("Deadlock", {
  targets,
  cycle: Schema.Array(Schema.String),
  members: Schema.optional(Schema.Array(LockEntry.schema)),
  enclosing: Schema.optional(LockEntry.schema),
  isForked: Schema.optional(Schema.Boolean)
}) {
  override get message(): string {
    const wanted = Target.format(this.targets)
    const shown = (id: string, at: number) => {
      if (at === 0) return `this request, id ${id}`
      const member = this.members?.find((entry) => entry.id === id)
      return member === undefined ? `id ${id}` : LockEntry.format(member)
    }
    if (this.enclosing === undefined) {
      const cycle = [...this.cycle.map(shown), "this request"].join(" -> ")
      return `Waiting for ${wanted} would never end: it closes the cycle ${cycle}`
    }
    const held = LockEntry.format(this.enclosing)
    const advice =
      "Use `reentrant: true` to be granted it inside your own lock, or `block: false` or a `timeout` to be refused"
    return this.isForked === true
      ? `Waiting for ${wanted} might never end: the caller runs inside ${held}, which may wait for it. ` +
          `If its holder does not wait for it (a daemon), ask in \`HierarchicalLock.detached\`. Otherwise ${advice.replace("Use", "use")}`
      : `Waiting for ${wanted} would never end: the caller itself holds ${held}. ${advice}`
  }
}

/**
 * The path cannot be used. Nothing was sent to the store.
 *
 * @since 0.1.0
 * @category errors
 */
export class InvalidPath extends Schema.TaggedError<InvalidPath>("@hilok/core/InvalidPath")("InvalidPath", {
  path: Schema.String,
  reason: Schema.String
}) {
  override get message(): string {
    return `The path ${JSON.stringify(this.path)} is not valid: ${this.reason}`
  }
}

/**
 * An option cannot be used. Nothing was sent to the store.
 *
 * @since 0.1.0
 * @category errors
 */
export class InvalidOptions extends Schema.TaggedError<InvalidOptions>("@hilok/core/InvalidOptions")("InvalidOptions", {
  option: Schema.String,
  reason: Schema.String
}) {
  override get message(): string {
    return `The option \`${this.option}\` is not valid: ${this.reason}`
  }
}

/**
 * The kinds of `StoreError`, for code that counts them or handles them differently:
 *
 * - `timeout`: the store did not answer in time.
 * - `connection`: it could not be reached, or the connection was lost.
 * - `busy`: it cannot answer for now, because it is running a long script, loading its data or failing over.
 * - `denied`: the user or password was not accepted, or lacks a permission.
 * - `full`: it is out of memory, or cannot save its data.
 * - `closed`: the store or the lock service was closed in this process.
 * - `other`: anything else; the message says what.
 *
 * @since 0.2.0
 * @category errors
 */
export const StoreErrorKind: Schema.Literal<["timeout", "connection", "busy", "denied", "full", "closed", "other"]> =
  Schema.Literal("timeout", "connection", "busy", "denied", "full", "closed", "other")

/**
 * The store could not do what it was asked to. `operation` says what that was, `reason` says why in words, `kind` says
 * why for programs, and `cause` is what the store's client reported. A failed acquire has been withdrawn if the store
 * could be reached; otherwise it expires with its ttl.
 *
 * @since 0.1.0
 * @category errors
 */
export class StoreError extends Schema.TaggedError<StoreError>("@hilok/core/StoreError")("StoreError", {
  operation: Schema.String,
  reason: Schema.String,
  kind: Schema.optional(StoreErrorKind),
  cause: Schema.optional(Schema.Defect)
}) {
  override get message(): string {
    return `The lock store failed to ${this.operation}: ${this.reason}`
  }
}

/**
 * Any of the errors: the type, and the schema of the union, for an API that passes them on.
 *
 * @since 0.1.0
 * @category errors
 */
export type LockError = WouldBlock | LockTimeout | LockLost | Deadlock | InvalidPath | InvalidOptions | StoreError

/**
 * Any of the errors: the type, and the schema of the union, for an API that passes them on.
 *
 * @since 0.2.0
 * @category errors
 */
export const LockError = Schema.Union(
  WouldBlock,
  LockTimeout,
  LockLost,
  Deadlock,
  InvalidPath,
  InvalidOptions,
  StoreError
)

/**
 * Is this one of the errors? For handlers around code whose error type is not known.
 *
 * @example
 * ```ts
 * import { HierarchicalLock, LockError } from "@hilok/core"
 * import { Effect } from "effect"
 * import assert from "node:assert"
 *
 * // Whatever comes from a lock becomes one answer; everything else stays what it is.
 * const answer = <E, R>(handler: Effect.Effect<string, E, R>) =>
 *   Effect.catchIf(handler, LockError.isLockError, (error) => Effect.succeed(`503 ${error.message}`))
 *
 * const handler = HierarchicalLock.withWrite(Effect.succeed("200"), "a\0")
 * const answered = await Effect.runPromise(Effect.provide(answer(handler), HierarchicalLock.layerMemory()))
 * assert(answered.startsWith("503 The path"))
 * ```
 *
 * @since 0.2.0
 * @category guards
 */
export const isLockError: (value: unknown) => value is LockError = Schema.is(LockError)
