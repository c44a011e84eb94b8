/**
 * Servers that follow another one.
 */
import { assert } from "@effect/vitest"
import { Effect } from "effect"
import type { Redis } from "ioredis"
import { until } from "./faults.ts"
import * as Server from "./server.ts"

export const told = (admin: Redis, section: string, line: RegExp) =>
  Effect.promise(async () => line.test(await admin.info(section)))

/** A server that follows another one, and has what that one has. */
export const follow = (primary: Server.Server) =>
  Effect.gen(function* () {
    // Else it counts as one only when it has said, some second later, what it has.
    yield* Effect.promise(() => primary.admin.config("SET", "repl-diskless-sync", "no"))
    const replica = yield* Server.start()
    yield* Effect.promise(() => replica.admin.replicaof("127.0.0.1", primary.port))
    yield* until(told(replica.admin, "replication", /master_link_status:up/), "the link to the primary")
    const online = new RegExp(`port=${replica.port},state=online`)
    yield* until(told(primary.admin, "replication", online), "the replica at the primary")
    return replica
  })

/** Waits until the replica has all that was written so far, by anybody: what waits for must have written last. */
export const copied = (server: Server.Server) =>
  Effect.promise(async () => {
    await server.admin.set("last", "x")
    await server.admin.del("last")
    assert.isAtLeast(await server.admin.wait(1, 20_000), 1)
  })
