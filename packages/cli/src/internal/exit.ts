/**
 * How a command ends when it does not simply succeed.
 */
import type { LockError } from "@hilok/core"
import * as Data from "effect/Data"

/** The exit codes that are ours; those of 64 and above are named after sysexits.h. A child's own pass through. */
export const code = {
  failed: 1,
  usage: 64,
  unavailable: 69,
  conflict: 75,
  lost: 79,
  notExecutable: 126,
  notFound: 127
} as const

/** Ends the program with an exit code, and with what there is to say. */
export class Stop extends Data.TaggedError("Stop")<{
  readonly code: number
  readonly message: string
}> {}

export const stop = (code: number, message = ""): Stop => new Stop({ code, message })

export const usage = (message: string): Stop => stop(code.usage, message)

/** The exit code and the words for what went wrong with a lock. */
export const fromLockError = (error: LockError.LockError, conflict: number = code.conflict): Stop => {
  switch (error._tag) {
    case "InvalidOptions":
    case "InvalidPath":
      return usage(error.message)
    case "WouldBlock":
    case "LockTimeout":
    case "Deadlock":
      return stop(conflict, error.message)
    case "LockLost":
      return stop(code.lost, error.message)
    case "StoreError":
      return stop(code.unavailable, error.message)
  }
}
