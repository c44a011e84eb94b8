import { assert, describe, it } from "@effect/vitest"
import { HierarchicalLock, LockError, type LockMode, LockOptions, MemoryStore, Target } from "@hilok/core"
import { ConfigProvider, Effect, Layer, Metric } from "effect"
import { Faults } from "./support/doubles.ts"
import { assertEmpty, open } from "./support/locks.ts"
import { narrow } from "./support/narrow.ts"

const asking = { ttl: "10 seconds" } as const

/** Asks in every way for a lock that cannot be, and answers with the one error. Nothing must reach the store. */
const refusal = (targets: ReadonlyArray<Target.Target>, options?: LockOptions.AcquireOptions) =>
  Effect.gen(function* () {
    const faults = new Faults()
    const { locks, store } = yield* open(asking, faults.around)
    let ran = false
    const use = Effect.sync(() => {
      ran = true
    })
    const errors: Array<LockError.LockError> = [
      yield* Effect.flip(locks.locks(targets, options)),
      yield* Effect.flip(locks.withLocks(use, targets, options)),
      yield* Effect.flip(use.pipe(locks.withLocks(targets, options))),
      yield* Effect.flip(locks.acquire(targets, options))
    ]
    const [target] = targets
    if (target?.mode === "write") {
      errors.push(yield* Effect.flip(locks.write(target.path, options)))
      errors.push(yield* Effect.flip(locks.withWrite(use, target.path, options)))
    }
    assert.isFalse(ran)
    assert.deepStrictEqual(faults.calls, new Map(), "nothing is sent")
    yield* assertEmpty(store)
    assert.strictEqual(new Set(errors.map(({ message }) => message)).size, 1, "every way gives the same error")
    return errors[0]!
  }).pipe(Effect.scoped)

describe("a path that cannot be is refused before anything is sent", () => {
  const cases: ReadonlyArray<readonly [string, string | ReadonlyArray<string>, ReadonlyArray<string>]> = [
    ["NUL", "a/b\0c", ["segment 2", "NUL"]],
    ["129 segments", Array.from({ length: 129 }, () => "a").join("/"), ["129 segments", "at most 128"]],
    ["more than 1,024 bytes", `a/${"x".repeat(1024)}`, ["1027 bytes", "at most 1024", "segment 2"]],
    ["more than 1,024 bytes of UTF-8", "ä".repeat(600), ["1201 bytes", "at most 1024"]],
    ["a lone surrogate", "a/\ud800", ["segment 2", "lone surrogate"]],
    ["an empty segment in a list", ["a", "", "b"], ["segment 2 is empty"]]
  ]
  for (const [name, path, parts] of cases) {
    it.effect(name, () =>
      Effect.gen(function* () {
        const error = yield* refusal([Target.write(path)])
        assert.strictEqual(error._tag, "InvalidPath")
        for (const part of parts) assert.include(error.message, part)
        const { locks } = yield* open()
        assert.strictEqual((yield* Effect.flip(locks.inspect(path))).message, error.message)
        // Also as one of several.
        const second = yield* Effect.flip(locks.locks([Target.read("fine"), Target.write(path)]))
        assert.strictEqual(second._tag, "InvalidPath")
      }).pipe(Effect.scoped)
    )
  }

  it.effect("what is not a path at all", () =>
    Effect.gen(function* () {
      for (const path of [undefined, null, 7, ["a", 7], {}]) {
        const error = yield* refusal([Target.write(path as unknown as string)])
        assert.strictEqual(error._tag, "InvalidPath")
        assert.include(error.message, "a path is a string or a list of strings")
      }
    })
  )

  it.effect("128 segments, 1,024 bytes, doubled separators and the root are fine", () =>
    Effect.gen(function* () {
      const { locks } = yield* open()
      const paths = ["a", "/a//b/", "", "/", [], "b/".repeat(128), `c/${"x".repeat(1021)}`]
      for (const path of paths) {
        assert.isAbove(yield* locks.withWrite(({ token }) => Effect.succeed(token), path), -1)
      }
    }).pipe(Effect.scoped)
  )
})

