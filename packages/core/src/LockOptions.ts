/**
 * What can be set, for a whole service and for one request.
 *
 * @since 0.1.0
 */
import * as Config from "effect/Config"
import * as ConfigError from "effect/ConfigError"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as optionNames from "./internal/optionNames.ts"
import * as LockDuration from "./LockDuration.ts"
import type { LockEntry } from "./LockEntry.ts"
import { InvalidOptions } from "./LockError.ts"
import * as LockPath from "./LockPath.ts"
import type { Target } from "./Target.ts"

/**
 * What one request may set. Everything has a default in the service's `Options`, except:
 *
 * - `block`: `false` fails with `WouldBlock` when the lock is not free. Default: wait.
 * - `timeout`: how long to wait for the grant, as a whole, before `LockTimeout`. Default: no limit. Not with `block: false`.
 * - `reason`: why the lock is taken, shown by `inspect`. The Redis store keeps its first 256 characters.
 * - `within`: ids of leases that enclose the request although they are held elsewhere, for example by a parent process.
 *   Conflicts with them are waived. At most 100.
 * - `onWait`: called when the request has to wait, and again when its blocker or the number of requests ahead has changed: at
 *   most once a second. Its effect runs alongside the wait, and is interrupted when the wait is over.
 * - `delegate`: `false` asks the store that all processes share, even if a `DelegatingStore` stands before it. Default: the
 *   `DelegatingStore` may decide, unless the lease is acquired by hand or the request has a `within`.
 *
 * @since 0.1.0
 * @category models
 */
export interface AcquireOptions {
  readonly block?: boolean | undefined
  readonly timeout?: LockDuration.Input | undefined
  readonly ttl?: LockDuration.Input | undefined
  readonly refreshInterval?: LockDuration.Input | undefined
  readonly reentrant?: boolean | undefined
  readonly onLost?: "interrupt" | "signal" | undefined
  readonly maxHold?: LockDuration.Input | undefined
  readonly reason?: string | undefined
  readonly label?: string | undefined
  readonly within?: ReadonlyArray<string> | undefined
  readonly onWait?: OnWait | undefined
  readonly delegate?: boolean | undefined
}

/**
 * What the caller of a waiting request is told.
 *
 * - `id`: the id of the request, with which `inspect` finds it and `release` withdraws it.
 * - `blocker`: one lease or waiting request that is in its way.
 * - `ahead`: how many waiting requests come before it; at most 100 are counted.
 *
 * @since 0.2.0
 * @category models
 */
export interface Waiting {
  readonly id: string
  readonly targets: ReadonlyArray<Target>
  readonly blocker: LockEntry
  readonly ahead: number
}

/**
 * @since 0.2.0
 * @category models
 */
export type OnWait = (waiting: Waiting) => Effect.Effect<void>

/**
 * Like `AcquireOptions`, for work that is done only if the lock is free.
 *
 * @since 0.2.0
 * @category models
 */
export type IfAvailableOptions = Omit<AcquireOptions, "block" | "timeout" | "onWait">

/**
 * Like `AcquireOptions`, for a lease that already exists.
 *
 * @since 0.2.0
 * @category models
 */
export type RestoreOptions = Pick<AcquireOptions, "ttl" | "refreshInterval" | "onLost" | "maxHold">

/**
 * Like `AcquireOptions`, for a stream under locks, which fails with `LockLost` when the lease is lost.
 *
 * @since 0.2.0
 * @category models
 */
export type StreamOptions = Omit<AcquireOptions, "onLost">

/**
 * What a refresh by hand may set: `ttl`, how long the lease lasts from now.
 *
 * @since 0.2.0
 * @category models
 */
export type RefreshOptions = Pick<AcquireOptions, "ttl">

/**
 * What a service may set.
 *
 * - `ttl`: how long a lease lasts after the store last heard from its holder. Default: 10 seconds. After a crash, others
 *   wait for no longer than that.
 * - `refreshInterval`: how often a held lease is refreshed. Must be below the ttl; default: a third of it.
 * - `separator`: stands between the segments of a path that is written as a string. Default: `/`.
 * - `reentrant`: grant a request even if it conflicts with a lease that its own fiber already holds. Default: `false`, such a
 *   request is refused.
 * - `onLost`: what happens to the fiber that acquired a scoped lease when the lease is lost: `"interrupt"` (default), or
 *   `"signal"`, then only `lease.lost` tells.
 * - `maxHold`: ends a lease that is held for longer, even if it is refreshed. Default: no limit.
 * - `label`: the name of this program or worker, shown by `inspect`. The Redis store keeps its first 256 characters.
 * - `host`, `pid`: where it runs, shown by `inspect`. Default: what the store knows.
 * - `spans`: open the spans `hilok.acquire` and `hilok.hold`. Default `true`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly ttl?: LockDuration.Input | undefined
  readonly refreshInterval?: LockDuration.Input | undefined
  readonly separator?: string | undefined
  readonly reentrant?: boolean | undefined
  readonly onLost?: "interrupt" | "signal" | undefined
  readonly maxHold?: LockDuration.Input | undefined
  readonly label?: string | undefined
  readonly host?: string | undefined
  readonly pid?: number | undefined
  readonly spans?: boolean | undefined
}

/**
 * The defaults of `Options`.
 *
 * @since 0.1.0
 * @category constants
 */
