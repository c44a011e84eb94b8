import { assert, describe, it } from "@effect/vitest"
import { LockMode, LockPath, Target } from "@hilok/core"
import { Session } from "@hilok/testing"
import { Either, FastCheck } from "effect"
import { mergeTargets } from "../src/internal/merging.ts"
import * as routing from "../src/internal/routing.ts"

const path = (input: LockPath.Input) => Either.getOrThrow(LockPath.parse(input))
const { read, readNode, write, writeNode } = Target
const regions = (...targets: ReadonlyArray<Target.Target>) => targets.map(Session.region)

describe("routing", () => {
  it("goes by the first segment alone, as it is encoded", () => {
    for (const count of [2, 3, 8, 64]) {
      for (const first of ["a", "ä", "a/b", "%", "日本語"]) {
        const at = routing.partitionOf(path([first]), count)
        for (const below of [["x"], ["y", "z"]])
          assert.strictEqual(routing.partitionOf(path([first, ...below]), count), at)
      }
      assert.strictEqual(routing.partitionOf(LockPath.root, count), 0)
    }
  })

  it("is what docs/protocol.md says: clients of all versions have to agree", () => {
    // FNV-1a of "a" is e40c292c, of "foobar" bf9cf968: from its authors' test vectors.
    assert.strictEqual(routing.partitionOf(path("a"), 64), (0xe40c ^ 0x292c) % 64)
    assert.strictEqual(routing.partitionOf(path("foobar/x"), 61), (0xbf9c ^ 0xf968) % 61)
    assert.strictEqual(routing.partitionOf(path("foobar"), 1), 0)
  })

  it("spreads paths evenly", () => {
    for (const count of [3, 8, 64]) {
      for (const name of [(i: number) => `${i}`, (i: number) => `account-${i}`, (i: number) => `user:${i * 64}`]) {
        const sizes = new Array<number>(count).fill(0)
        for (let i = 0; i < 1000 * count; i++) sizes[routing.partitionOf(path(name(i)), count)]!++
        assert.isAbove(Math.min(...sizes), 750)
        assert.isBelow(Math.max(...sizes), 1250)
      }
    }
  })

  it("takes a subtree that begins at the root to all, a node to one, and several targets in ascending order", () => {
    const whole = routing.split(regions(writeNode(""), write("a"), read("")), 3)
    assert.deepStrictEqual(
      whole.map(({ at }) => at),
      [0, 1, 2]
    )
    assert.deepStrictEqual(whole[0].numbers.slice(0, 1), [0])
    assert.isTrue(whole.every(({ numbers }) => numbers.includes(2)))
    assert.deepStrictEqual(routing.split(regions(readNode("")), 8), [
      { at: 0, targets: [Session.region(readNode(""))], numbers: [0] }
    ])
  })

  it("decides what conflicts in a partition that both have", () => {
    const region = FastCheck.record({
      mode: FastCheck.constantFrom(...LockMode.all),
      path: FastCheck.constantFrom(...["", "a", "a/b", "b", "c/d", "c", "e", "f"].map(path))
    })
    const some = FastCheck.array(region, { minLength: 1, maxLength: 4 })
    FastCheck.assert(
      FastCheck.property(some, some, FastCheck.integer({ min: 1, max: 8 }), (one, other, count) => {
        const others = new Map(routing.split(other, count).map(({ at, targets }) => [at, targets]))
        const conflict = routing
          .split(one, count)
          .some(({ at, targets }) => LockMode.anyConflict(targets, others.get(at) ?? []))
        assert.strictEqual(conflict, LockMode.anyConflict(one, other))
        assert.deepStrictEqual(mergeTargets(routing.split(one, count)), one as never, "the parts make the whole")
      })
    )
  })

  it("of a target that is shared in one part and exclusive in another, the shared one counts", () => {
    const parts = [
      { targets: regions(write("")), numbers: [0] },
      { targets: regions(read("")), numbers: [0] },
      { targets: regions(write("")), numbers: [0] }
    ]
    assert.deepStrictEqual(mergeTargets(parts), regions(read("")) as never)
  })
})
