import { assert } from "@effect/vitest"
import * as LockEntry from "@hilok/core/LockEntry"
import * as LockPath from "@hilok/core/LockPath"
import * as Target from "@hilok/core/Target"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { region } from "../Session.ts"
import type { Test } from "./kit.ts"

const { read, readNode, write, writeNode } = Target

const path = (input: LockPath.Input) => Either.getOrThrow(LockPath.parse(input))

/** Segments that mean something to an encoding, a database, a pattern or a shell, or that sort close to each other. */
const oddSegments: ReadonlyArray<string> = [
  ...["/", "//", "%", "%%", "%2F", "%25", "%2f", "a", "A", "a/", "/a", "a%", "a-", "a.", "a0", "ab", "a b", " a", "a "],
  ...[
    ".",
    "..",
    "*",
    "?",
    "[a]",
    "[",
    "(",
    "+",
    "-",
    "!",
    "~",
    "{a}",
    "{",
    "}",
    ":",
    ";",
    ",",
    "|",
    "\\",
    '"',
    "'",
    "`"
  ],
  ...["$1", "$&", "\u0001", "\t", "\n", "\r\n", "\u007f", "\u00a0", "\u2028", "\ufeff", "\uffff", "ä", "a\u0308", "ß"],
  ...[
    "日本語",
    "😀",
    "👩‍👩‍👧",
    "\u202e",
    "__proto__",
    "constructor",
    "null",
    "undefined",
    "0",
    "00",
    "-1",
    "1e3",
    "true"
  ]
]

