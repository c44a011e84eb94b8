/**
 * A request in several partitions: takes one after the other, in ascending order, all or none.
 *
 * Everybody takes them in this order, so no two requests wait for each other for that alone. What it has is refreshed while it
 * waits for the next. When a part is lost meanwhile, it begins anew; when it fails or is interrupted, all is given back.
 */
import { type LockEntry, LockError, type LockStore } from "@hilok/core"
import type { NonEmptyReadonlyArray } from "effect/Array"
import * as Cause from "effect/Cause"
import * as Data from "effect/Data"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as codec from "./codec.ts"
import { sleep } from "./commands.ts"
import * as failure from "./failure.ts"
import type { Place, Places } from "./places.ts"
import type { Part } from "./routing.ts"
import * as Script from "./script.ts"

type Store = LockStore.LockStore["Type"]
type Answer = Either.Either<LockStore.Grant, LockEntry.LockEntry>
type Failed = LockError.Deadlock | LockError.StoreError

/** How the partition of a part is asked for it. */
export type Ask = (store: Store, request: LockStore.LockRequest) => Effect.Effect<Answer, Failed>

/** A part was lost before all were there. */
class PartLost extends Data.TaggedError("PartLost") {}

/** How long an interrupted or failed request waits until it is gone from the server (milliseconds). */
const goodbye = 25
/** How long until one that has lost a part begins anew (milliseconds): nothing spins. */
const pause = 20
const refreshesPerTtl = 3
/** After which part of the ttl what was granted first is refreshed before the last grant is reported. */
const stale = 0.1
/** The id of nothing: a release of it only raises the tokens of its partition. */
const nobody = ""

const each = { concurrency: "unbounded" } as const

/** What is asked of one partition. It says what share it is, so that others can tell when all of it is there. */
export const partOf = (
  request: LockStore.LockRequest,
  { numbers, targets }: Part,
  count: number
): LockStore.LockRequest => {
  const holder: codec.SharedHolder = { ...request.holder, share: [count, ...numbers] }
  return { ...request, targets, holder }
}

interface Held {
  readonly part: Part
  readonly token: number
  deadline: number
}

/** One attempt of a request. */
class Attempt {
  readonly held: Array<Held> = []
  /** When the first of them was granted, or all were refreshed last. */
  private freshAt = 0
  private readonly stores: ReadonlyArray<Store>
  private readonly request: LockStore.LockRequest
  private readonly lost: Deferred.Deferred<never, PartLost | LockError.StoreError>
  private readonly now: () => number

  constructor(stores: ReadonlyArray<Store>, request: LockStore.LockRequest, lost: Attempt["lost"], now: () => number) {
    this.stores = stores
    this.request = request
    this.lost = lost
    this.now = now
  }

  private get ttl(): number {
    return Duration.toMillis(this.request.ttl)
  }

  granted(part: Part, { deadline, token }: LockStore.Grant): void {
    if (this.held.length === 0) this.freshAt = this.now()
    this.held.push({ part, token, deadline })
  }

  /** Runs an effect while what is held already is kept alive. */
  guard<A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, E | PartLost | LockError.StoreError> {
    if (this.held.length === 0) return effect
    return Effect.raceFirst(effect, Effect.raceFirst(Deferred.await(this.lost), this.keepAlive))
  }

  private readonly keepAlive: Effect.Effect<never, PartLost> = Effect.suspend(() =>
    sleep(this.freshAt + this.ttl / refreshesPerTtl - this.now())
  ).pipe(
    Effect.zipRight(Effect.suspend(() => this.refresh)),
    Effect.catchTag("StoreError", () => sleep(this.ttl / refreshesPerTtl / 4)),
    Effect.forever
  )

  /** Moves the deadlines of all that is held on. */
  private readonly refresh: Effect.Effect<void, PartLost | LockError.StoreError> = Effect.suspend(() => {
    const { id, ttl } = this.request
    const startedAt = this.now()
    const one = (held: Held) =>
      this.stores[held.part.at]!.refresh(id, ttl, id).pipe(
        Effect.flatMap((deadline) => {
          if (Option.isNone(deadline)) return new PartLost()
          held.deadline = deadline.value
          return Effect.void
        }),
        // The server does not answer, and has dropped it by now.
        Effect.mapError((error) => (held.deadline <= this.now() ? new PartLost() : error))
      )
    return Effect.map(Effect.forEach(this.held, one, { ...each, discard: true }), () => {
      this.freshAt = startedAt
    })
  })

