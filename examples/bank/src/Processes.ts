/**
 * The same work in separate operating-system processes, with the locks in Redis. The workers are those of `Worker`; only
 * the layer of the store is another.
 *
 * The parent holds the root for writing until every process waits for its first lock, so that all begin together. Each
 * process writes its holds to its standard output, one a line, and the parent reads them.
 */
import { fileURLToPath } from "node:url"
import * as Command from "@effect/platform/Command"
import * as FileSystem from "@effect/platform/FileSystem"
import * as Path from "@effect/platform/Path"
import { HierarchicalLock } from "@hilok/core"
import { Data, Effect, Schema, Stream } from "effect"
import * as Hold from "./Hold.ts"

class ProcessError extends Data.TaggedError("ProcessError")<{ readonly message: string }> {}

/** What a process has to know. */
export const Assignment = Schema.parseJson(
  Schema.Struct({
    url: Schema.String,
    namespace: Schema.String,
    /** The folder of the accounts. */
    folder: Schema.String,
    accounts: Schema.Int,
    workers: Schema.Int,
    seconds: Schema.Number,
    seed: Schema.Int,
    delegation: Schema.Boolean,
    /** Which of the processes this is, from 1, and of how many. */
    process: Schema.Int,
    processes: Schema.Int
  })
)
export type Assignment = typeof Assignment.Type

/** Runs all processes to their end, and tells of each hold as it is done. */
export const work = (
  assignment: Omit<Assignment, "process">,
  report: (hold: Hold.Hold) => Effect.Effect<void>,
  onStart: Effect.Effect<void>
) =>
  Effect.gen(function* () {
    const entry = fileURLToPath(new URL("workerProcess.ts", import.meta.url))
    const run = (process_: number) =>
      Effect.scoped(
        Effect.gen(function* () {
          const argument = yield* Schema.encode(Assignment)({ ...assignment, process: process_ })
          const child = yield* Command.start(
            Command.make(process.execPath, ...process.execArgv, entry, argument).pipe(Command.stderr("inherit"))
          )
          yield* child.stdout.pipe(
            Stream.decodeText(),
            Stream.splitLines,
            Stream.mapEffect(Schema.decode(Hold.Line)),
            Stream.runForEach(report)
          )
          const code = yield* child.exitCode
          if (code !== 0)
            return yield* new ProcessError({ message: `Worker process ${process_} ended with exit code ${code}` })
        })
      ).pipe(
        Effect.catchTag("BadArgument", "SystemError", "ParseError", (error) => {
          const reason = error._tag === "ParseError" ? error.message : (error.description ?? error.message)
          return new ProcessError({ message: `Worker process ${process_} failed: ${reason}` })
        })
      )

    const everyoneWaits = HierarchicalLock.inspect().pipe(
      Effect.delay(20),
      Effect.repeat({ until: (entries) => entries.length > assignment.processes })
    )
    const opening = HierarchicalLock.withWrite(everyoneWaits, "", { reason: "opening hours have not begun" })
    const processes = Array.from({ length: assignment.processes }, (_, i) => run(i + 1))
    yield* Effect.all([Effect.zipRight(opening, onStart), ...processes], { concurrency: "unbounded", discard: true })
  })

/**
 * The address of the server: the one that was named, else `REDIS_URL`, else a server of our own, which ends with the
 * scope. `npm run demo` says in `HILOK_TEST_REDIS_SERVER` where its program is.
 */
export const server = (named: string) =>
  Effect.gen(function* () {
    const program = process.env.HILOK_TEST_REDIS_SERVER
    const url = named === "auto" ? process.env.REDIS_URL : named
    if (url !== undefined && url !== "") return url
    if (program === undefined) {
      return yield* new ProcessError({
        message: "--redis: name a server, set REDIS_URL, or use npm run demo -- --redis"
      })
    }
    const fs = yield* FileSystem.FileSystem
    const path = yield* Path.Path
    const folder = yield* fs.makeTempDirectoryScoped({ prefix: "hilok-redis-" })
    const socket = path.join(folder, "redis.sock")
    const settings = { port: "0", unixsocket: socket, dir: folder, logfile: path.join(folder, "log"), save: "" }
    yield* Command.start(
      Command.make(program, ...Object.entries(settings).flatMap(([name, value]) => [`--${name}`, value]))
    )
    yield* fs.exists(socket).pipe(
      Effect.delay(20),
      Effect.repeat({ until: (exists) => exists }),
      Effect.timeoutFail({
        duration: "5 seconds",
        onTimeout: () => new ProcessError({ message: `${program} does not start` })
      })
    )
    return socket
  }).pipe(
    Effect.catchTag(
      "BadArgument",
      "SystemError",
      (error) => new ProcessError({ message: `The Redis server cannot be started: ${error.message}` })
    )
  )