export const viewTests = (test: Test): void => {
  test("inspect lists leases and waiting requests in the order of their tickets", ({ session, store }) =>
    Effect.gen(function* () {
      const one = yield* session.held([write("z")])
      const two = yield* session.held([read("a")])
      const three = yield* session.queued([write("a")])
      const four = yield* session.held([writeNode("b")])
      const five = yield* session.queued([read("")])
      const entries = yield* store.inspect(LockPath.root)
      assert.deepStrictEqual(
        entries.map(({ id, state }) => [id, state]),
        [
          [one.id, "held"],
          [two.id, "held"],
          [three.id, "waiting"],
          [four.id, "held"],
          [five.id, "waiting"]
        ]
      )
      const tickets = entries.map(({ ticket }) => ticket)
      assert.deepStrictEqual(
        tickets,
        Array.from(new Set(tickets)).sort((a, b) => a - b)
      )
    }))

  test("inspect shows what is held and asked for, by whom and why, since when and for how long", ({ session, store }) =>
    Effect.gen(function* () {
      const holder = { label: 'worker "3"', reason: "sync\nof ünits", host: "node-1", pid: 99 }
      const held = yield* session.held([write("a/b"), readNode("c")], { holder, ttl: "20 seconds" })
      const waiter = yield* session.queued([read("a")], { holder: { label: "reader" } })
      const nested = yield* session.held([write("a/b/c")], { within: [held.id] })
      const [first, second, third] = yield* store.inspect(LockPath.root)
      assert.deepStrictEqual(
        { id: first?.id, state: first?.state, token: first?.token, within: first?.within },
        { id: held.id, state: "held", token: held.token, within: [] }
      )
      assert.deepStrictEqual(first?.targets.map(region), [write("a/b"), readNode("c")].map(region))
      assert.deepStrictEqual({ label: first?.label, reason: first?.reason, host: first?.host, pid: first?.pid }, holder)
      assert.isAtLeast(first?.age ?? -1, 0)
      assert.isAtLeast(first?.since ?? -1, 0)
      assert.isTrue(first?.timeLeft !== undefined && first.timeLeft > 0 && first.timeLeft <= 20_000)
      assert.isUndefined(first?.blockedBy)

      assert.deepStrictEqual(
        { id: second?.id, state: second?.state, label: second?.label, reason: second?.reason },
        { id: waiter.id, state: "waiting", label: "reader", reason: undefined }
      )
      assert.strictEqual(second?.blockedBy, held.id)
      assert.isUndefined(second?.token)
      assert.isAtLeast(second?.age ?? -1, 0)

      assert.deepStrictEqual({ id: third?.id, within: third?.within }, { id: nested.id, within: [held.id] })
      assert.isTrue([first, second, third].every((entry) => Schema.is(LockEntry.schema)(entry)))
    }))

  test("what a waiting request is said to be blocked by is live and conflicts with it", ({ session, store }) =>
    Effect.gen(function* () {
      const reader = yield* session.held([read("a")])
      yield* session.held([write("b")])
      const one = yield* session.queued([write("a")])
      const two = yield* session.queued([read("a/b")])
      const blockedBy = Effect.map(store.inspect(LockPath.root), (entries) =>
        entries.flatMap((entry) => (entry.state === "waiting" ? [[entry.id, entry.blockedBy]] : []))
      )
      assert.deepStrictEqual(yield* blockedBy, [
        [one.id, reader.id],
        [two.id, one.id]
      ])
      yield* store.release(reader.id)
      yield* session.granted(one)
      assert.deepStrictEqual(yield* blockedBy, [[two.id, one.id]])
    }))

  test("inspect of a path shows what has a target there or below, and nothing else", ({ session, store }) =>
    Effect.gen(function* () {
      const root = yield* session.held([readNode("")])
      const a = yield* session.held([readNode("a")])
      const ab = yield* session.held([write("a/b"), read("x")])
      const abc = yield* session.queued([read("a/b/c")])
      const sibling = yield* session.held([write("ab")])
      const odd = yield* session.held([write(["a", "b/c"])])
      const at = (input: LockPath.Input) =>
        Effect.map(store.inspect(path(input)), (entries) => entries.map(({ id }) => id))
      assert.deepStrictEqual(yield* at(""), [root.id, a.id, ab.id, abc.id, sibling.id, odd.id])
      assert.deepStrictEqual(yield* at("a"), [a.id, ab.id, abc.id, odd.id])
      assert.deepStrictEqual(yield* at("a/b"), [ab.id, abc.id])
      assert.deepStrictEqual(yield* at("a/b/c"), [abc.id])
      assert.deepStrictEqual(yield* at(["a", "b/c"]), [odd.id])
      assert.deepStrictEqual(yield* at("x"), [ab.id])
      assert.deepStrictEqual(yield* at("b"), [])
    }))

  test("lookup shows the same as inspect, and nothing of what is gone", ({ exactTime, session, store }) =>
    Effect.gen(function* () {
      const held = yield* session.held([write("a")], { holder: { label: "one", pid: 7 } })
      const waiter = yield* session.queued([read("a/b")])
      const stable = (entry: LockEntry.LockEntry) => (exactTime ? entry : { ...entry, age: 0, timeLeft: 0 })
      const listed = (yield* store.inspect(LockPath.root)).map(stable)
      const looked = yield* Effect.forEach([held.id, waiter.id], (id) =>
        Effect.map(store.lookup(id), (entry) => stable(Option.getOrThrow(entry)))
      )
      assert.deepStrictEqual(looked, listed)
      yield* store.release(held.id)
      assert.isTrue(Option.isNone(yield* store.lookup(held.id)))
    }))

  test("whatever characters a segment has, it is a node of its own", ({ session, store }) =>
    Effect.gen(function* () {
      const above = yield* session.held([readNode("x")])
      const held = yield* Effect.forEach(oddSegments, (segment) => session.held([write(["x", segment])]))
      for (const [at, segment] of oddSegments.entries()) {
        const same = yield* session.attempt(session.request([readNode(["x", segment])]))
        assert.isTrue(Either.isLeft(same) && same.left.id === held[at]!.id, `the same node: ${JSON.stringify(segment)}`)
        const below = yield* session.attempt(session.request([write(["x", segment, segment])]))
        assert.isTrue(Either.isLeft(below) && below.left.id === held[at]!.id, `below it: ${JSON.stringify(segment)}`)
        const shown = yield* store.inspect(path(["x", segment]))
        assert.deepStrictEqual(
          shown.map(({ targets }) => targets.map(region)),
          [[region(write(["x", segment]))]]
        )
      }
      const reader = yield* session.queued([read("x")])
      for (const { id } of held) assert.isTrue(yield* store.release(id))
      yield* session.granted(reader)
      assert.isTrue(yield* store.release(above.id))
    }))

  test("the deepest and the longest path are locked like any other", ({ session, store }) =>
    Effect.gen(function* () {
      const deepest = Array.from({ length: 128 }, (_, i) => `${i}`)
      const longest = ["é".repeat(200), "x".repeat(1024 - 400 - 2)]
      assert.strictEqual(new TextEncoder().encode(path(longest)).length, 1024)
      for (const input of [deepest, longest]) {
        const held = yield* session.held([writeNode(input)])
        yield* session.held([writeNode(input.slice(0, -1))])
        const above = yield* session.queued([read(input.slice(0, 1))])
        const same = yield* session.attempt(session.request([read(input)]))
        assert.isTrue(Either.isLeft(same))
        const targets = Option.getOrThrow(yield* store.lookup(held.id)).targets
        assert.deepStrictEqual(targets.map(region), [region(writeNode(input))])
        assert.strictEqual((yield* session.observe).granted.length, 0)
        for (const entry of yield* store.inspect(LockPath.root)) {
          if (entry.state === "held") yield* store.release(entry.id)
        }
        yield* session.granted(above)
        yield* store.release(above.id)
      }
    }))
}
