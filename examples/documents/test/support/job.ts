/**
 * A job as cron would start it: holds a lock for its scope and works forever. Its lease is broken meanwhile, as by
 * `hilok break`. `plain`: in `Effect.scoped`; `typed`: in `HierarchicalLock.scoped`.
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { HierarchicalLock } from "@hilok/core"
import { Console, Effect } from "effect"

const job = Effect.gen(function* () {
  const { id } = yield* HierarchicalLock.write("jobs/nightly")
  yield* Effect.forkDaemon(HierarchicalLock.detached(HierarchicalLock.breakLease(id)))
  return yield* Effect.never
}).pipe(Effect.zipRight(Console.log("done")))

const scoped = process.argv[2] === "typed" ? HierarchicalLock.scoped(job) : Effect.scoped(job)

NodeRuntime.runMain(Effect.provide(scoped, HierarchicalLock.layerMemory()))
