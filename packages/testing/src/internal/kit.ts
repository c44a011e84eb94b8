import type { LockStore } from "@hilok/core/LockStore"
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
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
  /** Empties the store after a failure. */
  readonly clear: Effect.Effect<void>
}

/** Registers a test. The store is empty before it, and has to be empty after what the session has is given back. */
export type Test = (name: string, body: (kit: Kit) => Effect.Effect<void, unknown, Scope.Scope>) => void
