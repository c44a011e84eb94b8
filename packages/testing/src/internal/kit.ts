import * as LockPath from "@hilok/core/LockPath"
import type { LockStore } from "@hilok/core/LockStore"
import type { Target } from "@hilok/core/Target"
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type * as Scope from "effect/Scope"
import type { Session } from "../Session.ts"

/** What a test of the contract works with. */
export interface Kit {
  readonly store: LockStore["Type"]
  readonly session: Session
  readonly advance: (duration: Duration.Duration) => Effect.Effect<void>
  readonly exactTime: boolean
  /** The ttl of leases that the test lets expire. */
  readonly ttl: Duration.Duration
  /** The store decides in partitions, by a path's first segment. */
  readonly partitioned: boolean
  /** Targets for which one order holds: as they are, or below one segment where the store is partitioned. */
  readonly inOne: (targets: ReadonlyArray<Target>) => ReadonlyArray<Target>
  /** Empties the store after a failure. */
  readonly clear: Effect.Effect<void>
}

/** The segment below which everything lies in one partition. */
export const top = "one"

/** The same targets, below one segment. */
export const below = (targets: ReadonlyArray<Target>): ReadonlyArray<Target> =>
  targets.map(({ mode, path }) => ({
    mode,
    path: [top, ...LockPath.segments(Either.getOrThrow(LockPath.parse(path)))]
  }))

/** Registers a test. The store is empty before it, and has to be empty after what the session has is given back. */
export type Test = (name: string, body: (kit: Kit) => Effect.Effect<void, unknown, Scope.Scope>) => void
