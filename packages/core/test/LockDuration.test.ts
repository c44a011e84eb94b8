import { assert, describe, it } from "@effect/vitest"
import { LockDuration, LockOptions } from "@hilok/core"
import { ConfigProvider, Duration, Effect, Either } from "effect"

const cases: ReadonlyArray<readonly [unknown, number]> = [
  ["10 seconds", 10_000],
  ["10s", 10_000],
  [" 1.5m ", 90_000],
  [".5s", 500],
  ["2h", 7_200_000],
  ["100ms", 100],
  ["100 ms", 100],
  ["2d", 172_800_000],
  ["1 minute", 60_000],
  ["2 weeks", 1_209_600_000],
  ["0", 0],
  [0, 0],
  [5n, 0.000005],
  [[1, 500_000_000], 1_500],
  [Duration.hours(1), 3_600_000],
  [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY],
  [Duration.infinity, Number.POSITIVE_INFINITY]
]

describe("a length of time", () => {
  for (const [input, millis] of cases) {
    const shown = typeof input === "bigint" ? `${input}n` : JSON.stringify(input)
    it(`${shown} is ${millis} ms, whatever the unit of a bare number`, () => {
      for (const bare of ["millis", "seconds", undefined] as const) {
        const found = Either.map(LockDuration.decode(input, { bare }), Duration.toMillis)
        assert.deepStrictEqual(found, Either.right(millis))
      }
    })
  }

  it("without a unit is in milliseconds, or, when asked so, in seconds", () => {
    for (const input of [1.5, "1.5", " 1.5 "]) {
      assert.deepStrictEqual(LockDuration.decode(input), Either.right(Duration.millis(1.5)))
      assert.deepStrictEqual(LockDuration.decode(input, { bare: "seconds" }), Either.right(Duration.millis(1500)))
    }
  })

  const wrong: ReadonlyArray<readonly [unknown, string]> = [
    ["soon", `"soon"`],
    ["", `""`],
    ["10 s econds", `"10 s econds"`],
    ["-5s", `"-5s"`],
    ["-5 seconds", `"-5 seconds"`],
    [-1, "-1"],
    [-1n, "-1n"],
    [Number.NaN, "NaN"],
    [[-1, 0], "[-1,0]"],
    [[Number.NaN, 0], "NaN"],
    [undefined, "undefined"],
    [null, "null"],
    [{}, "{}"],
    [true, "true"]
  ]
  for (const [input, shown] of wrong) {
    it(`is not ${shown}, which is said`, () => {
      assert.deepStrictEqual(
        LockDuration.decode(input),
        Either.left(
          `it is ${shown}, but must be a duration such as "10 seconds" or "1.5m", or a number of milliseconds, zero or more`
        )
      )
      const other = LockDuration.decode(input, { bare: "seconds", zero: false, infinite: false })
      assert.include(Either.getOrThrow(Either.flip(other)), "or a number of seconds, more than zero and finite")
    })
  }

  it("may have to be more than zero, and finite", () => {
    for (const input of [0, "0s", "0 seconds"]) {
      assert.include(Either.getOrThrow(Either.flip(LockDuration.decode(input, { zero: false }))), "it is zero")
    }
    const endless = LockDuration.decode(Number.POSITIVE_INFINITY, { infinite: false })
    assert.include(Either.getOrThrow(Either.flip(endless)), "it is infinite")
  })

  it.effect("is the same in the environment, where an error names the variable", () =>
    Effect.gen(function* () {
      const read = (value: string) =>
        Effect.withConfigProvider(
          LockDuration.config("APP_TTL", { zero: false }),
          ConfigProvider.fromMap(new Map([["APP_TTL", value]]))
        )
      assert.deepStrictEqual(yield* read("10s"), Duration.seconds(10))
      assert.deepStrictEqual(yield* read("1500"), Duration.millis(1500))
      for (const value of ["soon", "0"]) {
        const error = yield* Effect.flip(read(value))
        assert.match(String(error), /APP_TTL.*must be a duration/)
      }
    })
  )

  it.effect("of the service is read from HILOK_TTL with a short unit, too", () =>
    Effect.gen(function* () {
      const provider = ConfigProvider.fromMap(new Map([["HILOK_TTL", "10s"]]))
      const { ttl } = yield* Effect.withConfigProvider(LockOptions.config, provider)
      assert.deepStrictEqual(ttl, Duration.seconds(10))
    })
  )
})
