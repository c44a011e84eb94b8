/**
 * A namespace in several partitions: one store of many clients of the server, each with keys of its own, over the same two connections.
 *
 * Most requests lie in one partition, and are asked for there alone. Which one that is, is remembered for the leases of this client;
 * for others all are asked. What lies in several is taken as a whole (taking.ts), shown as one (merging.ts), and lost as a whole.
 */
import { type LockError, LockStore, type Target } from "@hilok/core"
import type { NonEmptyReadonlyArray } from "effect/Array"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as ExecutionStrategy from "effect/ExecutionStrategy"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as PubSub from "effect/PubSub"
import * as Queue from "effect/Queue"
import * as Runtime from "effect/Runtime"
import * as Scope from "effect/Scope"
import * as Client from "./client.ts"
import * as codec from "./codec.ts"
import type * as Connection from "./connection.ts"
import * as failure from "./failure.ts"
import type * as Keys from "./keys.ts"
import * as merging from "./merging.ts"
import { PartitionCount } from "./partitionCount.ts"
import { type Place, Places } from "./places.ts"
import * as routing from "./routing.ts"
import * as Script from "./script.ts"
import { settlementOf } from "./settlements.ts"
import * as taking from "./taking.ts"

type Store = LockStore.LockStore["Type"]
type Failed = LockError.Deadlock | LockError.StoreError
type Answer = Either.Either<LockStore.Grant, merging.Shown>

const each = { concurrency: "unbounded" } as const

/** The clients of all partitions. They end together, as each waits a moment for what it still has to send. */
const clients = (
  connection: Connection.Connection,
  settings: Client.Settings,
  partitions: ReadonlyArray<Keys.Keys>
): Effect.Effect<ReadonlyArray<Store>, LockError.StoreError | LockError.InvalidOptions, Scope.Scope> =>
  Effect.gen(function* () {
    const scope = yield* Effect.acquireRelease(Scope.make(ExecutionStrategy.parallel), (scope, exit) =>
      Scope.close(scope, exit)
    )
    const client = (keys: Keys.Keys) =>
      Effect.flatMap(Scope.fork(scope, ExecutionStrategy.sequential), (own) =>
        Scope.extend(Client.make(connection, { ...settings, keys }), own)
      )
    return yield* Effect.forEach(partitions, client, each)
  })