describe("options that cannot be are refused before anything is sent", () => {
  const cases: ReadonlyArray<readonly [LockOptions.AcquireOptions, string, string]> = [
    [{ ttl: 0 }, "ttl", "it is zero, but must be"],
    [{ ttl: -1 }, "ttl", "it is -1, but must be"],
    [{ ttl: "-5 seconds" }, "ttl", `it is "-5 seconds", but must be`],
    [{ ttl: Number.NaN }, "ttl", "it is NaN, but must be"],
    [{ ttl: Number.POSITIVE_INFINITY }, "ttl", "it is infinite, but must be"],
    [{ ttl: "soon" as "1 second" }, "ttl", `it is "soon", but must be a duration such as "10 seconds"`],
    [{ ttl: "30 days" }, "ttl", "must be at most 2147483647 ms"],
    [{ refreshInterval: "10 seconds" }, "refreshInterval", "it is 10000 ms, but must be below the ttl (10000 ms)"],
    [{ refreshInterval: "11 seconds" }, "refreshInterval", "must be below the ttl (10000 ms)"],
    [{ refreshInterval: 0 }, "refreshInterval", "more than zero"],
    [{ ttl: "1 second", refreshInterval: "2 seconds" }, "refreshInterval", "must be below the ttl (1000 ms)"],
    [{ timeout: -1 }, "timeout", "it is -1, but must be"],
    [{ timeout: -1n }, "timeout", "it is -1n, but must be"],
    [{ timeout: Number.NaN }, "timeout", "it is NaN, but must be"],
    [{ timeout: [-1, 0] }, "timeout", "it is [-1,0], but must be"],
    [{ timeout: "1 second", block: false }, "timeout", "cannot be combined with `block: false`"],
    [{ maxHold: 0 }, "maxHold", "more than zero"],
    [{ maxHold: Number.NaN }, "maxHold", "it is NaN"],
    [{ block: "no" as unknown as boolean }, "block", "it must be true or false"],
    [{ reentrant: 1 as unknown as boolean }, "reentrant", "it must be true or false"],
    [{ onLost: "ignore" as "signal" }, "onLost", `it must be "interrupt" or "signal"`],
    [{ reason: 7 as unknown as string }, "reason", "it must be a string"],
    [{ label: 7 as unknown as string }, "label", "it must be a string"],
    [{ within: ["fine", "not fine"] }, "within", `"not fine" is not a lease id`],
    [{ within: [7 as unknown as string] }, "within", "7 is not a lease id"]
  ]
  for (const [options, option, part] of cases) {
    const shown = Object.entries(options).map(([key, value]) => `${key}: ${String(value)}`)
    it.effect(`{ ${shown.join(", ")} }`, () =>
      Effect.gen(function* () {
        const error = yield* refusal([Target.write("a")], options)
        assert.strictEqual(error._tag, "InvalidOptions")
        assert.strictEqual(narrow(error, LockError.InvalidOptions).option, option)
        assert.include(error.message, `The option \`${option}\` is not valid: `)
        assert.include(error.message, part)
      })
    )
  }

  it.effect("no targets, and a mode that does not exist", () =>
    Effect.gen(function* () {
      const none = yield* refusal([])
      assert.include(none.message, "at least one target is needed")
      const mode = yield* refusal([Target.make("exclusive" as LockMode.LockMode, "a")])
      assert.include(mode.message, `the mode "exclusive" is not one of read, write, readNode, writeNode`)
    })
  )

  // What the types refuse, JavaScript can do.
  it.effect("targets that are no list, and options that are no object", () =>
    Effect.gen(function* () {
      const targets = yield* refusal("a" as never)
      assert.strictEqual(targets.message, "The option `targets` is not valid: they must be a list")
      for (const options of [null, "5 seconds"]) {
        const error = yield* refusal([Target.write("a")], options as never)
        assert.include(error.message, `they are ${JSON.stringify(options)}, but must be an object`)
      }
    })
  )

  it.effect("an effect in the wrong place, and what is none", () =>
    Effect.gen(function* () {
      const { locks } = yield* open()
      type Loose = (...args: ReadonlyArray<unknown>) => Effect.Effect<never, LockError.LockError>
      const provided: Loose = (...args) =>
        Effect.provideService(
          (HierarchicalLock.withRead as unknown as Loose)(...args),
          HierarchicalLock.HierarchicalLock,
          locks
        )
      for (const withRead of [locks.withRead as unknown as Loose, provided]) {
        for (const args of [
          ["a", Effect.void],
          ["a", () => Effect.void],
          ["a", { block: false }, Effect.void]
        ]) {
          const error = yield* Effect.flip(withRead(...args))
          assert.strictEqual(error._tag, "InvalidOptions")
          assert.include(error.message, "the effect comes before the path")
        }
      }
      for (const withRead of [locks.withRead("a"), HierarchicalLock.withRead("a")]) {
        const error = yield* Effect.flip((withRead as unknown as Loose)(Promise.resolve()))
        assert.include(error.message, "what runs under a lock is an effect")
      }
    }).pipe(Effect.scoped)
  )

  it.effect("of a refresh by hand", () =>
    Effect.gen(function* () {
      const faults = new Faults()
      const { locks } = yield* open({}, faults.around)
      for (const ttl of [0, -1, Number.NaN, Number.POSITIVE_INFINITY]) {
        const error = yield* Effect.flip(locks.refresh("an-id", { ttl }))
        assert.strictEqual(error._tag, "InvalidOptions")
      }
      assert.deepStrictEqual(faults.calls, new Map())
    }).pipe(Effect.scoped)
  )
})

