/**
 * A delegate between users and the store below: what it wants done is done in fibers, and the calls of the store are those of the
 * delegate for what it knows, and go through for all else.
 */
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as PubSub from "effect/PubSub"
import * as Queue from "effect/Queue"
import * as Runtime from "effect/Runtime"
import type * as Scope from "effect/Scope"
import type { LockEntry } from "../LockEntry.ts"
import { type Deadlock, StoreError } from "../LockError.ts"
import {
  type Blocked,
  type Delegations,
  type Grant,
  type LockRequest,
  LockStore,
  mostAhead,
  type Revocation
} from "../LockStore.ts"
import { Breath } from "./breath.ts"
import { Delegate } from "./delegate.ts"
import { type Answer, Local } from "./delegation.ts"
import { DelegationMetrics } from "./delegationMetrics.ts"
import type { DelegateOptions, Host } from "./localTable.ts"
import { unsafeNow } from "./monotonic.ts"
import { Refusal } from "./refusal.ts"
import { Timer, Timers } from "./timers.ts"

type Store = LockStore["Type"]
type Failed = Deadlock | StoreError

/** How long the end of a store waits for what it gives back. */
const farewell = Duration.seconds(1)

export interface Options extends DelegateOptions {
  /** How long one that does not wait waits for delegations to be given back. */
  readonly recallTimeout: Duration.Duration
}

/** Calls the delegate when it has something to do. */
class Wake extends Timer {
  private readonly call: () => void

  constructor(call: () => void) {
    super(Number.POSITIVE_INFINITY)
    this.call = call
  }

  run(): void {
    this.call()
  }
}

const toStoreError = (cause: Cause.Cause<StoreError>): StoreError =>
  Option.getOrElse(
    Cause.failureOption(cause),
    () => new StoreError({ operation: "settle", reason: Cause.pretty(cause), kind: "other" })
  )

const toEither = (answer: Grant | Refusal): Either.Either<Grant, LockEntry> =>
  answer instanceof Refusal ? Either.left(answer.blocker) : Either.right(answer)

