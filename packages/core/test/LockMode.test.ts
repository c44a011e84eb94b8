import { assert, describe, it } from "@effect/vitest"
import { LockMode, LockPath } from "@hilok/core"
import { Conformance, Session } from "@hilok/testing"
import { Either, FastCheck, Schema } from "effect"

const path = (segments: ReadonlyArray<string>) => Either.getOrThrow(LockPath.parse(segments))

const region = FastCheck.record({
  mode: FastCheck.constantFrom(...LockMode.all),
  path: FastCheck.array(FastCheck.constantFrom("a", "b", "ab", "a/b", "%"), { maxLength: 3 }).map(path)
})

describe("two locks", () => {
  it.each(Conformance.conflicts)(
    "$first.mode '$first.path' and $second.mode '$second.path' exclude each other: $conflict",
    ({ conflict, first, second }) => {
      assert.strictEqual(LockMode.conflicts(Session.region(first), Session.region(second)), conflict)
    }
  )

  it("exclude each other in both directions, or in none", () => {
    FastCheck.assert(
      FastCheck.property(region, region, (a, b) => {
        assert.strictEqual(LockMode.conflicts(a, b), LockMode.conflicts(b, a))
        assert.strictEqual(LockMode.overlaps(a, b), LockMode.overlaps(b, a))
      })
    )
  })

  it("exclude each other when they overlap and one is exclusive, and never when both are shared", () => {
    FastCheck.assert(
      FastCheck.property(region, region, (a, b) => {
        const exclusive = LockMode.isExclusive(a.mode) || LockMode.isExclusive(b.mode)
        assert.strictEqual(LockMode.conflicts(a, b), exclusive && LockMode.overlaps(a, b))
      })
    )
  })

  it("overlap exactly when there is a node that both cover", () => {
    const covers = (region: LockMode.Region, node: LockPath.LockPath) =>
      LockMode.coversSubtree(region.mode) ? LockPath.isWithin(node, region.path) : node === region.path
    FastCheck.assert(
      FastCheck.property(region, region, (a, b) => {
        // The deeper of the two nodes is covered by both, or no node is.
        assert.strictEqual(
          LockMode.overlaps(a, b),
          [a.path, b.path].some((node) => covers(a, node) && covers(b, node))
        )
      })
    )
  })

  it("exclude the same others when the one covers the other, and more", () => {
    FastCheck.assert(
      FastCheck.property(region, region, region, (a, b, other) => {
        if (LockMode.covers(a, b) && LockMode.conflicts(b, other)) assert.isTrue(LockMode.conflicts(a, other))
        if (LockMode.covers(a, b)) assert.isTrue(LockMode.overlaps(a, b))
        assert.isTrue(LockMode.covers(a, a))
      }),
      { numRuns: 2_000 }
    )
    const covered = (mode: LockMode.LockMode) =>
      LockMode.all.flatMap((below) =>
        [[], ["a"], ["a", "b"]].flatMap((segments) =>
          LockMode.covers({ mode, path: path(["a"]) }, { mode: below, path: path(segments) })
            ? [`${below} ${segments.join("/")}`]
            : []
        )
      )
    assert.deepStrictEqual(covered("read"), ["read a", "read a/b", "readNode a", "readNode a/b"])
    assert.deepStrictEqual(covered("readNode"), ["readNode a"])
    assert.deepStrictEqual(covered("writeNode"), ["readNode a", "writeNode a"])
    assert.strictEqual(covered("write").length, 8)
  })

  it("of one region conflict with themselves when they are exclusive", () => {
    for (const mode of LockMode.all) {
      const region = { mode, path: path(["a"]) }
      assert.strictEqual(LockMode.conflicts(region, region), LockMode.isExclusive(mode))
    }
  })
})

describe("two requests", () => {
  it("exclude each other when any of their targets do", () => {
    FastCheck.assert(
      FastCheck.property(FastCheck.array(region), FastCheck.array(region), (as, bs) => {
        const pairs = as.flatMap((a) => bs.map((b) => LockMode.conflicts(a, b)))
        assert.strictEqual(LockMode.anyConflict(as, bs), pairs.includes(true))
      })
    )
  })
})

describe("a mode", () => {
  it("is shared or exclusive, of a subtree or of a node", () => {
    assert.deepStrictEqual(
      LockMode.all.map((mode) => [mode, LockMode.isExclusive(mode), LockMode.coversSubtree(mode)]),
      [
        ["read", false, true],
        ["write", true, true],
        ["readNode", false, false],
        ["writeNode", true, false]
      ]
    )
  })

  it("is downgraded to the shared one over the same region", () => {
    for (const mode of LockMode.all) {
      const downgraded = LockMode.downgraded(mode)
      assert.isFalse(LockMode.isExclusive(downgraded))
      assert.strictEqual(LockMode.coversSubtree(downgraded), LockMode.coversSubtree(mode))
      assert.strictEqual(LockMode.downgraded(downgraded), downgraded)
    }
  })

  it("that is unknown is refused by the schema", () => {
    assert.isTrue(LockMode.all.every(Schema.is(LockMode.schema)))
    assert.isFalse(Schema.is(LockMode.schema)("intentionRead"))
  })
})
