/**
 * What ends the program with an exit code other than that of success.
 */
import { clean } from "./clean.ts"

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
export class Failure extends Error {
  readonly _tag = "Failure"
  readonly code: number

  constructor(fields: { readonly message: string; readonly code: number }) {
    super(fields.message)
    this.code = fields.code
  }
}

/** The command line is wrong. */
export const usage = (message: string): Failure => new Failure({ message, code: exitCode.usage })

/** For people, on standard error: standard output may belong to a child or to a script. */
export const say = (message: string): void => {
  process.stderr.write(`hilok: ${clean(message)}\n`)
}