export const make = (
  below: Store,
  delegations: Delegations,
  options: Options
): Effect.Effect<Store, never, Scope.Scope> =>
  Effect.gen(function* () {
    const clock = yield* Effect.clock
    const runFork = Runtime.runFork(yield* Effect.runtime<never>())
    const revocations = yield* PubSub.unbounded<Revocation>()
    const timers = new Timers(clock, (effect) => runFork(effect))

    // -- One event at a time: what an event leads to comes after it.

    let isBusy = false
    const events: Array<() => void> = []
    const turn = (event: () => void): void => {
      if (isBusy) return void events.push(event)
      isBusy = true
      event()
      endTurn()
    }
    const endTurn = (): void => {
      for (let next = events.shift(); next !== undefined; next = events.shift()) next()
      isBusy = false
    }

    // -- What the delegate wants done

    const underWay = new Set<Fiber.RuntimeFiber<unknown>>()
    const run = (effect: Effect.Effect<unknown>): Fiber.RuntimeFiber<unknown> => {
      const fiber = runFork(effect)
      if (fiber.unsafePoll() === null) {
        underWay.add(fiber)
        fiber.addObserver(() => underWay.delete(fiber))
      }
      return fiber
    }

    /** Asks the store below. One that does not wait waits for delegations to be given back, but not for long. */
    const ask = (request: LockRequest, queues: boolean): Effect.Effect<Grant | Refusal, Failed> => {
      if (queues) return below.acquire(request)
      const atOnce = (wanted: LockRequest) =>
        Effect.map(below.tryAcquire(wanted), (answer): Grant | Refusal =>
          Either.isRight(answer) ? answer.right : new Refusal(answer.left)
        )
      if (request.impatient !== true) return atOnce(request)
      return Effect.flatMap(Effect.timeoutOption(atOnce(request), options.recallTimeout), (answer) =>
        Option.isSome(answer) ? Effect.succeed(answer.value) : atOnce({ ...request, impatient: false })
      )
    }

    const asked = new Map<string, Fiber.RuntimeFiber<unknown>>()
    const wake = new Wake(() => turn(() => delegate.wake()))
    const host: Host = {
      now: () => unsafeNow(clock),
      newId: () => crypto.randomUUID(),
      ask: (request, queues) => {
        const { id } = request
        const fiber = run(
          Effect.uninterruptibleMask((restore) =>
            Effect.map(Effect.exit(restore(ask(request, queues))), (answer) => {
              asked.delete(id)
              // The interruption may have come after the answer.
              if (Exit.isFailure(answer) && Cause.isInterrupted(answer.cause)) host.withdraw(id)
              else turn(() => delegate.answered(id, answer))
            })
          )
        )
        if (fiber.unsafePoll() === null) asked.set(id, fiber)
      },
      withdraw: (id) => {
        const fiber = asked.get(id)
        if (fiber !== undefined) fiber.unsafeInterruptAsFork(fiber.id())
        else run(Effect.ignore(below.release(id, id)))
      },
      settle: (settling) => {
        run(
          Effect.matchCause(delegations.settle(settling), {
            onSuccess: (answer) => turn(() => delegate.settled(settling, answer)),
            onFailure: (cause) => turn(() => delegate.settled(settling, toStoreError(cause)))
          })
        )
      },
      refresh: (id, ttl) => {
        run(
          Effect.matchCause(delegations.refresh(id, Duration.millis(ttl)), {
            onSuccess: (answer) => turn(() => delegate.refreshed(id, Option.getOrUndefined(answer))),
            onFailure: (cause) => turn(() => delegate.refreshed(id, toStoreError(cause)))
          })
        )
      },
      wakeAt: (time) => {
        if (wake.heapIndex !== -1 && wake.deadline <= time) return
        wake.deadline = time
        timers.start(wake)
      },
      lost: (revocation) => void revocations.unsafeOffer(revocation)
    }
    const delegate = new Delegate(
      crypto.randomUUID().slice(0, 8),
      options,
      host,
      new DelegationMetrics(below.namespace)
    )

    const listen = <A>(queue: Queue.Dequeue<A>, hear: (message: A) => void) =>
      Queue.take(queue).pipe(
        Effect.map((message) => turn(() => hear(message))),
        Effect.forever,
        Effect.interruptible,
        Effect.forkScoped
      )
    yield* listen(yield* below.revocations, (revocation) => {
      if (delegate.revoked(revocation)) revocations.unsafeOffer(revocation)
    })
    yield* listen(yield* delegations.recalls, (recall) => delegate.recalled(recall))
    yield* Effect.addFinalizer(() =>
      Effect.suspend(() => {
        turn(() => delegate.close())
        timers.close()
        return Effect.timeoutOption(Effect.interruptible(Fiber.awaitAll(underWay)), farewell)
      })
    )

    // -- What users ask

    const breath = new Breath()

    /** Asks the delegate now, and waits for its answer. */
    const viaDelegate = (request: LockRequest, queues: boolean): Effect.Effect<Grant | Refusal, Failed> => {
      const local = new Local(request, queues)
      isBusy = true
      const grant = delegate.grantAtOnce(local)
      endTurn()
      if (grant !== undefined) return Effect.succeed(grant)
      return Effect.async<Grant | Refusal, Failed>((resume) => {
        local.resume = (answer: Answer) => resume(answer)
        turn(() => delegate.request(local))
        return Effect.sync(() => turn(() => delegate.cancel(local)))
      })
    }

    /** A refusal is all there is to a request. */
    const answeredAtOnce = (answer: Grant | Refusal): Effect.Effect<Grant | Refusal> =>
      answer instanceof Refusal ? breath.before(Effect.succeed(answer)) : Effect.succeed(answer)

    const goesViaDelegate = (request: LockRequest): boolean =>
      request.delegable === true && !delegate.isContended(request)

    /** What comes before a request that the store below decides on. */
    const prepared = <A, E>(request: LockRequest, then: Effect.Effect<A, E>): Effect.Effect<A, E | StoreError> =>
      Effect.suspend(() => {
        if (delegate.isUnused) return then
        const ready = Effect.async<void, StoreError>((resume) => {
          turn(() =>
            delegate.prepare(request.targets, request.within, (trouble) =>
              resume(trouble === undefined ? Exit.void : Exit.fail(trouble))
            )
          )
        })
        return Effect.zipRight(ready, then)
      })

    /** Does something to a lease: here, if only the delegate knows it; else below. */
    const onLease = <A>(
      id: string,
      here: (local: Local) => Effect.Effect<A, StoreError>,
      there: (local: Local | undefined) => Effect.Effect<A, StoreError>
    ): Effect.Effect<A, StoreError> =>
      Effect.suspend(() => {
        const local = delegate.locals.get(id)
        if (local === undefined || local.registration === "done") return there(local)
        if (local.registration === "none") return here(local)
        return Effect.flatMap(registered(local), () => onLease(id, here, there))
      })

    const registered = (local: Local): Effect.Effect<void, StoreError> =>
      Effect.async((resume) =>
        local.whenRegistered((trouble) => resume(trouble === undefined ? Exit.void : Exit.fail(trouble)))
      )

    const isOwner = ({ id }: Local, owner: string | undefined): boolean => owner === undefined || owner === id

    const share: Store["share"] = (id) =>
      onLease(
        id,
        (local) => {
          if (local.state !== "held") return Effect.succeed(false)
          turn(() => delegate.register([local]))
          return Effect.suspend(() =>
            local.registration === "sent"
              ? Effect.flatMap(registered(local), () => share(id))
              : Effect.succeed(local.state === "held")
          )
        },
        (local) => (local === undefined ? below.share(id) : Effect.succeed(true))
      )

    const release: Store["release"] = (id, owner) =>
      onLease(
        id,
        (local) => {
          if (!isOwner(local, owner)) return Effect.succeed(false)
          turn(() => {
            if (local.state !== "held") delegate.takeOut(local)
            else if (owner === undefined) delegate.lose(local, "released")
            else delegate.end(local)
          })
          return breath.before(Effect.succeed(true))
        },
        (local) => {
          const released = below.release(id, owner)
          if (local === undefined) return released
          return Effect.onExit(released, (exit) =>
            Effect.sync(() => turn(() => delegate.ended(local, !(Exit.isSuccess(exit) && exit.value))))
          )
        }
      )

    const restore: Store["restore"] = (id, ttl, owner) =>
      onLease(
        id,
        (local) => (local.state === "held" ? Effect.zipRight(share(id), restore(id, ttl, owner)) : Effect.succeedNone),
        () => below.restore(id, ttl, owner)
      )

    /** What a refresh of a lease is answered that is known here alone; `undefined` for any other. Such a lease ends with its delegation. */
    const refreshHere = (id: string, owner: string | undefined): Option.Option<number> | StoreError | undefined => {
      const local = delegate.locals.get(id)
      if (local === undefined || local.registration === "done") return undefined
      if (local.state !== "held" || !isOwner(local, owner)) return Option.none()
      const { delegation } = local
      return local.trouble ?? delegation?.trouble ?? Option.some(delegation!.ends)
    }

    const refresh: Store["refresh"] = (id, ttl, owner) =>
      Effect.suspend(() => {
        const answer = refreshHere(id, owner)
        if (answer === undefined) return below.refresh(id, ttl, owner)
        return answer._tag === "StoreError" ? Effect.fail(answer) : Effect.succeed(answer)
      })

    const refreshAll: Store["refreshAll"] = (leases) =>
      Effect.suspend(() => {
        const here = leases.map(({ id, owner }) => refreshHere(id, owner))
        const others = leases.filter((_, i) => here[i] === undefined)
        if (others.length === 0) return Effect.succeed(here as ReadonlyArray<Option.Option<number> | StoreError>)
        return Effect.map(below.refreshAll(others), (answers) => {
          let next = 0
          return here.map((answer) => answer ?? answers[next++]!)
        })
      })

    const lookup: Store["lookup"] = (id) =>
      onLease(
        id,
        (local) => {
          const { asked, delegation, state } = local
          if (state === "below") return Effect.map(below.lookup(asked?.id ?? id), Option.map(asUser))
          if (state === "local" || delegation === undefined) {
            return Effect.succeed(Option.fromNullable(delegate.describe(id)))
          }
          return Effect.map(below.lookup(delegation.id), (found) => {
            if (Option.isNone(found)) turn(() => delegate.missing(delegation))
            return Option.fromNullable(delegate.locals.get(id) === local ? delegate.describe(id) : undefined)
          })
        },
        () => below.lookup(id)
      )

    /** A request for a delegation is that of the user whom it is for. */
    const asUser = (entry: LockEntry): LockEntry => {
      const local = delegate.own.get(entry.id)?.request
      return local === undefined ? entry : { ...entry, id: local.id }
    }

    return LockStore.of({
      namespace: below.namespace,
      acquire: (request) =>
        // One that queues is never refused.
        Effect.suspend(() =>
          goesViaDelegate(request) ? viaDelegate(request, true) : prepared(request, below.acquire(request))
        ) as Effect.Effect<Grant, Failed>,
      tryAcquire: (request) =>
        Effect.suspend(() =>
          goesViaDelegate(request)
            ? Effect.flatMap(viaDelegate(request, false), answeredAtOnce)
            : prepared(request, ask({ ...request, impatient: true }, false))
        ).pipe(
          Effect.map(toEither),
          // It never waits for a user, so nothing can close a cycle.
          Effect.catchTag("Deadlock", Effect.die)
        ),
      restore,
      giveBack: below.giveBack,
      refresh,
      refreshAll,
      release,
      share,
      downgrade: (id, owner) =>
        onLease(
          id,
          (local) => {
            if (local.state !== "held" || !isOwner(local, owner)) return Effect.succeed(false)
            turn(() => delegate.downgraded(local))
            return Effect.succeed(true)
          },
          (local) =>
            Effect.map(below.downgrade(id, owner), (isDone) => {
              if (isDone && local !== undefined) turn(() => delegate.downgraded(local))
              return isDone
            })
        ),
      breakLease: (id) =>
        onLease(
          id,
          (local) => {
            if (local.state !== "held") return Effect.succeed(false)
            turn(() => delegate.lose(local, "broken"))
            return Effect.succeed(true)
          },
          () => below.breakLease(id)
        ),
      inspect: (path) =>
        Effect.map(below.inspect(path), (entries) => {
          const here = delegate.table
            .inspect(path, host.now())
            .filter(({ id }) => delegate.locals.get(id)?.registration !== "done")
            .map(({ id }) => delegate.describe(id)!)
          if (here.length === 0) return entries.map(asUser)
          const known = new Set(here.map(({ id }) => id))
          return [...entries.filter(({ id }) => !known.has(id)).map(asUser), ...here]
        }),
      lookup,
      blockers: (ids) =>
        Effect.suspend(() => {
          const here = ids.map((id): Blocked | undefined => {
            const found =
              delegate.locals.get(id)?.state === "local" ? delegate.table.blocked(id, mostAhead, host.now()) : undefined
            return found && { ahead: found.ahead, blocker: delegate.describe(found.blocker.id) ?? found.blocker }
          })
          const there = ids.flatMap((id, i) =>
            here[i] === undefined ? [delegate.locals.get(id)?.asked?.id ?? id] : []
          )
          if (there.length === 0) return Effect.succeed(here.map(Option.fromNullable))
          return Effect.map(below.blockers(there), (found) => {
            let next = 0
            return here.map((blocked) =>
              blocked === undefined
                ? Option.map(found[next++]!, ({ ahead, blocker }) => ({ ahead, blocker: asUser(blocker) }))
                : Option.some(blocked)
            )
          })
        }),
      revocations: PubSub.subscribe(revocations),
      delegations: undefined
    })
  })
