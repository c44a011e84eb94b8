/**
 * A store over a store, in which a process decides by itself, in microseconds, on locks that no other process asks for.
 *
 * The store below gives this process *delegations*: leases without a holder, inside which the process grants, queues
 * and ends locks by the same rules. When another process wants something there, the store below *recalls* the
 * delegation: this process reports who holds what, and gives the rest back.
 *
 * @since 0.2.0
 */
import * as Config from "effect/Config"
import type * as ConfigError from "effect/ConfigError"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as internal from "./internal/delegatingStore.ts"
import * as LockDuration from "./LockDuration.ts"
import { InvalidOptions } from "./LockError.ts"
import * as LockOptions from "./LockOptions.ts"
import * as LockPath from "./LockPath.ts"
import { LockStore } from "./LockStore.ts"

/**
 * - `linger`: how long an unused delegation is kept. Default 2 seconds. Together with the ttl, it bounds how long
 *   others may have to wait for a process that crashed while it held nothing.
 * - `maxIdle`: the greatest number of unused delegations; the most recently used are kept. Default 10,000.
 * - `maxLocal`: the greatest number of leases and waiting requests under one delegation. Default 1,000. A recall makes
 *   all of its leases known in one command.
 * - `widen`: ask for the subtree above several delegations, or above delegations that are in the way of this process's
 *   own requests, so that locks below it need no request to the store at all. Default `false`. For processes that work
 *   alone in a part of the tree.
 * - `widenAfter`: how many delegations below a node make this process ask for its subtree. Default 4.
 * - `widenTo`: the least number of segments in the path of such a node. Default 1: never the root.
 * - `recallTimeout`: how long a request with `block: false` still waits for other processes to give back what they do
 *   not use. Default 1 second.
 *
 * @since 0.2.0
 * @category models
 */
export interface Options {
  readonly linger?: LockDuration.Input | undefined
  readonly maxIdle?: number | undefined
  readonly maxLocal?: number | undefined
  readonly widen?: boolean | undefined
  readonly widenAfter?: number | undefined
  readonly widenTo?: number | undefined
  readonly recallTimeout?: LockDuration.Input | undefined
}

/**
 * The defaults of the options.
 *
 * @since 0.2.0
 * @category constants
 */
export const defaults = {
  linger: "2 seconds",
  maxIdle: 10_000,
  maxLocal: 1_000,
  widen: false,
  widenAfter: 4,
  widenTo: 1,
  recallTimeout: "1 second"
} as const

const names: Readonly<Record<keyof Options, true>> = {
  linger: true,
  maxIdle: true,
  maxLocal: true,
  widen: true,
  widenAfter: true,
  widenTo: true,
  recallTimeout: true
}

const refuse = (option: string, reason: string) => new InvalidOptions({ option, reason })

const duration = (option: "linger" | "recallTimeout", options: Options) =>
  Either.mapLeft(LockDuration.decode(options[option] ?? defaults[option], { infinite: false }), (problem) =>
    refuse(option, problem)
  )

const whole = (
  option: "maxIdle" | "maxLocal" | "widenAfter" | "widenTo",
  options: Options,
  from: number,
  to: number
): Either.Either<number, InvalidOptions> => {
  const value = options[option] ?? defaults[option]
  return Number.isInteger(value) && value >= from && value <= to
    ? Either.right(value)
    : Either.left(refuse(option, `it is ${JSON.stringify(value)}, but must be a whole number from ${from} to ${to}`))
}

const check = (options: Options): Either.Either<internal.Options, InvalidOptions> =>
  Either.gen(function* () {
    yield* LockOptions.checkNames(options, names)
    const widen = options.widen ?? defaults.widen
    if (typeof widen !== "boolean") yield* Either.left(refuse("widen", "it must be true or false"))
    return {
      linger: Duration.toMillis(yield* duration("linger", options)),
      maxIdle: yield* whole("maxIdle", options, 0, 1_000_000),
      maxLocal: yield* whole("maxLocal", options, 1, 10_000),
      widen,
      widenAfter: yield* whole("widenAfter", options, 2, 1_000),
      widenTo: yield* whole("widenTo", options, 1, LockPath.maxSegments),
      recallTimeout: yield* duration("recallTimeout", options)
    }
  })

