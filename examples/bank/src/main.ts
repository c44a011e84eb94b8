/** The demo: see `Settings.help`. */
import * as FileSystem from "@effect/platform/FileSystem"
import * as Path from "@effect/platform/Path"
import * as NodeContext from "@effect/platform-node/NodeContext"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { DelegatingStore, HierarchicalLock, MemoryStore } from "@hilok/core"
import { RedisStore } from "@hilok/redis"
import { Cause, Console, Data, Effect, Exit, Layer } from "effect"
import * as Bank from "./Bank.ts"
import * as Hold from "./Hold.ts"
import * as Picture from "./Picture.ts"
import * as Processes from "./Processes.ts"
import * as Progress from "./Progress.ts"
import * as Proof from "./Proof.ts"
import * as Report from "./Report.ts"
import * as Settings from "./Settings.ts"
import * as Worker from "./Worker.ts"

/** A run that cannot go on, with a message for the user. */
class Stop extends Data.TaggedError("Stop")<{ readonly message: string }> {}

const marker = "hilok-bank.txt"

/**
 * The folder of the run, and in it the folder of the accounts, empty. Nothing that another program put into `--dir` is
 * touched: `accounts` is only replaced when an earlier run of the demo made it.
 */
const prepare = (dir: string | undefined) =>
  Effect.gen(function* () {
    const fs = yield* FileSystem.FileSystem
    const path = yield* Path.Path
    const folder = dir === undefined ? yield* fs.makeTempDirectory({ prefix: "hilok-bank-" }) : path.resolve(dir)
    const accounts = path.join(folder, "accounts")
    if (yield* fs.exists(accounts)) {
      if (!(yield* fs.exists(path.join(accounts, marker)))) {
        return yield* new Stop({ message: `${accounts} was not made by this demo: choose another --dir` })
      }
      yield* fs.remove(accounts, { recursive: true })
    }
    yield* fs.makeDirectory(accounts, { recursive: true })
    yield* fs.writeFileString(path.join(accounts, marker), "Made by the HiLok demo, which replaces this folder.\n")
    return { folder, accounts }
  }).pipe(
    Effect.catchAll((error) =>
      error._tag === "Stop" ? error : new Stop({ message: `The files cannot be written: ${error.message}` })
    )
  )

/** Lets everyone work in this process. */
const workHere = <E, R>(
  settings: Settings.Settings,
  bank: Bank.Bank,
  branches: ReadonlyArray<Bank.Branch>,
  guard: Worker.Guard<E, R>,
  report: (hold: Hold.Hold) => Effect.Effect<void>
): Effect.Effect<void, E, R> =>
  Effect.flatMap(Hold.now, (now) =>
    Effect.forEach(
      Worker.staff(bank, branches, settings.workers),
      (worker) => Worker.work(worker, guard, { seed: settings.seed, end: now + settings.seconds * 1000, report }),
      { concurrency: "unbounded", discard: true }
    )
  )

/** Who works, where, and how: for the first line of the run. */
const introduction = ({
  accounts,
  delegation,
  locks,
  processes,
  redis,
  seconds,
  workers
}: Settings.Settings): string => {
  const branches = Bank.plan(accounts).length
  const where = redis === undefined ? "with locks in memory" : "with locks in Redis"
  const how = !locks ? "without locks" : delegation ? `${where} and delegations` : where
  return (
    `${accounts} accounts in ${branches} branches, ${accounts * Bank.openingBalance} in all; ${workers} transfer money, ` +
    `${branches + 1} audit, for ${seconds} s, ${how}${redis === undefined ? "" : `, in ${processes} processes`}`
  )
}

interface Place {
  readonly folder: string
  readonly accounts: string
}

