import { assert, it } from "@effect/vitest"
import { HierarchicalLock, Target } from "@hilok/core"
import { Effect } from "effect"
import { overMemory } from "./support/locks.ts"

it("the root is written / for people", () => {
  for (const root of ["", "/", []]) assert.strictEqual(Target.format([Target.write(root)]), `write "/"`)
  assert.strictEqual(Target.format([Target.read("a/b"), Target.readNode(["c", "d"])]), `read "a/b", readNode "c/d"`)
})

it("with its parents, a target comes after readNode on each node above it", () => {
  assert.deepStrictEqual(Target.withParents(Target.write("a/b")), [
    Target.readNode(""),
    Target.readNode("a"),
    Target.write("a/b")
  ])
  assert.deepStrictEqual(Target.withParents(Target.read(["a/b", "c"])), [
    Target.readNode([]),
    Target.readNode(["a/b"]),
    Target.read(["a/b", "c"])
  ])
  assert.deepStrictEqual(Target.withParents(Target.writeNode("a::b"), "::"), [
    Target.readNode(""),
    Target.readNode("a"),
    Target.writeNode("a::b")
  ])
  assert.deepStrictEqual(Target.withParents(Target.write("/")), [Target.write("/")])
})

it.effect("an edit with its parents keeps a folder above from being renamed, and lets its neighbours be edited", () =>
  Effect.gen(function* () {
    yield* HierarchicalLock.locks(Target.withParents(Target.write("docs/2026/plan")))
    const refused = Effect.flip(HierarchicalLock.withWriteNode(Effect.void, "docs", { block: false }))
    const other = HierarchicalLock.withLocks(
      Effect.succeed("edited"),
      Target.withParents(Target.write("docs/2026/note")),
      {
        block: false
      }
    )
    assert.strictEqual((yield* HierarchicalLock.detached(refused))._tag, "WouldBlock")
    assert.strictEqual(yield* HierarchicalLock.detached(other), "edited")
  }).pipe(Effect.scoped, Effect.provide(overMemory))
)
