/**
 * How a lock was lost, in words.
 */
import { type LockError, Target } from "@hilok/core"
import * as durations from "./durations.ts"

const reasons: Readonly<Record<string, string>> = {
  expired: "is not held any more: it expired or was released",
  broken: "was broken by an operator",
  released: "was released by hand",
  taken: "was taken over by another process",
  unreachable: "may be held by another: the store was not reached before the lease's deadline",
  closed: "was given up: the connection to the server was closed"
}

/** `held`: for how long (milliseconds). */
export const lossMessage = (
  lost: LockError.LockLost,
  targets: ReadonlyArray<Target.Target>,
  { held, maxHold }: { readonly held: number; readonly maxHold: number | undefined }
): string => {
  const lock = `The lock on ${Target.format(targets)}`
  // The last refresh may have ended it a little earlier.
  if (lost.reason === "expired" && maxHold !== undefined && held + 100 > maxHold) {
    return `${lock} was held for longer than --max-hold (${durations.format(maxHold)})`
  }
  return `${lock} ${reasons[lost.reason] ?? `was lost: ${lost.reason}`} (lease ${lost.id})`
}
