import { assert, describe, it } from "@effect/vitest"
import { HierarchicalLock, LockError, LockOptions, LockStore, MemoryStore, Target } from "@hilok/core"
import { Config, ConfigProvider, Duration, Effect, Either, Layer, type Scope } from "effect"
import { Faults } from "./support/doubles.ts"
import { assertEmpty, open } from "./support/locks.ts"
import { narrow } from "./support/narrow.ts"

/** What the types refuse, and a spread of a wider type lets pass. */
const spread = (options: object): object => ({ ...options })

describe("an option that does not exist is refused before anything is sent", () => {
  it.effect("by a request, with the one that was meant and all there are", () =>
    Effect.gen(function* () {
      const faults = new Faults()
      const { locks, store } = yield* open({}, faults.around)
      const options = spread({ time: "1 second" })
      const targets = [Target.write("a")]
      const asked: ReadonlyArray<Effect.Effect<unknown, LockError.LockError, Scope.Scope>> = [
        locks.write("a", options),
        locks.locks(targets, options),
        locks.acquire(targets, options),
        locks.withRead(Effect.void, "a", options),
        Effect.void.pipe(locks.withLocks(targets, options))
      ]
      for (const ask of asked) {
        const error = narrow(yield* Effect.flip(ask), LockError.InvalidOptions)
        assert.strictEqual(error.option, "time")
        assert.strictEqual(
          error.message,
          "The option `time` is not valid: there is no such option; did you mean `timeout`? Allowed are `block`, `timeout`, " +
            "`ttl`, `refreshInterval`, `reentrant`, `onLost`, `maxHold`, `reason`, `label`, `within`, `onWait`, `delegate`"
        )
      }
      assert.deepStrictEqual(faults.calls, new Map())
      yield* assertEmpty(store)
    }).pipe(Effect.scoped)
  )

  it.effect("by a take-over and a refresh, which have fewer", () =>
    Effect.gen(function* () {
      const faults = new Faults()
      const { locks } = yield* open({}, faults.around)
      const restored = yield* Effect.flip(locks.restore("an-id", spread({ timeout: 5 })))
      assert.include(restored.message, "Allowed are `ttl`, `refreshInterval`, `onLost`, `maxHold`")
      const refreshed = yield* Effect.flip(locks.refresh("an-id", spread({ tll: 5 })))
      assert.include(refreshed.message, "there is no such option; did you mean `ttl`? Allowed are `ttl`")
      assert.deepStrictEqual(faults.calls, new Map())
    }).pipe(Effect.scoped)
  )

  it.effect("by the service and by the store, when they are made", () =>
    Effect.gen(function* () {
      const service = yield* Effect.flip(HierarchicalLock.make(spread({ seperator: ":" })))
      assert.include(service.message, "`seperator` is not valid: there is no such option; did you mean `separator`?")
      const store = yield* Effect.flip(MemoryStore.make(spread({ nameSpace: "x" })))
      assert.include(store.message, "did you mean `namespace`?")
    }).pipe(Effect.scoped, Effect.provide(MemoryStore.layer()))
  )

  it("and nothing is guessed where nothing is near", () => {
    const problem = LockOptions.checkNames({ retries: 3 }, { ttl: true, separator: true })
    assert.strictEqual(
      Either.getOrThrow(Either.flip(problem)).message,
      "The option `retries` is not valid: there is no such option. Allowed are `ttl`, `separator`"
    )
    for (const [name, meant] of [
      ["TTL", "ttl"],
      ["refresh", "refreshInterval"],
      ["hold", "maxHold"],
      ["onLoss", "onLost"],
      ["timeoutMillis", "timeout"],
      ["re-entrant", "reentrant"]
    ] as const) {
      const error = Either.flip(LockOptions.checkNames({ [name]: 1 }, { ...LockOptions.names.acquire }))
      assert.include(Either.getOrThrow(error).message, `did you mean \`${meant}\`?`)
    }
    assert.isTrue(Either.isRight(LockOptions.checkNames({ ttl: undefined }, { ttl: true })))
  })

  it("nor are options that are no object", () => {
    for (const [options, shown] of [
      [() => 5, "a function"],
      [["a"], `["a"]`],
      [null, "null"],
      ["5 seconds", `"5 seconds"`]
    ] as const) {
      const { message } = Either.getOrThrow(Either.flip(LockOptions.checkNames(options, { ttl: true })))
      assert.include(message, `they are ${shown}, but must be an object`)
    }
  })
})

