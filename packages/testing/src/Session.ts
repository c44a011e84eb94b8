/**
 * The clients of a store under test: sends requests, keeps the fibers that wait, and tells what became of them.
 *
 * It never sleeps for a while to see whether something happens. Whether a request waits is asked of the store; an answer
 * that is due is waited for, and its absence is reported after five seconds of real time.
 *
 * @since 0.1.0
 */
import { assert } from "@effect/vitest"
import type { Holder, LockEntry } from "@hilok/core/LockEntry"
import type { Deadlock, StoreError } from "@hilok/core/LockError"
import { anyConflict, type Region } from "@hilok/core/LockMode"
import * as LockPath from "@hilok/core/LockPath"
import type { Grant, LockRequest, LockStore, Revocation } from "@hilok/core/LockStore"
import type { Target } from "@hilok/core/Target"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import type * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"

/**
 * A request on its way, in a fiber of its own.
 *
 * @since 0.1.0
 * @category models
 */
export interface Asked {
  readonly id: string
  readonly request: LockRequest
  readonly fiber: Fiber.RuntimeFiber<Grant, Deadlock | StoreError>
}

/**
 * What the clients learnt since the last time: the requests that were granted, in the order of their tokens, and those
 * that failed with a deadlock. `entries` is what the store shows.
 *
 * @since 0.1.0
 * @category models
 */
export interface Observed {
  readonly entries: ReadonlyArray<LockEntry>
  readonly granted: ReadonlyArray<string>
  readonly deadlocks: ReadonlyArray<Deadlock>
}

/**
 * @since 0.1.0
 * @category models
 */
export interface RequestOptions {
  readonly id?: string | undefined
  readonly ttl?: Duration.DurationInput | undefined
  readonly waitTtl?: Duration.DurationInput | undefined
  readonly within?: ReadonlyArray<string> | undefined
  readonly holder?: Holder | undefined
}

/**
 * @since 0.1.0
 * @category models
 */
export interface Session {
  /** A request with a new id and a ttl of a minute. */
  readonly request: (targets: ReadonlyArray<Target>, options?: RequestOptions) => LockRequest
  /** Asks in a new fiber. Answers when the store has answered, or has the request in its queue. */
  readonly ask: (request: LockRequest) => Effect.Effect<Asked>
  /** Asks at once. A grant is known to the session from then on. */
  readonly attempt: (request: LockRequest) => Effect.Effect<Either.Either<Grant, LockEntry>>
  /** Interrupts a request that waits. */
  readonly cancel: (id: string) => Effect.Effect<void>
  /** Looks at the store and collects the answers that are due. */
  readonly observe: Effect.Effect<Observed>
  /** Waits for the next revocation. */
  readonly revocation: Effect.Effect<Revocation>
  /** The number of revocations that have come and were not taken. */
  readonly pendingRevocations: Effect.Effect<number>
  /** Gives back all the session has, and checks that then the store is empty. */
  readonly end: Effect.Effect<void>

  // -- In one step, for tests that know what to expect

  /** Asks, and is granted. */
  readonly held: (targets: ReadonlyArray<Target>, options?: RequestOptions) => Effect.Effect<Grant & { id: string }>
  /** Asks, and has to wait. */
  readonly queued: (targets: ReadonlyArray<Target>, options?: RequestOptions) => Effect.Effect<Asked>
  /** The grant of a request that waited. */
  readonly granted: (asked: Asked) => Effect.Effect<Grant>
}

const patience = Duration.seconds(5)
const realClock = Clock.make()

/**
 * The result of an effect that is due. Fails the test when there is none after five seconds of real time.
 *
 * @since 0.1.0
 * @category combinators
 */
export const due = <A, E, R>(effect: Effect.Effect<A, E, R>, what: string): Effect.Effect<A, E, R> =>
  Effect.raceFirst(
    effect,
    Effect.zipRight(
      Effect.withClock(Effect.sleep(patience), realClock),
      Effect.die(new Error(`${what} is due, but did not come within ${Duration.format(patience)}`))
    )
  )

