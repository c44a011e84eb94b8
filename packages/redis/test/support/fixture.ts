/**
 * What a test starts from, and what must not be left when it ends: keys, connections, fibers.
 *
 * `TestServer` is the server that `REDIS_URL` names, else one of the tests' own. Tests that stop, fill or configure a
 * server need their own (`server.start`).
 */
import { assert, describe, layer, test, type Vitest } from "@effect/vitest"
import type { LockStore } from "@hilok/core"
import { RedisStore } from "@hilok/redis"
import { Session } from "@hilok/testing"
import { Context, Effect, Fiber, Layer, type Scope, Supervisor } from "effect"
import { Redis } from "ioredis"
import * as Server from "./server.ts"

export class TestServer extends Context.Tag("@hilok/redis/test/TestServer")<TestServer, Server.Server>() {
  static readonly layer: Layer.Layer<TestServer> = Layer.scoped(
    TestServer,
    Effect.suspend(() => (process.env.REDIS_URL ? given(process.env.REDIS_URL) : Server.start()))
  )
  /** One of the tests' own in any case. */
  static readonly own = (options?: Parameters<typeof Server.start>[0]): Layer.Layer<TestServer> =>
    Layer.scoped(TestServer, Server.start(options))
}

/**
 * Tests that need a server of their own, to stop, fill or configure it. With `REDIS_URL` and no binary they cannot run:
 * that is said loudly. Without either they fail.
 */
export const withOwnServer = (
  name: string,
  options: Parameters<typeof Server.start>[0],
  tests: (it: Vitest.MethodsNonLive<TestServer, true>) => void
): void => {
  if (Server.binary === undefined && process.env.REDIS_URL) {
    console.error(`NOT RUN, for want of a redis-server or valkey-server on the PATH: the tests "${name}"`)
    describe.skip(name, () => test("needs a server of its own", () => undefined))
  } else layer(TestServer.own(options), { excludeTestServices: true })(name, tests)
}

const given = (url: string): Effect.Effect<Server.Server, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const admin = new Redis(url, { connectionName: "admin" })
      admin.on("error", () => undefined)
      const port = Number(/^tcp_port:(\d+)/m.exec(await admin.info("server"))?.[1] ?? 0)
      return { url, port, pid: 0, admin, kill: Effect.die(new Error("the server of REDIS_URL is not ours to end")) }
    }),
    ({ admin }) => Effect.sync(() => admin.disconnect())
  )

export interface Fixture {
  readonly server: Server.Server
  readonly admin: Redis
  /** A namespace of the test's own. Its connections have it for their name. */
  readonly namespace: string
  readonly keys: readonly [table: string, index: string, deadlines: string]
  /** Options for a store in the namespace. */
  readonly options: RedisStore.Options
  /** Opens a store in the namespace. */
  readonly store: (options?: RedisStore.Options) => Effect.Effect<LockStore.LockStore["Type"], never, Scope.Scope>
  /** Opens a store, and a session on it. */
  readonly client: (
    options?: RedisStore.Options
  ) => Effect.Effect<
    { readonly store: LockStore.LockStore["Type"]; readonly session: Session.Session },
    never,
    Scope.Scope
  >
}

export const fixture = (server: Server.Server): Fixture => {
  const namespace = `test-${crypto.randomUUID()}`
  const options = { url: server.url, namespace, redis: { connectionName: namespace } }
  const open = (more?: RedisStore.Options) => Effect.orDie(RedisStore.make({ ...options, ...more }))
  return {
    server,
    admin: server.admin,
    namespace,
    keys: [`hilok:{${namespace}}:table`, `hilok:{${namespace}}:index`, `hilok:{${namespace}}:deadlines`],
    options,
    store: open,
    client: (more) =>
      Effect.gen(function* () {
        const store = yield* open(more)
        return { store, session: yield* Session.make(store) }
      })
  }
}

/** The names of the connections, other than those of `admin`. */
export const connections = (admin: Redis): Effect.Effect<ReadonlyArray<string>> =>
  Effect.promise(async () =>
    String(await admin.client("LIST"))
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => /name=(\S*)/.exec(line)?.[1] ?? "")
      .filter((name) => name !== "admin")
  )

const left = ({ admin, namespace, server }: Fixture) =>
  Effect.gen(function* () {
    // A server that is not ours has keys and clients of others.
    const ours = (name: string) => server.pid !== 0 || name.includes(namespace)
    const keys = yield* Effect.promise(() => admin.keys("*"))
    return { keys: keys.filter(ours), connections: (yield* connections(admin)).filter(ours) }
  })

/** Looks every few milliseconds, for five seconds at most, until it is so. */
export const until = <E, R>(condition: Effect.Effect<boolean, E, R>, what: string): Effect.Effect<void, E, R> => {
  const look: Effect.Effect<void, E, R> = Effect.flatMap(condition, (yes) =>
    yes ? Effect.void : Effect.zipRight(Effect.sleep("3 millis"), look)
  )
  return Session.due(look, what)
}

/** Runs a test, and checks that it leaves no key, no connection and no fiber. */
export const leavesNothing = <A, E, R>(
  body: (fixture: Fixture) => Effect.Effect<A, E, R>
): Effect.Effect<void, E, Exclude<R, Scope.Scope> | TestServer> =>
  Effect.gen(function* () {
    const made = fixture(yield* TestServer)
    const supervisor = yield* Supervisor.track
    const clear = Effect.promise(() => made.admin.del(...made.keys))
    yield* Effect.scoped(body(made)).pipe(
      Effect.supervised(supervisor),
      // So that the next test starts from an empty server.
      Effect.tapErrorCause(() => clear)
    )
    // A server notices a moment later that a connection is closed.
    let last: unknown
    const clean = Effect.gen(function* () {
      const fibers = (yield* supervisor.value).filter((fiber) => fiber.unsafePoll() === null)
      const rest = yield* left(made)
      last = { ...rest, fibers: fibers.map((fiber) => Fiber.pretty(fiber)).length }
      return fibers.length === 0 && rest.keys.length === 0 && rest.connections.length === 0
    })
    yield* until(clean, "a clean end").pipe(
      Effect.catchAllDefect(() =>
        Effect.sync(() => assert.deepStrictEqual(last, { keys: [], connections: [], fibers: 0 }, "nothing is left"))
      ),
      Effect.onExit(() => clear)
    )
  })

/** How often each command has run in the server since the last `CONFIG RESETSTAT`, scripts' own commands included. */
const commandCounts = (admin: Redis): Effect.Effect<ReadonlyMap<string, number>> =>
  Effect.promise(async () => {
    const info = await admin.info("commandstats")
    return new Map(
      Array.from(info.matchAll(/^cmdstat_(\S+?):calls=(\d+)/gm), ([, name, calls]) => [name!, Number(calls)] as const)
    )
  })

/** The number of calls of the library since the last `CONFIG RESETSTAT`. */
export const scriptCalls = (admin: Redis): Effect.Effect<number> =>
  Effect.map(commandCounts(admin), (counts) =>
    ["fcall", "evalsha", "eval"].reduce((total, name) => total + (counts.get(name) ?? 0), 0)
  )
