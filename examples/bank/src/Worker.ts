/**
 * The people who work in the bank. Each repeats one kind of job until the time is over, under the locks it needs:
 *
 * - a transfer within a branch writes two accounts: `write` on both;
 * - a transfer between branches also writes the two branches' records: `writeNode` on both, which leaves the other
 *   accounts of the branches free;
 * - a branch auditor reads a branch and all below it: `read "north/b1"`;
 * - the head auditor reads everything: `read ""`, the root.
 *
 * All locks of a job are one request, granted all or none.
 */
import { HierarchicalLock, type LockError, Target } from "@hilok/core"
import { Effect, Random } from "effect"
import { type Bank, type Branch, branchOf, type Finding } from "./Bank.ts"
import * as Hold from "./Hold.ts"

interface Job {
  readonly kind: Hold.Kind
  readonly reason: string
  readonly targets: ReadonlyArray<Target.Target>
  readonly run: Effect.Effect<Finding>
}

/** A person: a name, what they do next, and how long they rest in between (milliseconds). */
interface Worker {
  readonly name: string
  readonly next: Effect.Effect<Job>
  readonly rest: readonly [number, number]
}

const transferrer = (name: string, bank: Bank, branches: ReadonlyArray<Branch>): Worker => ({
  name,
  rest: [10, 70],
  next: Effect.gen(function* () {
    const home = yield* choose(branches)
    const [from, ...others] = yield* Random.shuffle(home.accounts)
    const away = branches.filter((branch) => branch !== home)
    const leaves = away.length > 0 && (yield* Random.nextIntBetween(0, 4)) === 0
    const to = leaves ? yield* choose((yield* choose(away)).accounts) : Array.from(others)[0]!
    const amount = yield* Random.nextIntBetween(1, 100)
    const accounts = [Target.write(from!), Target.write(to)]
    const records = [Target.writeNode(branchOf(from!)), Target.writeNode(branchOf(to))]
    return {
      kind: leaves ? "crossTransfer" : "transfer",
      reason: `${amount} from ${from} to ${to}`,
      targets: leaves ? [...accounts, ...records] : accounts,
      run: bank.transfer(from!, to, amount)
    } satisfies Job
  })
})

const choose = <A>(from: ReadonlyArray<A>): Effect.Effect<A> =>
  Effect.map(Random.nextIntBetween(0, from.length), (i) => from[i]!)

const auditor = (name: string, kind: Hold.Kind, path: string, run: Effect.Effect<Finding>): Worker => ({
  name,
  rest: [80, 200],
  next: Effect.succeed({ kind, reason: "audit", targets: [Target.read(path)], run })
})

/** Everyone who works in the bank, in the same order each time. */
export const staff = (bank: Bank, branches: ReadonlyArray<Branch>, transferrers: number): ReadonlyArray<Worker> => [
  auditor("head", "headAudit", "", bank.auditAll),
  ...branches.map((branch) => auditor(`audit ${branch.path}`, "branchAudit", branch.path, bank.auditBranch(branch))),
  ...Array.from({ length: transferrers }, (_, i) => transferrer(`t${i + 1}`, bank, branches))
]

/** Runs a job under its locks, and says with which fencing token. */
export type Guard<E, R> = <A>(
  job: Pick<Job, "targets" | "reason">,
  use: (token: number | undefined) => Effect.Effect<A>
) => Effect.Effect<A, E, R>

export const withLocks: Guard<
  HierarchicalLock.AcquireError<{}> | LockError.LockLost,
  HierarchicalLock.HierarchicalLock
> = ({ targets, reason }, use) => HierarchicalLock.withLocks(({ token }) => use(token), targets, { reason })

export const withoutLocks: Guard<never, never> = (_, use) => use(undefined)

/** Lets a worker do one job after the other until `end`, and tells of each when it is done. */
export const work = <E, R>(
  worker: Worker,
  guard: Guard<E, R>,
  options: { readonly seed: number; readonly end: number; readonly report: (hold: Hold.Hold) => Effect.Effect<void> }
): Effect.Effect<void, E, R> => {
  const once = Effect.gen(function* () {
    yield* Effect.sleep(yield* Random.nextIntBetween(...worker.rest))
    const { kind, targets, reason, run } = yield* worker.next
    const asked = yield* Hold.now
    const hold = yield* guard({ targets, reason }, (token) =>
      Effect.gen(function* () {
        const granted = yield* Hold.now
        const finding = yield* run
        return { worker: worker.name, kind, targets, asked, granted, done: yield* Hold.now, token, finding }
      })
    )
    yield* options.report(hold)
  })
  return once.pipe(
    Effect.repeat({ until: () => Effect.map(Hold.now, (now) => now >= options.end) }),
    Effect.withRandom(Random.make(`${options.seed} ${worker.name}`)),
    Effect.asVoid
  )
}
