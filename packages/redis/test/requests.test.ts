/**
 * What goes out when very much is asked for at once: commands of a bounded size, a bounded number of them at a time.
 */
import { assert, describe, it } from "@effect/vitest"
import { type LockError, Target } from "@hilok/core"
import * as Duration from "effect/Duration"
import * as Exit from "effect/Exit"
import { type Commands, Reply } from "../src/internal/commands.ts"
import * as failure from "../src/internal/failure.ts"
import { type Answer, type Failed, Request, Requests } from "../src/internal/requests.ts"
import * as Script from "../src/internal/script.ts"

interface Sent {
  readonly script: Script.Script
  readonly args: ReadonlyArray<string>
  readonly done: (result: Reply | LockError.StoreError) => void
}

const now = 1_000_000
const holder = '["host",1]'
const deadline = now * 1000 + 10_000_000

const granted = (first: number) => new Reply(now, now, now * 1000, [], first)
const waiting = (count: number) =>
  new Reply(now, now, now * 1000, Array.from({ length: count }, () => [2, "blocker", deadline]).flat(), undefined)

/** Requests to a server that the test plays: what was sent, in order, and what came of each request. */
const open = () => {
  const sent: Array<Sent> = []
  const retries: Array<() => void> = []
  const results: Array<Exit.Exit<Answer, Failed>> = []
  const commands = {
    greatestToken: 0,
    timeout: 3000,
    retry: (again: () => void) => {
      retries.push(again)
    },
    send: (script: Script.Script, args: ReadonlyArray<string>, done: Sent["done"]) => {
      sent.push({ script, args, done })
    }
  } as Partial<Commands> as Commands
  const requests = new Requests(commands, { now: () => now, fork: () => () => undefined })
  let made = 0
  const ask = (count: number): ReadonlyArray<Request> =>
    Array.from({ length: count }, () => {
      const id = `id-${made++}`
      const wanted = {
        id,
        targets: [Target.write(`a/${id}`)] as never,
        ttl: Duration.seconds(10),
        within: [],
        holder: {}
      }
      const request = new Request(wanted, holder, true)
      requests.ask(request, (result) => results.push(result))
      return request
    })
  /** How many requests the commands of this kind from the given one on have in them. */
  const sizes = (from = 0) =>
    sent
      .slice(from)
      .filter(({ script }) => script === Script.acquire)
      .map(({ args }) => (args.length - 2) / 2)
  return { sent, retries, results, requests, ask, sizes }
}

/** What is collected in one moment goes out before the next. */
const moment = () => new Promise<void>((resolve) => setImmediate(resolve))

describe("requests that are made all at once", () => {
  it("go out in 32 commands of 32, and one more for each that is answered", async () => {
    const { ask, results, sent, sizes } = open()
    ask(2000)
    await moment()
    assert.deepStrictEqual(sizes(), Array<number>(32).fill(32))
    sent[0]!.done(granted(1))
    await moment()
    assert.deepStrictEqual(sizes(32), [32])
    for (let at = 1; at < sent.length; at++) sent[at]!.done(granted(32 * at + 1))
    assert.strictEqual(
      sizes().reduce((a, b) => a + b),
      2000
    )
    assert.strictEqual(sizes().at(-1), 2000 % 32)
    assert.lengthOf(results, 2000)
    assert.isTrue(results.every(({ _tag }) => _tag === "Success"))
  })

  it("go out as they were asked for, and so do those that are asked for meanwhile", async () => {
    const { ask, sent, sizes } = open()
    const first = ask(1100)
    await moment()
    const second = ask(30)
    await moment()
    assert.deepStrictEqual(sizes(), Array<number>(32).fill(32), "what is held back waits for an answer")
    sent[0]!.done(granted(1))
    sent[1]!.done(granted(33))
    await moment()
    const ids = sent.flatMap(({ args }) => args.slice(2).filter((_, at) => at % 2 === 0))
    const expected = [...first, ...second].map(({ request }) => request.id)
    assert.deepStrictEqual(ids, expected.slice(0, ids.length))
    assert.deepStrictEqual(sizes(32), [32, 32])
  })

  it("go out at once, each by itself, as long as they are not very many", async () => {
    const { ask, sizes } = open()
    for (let i = 0; i < 1024; i++) {
      ask(1)
      await moment()
    }
    assert.lengthOf(sizes(), 1024)
    ask(1)
    await moment()
    assert.lengthOf(sizes(), 1024)
  })

  it("do not hold up a release", async () => {
    const { ask, requests, sent } = open()
    ask(2000)
    requests.release("other", () => undefined)
    await moment()
    assert.lengthOf(sent, 33)
    assert.deepStrictEqual([sent[32]!.script, sent[32]!.args], [Script.release, ["other"]])
  })

  it("go out in smaller commands when it is known that some have to wait", async () => {
    const { ask, sent, sizes } = open()
    ask(1100)
    await moment()
    sent[0]!.done(waiting(32))
    sent[1]!.done(waiting(32))
    await moment()
    assert.deepStrictEqual(sizes(32), [16, 16, 16, 16])
  })

  it("are not sent when they were given up before", async () => {
    const { ask, requests, sent, sizes } = open()
    const asked = ask(1100)
    await moment()
    let gone = 0
    for (const request of asked.slice(1024)) requests.abandon(request, () => gone++)
    assert.strictEqual(gone, 76)
    for (const { done } of [...sent]) done(granted(1))
    await moment()
    assert.deepStrictEqual(sizes(), Array<number>(32).fill(32))
    ask(3)
    await moment()
    assert.deepStrictEqual(sizes(32), [3], "nothing is held back any more")
  })

  it("are answered no more, when they were given up before and the store is closed", async () => {
    const { ask, requests, results } = open()
    const asked = ask(1100)
    await moment()
    for (const request of asked.slice(1024)) requests.abandon(request, () => undefined)
    requests.close()
    assert.lengthOf(results, 1024)
  })

  it("all go out as soon as one fails, so that none waits for the time limits of others", async () => {
    const { ask, results, sent, sizes } = open()
    ask(2000)
    await moment()
    sent[0]!.done(failure.timedOut(Script.acquire.verb, 100))
    await moment()
    assert.lengthOf(sizes(), Math.ceil(2000 / 32))
    for (const { done, script } of sent.slice(1)) {
      if (script === Script.acquire) done(failure.timedOut(Script.acquire.verb, 100))
    }
    assert.lengthOf(results, 2000)
    assert.isTrue(results.every(({ _tag }) => _tag === "Failure"))
  })

  it("fail, held back or not, when the store is closed, and what is asked for later goes on its way", async () => {
    const { ask, requests, results, sent, sizes } = open()
    ask(2000)
    await moment()
    requests.close()
    assert.lengthOf(results, 2000)
    const before = sizes().length
    for (const { done } of sent.slice(0, 32)) done(failure.closed(Script.acquire.verb))
    ask(1)
    await moment()
    assert.deepStrictEqual(sizes(before), [1])
  })
})

