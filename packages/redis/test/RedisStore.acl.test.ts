/**
 * The rights in docs/production.md. The contract suite is run with them on a Redis Cluster: cluster.contract.test.ts.
 */
import { assert } from "@effect/vitest"
import { HierarchicalLock, LockError } from "@hilok/core"
import { RedisStore } from "@hilok/redis"
import { Effect, Layer, Redacted } from "effect"
import { TestServer, withOwnServer } from "./support/fixture.ts"
import { command, password, username } from "./support/rights.ts"
import type * as Server from "./support/server.ts"

/** The user of the page, who may do no more. */
const user = (server: Server.Server, ...without: ReadonlyArray<string>) =>
  Effect.promise(async () => {
    const [acl = "", ...rules] = command.filter((word) => !without.includes(word))
    await server.admin.call("ACL", "DELUSER", "locks")
    await server.admin.call(acl, ...rules)
    return {
      url: `redis://127.0.0.1:${server.port}`,
      username,
      password: Redacted.make(password)
    } satisfies RedisStore.Options
  })

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
      const error = yield* Effect.flip(take(inOther))
      assert.instanceOf(error, LockError.StoreError)
      assert.strictEqual(error.kind, "denied")
      assert.match(error.message, /'select' command/)
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