/**
 * Looks again and again until it is so.
 *
 * @since 0.1.0
 * @category combinators
 */
export const eventually = <E, R>(condition: Effect.Effect<boolean, E, R>, what: string): Effect.Effect<void, E, R> => {
  const look: Effect.Effect<void, E, R> = Effect.flatMap(condition, (yes) =>
    yes ? Effect.void : Effect.zipRight(Effect.yieldNow(), look)
  )
  return due(look, what)
}

/** It waits for nobody: a store that decides in several steps has not taken all of them. */
const isUnderWay = ({ blockedBy, state }: LockEntry): boolean => state === "waiting" && blockedBy === undefined

/**
 * A target in the canonical encoding.
 *
 * @since 0.1.0
 * @category constructors
 */
export const region = ({ mode, path }: Target): Region => ({ mode, path: Either.getOrThrow(LockPath.parse(path)) })

/**
 * - `partitioned`: does the store decide in several partitions? Then tokens rise over grants that conflict, but not over all.
 *
 * @since 0.2.0
 * @category models
 */
export interface Options {
  readonly partitioned?: boolean | undefined
}

/**
 * @since 0.1.0
 * @category constructors
 */
export const make = (store: LockStore["Type"], options?: Options): Effect.Effect<Session, never, Scope.Scope> =>
  Effect.gen(function* () {
    const partitioned = options?.partitioned ?? false
    const scope = yield* Effect.scope
    const revocations: Queue.Dequeue<Revocation> = yield* store.revocations
    // An id is used once only, also where the store outlives the tests.
    const prefix = crypto.randomUUID().slice(0, 13)
    const known = new Set<string>()
    const pending = new Map<string, Asked>()
    let lastId = 0
    let lastToken = 0
    const requested = new Map<string, LockRequest>()
    const noted = new Map<string, number>()

    /** In partitions, tokens of different ones are not compared by anybody. */
    const checkConflicting = (id: string, token: number): void => {
      const targets = requested.get(id)?.targets ?? []
      for (const [other, its] of noted) {
        if (other === id || !anyConflict(targets, requested.get(other)?.targets ?? [])) continue
        assert.isAbove(token, its, `the token of ${id} is greater than that of ${other}, which was granted before`)
      }
      noted.set(id, token)
    }

    const noteGrants = (grants: Array<readonly [id: string, token: number]>): ReadonlyArray<string> => {
      grants.sort(([, a], [, b]) => a - b)
      for (const [id, token] of grants) {
        assert.isTrue(Number.isSafeInteger(token), `the token of ${id} is a whole number: ${token}`)
        if (partitioned) {
          checkConflicting(id, token)
          continue
        }
        assert.isAbove(token, lastToken, `the token of ${id} is greater than every token before`)
        lastToken = token
      }
      return grants.map(([id]) => id)
    }

    const request: Session["request"] = (targets, options) => {
      const [first, ...rest] = targets.map(region)
      const request: LockRequest = {
        id: options?.id ?? `${prefix}.${++lastId}`,
        targets: [first!, ...rest],
        ttl: Duration.decode(options?.ttl ?? "1 minute"),
        ...(options?.waitTtl === undefined ? {} : { waitTtl: Duration.decode(options.waitTtl) }),
        within: options?.within ?? [],
        holder: options?.holder ?? {}
      }
      if (partitioned) requested.set(request.id, request)
      return request
    }

    const ask: Session["ask"] = (request) =>
      Effect.gen(function* () {
        known.add(request.id)
        const fiber = yield* store.acquire(request).pipe(Effect.interruptible, Effect.forkIn(scope))
        const asked = { id: request.id, request, fiber }
        pending.set(request.id, asked)
        const hasArrived = Effect.suspend(() =>
          fiber.unsafePoll() === null
            ? Effect.map(
                store.lookup(request.id),
                (entry) => Option.exists(entry, (found) => !isUnderWay(found)) || fiber.unsafePoll() !== null
              )
            : Effect.succeed(true)
        )
        yield* Effect.orDie(eventually(hasArrived, `the answer to ${request.id}, or its place in the queue,`))
        return asked
      })

    const attempt: Session["attempt"] = (request) =>
      Effect.gen(function* () {
        known.add(request.id)
        const answer = yield* due(store.tryAcquire(request), `the answer to ${request.id}`)
        if (Either.isRight(answer)) noteGrants([[request.id, answer.right.token]])
        return answer
      }).pipe(Effect.orDie)

    const cancel: Session["cancel"] = (id) =>
      Effect.suspend(() => {
        const asked = pending.get(id)
        pending.delete(id)
        return asked === undefined ? Effect.void : due(Fiber.interrupt(asked.fiber), `the interruption of ${id}`)
      })

    const observe: Session["observe"] = Effect.gen(function* () {
      let entries = yield* due(store.inspect(LockPath.root), "the answer to inspect")
      const settled = Effect.map(store.inspect(LockPath.root), (seen) => {
        entries = seen
        return !seen.some(isUnderWay)
      })
      if (entries.some(isUnderWay)) yield* eventually(settled, "the place of each request")
      const grants: Array<readonly [string, number]> = []
      const deadlocks: Array<Deadlock> = []
      for (const { fiber, id } of Array.from(pending.values())) {
        const entry = entries.find((entry) => entry.id === id)
        if (entry?.state === "waiting") {
          assert.isNull(fiber.unsafePoll(), `the client of ${id}, which waits, has no answer yet`)
          continue
        }
        const exit = yield* due(Fiber.await(fiber), `the answer to ${id}, which ${entry ? "is granted" : "has gone"},`)
        pending.delete(id)
        if (Exit.isSuccess(exit)) {
          assert.strictEqual(entry?.token, exit.value.token, `the store shows the lease that ${id} was granted`)
          grants.push([id, exit.value.token])
          continue
        }
        const error = Option.getOrUndefined(Cause.failureOption(exit.cause))
        if (error?._tag !== "Deadlock") return yield* Effect.failCause(exit.cause)
        assert.isUndefined(entry, `${id}, which failed with a deadlock, has left the queue`)
        assert.strictEqual(error.cycle[0], id, "the cycle begins with the request that failed")
        deadlocks.push(error)
      }
      return { entries, granted: noteGrants(grants), deadlocks }
    }).pipe(Effect.orDie)

    const granted: Session["granted"] = ({ fiber, id }) =>
      Effect.gen(function* () {
        const grant = yield* due(Fiber.join(fiber), `the grant of ${id}`)
        pending.delete(id)
        noteGrants([[id, grant.token]])
        return grant
      }).pipe(Effect.orDie)

    const end: Session["end"] = Effect.gen(function* () {
      const all = { concurrency: "unbounded", discard: true } as const
      yield* Effect.forEach(Array.from(pending.keys()), cancel, all)
      yield* Effect.forEach(known, (id) => store.release(id, id), all)
      // What another owns by now ends by order.
      const restored = (yield* store.inspect(LockPath.root)).filter(({ id }) => known.has(id))
      yield* Effect.forEach(restored, ({ id }) => store.release(id), all)
      const left = yield* store.inspect(LockPath.root)
      // So that the tests after a failed one start from an empty store.
      yield* Effect.forEach(left, ({ id }) => store.release(id))
      assert.deepStrictEqual(left, [], "in the end nothing is held and nobody waits")
    }).pipe(Effect.orDie)

    return {
      request,
      ask,
      attempt,
      cancel,
      observe,
      revocation: due(revocations.take, "a revocation"),
      pendingRevocations: revocations.size,
      end,
      held: (targets, options) =>
        Effect.gen(function* () {
          const asked = yield* ask(request(targets, options))
          const grant = yield* granted(asked)
          return { ...grant, id: asked.id }
        }),
      queued: (targets, options) =>
        Effect.gen(function* () {
          const asked = yield* ask(request(targets, options))
          const entry = Option.getOrUndefined(yield* Effect.orDie(store.lookup(asked.id)))
          assert.strictEqual(entry?.state, "waiting", `${asked.id} has to wait`)
          return asked
        }),
      granted
    }
  })
