/**
 * The bank: a tree of files, `region/branch/account.json` with a balance each, and `region/branch/branch.json` with
 * what the accounts of the branch must add up to. The path of an account's lock is the path of its file.
 *
 * Nothing here knows of locks. Every read and write is followed by a pause, so that whoever is not kept out gets in
 * between.
 */
import * as FileSystem from "@effect/platform/FileSystem"
import * as Path from "@effect/platform/Path"
import { Data, Effect, Random, Schema } from "effect"

export interface Branch {
  readonly path: string
  readonly accounts: ReadonlyArray<string>
}

/** What every account begins with. */
export const openingBalance = 1000

const regions = ["north", "south", "east", "west"]

/** Spreads the accounts evenly over branches, and the branches over two or four regions. */
export const plan = (accounts: number): ReadonlyArray<Branch> => {
  const branches = accounts < 8 ? Math.floor(accounts / 2) : Math.max(4, Math.ceil(accounts / 8))
  const used = regions.slice(0, branches > 6 ? 4 : Math.min(branches, 2))
  const inRegion = Math.ceil(branches / used.length)
  const digits = String(Math.ceil(accounts / branches)).length
  return Array.from({ length: branches }, (_, b) => {
    const path = `${used[Math.floor(b / inRegion)]}/b${(b % inRegion) + 1}`
    const count = Math.floor(accounts / branches) + (b < accounts % branches ? 1 : 0)
    return {
      path,
      accounts: Array.from({ length: count }, (_, a) => `${path}/a${String(a + 1).padStart(digits, "0")}`)
    }
  })
}

/** The path of the branch an account belongs to. */
export const branchOf = (account: string): string => account.slice(0, account.lastIndexOf("/"))

const Amount = Schema.parseJson(Schema.Struct({ amount: Schema.Int }))
const encode = Schema.encodeSync(Amount)

/** A file was read while another was writing it. */
class HalfWritten extends Data.TaggedError("HalfWritten")<{ readonly file: string }> {}

/** What was found wrong, in words; `undefined` when all was right. */
export type Finding = string | undefined

export interface Bank {
  /** Creates the files. */
  readonly open: Effect.Effect<void>
  /** Moves money from one account to another, as far as there is any. */
  readonly transfer: (from: string, to: string, amount: number) => Effect.Effect<Finding>
  /** Adds up the accounts of a branch and compares the sum with what the branch has on record. */
  readonly auditBranch: (branch: Branch) => Effect.Effect<Finding>
  /** Adds up all accounts and compares the sum with what the bank began with. */
  readonly auditAll: Effect.Effect<Finding>
  /** The sum of all accounts, and how many of their files cannot be read. */
  readonly sum: Effect.Effect<{ readonly sum: number; readonly unreadable: number }>
}

export const make = (
  folder: string,
  branches: ReadonlyArray<Branch>
): Effect.Effect<Bank, never, FileSystem.FileSystem | Path.Path> =>
  Effect.gen(function* () {
    const fs = yield* FileSystem.FileSystem
    const { join } = yield* Path.Path
    const accounts = branches.flatMap((branch) => branch.accounts)

    const accountFile = (account: string) => `${account}.json`
    const branchFile = (branch: string) => `${branch}/branch.json`

    // A disk that fails is a defect of the run, not something a worker could handle.
    const read = (file: string): Effect.Effect<number, HalfWritten> =>
      fs.readFileString(join(folder, file)).pipe(
        Effect.orDie,
        Effect.flatMap(Schema.decode(Amount)),
        Effect.catchTag("ParseError", () => new HalfWritten({ file })),
        Effect.map(({ amount }) => amount)
      )

    const write = (file: string, amount: number): Effect.Effect<void> =>
      Effect.orDie(fs.writeFileString(join(folder, file), `${encode({ amount })}\n`))

    const pause = Effect.flatMap(Random.nextIntBetween(1, 4), (millis) => Effect.sleep(millis))

    const add = (file: string, change: number): Effect.Effect<number, HalfWritten> =>
      Effect.gen(function* () {
        const amount = (yield* read(file)) + change
        yield* pause
        yield* write(file, amount)
        return amount
      })

    const orFinding = (effect: Effect.Effect<Finding, HalfWritten>): Effect.Effect<Finding> =>
      Effect.catchTag(effect, "HalfWritten", ({ file }) => Effect.succeed(`${file} was being written`))

    const transfer: Bank["transfer"] = (from, to, amount) =>
      orFinding(
        Effect.gen(function* () {
          const available = yield* read(accountFile(from))
          yield* pause
          const moved = Math.min(amount, available)
          yield* write(accountFile(from), available - moved)
          const received = yield* add(accountFile(to), moved)
          if (branchOf(from) !== branchOf(to)) {
            yield* add(branchFile(branchOf(from)), -moved)
            yield* add(branchFile(branchOf(to)), moved)
          }
          const kept = (yield* read(accountFile(from))) === available - moved
          return kept && (yield* read(accountFile(to))) === received ? undefined : "another transfer came in between"
        })
      )

    // However many accounts there are, an audit pauses some 20 times.
    const add20 = (all: ReadonlyArray<string>): Effect.Effect<number, HalfWritten> =>
      Effect.reduce(all, 0, (sum, account, i) =>
        read(accountFile(account)).pipe(
          Effect.zipLeft(i % Math.ceil(all.length / 20) === 0 ? pause : Effect.void),
          Effect.map((balance) => sum + balance)
        )
      )

    const compare = (what: string, sum: number, expected: number): Finding =>
      sum === expected ? undefined : `${what} has ${sum}, but should have ${expected}`

    const total = accounts.length * openingBalance

    return {
      open: Effect.forEach(
        branches,
        (branch) =>
          fs.makeDirectory(join(folder, branch.path), { recursive: true }).pipe(
            Effect.orDie,
            Effect.zipRight(write(branchFile(branch.path), branch.accounts.length * openingBalance)),
            Effect.zipRight(
              Effect.forEach(branch.accounts, (account) => write(accountFile(account), openingBalance), {
                discard: true
              })
            )
          ),
        { discard: true }
      ),
      transfer,
      auditBranch: (branch) =>
        orFinding(
          Effect.gen(function* () {
            const expected = yield* read(branchFile(branch.path))
            return compare(branch.path, yield* add20(branch.accounts), expected)
          })
        ),
      auditAll: orFinding(Effect.map(add20(accounts), (sum) => compare("the bank", sum, total))),
      sum: Effect.reduce(accounts, { sum: 0, unreadable: 0 }, ({ sum, unreadable }, account) =>
        read(accountFile(account)).pipe(
          Effect.map((balance) => ({ sum: sum + balance, unreadable })),
          Effect.catchTag("HalfWritten", () => Effect.succeed({ sum, unreadable: unreadable + 1 }))
        )
      )
    }
  })