describe("a request", () => {
  const refused = () => failure.fromError(Script.acquire.verb, new Error("READONLY You can't write against a replica."))

  it("whose token is not above what was seen before it was asked for gives that back, and is asked for again", async () => {
    const { ask, results, sent } = open()
    // Ahead of the time that the server says.
    const seen = now * 1000 + 5_000_000
    ask(1)
    await moment()
    sent[0]!.done(granted(seen))
    ask(1)
    await moment()
    // By a server whose clock is behind that of the one before it.
    sent[1]!.done(granted(seen - 1000))
    await moment()
    assert.lengthOf(results, 1)
    assert.deepStrictEqual([sent[2]!.script, sent[2]!.args], [Script.release, ["id-1"]])
    assert.lengthOf(sent, 3, "the release comes first")
    sent[2]!.done(granted(0))
    await moment()
    assert.strictEqual(sent[3]!.script, Script.acquire)
    sent[3]!.done(granted(seen + 1))
    assert.deepStrictEqual(
      results.map((result) => (result._tag === "Success" && "token" in result.value ? result.value.token : undefined)),
      [seen, seen + 1]
    )
  })

  it("that the server can do nothing for now about is asked for again later, and never twice at a time", async () => {
    const { ask, results, retries, sent } = open()
    ask(3)
    await moment()
    for (let round = 0; round < 3; round++) {
      sent[round]!.done(refused())
      assert.lengthOf(sent, round + 1)
      assert.lengthOf(retries, 3)
      for (const retry of retries.splice(0)) retry()
      await moment()
    }
    assert.lengthOf(sent, 4)
    sent[3]!.done(granted(1))
    assert.isTrue(results.length === 3 && results.every(({ _tag }) => _tag === "Success"))
  })

  it("that waits for that can be given up at once, and what it may have got is given back", async () => {
    const { ask, requests, retries, sent } = open()
    const [one, two] = ask(2)
    let gone = 0
    await moment()
    requests.abandon(two!, () => gone++)
    assert.strictEqual(gone, 0, "it is on its way")
    sent[0]!.done(refused())
    assert.strictEqual(gone, 1)
    requests.abandon(one!, () => gone++)
    assert.strictEqual(gone, 2)
    for (const retry of retries.splice(0)) retry()
    await moment()
    assert.deepStrictEqual(
      sent.slice(1).map(({ args, script }) => [script, args]),
      [[Script.release, ["id-1", "id-0"]]]
    )
  })

  it("that waits for that fails when the store is closed, and is given back", async () => {
    const { ask, requests, results, retries, sent } = open()
    ask(1)
    await moment()
    sent[0]!.done(refused())
    requests.close()
    assert.deepStrictEqual(
      results.map(({ _tag }) => _tag),
      ["Failure"]
    )
    for (const retry of retries.splice(0)) retry()
    await moment()
    assert.deepStrictEqual(
      sent.slice(1).map(({ args, script }) => [script, args]),
      [[Script.release, ["id-0"]]]
    )
  })
})

describe("a request that waited while the server's clock was set forward", () => {
  it("is not held for longer than its ttl", async () => {
    const { ask, requests, results, sent } = open()
    ask(1)
    await moment()
    sent[0]!.done(waiting(1))
    const ttl = 10_000_000
    const later = now * 1000 + 5_000_000
    requests.onMessage(["g", "id-0", String(later), String(later + ttl)], later)
    assert.deepStrictEqual(results, [Exit.succeed({ token: later, deadline: now + ttl / 1000 })])
  })
})
