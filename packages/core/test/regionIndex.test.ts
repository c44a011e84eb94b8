import { assert, describe, it } from "@effect/vitest"
import { FastCheck } from "effect"
import { HeldIndex, Place, WaitIndex } from "../src/internal/regionIndex.ts"

interface Owner {
  readonly ticket: number
}

interface Region {
  readonly keys: ReadonlyArray<string>
  readonly subtree: boolean
}

const region: FastCheck.Arbitrary<Region> = FastCheck.record({
  keys: FastCheck.array(FastCheck.constantFrom("a", "b", "c"), { maxLength: 3 }),
  subtree: FastCheck.boolean()
})

/** An owner with its regions arrives, and later leaves. */
const histories = FastCheck.array(
  FastCheck.record({
    regions: FastCheck.array(region, { minLength: 1, maxLength: 3 }),
    leaves: FastCheck.option(FastCheck.nat({ max: 30 })),
    asks: region,
    choice: FastCheck.nat({ max: 1000 })
  }),
  { maxLength: 40, size: "max" }
)

const startsWith = (keys: ReadonlyArray<string>, start: ReadonlyArray<string>) =>
  start.every((key, i) => keys[i] === key)

const overlap = (a: Region, b: Region): boolean =>
  (startsWith(a.keys, b.keys) && (b.subtree || a.keys.length === b.keys.length)) ||
  (startsWith(b.keys, a.keys) && (a.subtree || a.keys.length === b.keys.length))

const isEmpty = (index: object): boolean => {
  const root = Reflect.get(index, "root") as object
  if ("isEmpty" in root && typeof root.isEmpty === "function") return root.isEmpty()
  const { children, ...lists } = root as { children: Map<string, unknown> } & Record<string, unknown>
  return children.size === 0 && Object.values(lists).every((list) => !(list instanceof Set) || list.size === 0)
}

interface Index {
  readonly add: (place: Place<Owner>) => void
  readonly remove: (place: Place<Owner>) => void
}

/** Plays a history in an index, and asks after each step. In the end all leave, and the index has to be empty. */
const play = (
  history: ReadonlyArray<{
    readonly regions: ReadonlyArray<Region>
    readonly leaves: number | null
    readonly asks: Region
    readonly choice: number
  }>,
  index: Index,
  ask: (live: ReadonlyMap<Owner, ReadonlyArray<Region>>, asks: Region, choice: number) => void
) => {
  const live = new Map<Owner, ReadonlyArray<Region>>()
  const places = new Map<Owner, ReadonlyArray<Place<Owner>>>()
  const leave = (owner: Owner) => {
    for (const place of places.get(owner) ?? []) index.remove(place)
    live.delete(owner)
  }
  for (const [ticket, { asks, choice, leaves, regions }] of history.entries()) {
    const owner = { ticket }
    live.set(owner, regions)
    places.set(
      owner,
      regions.map(({ keys, subtree }) => new Place(owner, keys, subtree))
    )
    for (const place of places.get(owner)!) index.add(place)
    ask(live, asks, choice)
    const leaving = Array.from(live.keys())[leaves ?? -1]
    if (leaving !== undefined) leave(leaving)
    ask(live, asks, choice)
  }
  for (const owner of Array.from(live.keys())) leave(owner)
  assert.isTrue(isEmpty(index), "no node is left")
}

describe("the index of what is held", () => {
  it("finds somebody whose region overlaps and who is not waived, exactly when there is one", () => {
    FastCheck.assert(
      FastCheck.property(histories, (history) => {
        const index = new HeldIndex<Owner>()
        play(history, index, (live, asks, choice) => {
          const waived = new Set(Array.from(live.keys()).filter((_, i) => (choice >> (i % 10)) % 2 === 1))
          const overlapping = Array.from(live).flatMap(([owner, regions]) =>
            !waived.has(owner) && regions.some((region) => overlap(region, asks)) ? [owner] : []
          )
          const found = index.find(asks, waived)
          if (overlapping.length === 0) assert.isUndefined(found)
          else assert.include(overlapping, found)
        })
      }),
      { numRuns: 300 }
    )
  })

  it("calls for everybody whose region overlaps", () => {
    FastCheck.assert(
      FastCheck.property(histories, (history) => {
        const index = new HeldIndex<Owner>()
        play(history, index, (live, asks) => {
          const found = new Set<Owner>()
          index.each(asks, (owner) => found.add(owner))
          const overlapping = Array.from(live).flatMap(([owner, regions]) =>
            regions.some((region) => overlap(region, asks)) ? [owner] : []
          )
          assert.sameMembers(Array.from(found), overlapping)
        })
      }),
      { numRuns: 200 }
    )
  })

  it("looks at no more owners when 10,000 more are held elsewhere", () => {
    const index = new HeldIndex<Owner>()
    class Counting extends Set<Owner> {
      looks = 0
      override has(owner: Owner): boolean {
        this.looks++
        return super.has(owner)
      }
    }
    const nobody = new Counting()
    for (let i = 0; i < 10_000; i++) {
      index.add(new Place({ ticket: i }, ["a", `${i}`, "c"], i % 2 === 0))
    }
    assert.isUndefined(index.find({ keys: ["a", "x", "c"], subtree: true }, nobody))
    assert.isUndefined(index.find({ keys: ["b"], subtree: true }, nobody))
    assert.isUndefined(index.find({ keys: ["a", "5"], subtree: false }, nobody))
    assert.strictEqual(nobody.looks, 0)
    assert.isDefined(index.find({ keys: [], subtree: true }, nobody))
    assert.isDefined(index.find({ keys: ["a", "5"], subtree: true }, nobody))
    assert.strictEqual(nobody.looks, 2)
  })
})

