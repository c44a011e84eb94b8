/** The command line of the demo. */
import { parseArgs } from "node:util"
import { Data, Either } from "effect"

export interface Settings {
  readonly seconds: number
  /** How many workers transfer money. The auditors come on top: one for each branch, one for the head office. */
  readonly workers: number
  readonly accounts: number
  readonly seed: number
  /** Where the files go; a temporary folder when it is not given. */
  readonly dir: string | undefined
  readonly locks: boolean
  /** Whether each process decides by itself about what the others leave alone. */
  readonly delegation: boolean
  /** The Redis store: the address of a server, or `"auto"`. In-process memory when it is not given. */
  readonly redis: string | undefined
  /** Over how many operating-system processes the workers are spread. */
  readonly processes: number
}

const defaults = { seconds: 6, workers: 16, accounts: 12, seed: 1, processes: 4 }

/** The exit code for a wrong command line (`EX_USAGE` of sysexits.h). */
export const usageExitCode = 64

export class UsageError extends Data.TaggedError("UsageError")<{ readonly message: string }> {}

export const help = `Transfers between the accounts of a bank, kept as files region/branch/account.json, under
hierarchical locks, while auditors add up a branch or the whole bank and check the sums.

  npm run demo                     with locks: every sum must be right
  npm run demo -- --no-locks       the same without locks: see the damage

Options
  --seconds N      how long to work, 0.5 to 600 (default ${defaults.seconds})
  --workers N      how many transfer money at once, 1 to 1000 (default ${defaults.workers})
  --accounts N     how many accounts there are, 2 to 1000 (default ${defaults.accounts})
  --seed N         a whole number that decides who transfers what (default ${defaults.seed})
  --dir PATH       keep the files there (default: a temporary folder, of which only the picture stays)
  --no-locks       work without locks
  --delegation     let each process decide by itself about what nobody else asks for
  --redis [URL]    keep the locks in Redis, the workers in separate processes
                   (without URL: REDIS_URL, else a server of its own)
  --processes N    how many processes, 1 to 64 (default ${defaults.processes}); implies --redis
  --help           this text

Exit code: 0 when every sum was right (or with --no-locks), 1 when one was not, 64 for a wrong option,
130 when it was stopped.
`

const flags = {
  seconds: { type: "string" },
  workers: { type: "string" },
  accounts: { type: "string" },
  seed: { type: "string" },
  dir: { type: "string" },
  "no-locks": { type: "boolean" },
  delegation: { type: "boolean" },
  redis: { type: "string" },
  processes: { type: "string" },
  help: { type: "boolean", short: "h" }
} as const

const refuse = (message: string) => Either.left(new UsageError({ message }))

const parsed = (args: ReadonlyArray<string>) =>
  Either.try({
    try: () => parseArgs({ args: [...args], options: flags, allowPositionals: true, strict: true }),
    catch: (error) => new UsageError({ message: (error as Error).message.split(". ")[0]! })
  })

const number = (
  name: string,
  text: string | undefined,
  otherwise: number,
  limits: { readonly from: number; readonly to: number; readonly whole: boolean }
): Either.Either<number, UsageError> => {
  if (text === undefined) return Either.right(otherwise)
  const value = text.trim() === "" ? Number.NaN : Number(text)
  const { from, to, whole } = limits
  return Number.isFinite(value) && value >= from && value <= to && (!whole || Number.isInteger(value))
    ? Either.right(value)
    : refuse(
        `--${name} must be a ${whole ? "whole number" : "number"} from ${from} to ${to}, not ${JSON.stringify(text)}`
      )
}

/** `--redis` may stand without a value, which `parseArgs` does not know. */
const completeRedis = (args: ReadonlyArray<string>): ReadonlyArray<string> =>
  args.flatMap((arg, i) => {
    if (arg !== "--redis") return [arg]
    const next = args[i + 1]
    return next === undefined || next.startsWith("-") ? ["--redis=auto"] : [arg]
  })

export const parse = (args: ReadonlyArray<string>): Either.Either<Settings | "help", UsageError> =>
  Either.gen(function* () {
    const { values, positionals } = yield* parsed(completeRedis(args))
    if (values.help) return "help"
    if (positionals.length > 0) yield* refuse(`Unexpected argument ${JSON.stringify(positionals[0])}`)
    if (values.dir === "") yield* refuse("--dir must name a folder")
    const redis = values.redis ?? (values.processes === undefined ? undefined : "auto")
    if (redis !== undefined && redis !== "auto" && !/^rediss?:\/\/./.test(redis)) {
      yield* refuse("--redis must be an address such as redis://localhost:6379")
    }
    if (redis !== undefined && values["no-locks"]) yield* refuse("--no-locks goes without --redis and --processes")
    if (values.delegation && values["no-locks"]) yield* refuse("--no-locks goes without --delegation")
    const limit = (from: number, to: number, whole = true) => ({ from, to, whole })
    return {
      seconds: yield* number("seconds", values.seconds, defaults.seconds, limit(0.5, 600, false)),
      workers: yield* number("workers", values.workers, defaults.workers, limit(1, 1000)),
      accounts: yield* number("accounts", values.accounts, defaults.accounts, limit(2, 1000)),
      seed: yield* number("seed", values.seed, defaults.seed, limit(-(2 ** 31), 2 ** 31 - 1)),
      dir: values.dir,
      locks: !values["no-locks"],
      delegation: values.delegation ?? false,
      redis,
      processes: yield* number(
        "processes",
        values.processes,
        redis === undefined ? 1 : defaults.processes,
        limit(1, 64)
      )
    }
  })