const environment = (variables: Record<string, string>) =>
  Effect.withConfigProvider(ConfigProvider.fromMap(new Map(Object.entries(variables))))

describe("the layers", () => {
  const label = Effect.gen(function* () {
    const lease = yield* HierarchicalLock.write("a")
    const [entry] = yield* HierarchicalLock.inspect()
    assert.strictEqual(entry?.id, lease.id)
    return { label: entry?.label, timeLeft: entry?.timeLeft }
  }).pipe(Effect.scoped)

  it.effect("over a memory store are one call", () =>
    Effect.gen(function* () {
      const found = yield* Effect.provide(label, HierarchicalLock.layerMemory({ label: "one", ttl: "4s" }))
      assert.deepStrictEqual(found, { label: "one", timeLeft: 4000 })
      const error = yield* Effect.flip(Effect.provide(label, HierarchicalLock.layerMemory({ ttl: 0 })))
      assert.strictEqual(narrow(error, LockError.InvalidOptions).option, "ttl")
    })
  )

  it.effect("over memory stores that are built apart know nothing of each other", () =>
    Effect.gen(function* () {
      const lock = HierarchicalLock.layerMemory()
      const inner = HierarchicalLock.withWrite(Effect.succeed("both"), "a", { block: false })
      const outer = HierarchicalLock.withWrite(Effect.provide(inner, lock), "a")
      assert.strictEqual(yield* Effect.provide(outer, lock), "both")
    })
  )

  it.effect("read their options from variables of other names, and some of them from code", () =>
    Effect.gen(function* () {
      const layer = HierarchicalLock.layerConfig({
        ttl: Config.duration("APP_TTL"),
        label: Config.succeed("app")
      }).pipe(Layer.provide(MemoryStore.layerConfig({ namespace: Config.string("APP_SET") })))
      const set = { APP_TTL: "7 seconds", APP_SET: "mine" }
      const found = yield* Effect.provide(label, layer).pipe(environment(set))
      assert.deepStrictEqual(found, { label: "app", timeLeft: 7000 })

      const wrong = yield* Effect.flip(Effect.provide(label, layer).pipe(environment({ ...set, APP_TTL: "0 seconds" })))
      assert.match(String(wrong), /ttl.*it is zero/)
      const missing = yield* Effect.flip(Effect.provide(label, layer).pipe(environment({ APP_SET: "x" })))
      assert.include(String(missing), "APP_TTL")
    })
  )

  it.effect("read the usual variables below a prefix", () =>
    Effect.gen(function* () {
      const options = Config.nested(LockOptions.config, "APP")
      const layer = Layer.provide(HierarchicalLock.layerConfig(options), MemoryStore.layer())
      const provider = ConfigProvider.fromMap(new Map([["APP_HILOK_TTL", "7s"]]), { pathDelim: "_" })
      const found = yield* Effect.withConfigProvider(Effect.provide(label, layer), provider)
      assert.strictEqual(found.timeLeft, 7000)
    })
  )

  it.effect("of the memory store take its namespace from HILOK_NAMESPACE", () =>
    Effect.gen(function* () {
      const namespace = LockStore.LockStore.pipe(
        Effect.map((store) => store.namespace),
        Effect.provide(MemoryStore.layerConfig())
      )
      assert.strictEqual(yield* namespace.pipe(environment({ HILOK_NAMESPACE: "mine" })), "mine")
      assert.strictEqual(yield* namespace.pipe(environment({})), "default")
    })
  )

  it.effect("of a store turn an option that it refuses into an error that names the variable", () =>
    Effect.gen(function* () {
      const make = ({ ttl }: { readonly ttl: Duration.Duration }) =>
        Effect.fail(new LockError.InvalidOptions({ option: "ttl", reason: `it is ${Duration.format(ttl)}` }))
      const config = { ttl: Config.succeed(Duration.zero) }
      const error = yield* Effect.flip(LockOptions.fromConfig(config, make, { ttl: "STORE_TTL" }))
      assert.match(String(error), /STORE_TTL.*the value is not valid: it is 0/)
    })
  )
})