export const defaults = {
  ttl: "10 seconds",
  refreshesPerTtl: 3,
  separator: "/",
  reentrant: false,
  onLost: "interrupt",
  spans: true
} as const

const ofAcquire: Readonly<Record<keyof AcquireOptions, true>> = {
  block: true,
  timeout: true,
  ttl: true,
  refreshInterval: true,
  reentrant: true,
  onLost: true,
  maxHold: true,
  reason: true,
  label: true,
  within: true,
  onWait: true,
  delegate: true
}
const { onLost: _, ...ofStreams } = ofAcquire
const { block: _1, timeout: _2, onWait: _3, ...ofIfAvailable } = ofAcquire

/**
 * The names of the options there are, by what takes them.
 *
 * @internal
 */
export const names: {
  readonly service: Readonly<Record<keyof Options, true>>
  readonly acquire: Readonly<Record<keyof AcquireOptions, true>>
  readonly ifAvailable: Readonly<Record<keyof IfAvailableOptions, true>>
  readonly stream: Readonly<Record<keyof StreamOptions, true>>
  readonly restore: Readonly<Record<keyof RestoreOptions, true>>
  readonly refresh: Readonly<Record<keyof RefreshOptions, true>>
} = {
  service: {
    ttl: true,
    refreshInterval: true,
    separator: true,
    reentrant: true,
    onLost: true,
    maxHold: true,
    label: true,
    host: true,
    pid: true,
    spans: true
  },
  acquire: ofAcquire,
  ifAvailable: ofIfAvailable,
  stream: ofStreams,
  restore: { ttl: true, refreshInterval: true, onLost: true, maxHold: true },
  refresh: { ttl: true }
}

/**
 * For authors of stores: refuses options that are not among the allowed names. JavaScript and object spread let them through, and a
 * misspelt option must not be ignored silently.
 *
 * @example
 * ```ts
 * import { LockOptions } from "@hilok/core"
 * import { Either } from "effect"
 * import assert from "node:assert"
 *
 * const checked = LockOptions.checkNames({ namespce: "bank" }, { namespace: true })
 * assert.strictEqual(
 *   Either.getOrThrow(Either.flip(checked)).message,
 *   "The option `namespce` is not valid: there is no such option; did you mean `namespace`? Allowed are `namespace`"
 * )
 * ```
 *
 * @since 0.2.0
 * @category validation
 */
export const checkNames = (
  options: unknown,
  allowed: Readonly<Record<string, true>>
): Either.Either<void, InvalidOptions> => {
  const problem = optionNames.problem(options, allowed)
  return problem === undefined ? Either.void : Either.left(problem)
}

/** The options of a request, checked and with the defaults filled in. Times are in milliseconds. */
export interface Settings {
  readonly block: boolean
  /** `Infinity`: wait forever. */
  readonly timeout: number
  readonly ttl: number
  readonly refreshInterval: number
  readonly reentrant: boolean
  readonly interruptsOnLoss: boolean
  /** `Infinity`: no limit. */
  readonly maxHold: number
  /** How long a new lease lasts: the ttl, or `maxHold` if that is shorter. */
  readonly first: Duration.Duration
  readonly reason: string | undefined
  readonly label: string | undefined
  readonly within: ReadonlyArray<string>
  readonly onWait: OnWait | undefined
  readonly delegate: boolean
}

/** A value, or what is wrong with it. Plain, as requests are checked by the hundred thousand. */
type Checked<A> = A | InvalidOptions

const refuse = (option: string, reason: string): InvalidOptions => new InvalidOptions({ option, reason })

const isWrong = (checked: unknown): checked is InvalidOptions => checked instanceof InvalidOptions

const millis = (option: string, input: unknown, limits: LockDuration.Options): Checked<number> => {
  const value = LockDuration.millis(input, limits)
  return typeof value === "string" ? refuse(option, value) : value
}

/** A timer of JavaScript holds no more than this many milliseconds (about 24.8 days). */
const longestTimer = 2 ** 31 - 1

interface Times {
  readonly ttl: number
  readonly refreshInterval: number
}