describe("options of the service that cannot be are refused when it is made", () => {
  const cases: ReadonlyArray<readonly [LockOptions.Options, string, string]> = [
    [{ ttl: 0 }, "ttl", "more than zero"],
    [{ ttl: Number.NaN }, "ttl", "it is NaN"],
    [{ ttl: Number.POSITIVE_INFINITY }, "ttl", "infinite"],
    [{ ttl: "1 second", refreshInterval: "1 second" }, "refreshInterval", "must be below the ttl (1000 ms)"],
    [{ separator: "" }, "separator", "it must be one or more characters"],
    [{ separator: "%" }, "separator", `it must not contain "%"`],
    [{ separator: "a%b" }, "separator", `it must not contain "%"`],
    [{ separator: "\0" }, "separator", "NUL"],
    [{ separator: "\ud800" }, "separator", "lone surrogate"],
    [{ maxHold: -1 }, "maxHold", "it is -1"],
    [{ reentrant: "yes" as unknown as boolean }, "reentrant", "true or false"],
    [{ onLost: "no" as "signal" }, "onLost", `"interrupt" or "signal"`],
    [{ spans: 1 as unknown as boolean }, "spans", "true or false"],
    [{ label: 1 as unknown as string }, "label", "a string"]
  ]
  for (const [options, option, part] of cases) {
    it.effect(JSON.stringify(options), () =>
      Effect.gen(function* () {
        const layer = HierarchicalLock.layer(options).pipe(Layer.provide(MemoryStore.layer))
        const error = yield* Effect.flip(Effect.scoped(Layer.build(layer)))
        assert.strictEqual(error._tag, "InvalidOptions")
        assert.strictEqual(error.option, option)
        assert.include(error.message, part)
      })
    )
  }
})

describe("layerConfig", () => {
  const build = (variables: Record<string, string>) =>
    Effect.gen(function* () {
      const lease = yield* HierarchicalLock.write("a::b")
      yield* HierarchicalLock.read(`a::b::c`)
      const [entry] = yield* HierarchicalLock.inspect("a")
      return { lease, entry }
    }).pipe(
      HierarchicalLock.scoped,
      Effect.provide(Layer.provideMerge(HierarchicalLock.layerConfig, MemoryStore.layerConfig)),
      Effect.withConfigProvider(ConfigProvider.fromMap(new Map(Object.entries(variables))))
    )

  it.effect("reads every variable", () =>
    Effect.gen(function* () {
      const variables = {
        HILOK_TTL: "3 seconds",
        HILOK_REFRESH_INTERVAL: "500",
        HILOK_SEPARATOR: "::",
        HILOK_REENTRANT: "true",
        HILOK_ON_LOST: "signal",
        HILOK_MAX_HOLD: "2 seconds",
        HILOK_LABEL: "worker-7",
        HILOK_SPANS: "false",
        HILOK_NAMESPACE: "mine"
      }
      const provider = ConfigProvider.fromMap(new Map(Object.entries(variables)))
      const options = yield* Effect.withConfigProvider(LockOptions.config, provider)
      assert.deepStrictEqual(options, {
        ttl: "3 seconds",
        refreshInterval: 500,
        separator: "::",
        reentrant: true,
        onLost: "signal",
        maxHold: "2 seconds",
        label: "worker-7",
        spans: false
      })
      const { entry, lease } = yield* build(variables)
      assert.deepStrictEqual(lease.targets, [Target.write("a::b")])
      assert.strictEqual(entry?.label, "worker-7")
      // The ttl is at most `HILOK_MAX_HOLD`.
      assert.strictEqual(entry?.timeLeft, 2000)
    })
  )

  it.effect("takes the defaults for what is missing", () =>
    Effect.gen(function* () {
      const { entry, lease } = yield* build({ HILOK_REENTRANT: "true" })
      assert.deepStrictEqual(lease.targets, [Target.write("a::b")])
      assert.strictEqual(entry, undefined)
    })
  )

  const wrong = [
    ["HILOK_TTL", "soon"],
    ["HILOK_TTL", "0"],
    ["HILOK_TTL", "-5"],
    ["HILOK_TTL", "Infinity"],
    ["HILOK_REFRESH_INTERVAL", "10 seconds"],
    ["HILOK_REFRESH_INTERVAL", "often"],
    ["HILOK_SEPARATOR", "%"],
    ["HILOK_REENTRANT", "perhaps"],
    ["HILOK_ON_LOST", "ignore"],
    ["HILOK_MAX_HOLD", "0"],
    ["HILOK_SPANS", "many"]
  ] as const
  for (const [variable, value] of wrong) {
    it.effect(`${variable}=${value} is an error that names the variable`, () =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(build({ [variable]: value }))
        assert.include(String(error), variable)
        assert.include(["InvalidData", "MissingData"], (error as { readonly _op?: string })._op)
      })
    )
  }
})

it.effect("the metrics have no label at all, so no path", () =>
  Effect.gen(function* () {
    const { locks } = yield* open()
    yield* locks.withWrite(Effect.void, "secret/path")
    const pairs = (yield* Metric.snapshot).filter(({ metricKey }) => metricKey.name.startsWith("hilok_"))
    assert.isAbove(pairs.length, 3)
    for (const { metricKey } of pairs) assert.deepStrictEqual([...metricKey.tags], [])
  }).pipe(Effect.scoped)
)
