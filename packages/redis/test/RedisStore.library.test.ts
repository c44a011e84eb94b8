/**
 * How the library comes to the server: as functions, or as a script where there are none for this user, and again when the server
 * has forgotten it.
 */
import { assert, describe } from "@effect/vitest"
import { Target } from "@hilok/core"
import { RedisServer, type RedisStore } from "@hilok/redis"
import { Session } from "@hilok/testing"
import { Duration, Effect, Logger, LogLevel, Option, Redacted } from "effect"
import { Redis } from "ioredis"
import { functions, libraryName, script } from "../src/internal/script.ts"
import { type Fixture, leavesNothing, until, withOwnServer } from "./support/fixture.ts"

const { write } = Target

type Counted = "fcall" | "evalsha" | "eval" | "function|load"

const counts = ({ admin }: Fixture) =>
  Effect.promise(async () => {
    const info = await admin.info("commandstats")
    const of = (name: Counted) =>
      Number(new RegExp(`^cmdstat_${name.replace("|", "\\|")}:calls=(\\d+)`, "m").exec(info)?.[1] ?? 0)
    const rejected = Number(/^cmdstat_fcall:.*rejected_calls=(\d+)/m.exec(info)?.[1] ?? 0)
    return { fcall: of("fcall"), evalsha: of("evalsha"), eval: of("eval"), loads: of("function|load"), rejected }
  })

const reset = ({ admin }: Fixture) => Effect.promise(() => admin.config("RESETSTAT"))
const forgetAll = ({ admin }: Fixture) =>
  Effect.promise(async () => {
    await admin.call("FUNCTION", "FLUSH")
    await admin.script("FLUSH")
  })
const libraries = ({ admin }: Fixture) =>
  Effect.promise(async () =>
    ((await admin.call("FUNCTION", "LIST")) as ReadonlyArray<ReadonlyArray<unknown>>).map((one) => String(one[1]))
  )

/** A lock that is taken, waited for, handed over and given back. */
const use = ({ client }: Fixture, options?: RedisStore.Options) =>
  Effect.scoped(
    Effect.gen(function* () {
      const { session, store } = yield* client(options)
      const held = yield* session.held([write("a")])
      const next = yield* session.queued([write("a")])
      assert.isTrue(yield* store.release(held.id))
      yield* session.granted(next)
      assert.isTrue(yield* store.release(next.id))
      yield* session.end
    })
  )

/** What is said at debug level while an effect runs. */
const said = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.gen(function* () {
    const lines: Array<string> = []
    const logger = Logger.make<unknown, void>(({ message }) => void lines.push(String(message)))
    yield* effect.pipe(
      Logger.withMinimumLogLevel(LogLevel.Debug),
      Effect.provide(Logger.replace(Logger.defaultLogger, logger))
    )
    return lines.filter((line) => line.startsWith("The scripts run"))
  })

const userOf = (fixture: Fixture, name: string, ...rules: ReadonlyArray<string>) =>
  Effect.as(
    Effect.promise(() => fixture.admin.acl("SETUSER", name, "on", ">secret", "~*", "&*", "+@all", ...rules)),
    { username: name, password: Redacted.make("secret") }
  )

const loaderFor = (
  { server: { url } }: Fixture,
  user?: { readonly username: string; readonly password: Redacted.Redacted }
) =>
  Effect.acquireUseRelease(
    Effect.sync(
      () => new Redis({ path: url, ...(user && { username: user.username, password: Redacted.value(user.password) }) })
    ),
    RedisServer.loader,
    (client) => Effect.sync(() => client.disconnect())
  )

