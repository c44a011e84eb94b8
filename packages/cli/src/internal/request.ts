/**
 * What `run` and `acquire` ask for.
 */
import type { LockOptions, Target } from "@hilok/core"
import * as Duration from "effect/Duration"
import type { ServerOptions } from "./server.ts"

export interface RequestOptions {
  readonly server: ServerOptions
  readonly targets: ReadonlyArray<Target.Target>
  readonly nonblock: boolean
  readonly wait: Duration.Duration | undefined
  readonly ttl: Duration.Duration | undefined
  readonly maxHold: Duration.Duration | undefined
  readonly reason: string | undefined
  readonly label: string | undefined
  /** The leases of the processes that this one was started by. */
  readonly within: ReadonlyArray<string>
}

export const toAcquireOptions = (options: RequestOptions): LockOptions.AcquireOptions => {
  const waits = !options.nonblock && (options.wait === undefined || Duration.toMillis(options.wait) > 0)
  return {
    block: waits,
    timeout: waits ? options.wait : undefined,
    ttl: options.ttl,
    maxHold: options.maxHold,
    reason: options.reason,
    label: options.label,
    within: options.within
  }
}

/** From `HILOK_WITHIN`, which `hilok run` sets for its child. */
export const enclosing = (): ReadonlyArray<string> =>
  (process.env.HILOK_WITHIN ?? "").split(",").filter((id) => id !== "")
