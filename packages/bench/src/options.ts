import { parseArgs } from "node:util"

export interface Options {
  readonly only: ReadonlyArray<string>
  readonly contestants: ReadonlyArray<string>
  /** Seconds of one measurement. */
  readonly seconds: number
  /** Milliseconds that all takes longer to the server, and as many back. */
  readonly delay: number
  readonly json: string | undefined
  readonly markdown: string | undefined
  readonly pin: boolean
  readonly help: boolean
}

/** What is wrong with the command line, for the user. */
export class UsageError extends Error {}

const known = (option: string, given: ReadonlyArray<string>, names: ReadonlyArray<string>): ReadonlyArray<string> => {
  const all = given.flatMap((value) => value.split(",")).map((name) => name.trim())
  for (const name of all) {
    if (!names.includes(name))
      throw new UsageError(`--${option} ${JSON.stringify(name)}: known are ${names.join(", ")}`)
  }
  return all
}

const parse = (args: ReadonlyArray<string>) => {
  try {
    return parseArgs({
      args: [...args],
      strict: true,
      options: {
        only: { type: "string", multiple: true },
        contestants: { type: "string", multiple: true },
        seconds: { type: "string" },
        delay: { type: "string" },
        json: { type: "string" },
        markdown: { type: "string" },
        "no-pin": { type: "boolean" },
        help: { type: "boolean", short: "h" }
      }
    }).values
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error))
  }
}

export const decode = (
  args: ReadonlyArray<string>,
  workloads: ReadonlyArray<string>,
  contestants: ReadonlyArray<string>
): Options => {
  const values = parse(args)
  const seconds = values.seconds === undefined ? 0.3 : Number(values.seconds)
  if (!(seconds >= 0.05 && seconds <= 60)) {
    throw new UsageError(`--seconds ${JSON.stringify(values.seconds)}: a number from 0.05 to 60 is needed`)
  }
  const delay = Number(values.delay ?? 0)
  if (!(Number.isInteger(delay) && delay >= 0 && delay <= 100)) {
    throw new UsageError(`--delay ${JSON.stringify(values.delay)}: a whole number from 0 to 100 is needed`)
  }
  for (const option of ["json", "markdown"] as const) {
    if (values[option] === "") throw new UsageError(`--${option}: the name of a file is needed`)
  }
  return {
    only: known("only", values.only ?? [], workloads),
    contestants: known("contestants", values.contestants ?? [], contestants),
    seconds,
    delay,
    json: values.json,
    markdown: values.markdown,
    pin: values["no-pin"] !== true,
    help: values.help === true
  }
}
