/**
 * The embedded store: a lock table for the fibers of one process.
 *
 * It runs on the `Clock` it was built with, so that `TestClock` drives it: expiry and order are deterministic.
 *
 * @since 0.1.0
 */
import * as Config from "effect/Config"
import type * as ConfigError from "effect/ConfigError"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as PubSub from "effect/PubSub"
import * as Runtime from "effect/Runtime"
import type * as Scope from "effect/Scope"
import { unsafeNow } from "./internal/monotonic.ts"
import type { LockEntry } from "./LockEntry.ts"
import { Deadlock, type InvalidOptions, StoreError } from "./LockError.ts"
import type { Region } from "./LockMode.ts"
import * as LockOptions from "./LockOptions.ts"
import * as LockPath from "./LockPath.ts"
import {
  type Grant,
  type LockRequest,
  LockStore,
  mostAhead,
  type Recall,
  type Refresh,
  type Revocation
} from "./LockStore.ts"
import { LockTable } from "./LockTable.ts"
import type { Target } from "./Target.ts"

/**
 * - `namespace`: a name for the set of locks; every store that is built has its own set. Default: `"default"`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly namespace?: string | undefined
}

/** What became of a request: an impatient one may be refused. */
type Answer = Grant | Refusal
type Resume = (exit: Exit.Exit<Answer, Deadlock | StoreError>) => void

class Refusal {
  readonly blocker: LockEntry

  constructor(blocker: LockEntry) {
    this.blocker = blocker
  }
}

interface Waiter {
  readonly targets: ReadonlyArray<Target>
  /** The fibers that asked with this id: as a rule one. */
  readonly resumes: Set<Resume>
}

const toGrant = ({ deadline, token, wanted }: Grant): Grant =>
  wanted === undefined ? { token, deadline } : { token, deadline, wanted }

const display = (regions: ReadonlyArray<Region>): ReadonlyArray<Target> =>
  regions.map(({ mode, path }) => ({ mode, path: LockPath.toInput(path) }))

const names: Readonly<Record<keyof Options, true>> = { namespace: true }

