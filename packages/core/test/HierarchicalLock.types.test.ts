/**
 * The error types follow the options. What must not compile is marked; `tsc` checks this file with all others.
 */

import { assert, describe, it } from "@effect/vitest"
import { HierarchicalLock, type LockError, type LockOptions, Target } from "@hilok/core"
import { Effect, type Scope } from "effect"
import { overMemory } from "./support/locks.ts"

type Equals<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
type ErrorOf<T> = T extends Effect.Effect<infer _A, infer E, infer _R> ? E : never
type ContextOf<T> = T extends Effect.Effect<infer _A, infer _E, infer R> ? R : never

type Always = LockError.Deadlock | LockError.InvalidPath | LockError.InvalidOptions | LockError.StoreError

/** Compiles only for `true`. */
const holds = <_T extends true>(): true => true

const plain = HierarchicalLock.write("a")
const empty = HierarchicalLock.write("a", {})
const blocking = HierarchicalLock.write("a", { block: true, reason: "x" })
const trying = HierarchicalLock.read("a", { block: false })
const timed = HierarchicalLock.readNode("a", { timeout: "1 second" })
const either = HierarchicalLock.writeNode("a", {} as LockOptions.AcquireOptions)
const several = HierarchicalLock.locks([Target.write("a")], { block: false })
const byHand = HierarchicalLock.acquire([Target.write("a")], { timeout: 5 })
const body = Effect.fail("body" as const)
const around = HierarchicalLock.withWrite(body, "a")
const aroundLast = body.pipe(HierarchicalLock.withWrite("a"))
const aroundTrying = HierarchicalLock.withRead(body, "a", { block: false })
const aroundTimed = body.pipe(HierarchicalLock.withLocks([Target.read("a")], { timeout: "1 second" }))

describe("the error type", () => {
  it("has no WouldBlock without `block: false`, and no LockTimeout without `timeout`", () => {
    assert.isTrue(holds<Equals<ErrorOf<typeof plain>, Always>>())
    assert.isTrue(holds<Equals<ErrorOf<typeof empty>, Always>>())
    assert.isTrue(holds<Equals<ErrorOf<typeof blocking>, Always>>())
    assert.isTrue(holds<Equals<ErrorOf<typeof around>, "body" | LockError.LockLost | Always>>())
    assert.isTrue(holds<Equals<ErrorOf<typeof aroundLast>, "body" | LockError.LockLost | Always>>())
  })

  it("has WouldBlock with `block: false`, and LockTimeout with a `timeout`", () => {
    assert.isTrue(holds<Equals<ErrorOf<typeof trying>, LockError.WouldBlock | Always>>())
    assert.isTrue(holds<Equals<ErrorOf<typeof several>, LockError.WouldBlock | Always>>())
    assert.isTrue(holds<Equals<ErrorOf<typeof timed>, LockError.LockTimeout | Always>>())
    assert.isTrue(holds<Equals<ErrorOf<typeof byHand>, LockError.LockTimeout | Always>>())
    assert.isTrue(
      holds<Equals<ErrorOf<typeof aroundTrying>, "body" | LockError.LockLost | LockError.WouldBlock | Always>>()
    )
    assert.isTrue(
      holds<Equals<ErrorOf<typeof aroundTimed>, "body" | LockError.LockLost | LockError.LockTimeout | Always>>()
    )
  })

  it("has both for options that are not known", () => {
    assert.isTrue(holds<Equals<ErrorOf<typeof either>, LockError.WouldBlock | LockError.LockTimeout | Always>>())
  })

  it("does not let errors be handled that cannot come", () => {
    // @ts-expect-error: there is no WouldBlock without `block: false`.
    const first = Effect.catchTag(plain, "WouldBlock", () => Effect.void)
    // @ts-expect-error: there is no LockTimeout without `timeout`.
    const second = Effect.catchTag(aroundTrying, "LockTimeout", () => Effect.void)
    // @ts-expect-error: a scoped lock tells of its loss otherwise.
    const third = Effect.catchTag(plain, "LockLost", () => Effect.void)
    assert.isTrue([first, second, third].every(Effect.isEffect))
  })

  it("refuses options that do not exist", () => {
    // @ts-expect-error: it is `timeout`.
    const wrong = HierarchicalLock.write("a", { timeOut: 5 })
    assert.isTrue(Effect.isEffect(wrong))
  })
})

describe("the context type", () => {
  it("has a Scope for what is scoped, and none for the rest", () => {
    type Lock = HierarchicalLock.HierarchicalLock
    assert.isTrue(holds<Equals<ContextOf<typeof plain>, Scope.Scope | Lock>>())
    assert.isTrue(holds<Equals<ContextOf<typeof several>, Scope.Scope | Lock>>())
    assert.isTrue(holds<Equals<ContextOf<typeof around>, Lock>>())
    assert.isTrue(holds<Equals<ContextOf<typeof byHand>, Lock>>())
  })
})

it.effect("what the types say compiles to what runs", () =>
  Effect.gen(function* () {
    const caught = yield* Effect.catchTag(aroundTrying, "WouldBlock", () => Effect.succeed("blocked")).pipe(Effect.flip)
    assert.strictEqual(caught, "body")
  }).pipe(Effect.provide(overMemory))
)
