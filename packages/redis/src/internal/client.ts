/**
 * One client of the server: what the store's methods do, over connections that are open.
 */
import { randomBytes } from "node:crypto"
import { hostname } from "node:os"
import { type LockEntry, type LockError, LockStore } from "@hilok/core"
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as PubSub from "effect/PubSub"
import * as Runtime from "effect/Runtime"
import * as RuntimeFlags from "effect/RuntimeFlags"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import { ShortWait, UnderWay } from "./background.ts"
import { Batch } from "./batch.ts"
import * as codec from "./codec.ts"
import { Commands, type Host, localDeadline, type Reply, sleep } from "./commands.ts"
import type * as Connection from "./connection.ts"
import * as Delegations from "./delegations.ts"
import * as failure from "./failure.ts"
import type * as Keys from "./keys.ts"
import * as Listening from "./listening.ts"
import * as partitionCount from "./partitionCount.ts"
import * as ReplicaLink from "./replicaLink.ts"
import { Replicas } from "./replicas.ts"
import { type Answer, type Failed, Refusal, Request, Requests } from "./requests.ts"
import * as Script from "./script.ts"

/** How long the end of a store waits for its last commands, releases above all. */
const farewell = Duration.seconds(1)
/** How long a refresh waits for others to go along with it (milliseconds), and how many go along. */
const refreshLinger = 2
const refreshesPerCommand = 200

const lookupsPerCommand = 50
/** How long an interrupted request waits until it is gone from the server (milliseconds). */
const goodbye = 25

const revocationOf: { readonly [letter: string]: LockStore.Revocation["reason"] } = {
  b: "broken",
  e: "expired",
  r: "released",
  t: "taken"
}

/** What the script answered for one of the leases. */
const refreshed = (result: Reply, i: number): Option.Option<number> => {
  const deadline = result.values[i]
  return typeof deadline === "number" && deadline !== 0
    ? Option.some(localDeadline(result, Math.abs(deadline)))
    : Option.none()
}

/** Is it a delegation that is wanted back? */
const isWanted = ({ values }: Reply, i: number): boolean => codec.number(values[i]) < 0

const loaderNames: { readonly [_ in Script.Loader]: string } = {
  functions: "a library of functions",
  script: "a script, as it has no functions, or this user may not use them"
}

interface Refresh {
  readonly name: string
  readonly ttl: number
  readonly done: (result: Reply | LockError.StoreError, i: number) => void
}

/** What was looked for: a lease or waiting request, or what blocks it. */
class Lookup<A> {
  readonly name: string
  private readonly decode: (value: unknown, serverTime: number) => A
  private readonly done: (result: Option.Option<A> | LockError.StoreError) => void

  constructor(name: string, decode: Lookup<A>["decode"], done: Lookup<A>["done"]) {
    this.name = name
    this.decode = decode
    this.done = done
  }

  answer(result: Reply | LockError.StoreError, i: number): void {
    this.done("values" in result ? this.found(result.values[i], result.serverTime) : result)
  }

  private found(value: unknown, serverTime: number): Option.Option<A> | LockError.StoreError {
    if (value === 0) return Option.none()
    try {
      return Option.some(this.decode(value, serverTime))
    } catch (error) {
      return failure.fromError(Script.lookup.verb, error)
    }
  }
}

const toExit = <A>(
  result: Option.Option<A> | LockError.StoreError
): Exit.Exit<Option.Option<A>, LockError.StoreError> =>
  Option.isOption(result) ? Exit.succeed(result) : Exit.fail(result)

/** What a client works by. The time limits are those of the store's options. */
export interface Settings {
  readonly namespace: string
  readonly keys: Keys.Keys
  readonly connectTimeout: Duration.Duration
  readonly commandTimeout: Duration.Duration
  /** Listen a moment later, in the background. */
  readonly lazyListening: boolean
  /** Grants are kept back until so many replicas have them. */
  readonly replicas: ReplicaLink.Settings | undefined
}

/** How long a client that listens lazily does without: by then one that takes a free lock for a moment is done. */
const lazyPause = Duration.millis(100)