/**
 * Makes a store. When its scope closes, all waiting requests fail with `StoreError`, and so does every later call.
 *
 * Fails with `InvalidOptions` if an option does not exist.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options?: Options): Effect.Effect<LockStore["Type"], InvalidOptions, Scope.Scope> =>
  Effect.gen(function* () {
    yield* LockOptions.checkNames(options ?? {}, names)
    const clock = yield* Effect.clock
    const runFork = Runtime.runFork(yield* Effect.runtime<never>())
    const revocations = yield* PubSub.unbounded<Revocation>()
    const recalls = yield* PubSub.unbounded<Recall>()
    const table = new LockTable()
    const waiters = new Map<string, Waiter>()
    let closed = false

    const now = () => unsafeNow(clock)

    // While requests wait, a fiber sleeps until the earliest deadline, to let in those who waited for it.
    let sweeper: Fiber.RuntimeFiber<void> | undefined
    let sweepAt = Number.POSITIVE_INFINITY
    const stopSweeper = () => {
      sweeper?.unsafeInterruptAsFork(sweeper.id())
      sweeper = undefined
      sweepAt = Number.POSITIVE_INFINITY
    }
    const sweep: Effect.Effect<void> = Effect.suspend(() => {
      const wait = sweepAt - now()
      if (wait > 0) return Effect.zipRight(clock.sleep(Duration.millis(Math.ceil(wait))), sweep)
      sweeper = undefined
      sweepAt = Number.POSITIVE_INFINITY
      table.expire(now())
      publish()
      return Effect.void
    })
    const armSweeper = () => {
      const next = table.queueLength === 0 ? undefined : table.nextDeadline
      if (next === undefined) return sweeper === undefined ? undefined : stopSweeper()
      if (next >= sweepAt) return
      stopSweeper()
      sweepAt = next
      // Interruptible, also when the store was built where interruption is held off.
      sweeper = runFork(Effect.interruptible(sweep))
    }

    const settle = (id: string, result: (waiter: Waiter) => Exit.Exit<Answer, Deadlock | StoreError>) => {
      const waiter = waiters.get(id)
      if (waiter === undefined) return
      waiters.delete(id)
      const exit = result(waiter)
      for (const resume of waiter.resumes) resume(exit)
    }

    /** Tells the others what the last operation did to them. Follows every operation. */
    const publish = () => {
      for (const event of table.takeEvents()) {
        switch (event._tag) {
          case "Granted":
            settle(event.id, () => Exit.succeed(toGrant(event)))
            break
          case "Refused":
            settle(event.id, () => Exit.succeed(new Refusal(event.blocker)))
            break
          case "Recalled":
            recalls.unsafeOffer({ id: event.id, client: event.client, urgent: event.urgent })
            break
          case "Deadlock":
            settle(event.id, ({ targets }) => Exit.fail(new Deadlock({ targets, cycle: event.cycle })))
            break
          case "Ended":
            revocations.unsafeOffer({ id: event.id, owner: event.owner, reason: event.reason })
            break
        }
      }
      if (sweeper !== undefined || table.queueLength > 0) armSweeper()
    }

    const failClosed = new StoreError({ operation: "answer", reason: "it is closed", kind: "closed" })
    const failTaken = new StoreError({
      operation: "acquire",
      reason: "the request was taken out of the queue, by a release with its id",
      kind: "other"
    })

    const operation = <A>(run: (now: number) => A): Effect.Effect<A, StoreError> =>
      Effect.suspend(() => {
        if (closed) return Effect.fail(failClosed)
        const result = run(now())
        publish()
        return Effect.succeed(result)
      })

    const refresh = ({ id, owner, ttl }: Refresh, now: number): Option.Option<number> =>
      // A waiting request is no lease, and stays in the queue for as long as its fiber waits.
      table.lease(id, now) === undefined
        ? Option.none()
        : Option.fromNullable(table.refresh(id, Duration.toMillis(ttl), now, owner))

    const toTable = (request: LockRequest) => ({
      id: request.id,
      targets: request.targets,
      ttl: Duration.toMillis(request.ttl),
      // A fiber of this process cannot vanish from the queue without being interrupted.
      waitTtl: Number.POSITIVE_INFINITY,
      within: request.within,
      holder: request.holder,
      delegated: request.delegated,
      impatient: request.impatient
    })

    // Queues in the registration itself, so that no interruption can come between the queue and the clean-up.
    const wait = (request: LockRequest, queue: boolean): Effect.Effect<Answer, Deadlock | StoreError> =>
      Effect.async((resume) => {
        if (closed) return resume(Effect.fail(failClosed))
        const asked = toTable(request)
        const outcome = queue ? table.acquire(asked, now()) : table.tryAcquire(asked, now())
        const targets = display(request.targets)
        let waiter: Waiter | undefined
        if (outcome._tag === "Waiting") {
          waiter = waiters.get(request.id) ?? { targets, resumes: new Set() }
          waiter.resumes.add(resume)
          waiters.set(request.id, waiter)
        } else if (outcome._tag === "Granted") resume(Exit.succeed(outcome))
        else if (outcome._tag === "Refused") resume(Exit.succeed(new Refusal(table.lookup(outcome.blocker, now())!)))
        else if (outcome._tag === "Deadlock") resume(Exit.fail(new Deadlock({ targets, cycle: outcome.cycle })))
        publish()
        return Effect.sync(() => {
          waiter?.resumes.delete(resume)
          // Others that asked with the same id still want it.
          if (waiter !== undefined && waiter.resumes.size > 0) return
          waiters.delete(request.id)
          table.release(request.id, now())
          publish()
        })
      })

    yield* Effect.addFinalizer(() =>
      Effect.sync(() => {
        closed = true
        stopSweeper()
        for (const id of Array.from(waiters.keys())) settle(id, () => Exit.fail(failClosed))
      })
    )

    return LockStore.of({
      namespace: options?.namespace ?? "default",
      acquire: (request) =>
        Effect.suspend(() => {
          if (closed) return Effect.fail(failClosed)
          const outcome = table.tryAcquire(toTable(request), now())
          publish()
          // One that queues is never refused.
          return outcome._tag === "Granted"
            ? Effect.succeed(outcome)
            : (wait(request, true) as Effect.Effect<Grant, Deadlock | StoreError>)
        }),
      tryAcquire: (request) =>
        request.impatient === true
          ? wait(request, false).pipe(
              Effect.map((answer) => (answer instanceof Refusal ? Either.left(answer.blocker) : Either.right(answer))),
              Effect.catchTag("Deadlock", Effect.die)
            )
          : operation((now) => {
              const outcome = table.tryAcquire(toTable(request), now)
              return outcome._tag === "Refused" || outcome._tag === "Waiting"
                ? Either.left(table.lookup(outcome.blocker, now)!)
                : Either.right(outcome as Grant)
            }),
      restore: (id, ttl, owner) =>
        operation((now) => {
          if (!table.restore(id, Duration.toMillis(ttl), now, owner)) return Option.none()
          const { deadline, targets, token } = table.lease(id, now)!
          return Option.some({ token, deadline, targets: targets as LockRequest["targets"] })
        }),
      giveBack: (id, owner) => operation((now) => table.giveBack(id, now, owner)),
      refresh: (id, ttl, owner) => operation((now) => refresh({ id, ttl, owner }, now)),
      refreshAll: (leases) =>
        Effect.catchAll(
          operation(
            (now): ReadonlyArray<Option.Option<number> | StoreError> => leases.map((lease) => refresh(lease, now))
          ),
          (error) => Effect.succeed(leases.map(() => error))
        ),
      release: (id, owner) =>
        operation((now) => {
          const released = table.release(id, now, owner)
          settle(id, () => Exit.fail(failTaken))
          return released
        }),
      share: () => Effect.succeed(true),
      downgrade: (id, owner) => operation((now) => table.downgrade(id, now, owner)),
      breakLease: (id) => operation((now) => table.breakLease(id, now)),
      inspect: (path) => operation((now) => table.inspect(path, now)),
      blockers: (ids) => operation((now) => ids.map((id) => Option.fromNullable(table.blocked(id, mostAhead, now)))),
      lookup: (id) => operation((now) => Option.fromNullable(table.lookup(id, now))),
      revocations: PubSub.subscribe(revocations),
      delegations: {
        settle: ({ registrations, releases }) =>
          operation((now) => {
            const registered = registrations.map(({ from, request, token }) =>
              table.register(toTable(request), token, from, now)
            )
            for (const { floor, id } of releases) table.release(id, now, id, floor)
            return registered
          }),
        refresh: (id, ttl) =>
          operation((now) =>
            Option.map(Option.fromNullable(table.refresh(id, Duration.toMillis(ttl), now, id)), (deadline) => ({
              deadline,
              wanted: table.isWanted(id)
            }))
          ),
        recalls: PubSub.subscribe(recalls)
      }
    })
  })

/**
 * The options from the environment: `HILOK_NAMESPACE`, which is optional.
 *
 * @since 0.2.0
 * @category config
 */
export const config: Config.Config<Options> = Config.all({
  namespace: Config.withDefault(Config.nonEmptyString("HILOK_NAMESPACE"), "default")
})

/**
 * The embedded store as a layer. Each layer that is built is a separate store, which knows nothing of the others: put
 * the layer into a `const` and provide it once.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options?: Options): Layer.Layer<LockStore, InvalidOptions> =>
  Layer.scoped(LockStore, make(options))

/**
 * The embedded store with options from the configuration, by default from the environment (`config`).
 *
 * @since 0.1.0
 * @category layers
 */
export const layerConfig = (
  options: Config.Config.Wrap<Options> = config
): Layer.Layer<LockStore, ConfigError.ConfigError> =>
  Layer.scoped(
    LockStore,
    LockOptions.fromConfig<Options, LockStore["Type"], InvalidOptions, Scope.Scope>(options, make)
  )
