import { assert, it } from "@effect/vitest"
import { FastCheck } from "effect"
import { DeadlineHeap, type Timed } from "../src/internal/deadlineHeap.ts"

type Operation =
  | { readonly op: "set"; readonly key: number; readonly deadline: number }
  | { readonly op: "delete"; readonly key: number }

const operations = FastCheck.array(
  FastCheck.oneof(
    FastCheck.record({
      op: FastCheck.constant("set" as const),
      key: FastCheck.nat({ max: 30 }),
      deadline: FastCheck.oneof(
        { weight: 9, arbitrary: FastCheck.nat({ max: 20 }) },
        { weight: 1, arbitrary: FastCheck.constant(Number.POSITIVE_INFINITY) }
      )
    }),
    FastCheck.record({ op: FastCheck.constant("delete" as const), key: FastCheck.nat({ max: 30 }) })
  ),
  { maxLength: 120, size: "max" }
)

const drain = <A extends Timed>(heap: DeadlineHeap<A>): ReadonlyArray<A> => {
  const drained: Array<A> = []
  for (let first = heap.peek(); first !== undefined; first = heap.peek()) {
    drained.push(first)
    heap.delete(first)
  }
  return drained
}

it("the first in the heap is the earliest, however deadlines are added, moved and taken out", () => {
  FastCheck.assert(
    FastCheck.property(operations, (list: ReadonlyArray<Operation>) => {
      const heap = new DeadlineHeap<Timed & { readonly key: number }>()
      const items = Array.from({ length: 31 }, (_, key) => ({ key, deadline: Number.POSITIVE_INFINITY, heapIndex: -1 }))
      const present = new Set<(typeof items)[number]>()
      for (const operation of list) {
        const item = items[operation.key]!
        if (operation.op === "set") {
          item.deadline = operation.deadline
          heap.set(item)
        } else {
          heap.delete(item)
        }
        if (operation.op === "set" && operation.deadline !== Number.POSITIVE_INFINITY) present.add(item)
        else present.delete(item)
        const earliest = Math.min(...Array.from(present, ({ deadline }) => deadline))
        assert.strictEqual(heap.peek()?.deadline ?? Number.POSITIVE_INFINITY, earliest)
        assert.isTrue(items.every((item) => (item.heapIndex !== -1) === present.has(item)))
      }
      const drained = drain(heap)
      assert.sameMembers([...drained], [...present])
      assert.deepStrictEqual(
        drained.map(({ deadline }) => deadline),
        Array.from(present, ({ deadline }) => deadline).sort((a, b) => a - b)
      )
    }),
    { numRuns: 300 }
  )
})

it("what has no end is not in the heap, and deleting what is not in it changes nothing", () => {
  const heap = new DeadlineHeap<Timed>()
  const forever = { deadline: Number.POSITIVE_INFINITY, heapIndex: -1 }
  const item = { deadline: 1, heapIndex: -1 }
  heap.set(forever)
  assert.isUndefined(heap.peek())
  heap.set(item)
  heap.delete(forever)
  assert.strictEqual(heap.peek(), item)
  item.deadline = Number.POSITIVE_INFINITY
  heap.set(item)
  assert.isUndefined(heap.peek())
})
