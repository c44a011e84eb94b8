import { readFileSync } from "node:fs"
import { assert } from "@effect/vitest"
import { HierarchicalLock, LockError } from "@hilok/core"
import { RedisStore } from "@hilok/redis"
import { suite } from "@hilok/testing"
import { Effect, Layer, Redacted } from "effect"
import { TestServer, withOwnServer } from "./support/fixture.ts"
import { follow } from "./support/replication.ts"
import * as Server from "./support/server.ts"

const page = readFileSync(new URL("../../../docs/production.md", import.meta.url), "utf8")

/** The command in the page, as a shell reads it. */
const command = (/redis-cli (ACL SETUSER[\s\S]*?)\n```/.exec(page)?.[1] ?? "")
  .replace(/\\\n/g, " ")
  .split(/\s+/)
  .map((word) => word.replaceAll("'", ""))

/** What the page says that `replicas` needs besides. */
const waitRight = /`replicas`[^`]*`(\+wait)`/.exec(page)?.[1] ?? ""

/** The user of the page, who may do no more. */
const user = (server: Server.Server, ...without: ReadonlyArray<string>) =>
  Effect.promise(async () => {
    const [acl = "", ...rules] = command.filter((word) => !without.includes(word))
    await server.admin.call("ACL", "DELUSER", "locks")
    await server.admin.call(acl, ...rules)
    return {
      url: `redis://127.0.0.1:${server.port}`,
      username: "locks",
      password: Redacted.make(rules.find((rule) => rule.startsWith(">"))!.slice(1))
    } satisfies RedisStore.Options
  })

// Whatever a store does without replicas, it does with them, too.
if (Server.binary !== undefined) {
  const replicated = Layer.unwrapScoped(
    Effect.gen(function* () {
      const server = yield* TestServer
      yield* follow(server)
      const options = yield* user(server)
      yield* Effect.promise(() => server.admin.call("ACL", "SETUSER", "locks", waitRight))
      return RedisStore.layer({ ...options, replicas: { min: 1, timeout: "20 seconds" } })
    })
  )
  suite(
    "RedisStore, as the user in docs/production.md with the right to wait, and with a replica",
    Layer.provide(replicated, TestServer.own()),
    {
      excludeTestServices: true,
      runs: 5,
      scenarios: 20,
      delegations: true
    }
  )
}

withOwnServer("RedisStore, with the rights in docs/production.md", undefined, (it) => {
  const take = (options: RedisStore.Options) =>
    Effect.void.pipe(
      HierarchicalLock.withWrite("a"),
      Effect.provide(Layer.provide(HierarchicalLock.layer(), RedisStore.layer(options)))
    )

  it.effect("works in a namespace of its own alone, when the pattern has one", () =>
    Effect.gen(function* () {
      const server = yield* TestServer
      const options = yield* user(server)
      yield* Effect.promise(() =>
        server.admin.call("ACL", "SETUSER", "locks", "resetkeys", "resetchannels", "~hilok:{bank}:*", "&hilok:{bank}:*")
      )
      yield* take({ ...options, namespace: "bank" })
      const error = yield* Effect.flip(take({ ...options, namespace: "other" }))
      assert.instanceOf(error, LockError.StoreError)
      assert.strictEqual(error.kind, "denied")
    })
  )

  it.effect("works in another database with SELECT as well", () =>
    Effect.gen(function* () {
      const server = yield* TestServer
      const options = yield* user(server)
      const inOther = { ...options, url: `${options.url}/1` }
      assert.match((yield* Effect.flip(take(inOther))).message, /'select' command/)
      yield* Effect.promise(() => server.admin.call("ACL", "SETUSER", "locks", "+select"))
      yield* take(inOther)
    })
  )

  it.effect("waits for replicas with WAIT as well, and without it says so when it is built", () =>
    Effect.gen(function* () {
      const options = yield* user(yield* TestServer)
      const error = yield* Effect.flip(take({ ...options, replicas: { min: 1 } }))
      assert.instanceOf(error, LockError.StoreError)
      assert.strictEqual(error.kind, "denied")
      assert.match(error.message, /'wait' command/)
    })
  )

  it.effect("works without INFO, and by functions or scripts alone, and not without the commands that both call", () =>
    Effect.gen(function* () {
      const server = yield* TestServer
      for (const spare of [["+info"], ["+fcall", "+function|load"], ["+eval", "+evalsha"]]) {
        for (const right of spare) assert.include(command, right)
        yield* take(yield* user(server, ...spare))
      }
      for (const missing of ["+time", "+hset", "+subscribe"]) {
        assert.include(command, missing)
        const error = yield* Effect.flip(take(yield* user(server, missing)))
        assert.instanceOf(error, LockError.StoreError)
        assert.strictEqual(error.kind, "denied", missing)
      }
    })
  )
})
