import { assert, it } from "@effect/vitest"
import { FastCheck } from "effect"
import { Chain, type Link } from "../src/internal/chain.ts"

class Item implements Link<Item> {
  chain: unknown = undefined
  previous: Item | undefined = undefined
  next: Item | undefined = undefined
}

it("a row has what was put into it and not taken out, in order, and each thing is in one row", () => {
  const step = FastCheck.record({ item: FastCheck.nat({ max: 5 }), row: FastCheck.nat({ max: 1 }) })
  FastCheck.assert(
    FastCheck.property(FastCheck.array(step, { maxLength: 60 }), (steps) => {
      const items = Array.from({ length: 6 }, () => new Item())
      const rows = [new Chain<Item>(), new Chain<Item>()]
      const model: Array<Array<Item>> = [[], []]
      for (const { item, row } of steps) {
        const found = items[item]!
        const at = model.findIndex((row) => row.includes(found))
        if (at === -1) {
          rows[row]!.add(found)
          model[row]!.push(found)
        } else {
          assert.isFalse(rows[1 - at]!.remove(found), "it is not in the other one")
          assert.isTrue(rows[at]!.remove(found))
          model[at]!.splice(model[at]!.indexOf(found), 1)
        }
        for (const i of [0, 1]) {
          assert.deepStrictEqual(rows[i]!.toArray(), model[i]!)
          assert.strictEqual(rows[i]!.size, model[i]!.length)
          assert.strictEqual(rows[i]!.first, model[i]![0])
        }
      }
    })
  )
})
