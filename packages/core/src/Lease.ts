/**
 * What a holder has.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { LockLost, StoreError } from "./LockError.ts"
import * as Target from "./Target.ts"

/** How a lease reaches the service that keeps it. */
export interface Upkeep {
  /** The name under which the store knows the owner of the lease, as far as this service knows. */
  readonly owner: () => string
  readonly lost: Effect.Effect<never, LockLost>
  readonly check: Effect.Effect<void, LockLost | StoreError>
}

let setUpkeep: (lease: Lease, upkeep: Upkeep) => void
let getUpkeep: (lease: Lease) => Upkeep | undefined

const detached = Effect.dieMessage(
  "This lease was decoded, so no service keeps it here: take it over with `HierarchicalLock.restore(lease.id)` first"
)

/**
 * A lease: the right to the targets, until it is released or lost. It can be encoded and sent to another process, where
 * `HierarchicalLock.restore(lease.id)` takes it over. Over a `DelegatingStore`, call `HierarchicalLock.share(lease)`
 * before sending it: until then other processes may not know it.
 *
 * - `id`: the id of the request.
 * - `token`: the fencing token. Send it along with every write, and let the system you write to refuse smaller ones:
 *   only that keeps out a holder that was paused past its deadline.
 * - `targets`: what is held.
 *
 * @since 0.1.0
 * @category models
 */
export class Lease extends Schema.Class<Lease>("@hilok/core/Lease")({
  id: Schema.String,
  token: Schema.Number,
  targets: Schema.Array(Target.schema)
}) {
  // Not a field of the schema: it stays behind when the lease is sent.
  #upkeep: Upkeep | undefined

  static {
    setUpkeep = (lease, upkeep) => {
      lease.#upkeep = upkeep
    }
    getUpkeep = (lease) => lease.#upkeep
  }

  /** Fails with `LockLost` when the lease is lost; never succeeds. A released lease is not lost. */
  get lost(): Effect.Effect<never, LockLost> {
    return this.#upkeep?.lost ?? detached
  }

  /** Asks the store whether the lease is live, without extending it. Fails with `LockLost` when it is not. */
  get check(): Effect.Effect<void, LockLost | StoreError> {
    return this.#upkeep?.check ?? detached
  }
}

/**
 * Makes a lease that a service keeps.
 *
 * @internal
 */
export const unsafeMake = (
  fields: { readonly id: string; readonly token: number; readonly targets: ReadonlyArray<Target.Target> },
  upkeep: Upkeep
): Lease => {
  const lease = new Lease({ id: fields.id, token: fields.token, targets: fields.targets }, { disableValidation: true })
  setUpkeep(lease, upkeep)
  return lease
}

/**
 * The owner of a lease that a service here has made; `undefined` for a decoded one.
 *
 * @internal
 */
export const ownerOf = (lease: Lease): string | undefined => getUpkeep(lease)?.owner()