/** Makes the client; with the scope it ends, and waits a moment for what it still has to send. */
export const make = (
  connection: Connection.Connection,
  { commandTimeout, connectTimeout, keys, lazyListening, namespace, replicas: wantedReplicas }: Settings
): Effect.Effect<LockStore.LockStore["Type"], LockError.StoreError | LockError.InvalidOptions, Scope.Scope> =>
  Effect.gen(function* () {
    const clock = yield* Effect.clock
    const runFork = Runtime.runFork(yield* Effect.runtime<never>())
    const host: Host = {
      now: () => Number(clock.unsafeCurrentTimeNanos()) / 1e6,
      fork: (effect) => {
        const fiber = runFork(effect)
        return () => fiber.unsafeInterruptAsFork(fiber.id())
      }
    }
    // Short, as each of its leases holds it.
    const id = randomBytes(9).toString("base64url")
    const revocations = yield* PubSub.unbounded<LockStore.Revocation>()
    const recalls = yield* PubSub.unbounded<LockStore.Recall>()

    const onEvents = (events: string, time: number): void => {
      for (const line of events.split("\n")) {
        const words = line.split(" ")
        const [letter = "", id = "", owner = id] = words
        const reason = revocationOf[letter]
        if (letter === "w") {
          const [, , urgency, ...name] = words
          recalls.unsafeOffer({ id, client: name.join(" "), urgent: urgency === "2" })
        } else if (reason === undefined) requests.onMessage(words, time)
        else {
          if (reason === "broken" || reason === "released") replicas?.ended(id, reason)
          revocations.unsafeOffer({ id, owner, reason })
        }
      }
    }
    const onMore = () => commands.send(Script.look, [], () => undefined)
    const commands: Commands = new Commands(connection.client, keys, id, Duration.toMillis(commandTimeout), host, {
      onEvents,
      onMore,
      onLoader: (loader) => void runFork(Effect.logDebug(`The scripts run on the server as ${loaderNames[loader]}`)),
      onSilence: () => connection.renew("silent", keys.keys[0]),
      onRefusal: () => connection.renew("refused", keys.keys[0])
    })
    let listening: Listening.Listening | undefined
    let replicas: Replicas | undefined
    const requests = new Requests(commands, host, (requestId, since) => listening?.missed(requestId, since))

    const refreshes = new Batch<Refresh>(
      () => refreshesPerCommand,
      (flush) => void host.fork(Effect.map(sleep(refreshLinger), flush)),
      (batch) => {
        commands.send(
          Script.refresh,
          batch.flatMap(({ name, ttl }) => [name, String(ttl)]),
          (result) => {
            for (let i = 0; i < batch.length; i++) batch[i]!.done(result, i)
          }
        )
      }
    )
    const lookups = new Batch<Pick<Lookup<unknown>, "name" | "answer">>(
      () => lookupsPerCommand,
      queueMicrotask,
      (batch) =>
        commands.send(
          Script.lookup,
          batch.map(({ name }) => name),
          (result) => {
            for (let i = 0; i < batch.length; i++) batch[i]!.answer(result, i)
          }
        )
    )
    const restores = new UnderWay()
    const shortly = new ShortWait(goodbye, host)

    yield* Effect.addFinalizer(() =>
      Effect.suspend(() => {
        replicas?.close()
        requests.close()
        refreshes.flush()
        return Effect.zipRight(
          Effect.timeoutOption(Effect.interruptible(commands.idle), farewell),
          Effect.sync(() => commands.close())
        )
      })
    )
    const listen = Listening.listen(
      connection,
      keys.channels + id,
      connectTimeout,
      host,
      (message) => {
        const head = message.indexOf("\n")
        onEvents(message.slice(head + 1), Number(message.slice(0, head)))
      },
      () => requests.lookAtAll()
    ).pipe(
      Effect.tap((opened) =>
        Effect.sync(() => {
          listening = opened
        })
      )
    )
    const open = Effect.zipRight(connection.openSubscriber, listen)
    yield* lazyListening
      ? open.pipe(
          // What was said meanwhile.
          Effect.zipRight(Effect.sync(() => requests.lookAtAll())),
          Effect.tapError(({ message }) => Effect.logWarning(`${message}; it is tried again`)),
          Effect.retry(Schedule.spaced("1 second")),
          Effect.delay(lazyPause),
          Effect.interruptible,
          Effect.forkScoped
        )
      : open
    if (wantedReplicas !== undefined) {
      const link = yield* ReplicaLink.open(
        wantedReplicas,
        connection,
        keys.keys[0],
        connectTimeout,
        host,
        (client, renew) => {
          const listener = { onEvents, onMore, onLoader: () => undefined, onSilence: renew, onRefusal: renew }
          return new Commands(client, keys, id, commands.timeout, host, listener)
        }
      )
      replicas = new Replicas(wantedReplicas, link, requests, host)
    }
    // From its answer the difference of the clocks is known, without which no command can be told that it is late.
    yield* Effect.catchAll(
      commands.run(Script.look, [], () => undefined),
      // Other trouble shows with the first command that matters.
      (error) => partitionCount.refusalOf(error, keys.keys[0]) ?? Effect.void
    )

    const here = { host: hostname(), pid: process.pid }
    let lastHolder: LockStore.LockRequest["holder"] = {}
    let lastEncoded = codec.encodeHolder(here)
    /** The holder as it is sent. A service names the same one again and again. */
    const holderOf = ({ holder }: LockStore.LockRequest): string => {
      if (holder !== lastHolder) {
        lastEncoded = codec.encodeHolder({ ...holder, host: holder.host ?? here.host, pid: holder.pid ?? here.pid })
        lastHolder = holder
      }
      return lastEncoded
    }

    /**
     * Asks, and waits for the answer. Interrupted, it gives the request up. (A canceler in `Effect.async` would do the
     * same, but V8 makes what Effect allocates for one old at once: see `Wanted` in the core's request.ts.)
     */
    const ask = (wanted: LockStore.LockRequest, queue: boolean) =>
      Effect.withFiberRuntime<Answer, Failed>((_, { runtimeFlags }) => {
        const problem = LockStore.tooLarge(wanted)
        // The others that would go along in the same command are not to fail with it.
        if (problem !== undefined) return Effect.fail(failure.refused(Script.acquire.verb, problem))
        const request = new Request(wanted, holderOf(wanted), queue)
        const answer = Effect.async<Answer, Failed>((resume) =>
          requests.ask(request, replicas === undefined ? resume : replicas.guard(request, resume, giveUp(request)))
        )
        const waiting = RuntimeFlags.interruption(runtimeFlags) ? Effect.interruptible(answer) : answer
        const onFailure = (cause: Cause.Cause<Failed>) =>
          Cause.isInterrupted(cause)
            ? Effect.zipRight(giveUp(request), Effect.failCause(cause))
            : Effect.failCause(cause)
        return Effect.uninterruptible(Effect.catchAllCause(waiting, onFailure))
      })
    /** The server may be silent: then the request is taken back in the background. */
    const giveUp = (request: Request) =>
      shortly.for((gone) => {
        replicas?.forget(request)
        requests.abandon(request, gone)
      })

    const millis = (duration: Duration.Duration) => Math.ceil(Duration.toMillis(duration))
    const isLive = ({ values }: Reply) => values[0] === 1

    return LockStore.LockStore.of({
      namespace,
      // One that queues is never refused.
      acquire: (wanted) => ask(wanted, true) as Effect.Effect<LockStore.Grant, Failed>,
      tryAcquire: (wanted) =>
        ask(wanted, false).pipe(
          Effect.map((answer) => (answer instanceof Refusal ? Either.left(answer.blocker) : Either.right(answer))),
          // It never waits, so nothing can close a cycle.
          Effect.catchTag("Deadlock", Effect.die)
        ),
      release: (leaseId, owner) =>
        Effect.async((resume) =>
          requests.release(codec.encodeName(leaseId, owner), (live) =>
            resume(typeof live === "boolean" ? Exit.succeed(live) : Exit.fail(live))
          )
        ),
      refresh: (leaseId, ttl, owner) =>
        Effect.async((resume) =>
          refreshes.add({
            name: codec.encodeName(leaseId, owner),
            ttl: millis(ttl),
            done: (result, i) => resume("values" in result ? Exit.succeed(refreshed(result, i)) : Exit.fail(result))
          })
        ),
      refreshAll: (leases) =>
        Effect.async((resume) => {
          const all: Array<Option.Option<number> | LockError.StoreError> = []
          let left = Math.ceil(leases.length / refreshesPerCommand)
          if (left === 0) return resume(Exit.succeed(all))
          for (let from = 0; from < leases.length; from += refreshesPerCommand) {
            const some = leases.slice(from, from + refreshesPerCommand)
            const args: Array<string> = []
            for (const { id, owner, ttl } of some) args.push(codec.encodeName(id, owner), String(millis(ttl)))
            commands.send(Script.refresh, args, (result) => {
              for (let i = 0; i < some.length; i++) {
                all[from + i] = "values" in result ? refreshed(result, i) : result
              }
              if (--left === 0) resume(Exit.succeed(all))
            })
          }
        }),
      restore: (leaseId, ttl, owner) => {
        const restored = commands.run(
          Script.restore,
          [leaseId, String(millis(ttl)), owner],
          (reply) => {
            const [token, deadline, ...targets] = reply.values
            return token === undefined
              ? Option.none()
              : Option.some({
                  token: codec.number(token),
                  deadline: localDeadline(reply, codec.number(deadline)),
                  targets: codec.decodeTargets(targets)
                })
          },
          () => restores.begin(codec.encodeName(leaseId, owner))
        )
        return Effect.flatMap(restored, (found) =>
          replicas === undefined || Option.isNone(found)
            ? Effect.succeed(found)
            : replicas.restored(leaseId, millis(ttl), found.value)
        )
      },
      // Never before a restore that may be done yet.
      giveBack: (leaseId, owner) =>
        Effect.async((resume) =>
          restores.after(codec.encodeName(leaseId, owner), () =>
            commands.send(Script.giveBack, [leaseId, owner], (result) =>
              resume("values" in result ? Exit.succeed(isLive(result)) : Exit.fail(result))
            )
          )
        ),
      downgrade: (leaseId, owner) => commands.run(Script.downgrade, [codec.encodeName(leaseId, owner)], isLive),
      share: () => Effect.succeed(true),
      breakLease: (leaseId) => commands.run(Script.breakLease, [leaseId], isLive),
      lookup: (leaseId) =>
        Effect.async((resume) =>
          lookups.add(new Lookup(leaseId, codec.decodeEntry, (result) => resume(toExit(result))))
        ),
      blockers: (ids) =>
        Effect.async((resume) => {
          const all: Array<Option.Option<LockStore.Blocked>> = []
          let left = ids.length
          if (left === 0) return resume(Exit.succeed(all))
          for (const [at, leaseId] of ids.entries()) {
            const done = (result: Option.Option<LockStore.Blocked> | LockError.StoreError) => {
              if (!Option.isOption(result)) return resume(Exit.fail(result))
              all[at] = result
              if (--left === 0) resume(Exit.succeed(all))
            }
            lookups.add(new Lookup(`>${leaseId}`, codec.decodeBlocked, done))
          }
        }),
      inspect: (path) => {
        type Page = {
          readonly entries: ReadonlyArray<LockEntry.LockEntry>
          readonly kind: number
          readonly behind: string
        }
        const page = (
          kind: number,
          behind: string
        ): Effect.Effect<ReadonlyArray<LockEntry.LockEntry>, LockError.StoreError> =>
          Effect.flatMap(
            commands.run(
              Script.inspect,
              [path, String(kind), behind],
              ({ serverTime, values: [nextKind, nextBehind, ...entries] }): Page => ({
                entries: entries.map((entry) => codec.decodeEntry(entry, serverTime)),
                kind: codec.number(nextKind),
                behind: codec.text(nextBehind)
              })
            ),
            ({ behind, entries, kind }) =>
              kind === 0 ? Effect.succeed(entries) : Effect.map(page(kind, behind), (rest) => [...entries, ...rest])
          )
        return Effect.map(page(1, ""), (entries) =>
          Array.from(new Map(entries.map((entry) => [entry.id, entry])).values()).sort((a, b) => a.ticket - b.ticket)
        )
      },
      revocations: PubSub.subscribe(revocations),
      delegations: {
        settle: (settlement) => Delegations.settle(commands, settlement, holderOf),
        refresh: (delegationId, ttl) =>
          Effect.async((resume) =>
            refreshes.add({
              name: delegationId,
              ttl: millis(ttl),
              done: (result, i) => {
                if (!("values" in result)) return resume(Exit.fail(result))
                const toAnswer = (deadline: number) => ({ deadline, wanted: isWanted(result, i) })
                resume(Exit.succeed(Option.map(refreshed(result, i), toAnswer)))
              }
            })
          ),
        recalls: PubSub.subscribe(recalls)
      }
    })
  })