  /** All is held: its token is the greatest of those it got, and no partition gives a smaller one from now on. */
  finish(wanted: boolean): Effect.Effect<LockStore.Grant, PartLost | LockError.StoreError> {
    const token = Math.max(...this.held.map((held) => held.token))
    const raise = ({ part }: Held) =>
      this.stores[part.at]!.delegations!.settle({ registrations: [], releases: [{ id: nobody, floor: token }] })
    const raised = Effect.forEach(
      this.held.filter((held) => held.token < token),
      raise,
      { ...each, discard: true }
    )
    const confirmed = Effect.suspend(() =>
      this.now() - this.freshAt > this.ttl * stale ? Effect.zipRight(raised, this.refresh) : raised
    )
    // A server that can do nothing for now is waited for, as it is for each part, as long as what is held lives.
    const isForNow = (error: PartLost | LockError.StoreError) =>
      error._tag === "StoreError" && failure.refusal(error) !== undefined
    const patient = Effect.retry(confirmed, { while: isForNow, schedule: Schedule.spaced(pause) })
    return Effect.map(patient, () => {
      const deadline = Math.min(...this.held.map((held) => held.deadline))
      return wanted ? { token, deadline, wanted } : { token, deadline }
    })
  }
}

export interface Context {
  readonly stores: ReadonlyArray<Store>
  readonly places: Places
  readonly now: () => number
}

/** Takes all parts of a request, or none. */
export const take = (
  { now, places, stores }: Context,
  request: LockStore.LockRequest,
  parts: NonEmptyReadonlyArray<Part>,
  ask: Ask
): Effect.Effect<Answer, Failed> => {
  const { id } = request
  /** How many parts have been asked for. */
  let asked = 0
  let wanted = false

  const askFor = (part: Part) => ask(stores[part.at]!, partOf(request, part, parts.length))

  const once = (place: Place) =>
    Effect.gen(function* () {
      const lost = yield* Deferred.make<never, PartLost | LockError.StoreError>()
      const ordered = failure.refused(
        Script.acquire.verb,
        "the request was taken out of the queue, by an order with its id"
      )
      place.onLoss = (isOrder) => Deferred.unsafeDone(lost, Effect.fail(isOrder ? ordered : new PartLost()))
      const attempt = new Attempt(stores, request, lost, now)
      for (const [at, part] of parts.entries()) {
        asked = at + 1
        const answer: Answer = yield* attempt.guard(askFor(part))
        if (Either.isLeft(answer)) return answer
        wanted ||= answer.right.wanted === true
        attempt.granted(part, answer.right)
      }
      return Either.right(yield* attempt.guard(Effect.suspend(() => attempt.finish(wanted || place.urgency > 0))))
    })

  /** Asks for a lease that is there: it answers with what it has got. */
  const again: Effect.Effect<Answer, Failed> = Effect.gen(function* () {
    const attempt = new Attempt(stores, request, yield* Deferred.make<never, PartLost | LockError.StoreError>(), now)
    for (const part of parts) {
      const answer = yield* askFor(part)
      if (Either.isLeft(answer)) return answer
      attempt.granted(part, answer.right)
    }
    return Either.right(yield* Effect.catchTag(attempt.finish(false), "PartLost", () => Effect.die("not refreshed")))
  })

  /** Also what may be on its way: the answer to a release comes after all that was asked before it. */
  const giveBack = Effect.suspend(() =>
    Effect.forEach(parts.slice(0, asked), ({ at }) => Effect.ignore(stores[at]!.release(id, id)), {
      ...each,
      discard: true
    })
  )

  const repeated = (place: Place): Effect.Effect<Answer, Failed> =>
    Effect.catchTag(once(place), "PartLost", () =>
      giveBack.pipe(Effect.zipRight(sleep(pause)), Effect.zipRight(Effect.suspend(() => repeated(place))))
    )

  /** It is refused, or has closed a cycle: the caller is told when nothing is left. Else it does not wait for long. */
  const isAnswered = (exit: Exit.Exit<Answer, Failed>): boolean =>
    Exit.isSuccess(exit) || Cause.failureOption(exit.cause).pipe(Option.exists(({ _tag }) => _tag === "Deadlock"))

  return Effect.uninterruptibleMask((restore) => {
    const known = places.severalOf(id)
    if (known?.onLoss !== undefined) {
      return Effect.fail(failure.refused(Script.acquire.verb, "a request with the same id is under way already"))
    }
    if (known !== undefined) return restore(again)
    const place = places.add(id, parts, id)
    // The targets of a cycle are those of the whole request.
    const whole = (error: Failed): Failed =>
      error._tag === "Deadlock"
        ? new LockError.Deadlock({ targets: codec.displayTargets(request.targets), cycle: error.cycle })
        : error
    return Effect.mapError(restore(repeated(place)), whole).pipe(
      Effect.onExit((exit) => {
        place.onLoss = undefined
        if (Exit.isSuccess(exit) && Either.isRight(exit.value)) return Effect.void
        place.isOver = true
        places.drop(id)
        return isAnswered(exit)
          ? Effect.asVoid(restore(giveBack)).pipe(Effect.catchAllCause(() => Effect.void))
          : Effect.asVoid(Effect.timeoutOption(Effect.interruptible(giveBack), goodbye))
      })
    )
  })
}