const times = (options: Pick<Options, "ttl" | "refreshInterval">, base: Times): Checked<Times> => {
  const ttl = options.ttl === undefined ? base.ttl : millis("ttl", options.ttl, { zero: false, infinite: false })
  if (isWrong(ttl)) return ttl
  if (ttl > longestTimer) return refuse("ttl", `it is ${ttl} ms, but must be at most ${longestTimer} ms`)
  const refreshInterval =
    options.refreshInterval === undefined
      ? (ttl * base.refreshInterval) / base.ttl
      : millis("refreshInterval", options.refreshInterval, { zero: false, infinite: false })
  if (isWrong(refreshInterval)) return refreshInterval
  return refreshInterval < ttl
    ? { ttl, refreshInterval }
    : refuse("refreshInterval", `it is ${refreshInterval} ms, but must be below the ttl (${ttl} ms)`)
}

const flag = (option: string, value: unknown, otherwise: boolean): Checked<boolean> => {
  if (value === undefined) return otherwise
  return typeof value === "boolean" ? value : refuse(option, "it must be true or false")
}

const text = (option: string, value: unknown): Checked<string | undefined> =>
  value === undefined || typeof value === "string" ? value : refuse(option, "it must be a string")

const interrupts = (value: unknown, otherwise: boolean): Checked<boolean> => {
  if (value === undefined) return otherwise
  return value === "interrupt" || value === "signal"
    ? value === "interrupt"
    : refuse("onLost", `it must be "interrupt" or "signal"`)
}

const holdLimit = (value: unknown, otherwise: number): Checked<number> =>
  value === undefined ? otherwise : millis("maxHold", value, { zero: false, infinite: true })

const waitLimit = (value: unknown, otherwise: number): Checked<number> =>
  value === undefined ? otherwise : millis("timeout", value, { zero: true, infinite: true })

/**
 * How many ids `within` may have: enough for a long chain of processes, each started by the one before.
 *
 * @since 0.2.0
 * @category constants
 */
export const mostWithin = 100

const idPattern = /^[\w.:-]{1,64}$/

const leaseIds = (
  option: string,
  ids: ReadonlyArray<unknown> | undefined,
  otherwise: ReadonlyArray<string>
): Checked<ReadonlyArray<string>> => {
  if (ids === undefined) return otherwise
  if (ids.length > mostWithin) {
    return refuse(option, `it has ${ids.length} ids, but must have at most ${mostWithin}`)
  }
  const wrong = ids.find((id) => typeof id !== "string" || !idPattern.test(id))
  return wrong === undefined
    ? (ids as ReadonlyArray<string>)
    : refuse(option, `${JSON.stringify(wrong)} is not a lease id (1 to 64 characters out of A-Z a-z 0-9 _ . : -)`)
}

/**
 * A service's options, checked and with the defaults filled in. `settings` are those of a request without options.
 *
 * @internal
 */
export interface Decoded {
  readonly settings: Settings
  readonly separator: string
  readonly spans: boolean
}

/**
 * Checks a service's options.
 *
 * @internal
 */
export const decode = (options: Options): Either.Either<Decoded, InvalidOptions> => {
  const unknown = optionNames.problem(options, names.service)
  if (unknown !== undefined) return Either.left(unknown)
  const separator = options.separator ?? defaults.separator
  const problem = LockPath.separatorProblem(separator)
  if (problem !== undefined) return Either.left(refuse("separator", `it ${problem}`))
  const spans = flag("spans", options.spans, defaults.spans)
  if (isWrong(spans)) return Either.left(spans)
  const ttl = Duration.toMillis(defaults.ttl)
  const base: Settings = {
    block: true,
    timeout: Number.POSITIVE_INFINITY,
    ttl,
    refreshInterval: ttl / defaults.refreshesPerTtl,
    reentrant: defaults.reentrant,
    interruptsOnLoss: defaults.onLost === "interrupt",
    maxHold: Number.POSITIVE_INFINITY,
    first: Duration.millis(ttl),
    reason: undefined,
    label: undefined,
    within: [],
    onWait: undefined,
    delegate: true
  }
  const { label, maxHold, onLost, reentrant, refreshInterval } = options
  const asked = { ttl: options.ttl, refreshInterval, reentrant, onLost, maxHold, label }
  return Either.map(decodeRequest(asked, base), (settings) => ({ separator, spans, settings }))
}

/**
 * Checks one request's options, and fills in the service's.
 *
 * @internal
 */
