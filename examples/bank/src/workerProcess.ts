/** One of the processes of `Processes`: its argument says what to do. */
import * as NodeContext from "@effect/platform-node/NodeContext"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { DelegatingStore, HierarchicalLock } from "@hilok/core"
import { RedisStore } from "@hilok/redis"
import { Effect, Layer, Schema } from "effect"
import * as Bank from "./Bank.ts"
import * as Hold from "./Hold.ts"
import { Assignment } from "./Processes.ts"
import * as Worker from "./Worker.ts"

const program = Effect.gen(function* () {
  const assignment = yield* Schema.decode(Assignment)(process.argv[2] ?? "")
  const { accounts, delegation, folder, namespace, processes, seconds, seed, url, workers } = assignment
  const report = (hold: Hold.Hold) =>
    Effect.map(Effect.orDie(Schema.encode(Hold.Line)({ ...hold, process: assignment.process })), (line) => {
      process.stdout.write(`${line}\n`)
    })
  const redis = RedisStore.layer({ url, namespace })
  const store = delegation ? Layer.provide(DelegatingStore.layer(), redis) : redis
  yield* Effect.gen(function* () {
    const branches = Bank.plan(accounts)
    const bank = yield* Bank.make(folder, branches)
    const staff = Worker.staff(bank, branches, workers).filter((_, i) => i % processes === assignment.process - 1)
    const start = yield* HierarchicalLock.withRead(Hold.now, "", { reason: "ready" })
    const options = { seed, end: start + seconds * 1000, report }
    yield* Effect.forEach(staff, (worker) => Worker.work(worker, Worker.withLocks, options), {
      concurrency: "unbounded",
      discard: true
    })
  }).pipe(Effect.provide(Layer.provide(HierarchicalLock.layer({ label: `bank ${assignment.process}` }), store)))
})

// The parent is gone.
process.stdout.on("error", () => process.emit("SIGTERM"))

NodeRuntime.runMain(Effect.provide(program, NodeContext.layer))
