/**
 * The store on Redis (6.2 or newer) or Valkey: every decision is made by a script in the server, in the server's time.
 *
 * A store has two connections: one for commands, one that listens. What is asked for in the same moment goes out as
 * one command. Requests wait in the server's queue, and a release grants the next one in the same script.
 *
 * @since 0.1.0
 */
import { randomBytes } from "node:crypto"
import { hostname } from "node:os"
import { LockError, LockStore } from "@hilok/core"
import * as Cause from "effect/Cause"
import * as Config from "effect/Config"
import * as ConfigError from "effect/ConfigError"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as PubSub from "effect/PubSub"
import * as Redacted from "effect/Redacted"
import * as Runtime from "effect/Runtime"
import * as RuntimeFlags from "effect/RuntimeFlags"
import type * as Scope from "effect/Scope"
import type { Redis, RedisOptions } from "ioredis"
import { Batch } from "./internal/batch.ts"
import * as codec from "./internal/codec.ts"
import { Commands, type Host, localDeadline, type Reply, sleep } from "./internal/commands.ts"
import * as Connection from "./internal/connection.ts"
import * as Keys from "./internal/keys.ts"
import { type Answer, type Failed, Refusal, Request, Requests } from "./internal/requests.ts"
import * as Script from "./internal/script.ts"

/**
 * What every store on Redis may set.
 *
 * - `namespace`: the set of locks that clients share. Default `"default"`. Not empty, no braces, no control characters.
 * - `keyPrefix`: the first part of every key. Default `"hilok"`. The same rules.
 * - `connectTimeout`: how long to wait for a server that answers, when the store is built. Default 5 seconds.
 * - `commandTimeout`: how long a command may take. Default 3 seconds; keep it below the ttl of the locks. (Of more than
 *   1,024 requests at once, the rest go out as answers come, and if none come may take twice as long to fail.)
 *
 * @since 0.1.0
 * @category models
 */
export interface StoreOptions {
  readonly namespace?: string | undefined
  readonly keyPrefix?: string | undefined
  readonly connectTimeout?: Duration.DurationInput | undefined
  readonly commandTimeout?: Duration.DurationInput | undefined
}

/**
 * Where the server is: a `url` (`redis://user:password@host:port/db`, `rediss://…` for TLS, or the path of a unix
 * socket), options of ioredis (`redis`: Sentinel with `sentinels` and `name`, TLS, …), or both. Default
 * `redis://127.0.0.1:6379`. A `password` here goes before those.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options extends StoreOptions {
  readonly url?: string | Redacted.Redacted<string> | undefined
  readonly username?: string | undefined
  readonly password?: Redacted.Redacted<string> | undefined
  readonly redis?: RedisOptions | undefined
}

/**
 * The defaults of the options.
 *
 * @since 0.1.0
 * @category constants
 */
export const defaults = {
  namespace: "default",
  keyPrefix: "hilok",
  connectTimeout: "5 seconds",
  commandTimeout: "3 seconds"
} as const

type Failure = LockError.StoreError | LockError.InvalidOptions

const refuse = (option: string, reason: string) => new LockError.InvalidOptions({ option, reason })

const name = (option: string, value: string): Either.Either<string, LockError.InvalidOptions> =>
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  typeof value === "string" && /^[^{}\u0000-\u001f\u007f]{1,200}$/u.test(value)
    ? Either.right(value)
    : Either.left(
        refuse(
          option,
          `it is ${JSON.stringify(value)}, but must be 1 to 200 characters without { } and control characters`
        )
      )

const patience = (
  option: string,
  value: Duration.DurationInput
): Either.Either<Duration.Duration, LockError.InvalidOptions> =>
  Option.match(Duration.decodeUnknown(value), {
    onSome: (duration) =>
      Duration.toMillis(duration) > 0 && Duration.isFinite(duration)
        ? Either.right(duration)
        : Either.left(refuse(option, "it must be more than zero and finite")),
    onNone: () => Either.left(refuse(option, `it must be a duration such as "5 seconds" or a number of milliseconds`))
  })

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

