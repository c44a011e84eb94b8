import { assert, describe, it } from "@effect/vitest"
import { Target } from "@hilok/core"
import * as History from "./support/history.ts"

const hold = (
  targets: Target.Target | ReadonlyArray<Target.Target>,
  entered: number,
  left: number,
  token: number
): History.Hold => ({
  name: `process ${token}`,
  targets: "mode" in targets ? [targets] : targets,
  entered,
  left,
  token,
  isSure: true,
  outcome: "done"
})

const { read, readNode, write, writeNode } = Target

describe("the checker of histories", () => {
  it("finds nothing in a history without a violation", () => {
    const verdict = History.check([
      hold(write("r"), 0, 10, 1),
      hold(read("r/a"), 10, 30, 2),
      hold(read("r"), 12, 20, 3),
      hold(write("r/b"), 20, 30, 5),
      hold(writeNode("r"), 21, 29, 4),
      hold([write("r/a"), read("r/b")], 30, 40, 6)
    ])
    assert.deepStrictEqual(History.violations(verdict), [])
    assert.deepStrictEqual({ conflicts: verdict.conflicts, together: verdict.together }, { conflicts: 10, together: 4 })
  })

  it("does not take the order in which the lines were collected for that of the holds", () => {
    const holds = [hold(write("r"), 20, 30, 3), hold(write("r"), 0, 10, 1), hold(write("r"), 10, 20, 2)]
    assert.deepStrictEqual(History.violations(History.check(holds)), [])
  })

  for (const [name, first, second] of [
    ["two writers of a node", write("r/a"), write("r/a")],
    ["a writer and a reader of a node", write("r/a"), readNode("r/a")],
    ["a writer above a reader", write("r"), readNode("r/a/b")],
    ["a writer below a reader", writeNode("r/a/b"), read("r")],
    ["a writer of the root and a reader of a leaf", write(""), read("r/a/b")],
    ["two writers of one node alone", writeNode("r"), writeNode("r")],
    ["one of several targets", [read("r/b"), write("r/a")], [write("r/c"), read("r/a/x")]]
  ] as const) {
    it(`finds an overlap: ${name}`, () => {
      for (const [a, b] of [
        [first, second],
        [second, first]
      ] as const) {
        const { equal, falling, overlaps } = History.check([hold(a, 0, 10, 1), hold(b, 9, 20, 2)])
        assert.deepStrictEqual(
          overlaps.map(({ first, second }) => [first.token, second.token]),
          [[1, 2]]
        )
        assert.deepStrictEqual([...equal, ...falling], [])
        assert.deepStrictEqual(History.check([hold(a, 0, 10, 1), hold(b, 10, 20, 2)]).overlaps, [])
      }
    })
  }

  it("finds a token that two have: under delegations of two that exclude each other, else of any two", () => {
    const pairs = [
      [write("r/a"), write("r/a")],
      [write("r/a"), write("r/b")]
    ] as const
    const equal = (delegates: boolean) =>
      pairs.map(([a, b]) => History.check([hold(a, 0, 10, 7), hold(b, 10, 20, 7)], { delegates }).equal.length)
    assert.deepStrictEqual(
      [equal(false), equal(true)],
      [
        [1, 1],
        [1, 0]
      ]
    )
  })

  for (const [name, first, second] of [
    ["two readers", read("r"), readNode("r/a")],
    ["siblings", write("r/a"), write("r/b")],
    ["names that begin alike", write("r/a"), write("r/ab")],
    ["a writer of the node alone, above", writeNode("r"), write("r/a")],
    ["a reader of the node alone, above", readNode("r"), write("r/a")]
  ] as const) {
    it(`lets be what does not exclude each other: ${name}`, () => {
      const verdict = History.check([hold(first, 0, 10, 2), hold(second, 5, 20, 1)])
      assert.deepStrictEqual(History.violations(verdict), [])
      assert.deepStrictEqual([verdict.conflicts, verdict.together], [0, 1])
    })
  }

  it("finds a hold that lies within another, and one far behind it", () => {
    const verdict = History.check([
      hold(write("r"), 0, 100, 1),
      hold(read("x"), 5, 6, 2),
      hold(read("r/a"), 10, 20, 3),
      hold(read("r/a"), 99, 120, 4)
    ])
    assert.deepStrictEqual(
      verdict.overlaps.map(({ second }) => second.token),
      [3, 4]
    )
  })

  it("finds tokens that fall between two that exclude each other, also with others in between", () => {
    const verdict = History.check([
      hold(write("r"), 0, 10, 5),
      hold(write("x"), 10, 20, 3),
      hold(read("r/a"), 20, 30, 4)
    ])
    assert.deepStrictEqual([verdict.overlaps.length, verdict.falling.length, verdict.equal.length], [0, 1, 0])
    assert.include(History.violations(verdict)[0], "falling tokens: process 5 (write r; 0 to 10, token 5), process 4")
  })

  it("finds equal tokens, also of two that do not exclude each other", () => {
    const verdict = History.check([hold(read("x"), 0, 10, 7), hold(read("y"), 50, 60, 7)])
    assert.deepStrictEqual([verdict.overlaps.length, verdict.falling.length, verdict.equal.length], [0, 0, 1])
    assert.lengthOf(History.violations(verdict), 1)
  })

  it("reads what a process wrote, up to where it was killed", () => {
    const targets = [write("r")]
    const lines: ReadonlyArray<History.Line> = [
      { what: "enter", hold: "1", at: 5, token: 1, targets },
      { what: "leave", hold: "1", at: 9 },
      { what: "end", hold: "1", outcome: "done" },
      { what: "enter", hold: "2", at: 10, token: 2, targets },
      { what: "leave", hold: "2", at: 90 },
      { what: "end", hold: "2", outcome: "LockLost" },
      { what: "enter", hold: "3", at: 20, token: 3, targets }
    ]
    const text = lines.map((line) => `${JSON.stringify(line)}\n`).join("")
    assert.deepStrictEqual(History.read("p", `${text}{"what":"lea`), [
      { name: "p 1", token: 1, targets, entered: 5, left: 9, isSure: true, outcome: "done" },
      { name: "p 2", token: 2, targets, entered: 10, left: 10, isSure: true, outcome: "LockLost" },
      { name: "p 3", token: 3, targets, entered: 20, left: 20, isSure: true, outcome: "unknown" }
    ])
    assert.throws(() => History.read("p", `{"what":"leave","hold":"9","at":1}\n`), "which it had not entered")
  })

  it("knows what a process that was stopped cannot be sure of: what it entered then and did not hold to the end", () => {
    const lines = [5, 15, 25].flatMap((at, i): ReadonlyArray<History.Line> => {
      const hold = `${i}`
      return [
        { what: "enter", hold, at, token: i, targets: [write("r")] },
        { what: "end", hold, outcome: i === 1 ? "done" : "LockLost" }
      ]
    })
    const text = lines.map((line) => `${JSON.stringify(line)}\n`).join("")
    const sure = (stoppedAt?: number) => History.read("p", text, stoppedAt).map(({ isSure }) => isSure)
    assert.deepStrictEqual(sure(10), [true, true, false])
    assert.deepStrictEqual(sure(), [true, true, true])
  })

  it("is not sure of when one was entered that may be held for some milliseconds only, unless it was held to the end", () => {
    const lines = ["LockLost", "done"].flatMap((outcome, i): ReadonlyArray<History.Line> => {
      const hold = `${i}`
      return [
        { what: "enter", hold, at: i, token: i, targets: [write("r")], isShort: true },
        { what: "leave", hold, at: i + 1 },
        { what: "end", hold, outcome }
      ]
    })
    const holds = History.read("p", lines.map((line) => `${JSON.stringify(line)}\n`).join(""))
    assert.deepStrictEqual(
      holds.map(({ isSure }) => isSure),
      [false, true]
    )
  })

  it("does not place a hold in time that was not surely held, and yet finds its token again", () => {
    const late = { ...hold(write("r"), 5, 5, 1), isSure: false }
    const { equal, falling, overlaps } = History.check([hold(write("r"), 0, 10, 2), late])
    assert.deepStrictEqual([equal, falling, overlaps], [[], [], []])
    assert.lengthOf(History.check([hold(read("x"), 0, 10, 1), late]).equal, 1)
  })

  it("cuts a hold off where somebody else gave an order, and compares no lease with itself", () => {
    const enter = (hold: string, at: number, token: number, id: string): History.Line => ({
      ...{ what: "enter", hold, at, token, targets: [write("r")], id }
    })
    const end = (hold: string, at: number): ReadonlyArray<History.Line> => [
      { what: "leave", hold, at },
      { what: "end", hold, outcome: "done" }
    ]
    const order = (id: string, at: number, hold = "1"): History.Line => ({ what: "order", id, hold, at })
    const journals = Object.entries({
      a: [enter("1", 5, 1, "x"), ...end("1", 30)],
      b: [
        order("y", 6),
        order("x", 12),
        enter("1", 14, 1, "x"),
        ...end("1", 18),
        enter("2", 20, 2, "z"),
        ...end("2", 25)
      ],
      c: [order("v", 40), enter("1", 41, 3, "w"), ...end("1", 50)],
      d: [enter("1", 45, 4, "v"), ...end("1", 46)],
      // Another fiber of the same process.
      e: [order("u", 60), enter("1", 61, 5, "u"), order("u", 62, "2"), ...end("1", 64)]
    }).map(([process, lines]) => ({ process, text: lines.map((line) => `${JSON.stringify(line)}\n`).join("") }))
    const holds = journals.flatMap(({ process, text }) => History.read(process, text))
    const cut = History.cutByOrders(holds, journals)
    assert.deepStrictEqual(
      cut.map(({ isSure, left, name }) => [name, left, isSure]),
      [
        ["a 1", 12, true],
        ["b 1", 18, true],
        ["b 2", 25, true],
        ["c 1", 50, true],
        // It entered when it may have been over.
        ["d 1", 40, false],
        ["e 1", 62, true]
      ]
    )
    assert.lengthOf(History.check(holds).overlaps, 2)
    assert.deepStrictEqual(History.violations(History.check(cut)), [])
    // But one is found that comes in beside the new owner.
    const early = holds.map((one) => (one.token === 2 ? { ...one, entered: 16 } : one))
    assert.lengthOf(History.check(History.cutByOrders(early, journals)).overlaps, 1)
  })

  it("knows a hold that was taken inside another one", () => {
    const names = ["a 1", "a 2", History.nameWithin("a 1", "3"), History.nameWithin("b 1", "4")]
    const holds = names.map((name, token) => ({ ...hold(write("r"), 0, 10, token), name }))
    assert.deepStrictEqual(
      holds.map((one) => History.outer(holds, one)?.name),
      [undefined, undefined, "a 1", undefined]
    )
  })

  it("has a clock that rises", () => {
    const first = History.now()
    assert.isAtLeast(History.now(), first)
  })
})