/**
 * Makes a store over the one in the context. When the scope closes, it gives all of its delegations back.
 *
 * Fails with `InvalidOptions` when an option is wrong or the store below cannot give delegations.
 *
 * @since 0.2.0
 * @category constructors
 */
export const make = (options?: Options): Effect.Effect<LockStore["Type"], InvalidOptions, LockStore | Scope.Scope> =>
  Effect.gen(function* () {
    const checked = yield* check(options ?? {})
    const below = yield* LockStore
    if (below.delegations === undefined) {
      return yield* refuse("store", "the store below it cannot give delegations")
    }
    return yield* internal.make(below, below.delegations, checked)
  })

/**
 * The store as a layer, over another one. See `make`.
 *
 * @example
 * ```ts
 * import { DelegatingStore, HierarchicalLock, MemoryStore } from "@hilok/core"
 * import { Effect, Layer } from "effect"
 *
 * const LockLive = HierarchicalLock.layer().pipe(
 *   Layer.provide(DelegatingStore.layer({ linger: "2 seconds", widen: true })),
 *   Layer.provide(MemoryStore.layer())
 * )
 *
 * const program = Effect.void.pipe(HierarchicalLock.withWrite("tenant/7/orders"))
 *
 * await Effect.runPromise(Effect.provide(program, LockLive))
 * ```
 *
 * @since 0.2.0
 * @category layers
 */
export const layer = (options?: Options): Layer.Layer<LockStore, InvalidOptions, LockStore> =>
  Layer.scoped(LockStore, make(options))

const variables: Readonly<Record<keyof Options, string>> = {
  linger: "HILOK_DELEGATION_LINGER",
  maxIdle: "HILOK_DELEGATION_MAX_IDLE",
  maxLocal: "HILOK_DELEGATION_MAX_LOCAL",
  widen: "HILOK_DELEGATION_WIDEN",
  widenAfter: "HILOK_DELEGATION_WIDEN_AFTER",
  widenTo: "HILOK_DELEGATION_WIDEN_TO",
  recallTimeout: "HILOK_DELEGATION_RECALL_TIMEOUT"
}

const optional = <A>(config: Config.Config<A>): Config.Config<A | undefined> =>
  Config.map(Config.option(config), Option.getOrUndefined)

/**
 * The options from the environment: `HILOK_DELEGATION_LINGER`, `HILOK_DELEGATION_RECALL_TIMEOUT` (durations such as `2 seconds`,
 * `2s`, or milliseconds), `HILOK_DELEGATION_MAX_IDLE`, `HILOK_DELEGATION_MAX_LOCAL`, `HILOK_DELEGATION_WIDEN` (`true` or `false`),
 * `HILOK_DELEGATION_WIDEN_AFTER`, `HILOK_DELEGATION_WIDEN_TO`. All may be missing.
 *
 * @since 0.2.0
 * @category config
 */
export const config: Config.Config<Options> = Config.all({
  linger: optional(LockDuration.config(variables.linger)),
  maxIdle: optional(Config.integer(variables.maxIdle)),
  maxLocal: optional(Config.integer(variables.maxLocal)),
  widen: optional(Config.boolean(variables.widen)),
  widenAfter: optional(Config.integer(variables.widenAfter)),
  widenTo: optional(Config.integer(variables.widenTo)),
  recallTimeout: optional(LockDuration.config(variables.recallTimeout))
})

/**
 * The store with options from the configuration, by default from the environment (`config`). A wrong value is a
 * `ConfigError` that names the variable, or, with a configuration of your own, the option.
 *
 * @since 0.2.0
 * @category layers
 */
export const layerConfig = (
  options: Config.Config.Wrap<Options> = config
): Layer.Layer<LockStore, ConfigError.ConfigError, LockStore> =>
  Layer.scoped(
    LockStore,
    LockOptions.fromConfig<Options, LockStore["Type"], InvalidOptions, LockStore | Scope.Scope>(
      options,
      make,
      options === config ? variables : {}
    )
  )