describe("RedisStore, its library", () => {
  withOwnServer("on a server with functions", { functions: true }, (it) => {
    it.effect("is loaded once, by the first client that finds it missing", () =>
      leavesNothing((fixture) =>
        Effect.gen(function* () {
          yield* forgetAll(fixture)
          yield* reset(fixture)
          assert.deepStrictEqual(yield* said(use(fixture)), ["The scripts run on the server as a library of functions"])
          const first = yield* counts(fixture)
          // Its client is examined once: what it makes of answers to a script, too.
          assert.deepStrictEqual({ ...first, fcall: 0 }, { fcall: 0, evalsha: 1, eval: 1, loads: 1, rejected: 0 })
          yield* use(fixture)
          assert.strictEqual((yield* counts(fixture)).loads, 1, "the next process finds it there")
          assert.deepStrictEqual(yield* libraries(fixture), [libraryName])
          assert.strictEqual(yield* loaderFor(fixture), "functions")
        })
      )
    )

    it.effect("is loaded again when the server has forgotten it, and nobody notices", () =>
      leavesNothing((fixture) =>
        Effect.gen(function* () {
          const { session, store } = yield* fixture.client()
          const forget = forgetAll(fixture)
          const held = yield* session.held([write("a")])
          yield* forget
          const next = yield* session.queued([write("a")])
          yield* forget
          assert.isTrue(Option.isSome(yield* store.refresh(held.id, Duration.minutes(1))))
          yield* forget
          // Many commands find it gone at the same time.
          const paths = Array.from({ length: 200 }, (_, i) => write(`b/${i}`))
          const many = yield* Effect.forEach(paths, (path) => session.ask(session.request([path])))
          yield* Effect.forEach(many, session.granted)
          yield* forget
          assert.isTrue(yield* store.release(held.id))
          yield* session.granted(next)
          yield* forget
          yield* session.end
        })
      )
    )

    it.effect("stands beside those of other versions, which work on", () =>
      leavesNothing((fixture) =>
        Effect.gen(function* () {
          const other = `${libraryName.slice(0, -1)}x`
          yield* Effect.promise(() => fixture.admin.call("FUNCTION", "LOAD", functions.replaceAll(libraryName, other)))
          yield* use(fixture)
          assert.sameMembers([...(yield* libraries(fixture))], [libraryName, other])
          const answer = yield* Effect.promise(() => fixture.admin.call("FCALL", `${other}_probe`, 0))
          assert.deepStrictEqual(
            answer,
            yield* Effect.promise(() => fixture.admin.call("FCALL", `${libraryName}_probe`, 0))
          )
          yield* Effect.promise(() => fixture.admin.call("FUNCTION", "DELETE", other))
        })
      )
    )

    for (const [why, rules] of [
      ["call functions", ["-fcall"]],
      ["load functions", ["-function|load"]]
    ] as const) {
      it.effect(`for a user who may not ${why} it is a script`, () =>
        leavesNothing((fixture) =>
          Effect.gen(function* () {
            const user = yield* userOf(fixture, "scripter", ...rules)
            yield* forgetAll(fixture)
            yield* reset(fixture)
            const lines = yield* said(use(fixture, user))
            assert.lengthOf(lines, 1)
            assert.match(lines[0]!, /as a script, as it has no functions, or this user may not use them/)
            const made = yield* counts(fixture)
            assert.isAbove(made.evalsha, 3)
            assert.deepStrictEqual([made.eval, made.loads], [2, 0], "its client is examined, and the library sent once")
            assert.strictEqual(yield* loaderFor(fixture, user), "script")
            yield* Effect.promise(() => fixture.admin.script("FLUSH"))
            yield* use(fixture, user)
          })
        )
      )
    }

    it.effect("a user who may do neither is told so", () =>
      leavesNothing((fixture) =>
        Effect.gen(function* () {
          const user = yield* userOf(fixture, "nobody", "-fcall", "-eval", "-evalsha")
          assert.match(
            (yield* Effect.flip(loaderFor(fixture, user))).reason,
            /the user may not run the store's commands/
          )
        })
      )
    )

    it.effect("clients that call functions and clients that run the script share their locks", () =>
      leavesNothing((fixture) =>
        Effect.gen(function* () {
          const user = yield* userOf(fixture, "scripter", "-fcall")
          const [one, two] = [yield* fixture.client(), yield* fixture.client(user)]
          const held = yield* one.session.held([write("a")])
          const next = yield* two.session.queued([write("a/b")])
          const last = yield* one.session.queued([write("a")])
          assert.isTrue(yield* one.store.release(held.id))
          yield* two.session.granted(next)
          assert.isTrue(yield* two.store.release(next.id))
          yield* one.session.granted(last)
          yield* one.session.end
          yield* two.session.end
        })
      )
    )

    it.effect("locks that another version keeps in another layout are refused, and stay as they are", () =>
      leavesNothing((fixture) =>
        Effect.gen(function* () {
          const { admin, keys } = fixture
          const { session, store } = yield* fixture.client()
          // The head of the layout before this one has no version: it begins with a token.
          for (const [field, value] of [
            ["m", "cmsgpack.pack(1795730310075164, 7, 0, 1, 0, 0, 0, 0, 0, 1, 1)"],
            ["m", "cmsgpack.pack('2', 1, 2, 3)"],
            ["s", "cmsgpack.pack('4', 1, 2, 3)"]
          ]) {
            yield* Effect.promise(() => admin.eval(`redis.call('HSET', KEYS[1], '${field}', ${value})`, 1, keys[0]))
            const before = yield* Effect.promise(() => admin.dumpBuffer(keys[0]))
            for (const effect of [
              Effect.asVoid(store.acquire(session.request([write("a")]))),
              Effect.asVoid(store.tryAcquire(session.request([write("a"), write("b")]))),
              Effect.asVoid(store.release("x")),
              Effect.asVoid(store.refresh("x", Duration.minutes(1))),
              Effect.asVoid(store.inspect(Session.region(write("")).path))
            ]) {
              const error = yield* Effect.flip(effect)
              assert.match(String(error.message), /in a layout that this version of HiLok does not know/)
            }
            assert.deepStrictEqual(yield* Effect.promise(() => admin.dumpBuffer(keys[0])), before)
            yield* Effect.promise(() => admin.del(keys[0]))
          }
          yield* session.end
        })
      )
    )
  })

  for (const renamed of ["FUNCTION", "FCALL"]) {
    withOwnServer(`on a server that has no ${renamed}`, { args: ["--rename-command", renamed, ""] }, (it) => {
      it.effect("is a script", () =>
        leavesNothing((fixture) =>
          Effect.gen(function* () {
            yield* use(fixture)
            assert.isAbove((yield* counts(fixture)).evalsha, 3)
            assert.strictEqual(yield* loaderFor(fixture), "script")
          })
        )
      )
    })
  }

  withOwnServer("on a server that is short of memory", { functions: true }, (it) => {
    it.effect("leases are kept and released, even if it has forgotten the functions and cannot take them again", () =>
      leavesNothing((fixture) =>
        Effect.gen(function* () {
          const { admin } = fixture
          const memory = (bytes: number) => Effect.promise(() => admin.config("SET", "maxmemory", bytes))
          const { session, store } = yield* fixture.client()
          const held = yield* session.held([write("a")])
          const other = yield* session.held([write("b")])
          yield* Effect.gen(function* () {
            for (const forget of [Effect.void, Effect.asVoid(forgetAll(fixture))]) {
              yield* memory(1)
              yield* forget
              const refused = yield* Effect.flip(store.acquire(session.request([write("c")])))
              assert.match(String(refused.message), /out of memory/)
              assert.isTrue(Option.isSome(yield* store.refresh(held.id, Duration.minutes(1))))
              assert.isTrue(Option.isSome(yield* store.lookup(other.id)))
            }
            assert.isTrue(yield* store.release(held.id))
            yield* memory(0)
            yield* until(
              Effect.map(store.release(other.id), (live) => live),
              "the release of the other"
            )
          }).pipe(Effect.ensuring(memory(0)))
          yield* session.end
        })
      )
    )
  })

  withOwnServer("as text", undefined, (it) => {
    it.effect("begins with what the server wants of a library, and is the same either way", () =>
      Effect.sync(() => {
        const body = functions.slice(functions.indexOf("\n") + 1, functions.indexOf("\nredis.register_function"))
        assert.isTrue(functions.startsWith(`#!lua name=${libraryName}\n`))
        assert.isTrue(script.startsWith(`${body}\n`))
      })
    )
  })
})