export const decodeRequest = (
  options: AcquireOptions,
  base: Settings,
  allowed: Readonly<Record<string, true>> = names.acquire
): Either.Either<Settings, InvalidOptions> => {
  const unknown = optionNames.problem(options, allowed)
  if (unknown !== undefined) return Either.left(unknown)
  const block = flag("block", options.block, base.block)
  if (isWrong(block)) return Either.left(block)
  if (!block && options.timeout !== undefined) {
    return Either.left(refuse("timeout", "it cannot be combined with `block: false`, which does not wait"))
  }
  const timeout = waitLimit(options.timeout, base.timeout)
  if (isWrong(timeout)) return Either.left(timeout)
  const timing = options.ttl === undefined && options.refreshInterval === undefined ? base : times(options, base)
  if (isWrong(timing)) return Either.left(timing)
  const reentrant = flag("reentrant", options.reentrant, base.reentrant)
  if (isWrong(reentrant)) return Either.left(reentrant)
  const interruptsOnLoss = interrupts(options.onLost, base.interruptsOnLoss)
  if (isWrong(interruptsOnLoss)) return Either.left(interruptsOnLoss)
  const maxHold = holdLimit(options.maxHold, base.maxHold)
  if (isWrong(maxHold)) return Either.left(maxHold)
  const reason = text("reason", options.reason)
  if (isWrong(reason)) return Either.left(reason)
  const label = text("label", options.label)
  if (isWrong(label)) return Either.left(label)
  const within = leaseIds("within", options.within, base.within)
  if (isWrong(within)) return Either.left(within)
  const { onWait } = options
  if (onWait !== undefined && typeof onWait !== "function") {
    return Either.left(refuse("onWait", "it must be a function to an effect"))
  }
  const delegate = flag("delegate", options.delegate, base.delegate)
  if (isWrong(delegate)) return Either.left(delegate)
  const { refreshInterval, ttl } = timing
  return Either.right({
    block,
    timeout,
    ttl,
    refreshInterval,
    reentrant,
    interruptsOnLoss,
    maxHold,
    first: Duration.millis(Math.min(ttl, maxHold)),
    reason,
    label: label ?? base.label,
    within,
    onWait,
    delegate
  })
}

// -- From the environment

const variables = {
  ttl: "HILOK_TTL",
  refreshInterval: "HILOK_REFRESH_INTERVAL",
  separator: "HILOK_SEPARATOR",
  reentrant: "HILOK_REENTRANT",
  onLost: "HILOK_ON_LOST",
  maxHold: "HILOK_MAX_HOLD",
  label: "HILOK_LABEL",
  spans: "HILOK_SPANS"
} as const

const optional = <A>(config: Config.Config<A>): Config.Config<A | undefined> =>
  Config.map(Config.option(config), Option.getOrUndefined)

/**
 * The options of a service from the environment: `HILOK_TTL`, `HILOK_REFRESH_INTERVAL`, `HILOK_MAX_HOLD` (durations
 * such as `10 seconds` or `10s`, or a number of milliseconds), `HILOK_SEPARATOR`, `HILOK_REENTRANT`, `HILOK_SPANS` (`true` or `false`),
 * `HILOK_ON_LOST` (`interrupt` or `signal`), `HILOK_LABEL`. All are optional. A wrong value fails with a `ConfigError` that names
 * the variable.
 *
 * @since 0.1.0
 * @category config
 */
export const config: Config.Config<Options> = Config.all({
  ttl: optional(LockDuration.config(variables.ttl)),
  refreshInterval: optional(LockDuration.config(variables.refreshInterval)),
  separator: optional(Config.string(variables.separator)),
  reentrant: optional(Config.boolean(variables.reentrant)),
  onLost: optional(Config.literal("interrupt", "signal")(variables.onLost)),
  maxHold: optional(LockDuration.config(variables.maxHold)),
  label: optional(Config.string(variables.label)),
  spans: optional(Config.boolean(variables.spans))
}).pipe(
  Config.mapOrFail((found) => {
    const options: Options = found
    return Either.mapBoth(decode(options), {
      onLeft: ({ option, reason }) =>
        ConfigError.InvalidData([variables[option as keyof typeof variables]], `the value is not valid: ${reason}`),
      onRight: () => options
    })
  })
)

/**
 * For authors of stores: makes something with options from the configuration. An option that is refused becomes a
 * `ConfigError` that names the option, or the variable it was read from, if `variables` has it.
 *
 * @since 0.2.0
 * @category config
 */
export const fromConfig = <Options, A, E, R>(
  config: Config.Config.Wrap<Options>,
  make: (options: Options) => Effect.Effect<A, E | InvalidOptions, R>,
  variables: Readonly<Record<string, string>> = {}
): Effect.Effect<A, Exclude<E, InvalidOptions> | ConfigError.ConfigError, R> =>
  Effect.flatMap(Config.unwrap(config), (options) =>
    Effect.mapError(make(options), (error) =>
      isWrong(error)
        ? ConfigError.InvalidData([variables[error.option] ?? error.option], `the value is not valid: ${error.reason}`)
        : (error as Exclude<E, InvalidOptions>)
    )
  )
