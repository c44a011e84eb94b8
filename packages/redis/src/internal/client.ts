/**
 * One client of the server: what the store's methods do, over connections that are open.
 */
import { randomBytes } from "node:crypto"
import { hostname } from "node:os"
import { type LockError, LockStore } from "@hilok/core"
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
import { Batch } from "./batch.ts"
import * as codec from "./codec.ts"
import { Commands, type Host, localDeadline, type Reply, sleep } from "./commands.ts"
import * as Connection from "./connection.ts"
import type * as Keys from "./keys.ts"
import { type Answer, type Failed, Refusal, Request, Requests } from "./requests.ts"
import * as Script from "./script.ts"

/** How long the end of a store waits for its last commands, releases above all. */
const farewell = Duration.seconds(1)
/** How long a refresh waits for others to go along with it (milliseconds), and how many go along. */
const refreshLinger = 2
const refreshesPerCommand = 200

/** What the script answered for one of the leases. */
const refreshed = (result: Reply | LockError.StoreError, i: number): Option.Option<number> | LockError.StoreError => {
  if (!("values" in result)) return result
  const deadline = result.values[i]
  return typeof deadline === "number" && deadline > 0 ? Option.some(localDeadline(result, deadline)) : Option.none()
}

interface Refresh {
  readonly id: string
  readonly ttl: number
  readonly done: (result: Option.Option<number> | LockError.StoreError) => void
}

/** What a client works by. The time limits are those of the store's options. */
export interface Settings {
  readonly namespace: string
  readonly keys: Keys.Keys
  readonly connectTimeout: Duration.Duration
  readonly commandTimeout: Duration.Duration
  /** Listen a moment later, in the background. */
  readonly lazyListening: boolean
}

/** How long a client that listens lazily does without: by then one that takes a free lock for a moment is done. */
const lazyPause = Duration.millis(100)

/** Makes the client; with the scope it ends, and waits a moment for what it still has to send. */
export const make = (
  connection: Connection.Connection,
  { commandTimeout, connectTimeout, keys, lazyListening, namespace }: Settings
): Effect.Effect<LockStore.LockStore["Type"], LockError.StoreError, Scope.Scope> =>
  Effect.gen(function* () {
    // One that takes a lock and ends runs two of them, which the server knows from others.
    if (!lazyListening) {
      yield* Effect.timeoutOption(
        Effect.promise(() => Script.load(connection.client)),
        commandTimeout
      )
    }

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

    const onEvents = (events: string, time: number): void => {
      for (const line of events.split("\n")) {
        const words = line.split(" ")
        if (words[0] === "b" || words[0] === "e") {
          revocations.unsafeOffer({ id: words[1]!, reason: words[0] === "b" ? "broken" : "expired" })
        } else requests.onMessage(words, time)
      }
    }
    const commands: Commands = new Commands(connection.client, keys, id, Duration.toMillis(commandTimeout), host, {
      onEvents,
      onMore: () => commands.send(Script.look, [], () => undefined),
      onSilence: connection.renew
    })
    const requests = new Requests(commands, host)

    const refreshes = new Batch<Refresh>(
      () => refreshesPerCommand,
      (flush) => void host.fork(Effect.map(sleep(refreshLinger), flush)),
      (batch) => {
        commands.send(
          Script.refresh,
          batch.flatMap(({ id, ttl }) => [id, String(ttl)]),
          (result) => {
            for (let i = 0; i < batch.length; i++) batch[i]!.done(refreshed(result, i))
          }
        )
      }
    )

    yield* Effect.addFinalizer(() =>
      Effect.suspend(() => {
        requests.close()
        refreshes.flush()
        return Effect.zipRight(
          Effect.timeoutOption(Effect.interruptible(commands.idle), farewell),
          Effect.sync(() => commands.close())
        )
      })
    )
    const listening = Connection.listen(
      connection,
      keys.channels + id,
      connectTimeout,
      (message) => {
        const head = message.indexOf("\n")
        onEvents(message.slice(head + 1), Number(message.slice(0, head)))
      },
      () => requests.lookAtAll()
    )
    yield* lazyListening
      ? listening.pipe(
          // What was said meanwhile.
          Effect.zipRight(Effect.sync(() => requests.lookAtAll())),
          Effect.tapError(({ message }) => Effect.logWarning(`${message}; it is tried again`)),
          Effect.retry(Schedule.spaced("1 second")),
          Effect.delay(lazyPause),
          Effect.interruptible,
          Effect.forkScoped
        )
      : listening
    // From its answer the difference of the clocks is known, without which no command can be told that it is late.
    yield* Effect.ignore(commands.run(Script.look, [], () => undefined))

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
        const request = new Request(wanted, holderOf(wanted), queue)
        const answer = Effect.async<Answer, Failed>((resume) => requests.ask(request, resume))
        const waiting = RuntimeFlags.interruption(runtimeFlags) ? Effect.interruptible(answer) : answer
        const onFailure = (cause: Cause.Cause<Failed>) =>
          Cause.isInterrupted(cause)
            ? Effect.zipRight(giveUp(request), Effect.failCause(cause))
            : Effect.failCause(cause)
        return Effect.uninterruptible(Effect.catchAllCause(waiting, onFailure))
      })
    const giveUp = (request: Request) =>
      Effect.async<void>((resume) => requests.abandon(request, () => resume(Effect.void)))

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
      release: (leaseId) =>
        Effect.async((resume) =>
          requests.release(leaseId, (live) => resume(typeof live === "boolean" ? Exit.succeed(live) : Exit.fail(live)))
        ),
      refresh: (leaseId, ttl) =>
        Effect.async((resume) =>
          refreshes.add({
            id: leaseId,
            ttl: millis(ttl),
            done: (result) => resume(Option.isOption(result) ? Exit.succeed(result) : Exit.fail(result))
          })
        ),
      restore: (leaseId, ttl) =>
        commands.run(Script.restore, [leaseId, String(millis(ttl))], (reply) => {
          const [token, deadline, ...targets] = reply.values
          return token === undefined
            ? Option.none()
            : Option.some({
                token: codec.number(token),
                deadline: localDeadline(reply, codec.number(deadline)),
                targets: codec.decodeTargets(targets)
              })
        }),
      downgrade: (leaseId) => commands.run(Script.downgrade, [leaseId], isLive),
      breakLease: (leaseId) => commands.run(Script.breakLease, [leaseId], isLive),
      lookup: (leaseId) =>
        commands.run(Script.lookup, [leaseId], ({ serverTime, values }) =>
          values.length === 0 ? Option.none() : Option.some(codec.decodeEntry(values[0], serverTime))
        ),
      inspect: (path) => {
        type Page = { readonly entries: ReadonlyArray<LockEntryOf>; readonly kind: number; readonly behind: string }
        const page = (kind: number, behind: string): Effect.Effect<ReadonlyArray<LockEntryOf>, LockError.StoreError> =>
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
      revocations: PubSub.subscribe(revocations)
    })
  })

type LockEntryOf = Effect.Effect.Success<ReturnType<LockStore.LockStore["Type"]["inspect"]>>[number]