/** One run, from the opening of the accounts to the verdict; answers with the exit code. */
const run = (
  settings: Settings.Settings,
  { accounts, folder }: Place,
  remote: { url: string; namespace: string } | undefined
) =>
  Effect.gen(function* () {
    const fs = yield* FileSystem.FileSystem
    const path = yield* Path.Path
    const branches = Bank.plan(settings.accounts)
    const bank = yield* Bank.make(accounts, branches)
    yield* bank.open
    yield* Console.log(`${introduction(settings)}\nFiles: ${accounts}`)

    const holds: Array<Hold.Hold> = []
    const report = (hold: Hold.Hold) => Effect.sync(() => void holds.push(hold))
    let start: number | undefined
    const begin = Effect.map(Hold.now, (now) => {
      start = now
    })
    const line = Effect.gen(function* () {
      if (start === undefined) return "Starting the processes"
      const { transfers, audits, anomalies } = Report.tally(holds)
      const seconds = ((yield* Hold.now) - start) / 1000
      const locks = settings.locks ? yield* HierarchicalLock.inspect() : []
      const waiting = locks.filter(({ state }) => state === "waiting").length
      return (
        `${Math.min(seconds, settings.seconds).toFixed(1)} of ${settings.seconds} s: ${transfers} transfers, ` +
        `${audits} audits, ${anomalies} anomalies${settings.locks ? `; ${locks.length - waiting} hold, ${waiting} wait` : ""}`
      )
    })
    const work = settings.locks
      ? remote === undefined
        ? Effect.zipRight(begin, workHere(settings, bank, branches, Worker.withLocks, report))
        : Processes.work({ ...settings, ...remote, folder: accounts }, report, begin)
      : Effect.zipRight(begin, workHere(settings, bank, branches, Worker.withoutLocks, report))
    yield* Progress.during(work, line)

    const verdict = Proof.check(holds, branches)
    const outcome: Report.Outcome = {
      locks: settings.locks,
      holds,
      accounts: settings.accounts,
      expected: settings.accounts * Bank.openingBalance,
      ...(yield* bank.sum),
      verdict
    }
    const sound = Report.isSound(outcome)
    const words = Report.words(outcome)
    const picture = path.join(folder, "hilok-bank.svg")
    const where = remote === undefined ? "" : ` in ${settings.processes} processes`
    const drawn = Picture.draw({
      title: `HiLok: ${settings.workers} workers${where} on ${settings.accounts} accounts, ${settings.locks ? "with locks" : "without locks"}`,
      verdict: words.split("\n")[0]!,
      sound,
      branches,
      holds,
      clashes: verdict.clashes
    })
    yield* fs.writeFileString(picture, drawn)
    yield* Console.log(`\n${Report.table(holds)}\n\n${words}\n\nPicture: ${picture}`)
    return settings.locks && !sound ? 1 : 0
  })

const demo = (settings: Settings.Settings) =>
  Effect.gen(function* () {
    const fs = yield* FileSystem.FileSystem
    const remote =
      settings.redis === undefined
        ? undefined
        : { url: yield* Processes.server(settings.redis), namespace: `demo-${crypto.randomUUID()}` }
    // The one thing that depends on where the locks are.
    const store =
      remote !== undefined
        ? RedisStore.layer(remote)
        : settings.delegation
          ? Layer.provide(DelegatingStore.layer(), MemoryStore.layer())
          : MemoryStore.layer()
    const place = yield* prepare(settings.dir)
    const remove = (what: string) => Effect.ignore(fs.remove(what, { recursive: true }))
    return yield* run(settings, place, remote).pipe(
      Effect.provide(Layer.provide(HierarchicalLock.layer({ label: "bank" }), store)),
      Effect.onExit((exit) =>
        settings.dir !== undefined ? Effect.void : remove(Exit.isSuccess(exit) ? place.accounts : place.folder)
      )
    )
  })

const program = Effect.gen(function* () {
  const settings = yield* Settings.parse(process.argv.slice(2))
  if (settings === "help") return yield* Effect.as(Console.log(Settings.help), 0)
  return yield* demo(settings)
}).pipe(
  Effect.scoped,
  Effect.catchTag("UsageError", ({ message }) =>
    Effect.as(Console.error(`${message}. See npm run demo -- --help`), Settings.usageExitCode)
  ),
  Effect.provide(NodeContext.layer),
  Effect.catchAll((error) => Effect.as(Console.error(error.message), 1)),
  Effect.onInterrupt(() => Console.error("Stopped."))
)

// A reader that goes away (`| head`) ends the run as a signal does.
process.stdout.on("error", () => process.emit("SIGTERM"))

NodeRuntime.runMain(program, {
  disableErrorReporting: true,
  teardown: (exit, onExit) => {
    if (Exit.isSuccess(exit)) return onExit(Number(exit.value))
    if (Cause.isInterruptedOnly(exit.cause)) return onExit(130)
    console.error(Cause.pretty(exit.cause))
    onExit(1)
  }
})
