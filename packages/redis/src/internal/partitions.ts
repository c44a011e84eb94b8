/**
 * A namespace in several partitions: one store of many clients of the server, each with keys of its own, over the same two connections.
 *
 * Most requests lie in one partition, and are asked for there alone. Which one that is, is remembered for the leases of this client;
 * for others all are asked. What lies in several is taken as a whole (taking.ts), shown as one (merging.ts), and lost as a whole.
 */
import { type LockEntry, type LockError, LockStore } from "@hilok/core"
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
import { inEach, Whereabouts } from "./whereabouts.ts"

type Store = LockStore.LockStore["Type"]
type Failed = LockError.Deadlock | LockError.StoreError
type Answer = Either.Either<LockStore.Grant, LockEntry.LockEntry>

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
    const [number, stores] = yield* Effect.all(
      [PartitionCount.make(connection, settings, count), clients(connection, settings, partitions)],
      each
    )
    const revocations = yield* PubSub.unbounded<LockStore.Revocation>()
    const recalls = yield* PubSub.unbounded<LockStore.Recall>()

    const storeIn = (at: number): Store => stores[at]!

    const giveBackIn = (ats: ReadonlyArray<number>, id: string, owner: string): void => {
      for (const at of ats) runFork(Effect.ignore(storeIn(at).release(id, owner)))
    }
    const places: Places = new Places((place, but, owner) =>
      giveBackIn(
        place.parts.flatMap(({ at }) => (at === but ? [] : [at])),
        place.id,
        owner
      )
    )

    const whereabouts = new Whereabouts(stores, places, giveBackIn)

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

    // -- Asking

    const several = (
      request: LockStore.LockRequest,
      parts: NonEmptyReadonlyArray<routing.Part>,
      ask: taking.Ask
    ): Effect.Effect<Answer, Failed> => {
      const problem = LockStore.tooLarge(request)
      if (problem !== undefined) return Effect.fail(failure.refused(Script.acquire.verb, problem))
      whereabouts.targets.set(request.id, codec.displayTargets(request.targets))
      return Effect.ensuring(
        taking.take({ now, places, stores }, request, parts, ask),
        Effect.sync(() => whereabouts.targets.delete(request.id))
      )
    }

    const single = (request: LockStore.LockRequest, at: number, ask: taking.Ask): Effect.Effect<Answer, Failed> => {
      places.addSingle(request.id, at)
      return Effect.onExit(ask(storeIn(at), request), (exit) =>
        Effect.sync(() => {
          if (Exit.isFailure(exit) || Either.isLeft(exit.value)) places.drop(request.id)
          // Somebody who took it for a lease too early may have had it dropped.
          else places.addSingle(request.id, at)
        })
      )
    }

    const route = (request: LockStore.LockRequest, ask: taking.Ask): Effect.Effect<Answer, Failed> =>
      Effect.suspend(() => {
        if (number.refusal !== undefined) return Effect.fail(number.refusal)
        const parts = routing.split(request.targets, count)
        const [first] = parts
        const answer = parts.length === 1 ? single(request, first.at, ask) : several(request, parts, ask)
        return Effect.flatMap(
          answer,
          (result): Effect.Effect<Answer, Failed> =>
            Either.isRight(result)
              ? Effect.succeed(result)
              : Effect.map(whereabouts.completeOne(result.left), (blocker) => Either.left(blocker))
        )
      })

    const release: Store["release"] = (id, owner) =>
      Effect.map(
        Effect.suspend(() => inEach(whereabouts.anywhere(id), (at) => storeIn(at).release(id, owner))),
        (released) => {
          if (places.severalOf(id)?.onLoss === undefined) places.drop(id)
          return released.some((done) => done)
        }
      )

    const refresh: Store["refresh"] = (id, ttl, owner) =>
      Effect.map(
        whereabouts.onLease(id, owner, (store) => store.refresh(id, ttl, owner)),
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
          Effect.map(storeIn(at).refreshAll(which.map((i) => leases[i]!)), (results) => {
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

    const restore: Store["restore"] = (id, ttl, owner) =>
      Effect.flatMap(whereabouts.partsOf(id), ([first, ...more]) => {
        if (first === undefined) return Effect.succeedNone
        if (more.length === 0) {
          return Effect.map(storeIn(first.at).restore(id, ttl, owner), (restored) => {
            if (Option.isSome(restored)) places.addSingle(id, first.at)
            return restored
          })
        }
        const parts = [first, ...more] as const
        const one = (part: Place["parts"][number]) =>
          Effect.map(
            storeIn(part.at).restore(id, ttl, owner),
            Option.map((grant) => ({ ...part, grant }))
          )
        return Effect.flatMap(Effect.forEach(parts, one, each), (restored) => {
          const done = restored.flatMap(Option.toArray)
          if (done.length < parts.length) {
            // It was lost meanwhile. Whose the rest is, its owner gives back.
            return Effect.as(
              Effect.forEach(done, ({ at }) => Effect.ignore(storeIn(at).giveBack(id, owner)), {
                ...each,
                discard: true
              }),
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
        Effect.suspend(() => inEach(whereabouts.anywhere(id), (at) => storeIn(at).giveBack(id, owner))),
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
          whereabouts.onLease(id, owner, (store) => toFlag(store.downgrade(id, owner))),
          (done) => done.length > 0
        ),
      share: () => Effect.succeed(true),
      breakLease: (id) =>
        Effect.flatMap(whereabouts.partsOf(id), (parts) =>
          Effect.map(
            Effect.forEach(parts, ({ at }) => storeIn(at).breakLease(id), each),
            (broken) => broken.some((done) => done)
          )
        ),
      lookup: (id) => whereabouts.lookup(id),
      inspect: (path) =>
        Effect.gen(function* () {
          const pages = yield* Effect.forEach(
            routing.partitionsBelow(path, count),
            (at) => Effect.map(storeIn(at).inspect(path), (entries) => entries.map((entry) => ({ at, entry }))),
            each
          )
          const byId = new Map<string, [merging.Found, ...Array<merging.Found>]>()
          for (const found of pages.flat()) {
            const known = byId.get(found.entry.id)
            if (known === undefined) byId.set(found.entry.id, [found])
            else known.push(found)
          }
          return merging.inOrder(yield* Effect.forEach(byId.values(), (found) => whereabouts.complete(found), each))
        }),
      blockers: (ids) =>
        Effect.gen(function* () {
          const asked = new Map<number, Array<string>>()
          for (const id of ids) {
            for (const at of whereabouts.anywhere(id)) asked.set(at, [...(asked.get(at) ?? []), id])
          }
          const found = new Map<string, Option.Option<LockStore.Blocked>>()
          yield* Effect.forEach(
            asked,
            ([at, some]) =>
              Effect.flatMap(storeIn(at).blockers(some), (blocked) =>
                Effect.forEach(
                  blocked,
                  (one, i) =>
                    Option.isNone(one)
                      ? Effect.void
                      : Effect.map(whereabouts.complete([{ at, entry: one.value.blocker }]), (blocker) => {
                          found.set(some[i]!, Option.some({ ahead: one.value.ahead, blocker }))
                        }),
                  { ...each, discard: true }
                )
              ),
            each
          )
          return ids.map((id) => found.get(id) ?? Option.none())
        }),
      revocations: PubSub.subscribe(revocations),
      delegations: {
        settle: (settlement) => settlementOf({ count, places, stores, whereabouts }, settlement),
        refresh: (id, ttl) =>
          Effect.map(
            whereabouts.onLease(id, id, (store) => store.delegations!.refresh(id, ttl)),
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
