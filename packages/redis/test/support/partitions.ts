/**
 * What tests of partitions start from: a namespace in four of them, and paths in each.
 */
import { assert } from "@effect/vitest"
import { LockPath, type LockStore } from "@hilok/core"
import type { RedisStore } from "@hilok/redis"
import { Session } from "@hilok/testing"
import { Effect, Either, Exit, type Scope } from "effect"
import * as Keys from "../../src/internal/keys.ts"
import * as routing from "../../src/internal/routing.ts"
import { type Fixture, leavesNothing, type TestServer } from "./fixture.ts"

export const count = 4

/** The first segment of paths in a partition: `p0`, `p1`, … are found by trying. */
export const inPartition = (at: number, partitions = count): string => {
  for (let i = 0; ; i++) {
    const segment = `${"abcdefgh"[at] ?? "z"}${i}`
    if (routing.partitionOf(Either.getOrThrow(LockPath.parse(segment)), partitions) === at) return segment
  }
}

export interface Partitioned {
  readonly fixture: Fixture
  readonly store: LockStore.LockStore["Type"]
  readonly session: Session.Session
  /** The keys of a partition. */
  readonly keys: (at: number) => Keys.Keys["keys"]
  /** Another client. */
  readonly another: (
    options?: RedisStore.Options
  ) => Effect.Effect<
    { readonly store: LockStore.LockStore["Type"]; readonly session: Session.Session },
    never,
    Scope.Scope
  >
}

/** Runs a test on a namespace in partitions, and checks that only the note of their number is left, and tokens. */
export const partitioned = <A, E, R>(
  body: (kit: Partitioned) => Effect.Effect<A, E, R>
): Effect.Effect<void, E, Exclude<R, Scope.Scope> | TestServer> =>
  leavesNothing((fixture) =>
    Effect.gen(function* () {
      yield* Effect.addFinalizer((exit) =>
        Effect.promise(async () => {
          const left = await fixture.admin.keys(`*{${fixture.namespace}*`)
          for (const key of Exit.isSuccess(exit) ? left : []) {
            assert.deepStrictEqual(await fixture.admin.hkeys(key), ["m"], `only the head: ${key}`)
          }
          if (left.length > 0) await fixture.admin.del(...left)
        })
      )
      const sessions: Array<Session.Session> = []
      const another: Partitioned["another"] = (options) =>
        Effect.gen(function* () {
          const store = yield* fixture.store({ partitions: count, ...options })
          const session = yield* Session.make(store, { partitioned: true })
          sessions.push(session)
          return { store, session }
        })
      const first = yield* another()
      const keys = (at: number) => Keys.makePartition("hilok", fixture.namespace, at, count).keys
      yield* body({ ...first, fixture, another, keys })
      for (const session of sessions) yield* session.end
    })
  )