const makeWith = (
  source: Connection.Source,
  options: StoreOptions
): Effect.Effect<LockStore.LockStore["Type"], Failure, Scope.Scope> =>
  Effect.gen(function* () {
    const namespace = yield* name("namespace", options.namespace ?? defaults.namespace)
    const keys = Keys.make(yield* name("keyPrefix", options.keyPrefix ?? defaults.keyPrefix), namespace)
    const connectTimeout = yield* patience("connectTimeout", options.connectTimeout ?? defaults.connectTimeout)
    const commandTimeout = yield* patience("commandTimeout", options.commandTimeout ?? defaults.commandTimeout)
    const connection = yield* Connection.open(source, connectTimeout)

    yield* Effect.timeoutOption(
      Effect.promise(() => Script.load(connection.client)),
      commandTimeout
    )

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
    yield* Connection.listen(
      connection,
      keys.channels + id,
      connectTimeout,
      (message) => {
        const head = message.indexOf("\n")
        onEvents(message.slice(head + 1), Number(message.slice(0, head)))
      },
      () => requests.lookAtAll()
    )
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

/**
 * Connects to a server, and closes the connections with the scope.
 *
 * Fails with `InvalidOptions` before it connects, and with `StoreError` when no server answers within `connectTimeout`,
 * when it refuses the password, is too old, or is a replica. Neither shows a password.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options?: Options): Effect.Effect<LockStore.LockStore["Type"], Failure, Scope.Scope> =>
  Effect.suspend(() => {
    const url = options?.url === undefined ? undefined : Connection.reveal(options.url)
    const problem = url === undefined ? undefined : Connection.urlProblem(url)
    if (problem !== undefined) return Effect.fail(refuse("url", problem))
    const { password, redis, username } = options ?? {}
    return makeWith(
      {
        _tag: "Own",
        url,
        options: {
          ...redis,
          ...(username === undefined ? {} : { username }),
          ...(password === undefined ? {} : { password: Connection.reveal(password) })
        }
      },
      options ?? {}
    )
  })

/**
 * The store as a layer. See `make`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options?: Options): Layer.Layer<LockStore.LockStore, Failure> =>
  Layer.scoped(LockStore.LockStore, make(options))

/**
 * The store on a client of the application, with whatever `keyPrefix` and `db` it has. The client is never closed here;
 * for listening, a second connection is made from it, which is.
 *
 * @since 0.1.0
 * @category layers
 */
export const fromClient = (client: Redis, options?: StoreOptions): Layer.Layer<LockStore.LockStore, Failure> =>
  Layer.scoped(LockStore.LockStore, makeWith({ _tag: "Foreign", client }, options ?? {}))

const variables = {
  url: "REDIS_URL",
  namespace: "HILOK_NAMESPACE",
  keyPrefix: "HILOK_KEY_PREFIX",
  connectTimeout: "HILOK_CONNECT_TIMEOUT",
  commandTimeout: "HILOK_COMMAND_TIMEOUT"
} as const

// An environment has only text: digits alone are milliseconds.
const duration = (variable: string, otherwise: Duration.DurationInput): Config.Config<Duration.Duration> =>
  Config.string(variable).pipe(
    Config.mapOrFail((value) =>
      Either.fromOption(Duration.decodeUnknown(/^\d+(\.\d+)?$/.test(value) ? Number(value) : value), () =>
        ConfigError.InvalidData(
          [variable],
          `it is ${JSON.stringify(value)}, but must be a duration such as "5 seconds" or a number of milliseconds`
        )
      )
    ),
    Config.withDefault(Duration.decode(otherwise))
  )

/**
 * The options from the environment: `REDIS_URL` (needed), `HILOK_NAMESPACE`, `HILOK_KEY_PREFIX`,
 * `HILOK_CONNECT_TIMEOUT`, `HILOK_COMMAND_TIMEOUT` (durations such as `5 seconds`, or milliseconds).
 *
 * @since 0.1.0
 * @category config
 */
export const config: Config.Config<Options> = Config.all({
  // `Config.redacted` would hide its message, too.
  url: Config.map(Config.string(variables.url), Redacted.make),
  namespace: Config.withDefault(Config.string(variables.namespace), defaults.namespace),
  keyPrefix: Config.withDefault(Config.string(variables.keyPrefix), defaults.keyPrefix),
  connectTimeout: duration(variables.connectTimeout, defaults.connectTimeout),
  commandTimeout: duration(variables.commandTimeout, defaults.commandTimeout)
})

/**
 * The store as a layer, with the options from the environment. A wrong value is a `ConfigError` that names the
 * variable. See `config`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerConfig: Layer.Layer<LockStore.LockStore, LockError.StoreError | ConfigError.ConfigError> =
  Layer.scoped(
    LockStore.LockStore,
    Effect.flatMap(config, (options) =>
      Effect.catchTag(make(options), "InvalidOptions", ({ option, reason }) =>
        Effect.fail(
          ConfigError.InvalidData([variables[option as keyof typeof variables]], `the value is not valid: ${reason}`)
        )
      )
    )
  )
