import { assert, describe, it } from "@effect/vitest"
import { FastCheck } from "effect"
import { IdTable } from "../src/internal/idTable.ts"

class Item {
  readonly id: string
  nextById: Item | undefined = undefined

  constructor(id: string) {
    this.id = id
  }
}

describe("the table of ids", () => {
  it("holds what was added and not taken out, as a map would, whatever comes and goes", () => {
    FastCheck.assert(
      FastCheck.property(
        // Few enough to meet again, and some that only differ where the hash does not look.
        FastCheck.array(
          FastCheck.record({
            number: FastCheck.nat({ max: 300 }),
            tail: FastCheck.constantFrom("", "-the-same-end-of-all"),
            remove: FastCheck.boolean()
          }),
          { maxLength: 2000, size: "max" }
        ),
        (steps) => {
          const table = new IdTable<Item>()
          const map = new Map<string, Item>()
          for (const { number, remove, tail } of steps) {
            const id = `${number}${tail}`
            const known = map.get(id)
            if (remove) {
              assert.isFalse(table.delete(new Item(id)), "another with the same id is not in the table")
              if (known !== undefined) assert.isTrue(table.delete(known))
              map.delete(id)
            } else if (known === undefined) {
              const item = new Item(id)
              table.add(item)
              map.set(id, item)
            }
            assert.strictEqual(table.get(id), map.get(id))
            assert.strictEqual(table.size, map.size)
          }
          assert.sameMembers(Array.from(table.values()), Array.from(map.values()))
          for (const item of map.values()) assert.isTrue(table.delete(item))
          assert.deepStrictEqual(Array.from(table.values()), [])
        }
      ),
      { numRuns: 100 }
    )
  })
})
