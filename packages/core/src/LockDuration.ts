/**
 * Lengths of time, as people write them in code, in the environment and on a command line.
 *
 * @since 0.2.0
 */
import * as Config from "effect/Config"
import * as ConfigError from "effect/ConfigError"
import * as Duration from "effect/Duration"
import * as Either from "effect/Either"
import * as Option from "effect/Option"

/**
 * A length of time: what Effect takes (`"10 seconds"`, a `Duration`, a number of milliseconds, …), or a number with a
 * short unit (`"100ms"`, `"10s"`, `"1.5m"`, `"2h"`, `"7d"`).
 *
 * @since 0.2.0
 * @category models
 */
export type Input = Duration.DurationInput | `${number}${"ms" | "s" | "m" | "h" | "d"}`

/**
 * How to read a length of time.
 *
 * - `bare`: the unit of a number without one. Default `"millis"`, as in code and in the environment; command lines use
 *   `"seconds"`.
 * - `zero`, `infinite`: whether zero and infinity are allowed. Default `true`. A length of time is never negative.
 *
 * @since 0.2.0
 * @category models
 */
export interface Options {
  readonly bare?: "millis" | "seconds" | undefined
  readonly zero?: boolean | undefined
  readonly infinite?: boolean | undefined
}

const units: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }

const bareUnits = { millis: 1, seconds: 1_000 } as const

const short = /^(\d+(?:\.\d+)?|\.\d+)\s*(ms|s|m|h|d)?$/

const negative = (input: unknown): boolean =>
  typeof input === "number" || typeof input === "bigint"
    ? input < 0
    : typeof input === "string"
      ? input.startsWith("-")
      : Array.isArray(input) && input.some((part) => part < 0)

const notANumber = (input: unknown): boolean => (Array.isArray(input) ? input.some(Number.isNaN) : Number.isNaN(input))

const show = (input: unknown): string => {
  if (notANumber(input)) return "NaN"
  return typeof input === "bigint" ? `${input}n` : String(JSON.stringify(input))
}

/**
 * The milliseconds, or a message that says what is wrong. Plain values, as requests are checked by the hundred
 * thousand.
 *
 * @internal
 */
export const millis = (input: unknown, options: Options = {}): number | string => {
  const scale = bareUnits[options.bare ?? "millis"]
  const wrong = (shown: string) => {
    const limits = `${options.zero === false ? "more than zero" : "zero or more"}${options.infinite === false ? " and finite" : ""}`
    const unit = scale === 1 ? "milliseconds" : "seconds"
    return `it is ${shown}, but must be a duration such as "10 seconds" or "1.5m", or a number of ${unit}, ${limits}`
  }
  let value: number
  if (typeof input === "number") value = input * scale
  else {
    const trimmed = typeof input === "string" ? input.trim() : input
    const parts = typeof trimmed === "string" ? short.exec(trimmed) : null
    if (parts !== null) value = Number(parts[1]) * (parts[2] === undefined ? scale : units[parts[2]]!)
    else {
      const decoded = negative(trimmed) || notANumber(trimmed) ? Option.none() : Duration.decodeUnknown(trimmed)
      if (Option.isNone(decoded)) return wrong(show(input))
      value = Duration.toMillis(decoded.value)
    }
  }
  if (Number.isNaN(value) || value < 0) return wrong(show(input))
  if (value === 0 && options.zero === false) return wrong("zero")
  return value === Number.POSITIVE_INFINITY && options.infinite === false ? wrong("infinite") : value
}

/**
 * Reads a length of time. Fails with a message that follows on from the name of the value: `it is "soon", but must be a
 * duration such as "10 seconds" …`.
 *
 * @example
 * ```ts
 * import { LockDuration } from "@hilok/core"
 * import { Duration, Either } from "effect"
 * import assert from "node:assert"
 *
 * assert.deepStrictEqual(LockDuration.decode("1.5m"), Either.right(Duration.seconds(90)))
 * assert.deepStrictEqual(LockDuration.decode("10 seconds"), Either.right(Duration.seconds(10)))
 * // Without a unit: milliseconds, or, as on a command line, seconds.
 * assert.deepStrictEqual(LockDuration.decode("500"), Either.right(Duration.millis(500)))
 * assert.deepStrictEqual(LockDuration.decode("5", { bare: "seconds" }), Either.right(Duration.seconds(5)))
 * assert(Either.isLeft(LockDuration.decode("soon")))
 * ```
 *
 * @since 0.2.0
 * @category constructors
 */
export const decode = (input: unknown, options?: Options): Either.Either<Duration.Duration, string> => {
  const value = millis(input, options)
  return typeof value === "string" ? Either.left(value) : Either.right(Duration.millis(value))
}

/**
 * A length of time from the configuration. A wrong value fails with a `ConfigError` that names the variable.
 *
 * @example
 * ```ts
 * import { LockDuration } from "@hilok/core"
 * import { ConfigProvider, Duration, Effect } from "effect"
 * import assert from "node:assert"
 *
 * const patience = LockDuration.config("APP_PATIENCE", { zero: false })
 * const environment = ConfigProvider.fromMap(new Map([["APP_PATIENCE", "2h"]]))
 *
 * const found = await Effect.runPromise(Effect.withConfigProvider(patience, environment))
 * assert.deepStrictEqual(found, Duration.hours(2))
 * ```
 *
 * @since 0.2.0
 * @category config
 */
export const config = (name: string, options?: Options): Config.Config<Duration.Duration> =>
  Config.mapOrFail(Config.string(name), (text) =>
    Either.mapLeft(decode(text, options), (problem) => ConfigError.InvalidData([], problem))
  )