describe("the index of what waits", () => {
  it("finds the latest before a ticket whose region overlaps", () => {
    FastCheck.assert(
      FastCheck.property(histories, (history) => {
        const index = new WaitIndex<Owner>()
        play(history, index, (live, asks, choice) => {
          const before = choice % (live.size + 2)
          const overlapping = Array.from(live).flatMap(([owner, regions]) =>
            owner.ticket < before && regions.some((region) => overlap(region, asks)) ? [owner] : []
          )
          assert.strictEqual(index.lastBefore(asks, before), overlapping.at(-1))
        })
      }),
      { numRuns: 300 }
    )
  })

  it("finds the latest also when most of a long queue have left, in whatever order", () => {
    FastCheck.assert(
      FastCheck.property(
        FastCheck.shuffledSubarray(
          Array.from({ length: 60 }, (_, i) => i),
          { minLength: 20 }
        ),
        (leaving) => {
          const index = new WaitIndex<Owner>()
          const place = (owner: Owner) => new Place(owner, ["a"], true)
          const owners = Array.from({ length: 60 }, (_, ticket) => ({ ticket }))
          for (const owner of owners) index.add(place(owner))
          const live = new Set(owners)
          for (const ticket of leaving) {
            index.remove(place(owners[ticket]!))
            live.delete(owners[ticket]!)
            for (const before of [ticket, ticket + 1, 60]) {
              const expected = owners.filter((owner) => live.has(owner) && owner.ticket < before).at(-1)
              assert.strictEqual(index.lastBefore({ keys: ["a", "b"], subtree: false }, before), expected)
            }
          }
        }
      ),
      { numRuns: 100 }
    )
  })
})

describe("the index of what waits", () => {
  it("tests those whose region overlaps, until it is so for one", () => {
    FastCheck.assert(
      FastCheck.property(histories, (history) => {
        const index = new WaitIndex<Owner>()
        play(history, index, (live, asks, choice) => {
          const test = ({ ticket }: Owner) => ticket % 5 === choice % 5
          const isSo = Array.from(live).some(
            ([owner, regions]) => test(owner) && regions.some((region) => overlap(region, asks))
          )
          assert.strictEqual(index.some(asks, test), isSo)
        })
      }),
      { numRuns: 200 }
    )
  })
})

describe("the cost of the index of what is held", () => {
  it("does not grow with the number of siblings of a path that is taken and left again and again", () => {
    const index = new HeldIndex<Owner>()
    const place = (key: string, ticket: number) => new Place({ ticket }, [key], true)
    for (let i = 0; i < 1000; i++) index.add(place(`other-${i}`, i))
    const children = () => (Reflect.get(Reflect.get(index, "root") as object, "others") as Map<string, unknown>).size
    // What became empty stays for the next time, but not without bound.
    for (let i = 0; i < 10_000; i++) {
      const own = place(`own-${i}`, 1000 + i)
      index.add(own)
      index.remove(own)
    }
    assert.isAtMost(children(), 2 * 1000 + 8)
    const hot = place("hot", 0)
    index.add(hot)
    const before = children()
    for (let i = 0; i < 100; i++) {
      index.remove(hot)
      assert.strictEqual(children(), before)
      assert.isUndefined(index.find({ keys: ["hot"], subtree: true }, new Set()))
      index.add(hot)
      assert.strictEqual(index.find({ keys: ["hot"], subtree: true }, new Set()), hot.owner)
    }
  })
})
