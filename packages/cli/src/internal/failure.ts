/**
 * What ends the program with an exit code other than that of success.
 */
import * as Data from "effect/Data"

/** After sysexits.h, where it has a code. */
export const exitCode = {
  /** Something was not found, or not in order. */
  negative: 1,
  usage: 64,
  unavailable: 69,
  internal: 70,
  conflict: 75,
  lost: 79,
  notExecutable: 126,
  notFound: 127
} as const

/** Ends the program with a message on standard error and an exit code. */
export class Failure extends Data.TaggedError("Failure")<{
  readonly message: string
  readonly code: number
}> {}

/** For people, on standard error: standard output may belong to a child or to a script. */
export const say = (message: string): void => {
  process.stderr.write(`hilok: ${message}\n`)
}