export const make = (
  connection: Connection.Connection,
  settings: Client.Settings,
  partitions: ReadonlyArray<Keys.Keys>
): Effect.Effect<Store, LockError.StoreError | LockError.InvalidOptions, Scope.Scope> =>
  Effect.gen(function* () {
    const clock = yield* Effect.clock
    const now = () => Number(clock.unsafeCurrentTimeNanos()) / 1e6
    const runFork = Runtime.runFork(yield* Effect.runtime<never>())
    const count = partitions.length
    const number = yield* PartitionCount.make(connection, settings, count)
    const stores = yield* clients(connection, settings, partitions)
    const everywhere = Array.from(stores.keys())
    const revocations = yield* PubSub.unbounded<LockStore.Revocation>()
    const recalls = yield* PubSub.unbounded<LockStore.Recall>()

    const in_ = (at: number): Store => stores[at]!

    const giveBackIn = (ats: ReadonlyArray<number>, id: string, owner: string): void => {
      for (const at of ats) runFork(Effect.ignore(in_(at).release(id, owner)))
    }
    const places: Places = new Places((place, but, owner) =>
      giveBackIn(
        place.parts.flatMap(({ at }) => (at === but ? [] : [at])),
        place.id,
        owner
      )
    )

    // -- What is said by the partitions

    const listen = <A>(
      queue: Effect.Effect<Queue.Dequeue<A>, never, Scope.Scope>,
      hear: (message: A) => void
    ): Effect.Effect<unknown, never, Scope.Scope> =>
      Effect.flatMap(queue, (messages) =>
        Queue.take(messages).pipe(Effect.map(hear), Effect.forever, Effect.interruptible, Effect.forkScoped)
      )
    for (const [at, store] of stores.entries()) {
      yield* listen(store.revocations, (revocation) => {
        if (places.onRevocation(at, revocation)) revocations.unsafeOffer(revocation)
      })
      yield* listen(store.delegations!.recalls, (recall) => {
        if (places.onRecall(recall)) recalls.unsafeOffer(recall)
      })
    }

    // -- Where a lease is

    /** All that there is of an id in these partitions. */
    const find = (
      ats: ReadonlyArray<number>,
      id: string
    ): Effect.Effect<ReadonlyArray<merging.Found>, LockError.StoreError> =>
      Effect.map(
        Effect.forEach(
          ats,
          (at) =>
            Effect.map(
              in_(at).lookup(id),
              Option.map((entry) => ({ at, entry }))
            ),
          each
        ),
        (found) => found.flatMap(Option.toArray)
      )

    const isLease = ([first, ...others]: ReadonlyArray<merging.Found>): boolean =>
      first !== undefined &&
      others.length + 1 === merging.partsOf(first.entry) &&
      [first, ...others].every(({ entry }) => entry.state === "held")

    /** The partitions in which a lease lies; none when there is no such lease: it is not live, waits, or is being taken. */
    const whereIs = (id: string): Effect.Effect<ReadonlyArray<number>, LockError.StoreError> => {
      const single = places.singleOf(id)
      if (single !== undefined) return Effect.succeed([single])
      const place = places.severalOf(id)
      if (place !== undefined) return Effect.succeed(place.onLoss === undefined ? place.parts.map(({ at }) => at) : [])
      return Effect.map(find(everywhere, id), (found) => (isLease(found) ? found.map(({ at }) => at) : []))
    }

    /** Without going by what is live: of what is known only where it is, else everywhere. */
    const anywhere = (id: string): ReadonlyArray<number> => {
      const single = places.singleOf(id)
      return single === undefined ? (places.severalOf(id)?.parts.map(({ at }) => at) ?? everywhere) : [single]
    }

    /**
     * Does something to a lease in each partition that it lies in. When one of them does not have it (any more), it is lost as a
     * whole, and what is left of it is given back; so it is when it was never `owner`'s.
     */
    const onLease = <A>(
      id: string,
      owner: string | undefined,
      act: (store: Store) => Effect.Effect<Option.Option<A>, LockError.StoreError>
    ): Effect.Effect<ReadonlyArray<A>, LockError.StoreError> =>
      Effect.flatMap(whereIs(id), (ats) =>
        Effect.map(
          Effect.forEach(ats, (at) => act(in_(at)), each),
          (answers) => {
            const done = answers.flatMap(Option.toArray)
            if (done.length === ats.length) return done
            const its = owner ?? places.severalOf(id)?.owner
            places.drop(id)
            if (its !== undefined)
              giveBackIn(
                ats.filter((_, i) => Option.isSome(answers[i]!)),
                id,
                its
              )
            return []
          }
        )
      )

    // -- What is shown

    const targetsOf = new Map<string, ReadonlyArray<Target.Target>>()

    const mergeAll = (found: NonEmptyReadonlyArray<merging.Found>) =>
      merging.merge(found, targetsOf.get(found[0].entry.id))

    /** What other partitions have of what lies in several. */
    const complete = (found: NonEmptyReadonlyArray<merging.Found>) => {
      const [{ entry }] = found
      if (merging.partsOf(entry) <= found.length) return Effect.succeed(mergeAll(found))
      const seen = new Set(found.map(({ at }) => at))
      const others = anywhere(entry.id).filter((at) => !seen.has(at))
      return Effect.map(find(others, entry.id), (more) => mergeAll([...found, ...more]))
    }

    const completeBlocked = (at: number, blocked: Option.Option<LockStore.Blocked>) =>
      Option.isNone(blocked)
        ? Effect.succeed(blocked)
        : Effect.map(complete([{ at, entry: blocked.value.blocker }]), (blocker) =>
            Option.some({ ahead: blocked.value.ahead, blocker })
          )

    // -- Asking

    const several = (
      request: LockStore.LockRequest,
      parts: NonEmptyReadonlyArray<routing.Part>,
      ask: taking.Ask
    ): Effect.Effect<Answer, Failed> => {
      const problem = LockStore.tooLarge(request)
      if (problem !== undefined) return Effect.fail(failure.refused(Script.acquire.verb, problem))
      targetsOf.set(request.id, codec.displayTargets(request.targets))
      return Effect.ensuring(
        taking.take({ now, places, stores }, request, parts, ask),
        Effect.sync(() => targetsOf.delete(request.id))
      )
    }

    const single = (request: LockStore.LockRequest, at: number, ask: taking.Ask): Effect.Effect<Answer, Failed> => {
      places.addSingle(request.id, at)
      return Effect.onExit(ask(in_(at), request), (exit) =>
        Effect.sync(() => {
          if (Exit.isFailure(exit) || Either.isLeft(exit.value)) places.drop(request.id)
        })
      )
    }

    const route = (request: LockStore.LockRequest, ask: taking.Ask): Effect.Effect<Answer, Failed> =>
      Effect.suspend(() => {
        if (number.refusal !== undefined) return Effect.fail(number.refusal)
        const parts = routing.split(request.targets, count)
        const [first] = parts
        const answer = parts.length === 1 ? single(request, first.at, ask) : several(request, parts, ask)
        return Effect.flatMap(answer, (result) =>
          Either.isRight(result) || merging.partsOf(result.left) === 1
            ? Effect.succeed(result)
            : // It is not known which partition has refused: what there is of it is looked up.
              Effect.map(find(anywhere(result.left.id), result.left.id), ([one, ...rest]) =>
                Either.left(one === undefined ? result.left : mergeAll([one, ...rest]))
              )
        )
      })

    const release: Store["release"] = (id, owner) =>
      Effect.map(
        Effect.forEach(anywhere(id), (at) => in_(at).release(id, owner), each),
        (released) => {
          if (places.severalOf(id)?.onLoss === undefined) places.drop(id)
          return released.some((done) => done)
        }
      )

    const refresh: Store["refresh"] = (id, ttl, owner) =>
      Effect.map(
        onLease(id, owner, (store) => store.refresh(id, ttl, owner)),
        (deadlines) => (deadlines.length === 0 ? Option.none() : Option.some(Math.min(...deadlines)))
      )

    /** In each partition all leases there go along in one call. */
    const refreshAll: Store["refreshAll"] = (leases) =>
      Effect.suspend(() => {
        const groups = new Map<number, Array<number>>()
        const answers: Array<Option.Option<number> | LockError.StoreError> = []
        const rest: Array<number> = []
        for (const [i, { id }] of leases.entries()) {
          const at = places.singleOf(id)
          if (at === undefined) rest.push(i)
          else if (groups.has(at)) groups.get(at)!.push(i)
          else groups.set(at, [i])
        }
        const group = ([at, which]: readonly [number, ReadonlyArray<number>]) =>
          Effect.map(in_(at).refreshAll(which.map((i) => leases[i]!)), (results) => {
            for (const [j, i] of which.entries()) {
              const answer = results[j]!
              if (Option.isOption(answer) && Option.isNone(answer)) places.drop(leases[i]!.id)
              answers[i] = answer
            }
          })
        const alone = (i: number) => {
          const { id, owner, ttl } = leases[i]!
          return Effect.map(Effect.either(refresh(id, ttl, owner)), (answer) => {
            answers[i] = Either.merge(answer)
          })
        }
        const all = [...Array.from(groups, group), ...rest.map(alone)]
        return Effect.as(Effect.all(all, { ...each, discard: true }), answers)
      })

    // -- Taking over

    /** What of a lease lies where: as this client knows it, else as the partitions tell. */
    const partsOf = (id: string): Effect.Effect<ReadonlyArray<Place["parts"][number]>, LockError.StoreError> => {
      const single = places.singleOf(id)
      if (single !== undefined) return Effect.succeed([{ at: single, numbers: [] }])
      const place = places.severalOf(id)
      if (place !== undefined) return Effect.succeed(place.onLoss === undefined ? place.parts : [])
      return Effect.map(find(everywhere, id), (found) =>
        isLease(found) ? found.map(({ at, entry }) => ({ at, numbers: entry.share?.slice(1) ?? [] })) : []
      )
    }

    const restore: Store["restore"] = (id, ttl, owner) =>
      Effect.flatMap(partsOf(id), ([first, ...more]) => {
        if (first === undefined) return Effect.succeedNone
        if (more.length === 0) {
          return Effect.map(in_(first.at).restore(id, ttl, owner), (restored) => {
            if (Option.isSome(restored)) places.addSingle(id, first.at)
            return restored
          })
        }
        const parts = [first, ...more] as const
        const one = (part: Place["parts"][number]) =>
          Effect.map(
            in_(part.at).restore(id, ttl, owner),
            Option.map((grant) => ({ ...part, grant }))
          )
        return Effect.flatMap(Effect.forEach(parts, one, each), (restored) => {
          const done = restored.flatMap(Option.toArray)
          if (done.length < parts.length) {
            // It was lost meanwhile. Whose the rest is, its owner gives back.
            return Effect.as(
              Effect.forEach(done, ({ at }) => Effect.ignore(in_(at).giveBack(id, owner)), { ...each, discard: true }),
              Option.none()
            )
          }
          places.add(id, parts, owner)
          return Effect.succeedSome({
            token: Math.max(...done.map(({ grant }) => grant.token)),
            deadline: Math.min(...done.map(({ grant }) => grant.deadline)),
            targets: merging.mergeTargets(done.map(({ grant: { targets }, numbers }) => ({ targets, numbers })))
          })
        })
      })

    const giveBack: Store["giveBack"] = (id, owner) =>
      Effect.map(
        Effect.forEach(anywhere(id), (at) => in_(at).giveBack(id, owner), each),
        (done) => {
          const isBack = done.some((yes) => yes)
          // Its owner is another by now: who that is, this client need not know.
          if (isBack) places.drop(id)
          return isBack
        }
      )

    const toFlag = (store: Effect.Effect<boolean, LockError.StoreError>) =>
      Effect.map(store, (done) => (done ? Option.some(done) : Option.none()))

    return LockStore.LockStore.of({
      namespace: settings.namespace,
      acquire: (request) =>
        // One that queues is never refused.
        Effect.map(
          route(request, (store, part) => Effect.map(store.acquire(part), Either.right)),
          Either.getOrThrow
        ),
      tryAcquire: (request) =>
        // It never waits, so nothing can close a cycle.
        Effect.catchTag(
          route(request, (store, part) => store.tryAcquire(part)),
          "Deadlock",
          Effect.die
        ),
      release,
      refresh,
      refreshAll,
      restore,
      giveBack,
      downgrade: (id, owner) =>
        Effect.map(
          onLease(id, owner, (store) => toFlag(store.downgrade(id, owner))),
          (done) => done.length > 0
        ),
      share: () => Effect.succeed(true),
      breakLease: (id) =>
        Effect.flatMap(whereIs(id), (ats) =>
          Effect.map(
            Effect.forEach(ats, (at) => in_(at).breakLease(id), each),
            (broken) => broken.some((done) => done)
          )
        ),
      lookup: (id) =>
        Effect.map(find(anywhere(id), id), ([first, ...more]) => {
          if (first === undefined) return Option.none()
          const entry = mergeAll([first, ...more])
          // One that was held, and has lost a part, is over.
          const place = places.severalOf(id)
          return place !== undefined && place.onLoss === undefined && entry.state === "waiting"
            ? Option.none()
            : Option.some(entry)
        }),
      inspect: (path) =>
        Effect.gen(function* () {
          const pages = yield* Effect.forEach(
            routing.partitionsBelow(path, count),
            (at) => Effect.map(in_(at).inspect(path), (entries) => entries.map((entry) => ({ at, entry }))),
            each
          )
          const byId = new Map<string, [merging.Found, ...Array<merging.Found>]>()
          for (const found of pages.flat()) {
            const known = byId.get(found.entry.id)
            if (known === undefined) byId.set(found.entry.id, [found])
            else known.push(found)
          }
          return merging.inOrder(yield* Effect.forEach(byId.values(), complete, each))
        }),
      blockers: (ids) =>
        Effect.gen(function* () {
          const asked = new Map<number, Array<string>>()
          for (const id of ids) {
            for (const at of anywhere(id)) asked.set(at, [...(asked.get(at) ?? []), id])
          }
          const found = new Map<string, Option.Option<LockStore.Blocked>>()
          yield* Effect.forEach(
            asked,
            ([at, some]) =>
              Effect.flatMap(in_(at).blockers(some), (blocked) =>
                Effect.forEach(
                  blocked,
                  (one, i) =>
                    Effect.map(completeBlocked(at, one), (answer) => {
                      if (Option.isSome(answer)) found.set(some[i]!, answer)
                    }),
                  each
                )
              ),
            each
          )
          return ids.map((id) => found.get(id) ?? Option.none())
        }),
      revocations: PubSub.subscribe(revocations),
      delegations: {
        settle: (settlement) => settlementOf({ anywhere, count, places, stores }, settlement),
        refresh: (id, ttl) =>
          Effect.map(
            onLease(id, id, (store) => store.delegations!.refresh(id, ttl)),
            (answers) =>
              answers.length === 0
                ? Option.none()
                : Option.some({
                    deadline: Math.min(...answers.map(({ deadline }) => deadline)),
                    wanted: answers.some(({ wanted }) => wanted)
                  })
          ),
        recalls: PubSub.subscribe(recalls)
      }
    })
  })
