/**
 * Young leases (`lua/young.lua`) must be as any others. So random commands run in two namespaces, one in which no lease is ever
 * young, and all is compared after each: answers, messages, what is held and what waits.
 */
import { assert, describe, layer } from "@effect/vitest"
import type { LockMode, LockPath } from "@hilok/core"
import { Reference } from "@hilok/testing"
import { Effect, FastCheck, Runtime } from "effect"
import { type Fixture, leavesNothing, TestServer } from "./support/fixture.ts"
import * as layout from "./support/layout.ts"
import * as Raw from "./support/raw.ts"
import { type By, type Command, runs, type Step } from "./support/steps.ts"

// -- How it is compared

const letters: { readonly [letter: string]: LockMode.LockMode } = {
  R: "read",
  W: "write",
  r: "readNode",
  w: "writeNode"
}

const inOrder = (records: layout.Table["records"]) => [...records].sort((a, b) => (a.ticket < b.ticket ? -1 : 1))

/** The rules, on what the keys hold. */
const rules = ({ records }: layout.Table): Reference.Reference => {
  const reference = new Reference.Reference()
  reference.entries = inOrder(records).map(({ id, state, targets, within }) => ({
    id,
    state: state === "h" ? "held" : "waiting",
    targets: targets.map((text) => ({ mode: letters[text.slice(0, 1)]!, path: text.slice(1) as LockPath.LockPath })),
    within,
    ttl: 0,
    since: 0,
    deadline: 0,
    owner: id,
    former: undefined
  }))
  return reference
}

/** A record or a description of one, without what it waits for: of several that are in its way any can be named. */
const blockerAt = { record: 8, description: 6 } as const
const unblocked = (what: keyof typeof blockerAt, values: ReadonlyArray<unknown>) =>
  values.map((value, at) => (at === blockerAt[what] ? "" : value))

/** An answer, without what any blocker would do for. */
const comparable = (name: Raw.Name, answer: ReadonlyArray<unknown>) => {
  const [start, values] = [answer.slice(0, 3), answer.slice(3)]
  const described = (value: unknown) => (Array.isArray(value) ? unblocked("description", value) : value)
  if (name !== "acquire" && name !== "look") return [...start, ...values.map(described)]
  return [...start, ...values.map((value, at) => (values[at - (at % 3)] === 2 && at % 3 > 0 ? 0 : described(value)))]
}

/** What must be the same in both. */
const comparableTable = (table: layout.Table) => ({
  lastTicket: table.lastTicket,
  records: Object.fromEntries(table.records.map(({ id, values }) => [id, unblocked("record", values)])),
  deadlines: Object.fromEntries(Array.from(layout.deadlines(table)).sort())
})

/** How often each must have happened, or little was shown. */
const leastOften = {
  "granted young": 150,
  "granted young, beside others": 20,
  "released young": 80,
  "entered after being young": 60,
  "release of a restored lease by its owner": 15,
  "steps beside restored leases": 80
}

/** What happened, if it had to do with young leases. */
const kindOf = (name: Raw.Name, before: layout.Table, after: layout.Table): string | undefined => {
  if (before.young.size > 0 && after.young.size === 0 && after.records.length > 0) return "entered after being young"
  if (name === "acquire" && after.young.size > before.young.size)
    return after.scored.size > 0 ? "granted young, beside others" : "granted young"
  if (name === "release" && after.young.size < before.young.size) return "released young"
  return undefined
}

const clients = ["one", "two"] as const
const everyone = Array.from({ length: 32 }, (_, at) => at)

/** `assert.deepStrictEqual` is slow, and seldom has anything to say. */
const same = <A>(actual: A, expected: A, what: string) => {
  if (JSON.stringify(actual) !== JSON.stringify(expected)) assert.deepStrictEqual(actual, expected, what)
}

/** Runs the steps in both namespaces, and counts how often leases were young. */
const drive = (fixture: Fixture, young: Raw.Raw, entered: Raw.Raw, start: number, counts: Map<string, number>) => {
  const { admin } = fixture
  return (steps: ReadonlyArray<Step>) =>
    Effect.gen(function* () {
      let time = start
      let made = 0
      yield* young.clear
      yield* entered.clear
      let before = yield* young.look

      const argumentsOf = (command: Command): ReadonlyArray<string> | undefined => {
        const ordered = inOrder(before.records)
        const [held, waiting] = [
          ordered.filter(({ state }) => state === "h"),
          ordered.filter(({ state }) => state === "q")
        ]
        const watched = new Set(waiting.map(({ blocker }) => blocker))
        const wanted = held.filter(({ id }) => watched.has(id))
        const chosen = (among: typeof held, at: number) =>
          among.length === 0 ? "nobody" : among[at % among.length]!.id
        const named = (among: typeof held, at: number, by: By) => {
          const { id, owner } = among[at % among.length] ?? { id: "nobody", owner: "nobody" }
          if (by === "hand") return `!${id}`
          if (by === "other") return owner === id ? `${id}/somebody` : id
          return owner === id ? id : `${id}/${owner}`
        }
        switch (command.op) {
          case "acquire": {
            const args = ['["host",1]', `${command.ttl}`]
            let last = "nobody"
            for (const { again, inside, queues, targets } of command.requests) {
              made++
              const id = again === null ? `id-${made}` : again === "last" ? last : chosen(ordered, again)
              last = id
              const texts = targets.map(({ mode, path }) => `${mode}${path ?? `own-${made}/leaf/`}`)
              const hosts = inside !== null && inside % 2 === 0 && wanted.length > 0 ? wanted : held
              const lease = inside === null || hosts.length === 0 ? undefined : hosts[inside % hosts.length]
              const within = lease === undefined ? [] : [...lease.within, lease.id]
              if (queues && texts.length === 1 && within.length === 0) args.push(id, texts[0]!)
              else {
                const queue = made % 2 === 0 ? "q" : `q${command.ttl}`
                args.push("", id, `${command.ttl / 2}`, queues ? queue : "t", "[]", `${texts.length}`, ...texts)
                args.push(`${within.length}`, ...within)
              }
            }
            return args
          }
          case "release": {
            const among = { wanted: wanted.length > 0 ? wanted : held, held, waiting, any: ordered }[command.of]
            return command.picks.map((at) =>
              command.of === "any" && at === 50 ? "nobody" : named(among, at, command.by)
            )
          }
          case "refresh":
            return command.picks.flatMap((at) => [named(held, at, command.by), `${command.ttl}`])
          case "look":
            return command.picks.flatMap((at) => [chosen(ordered, at), `${command.ttl}`])
          case "restore": {
            const id = chosen(held, command.picks[0]!)
            const owner = held.find((record) => record.id === id)?.owner ?? "nobody"
            return [id, `${command.ttl}`, command.by === "owner" ? owner : `owner-${++made}`]
          }
          case "give_back": {
            // Those that can be given back, if there are any.
            const restored = held.filter(({ id, owner }) => owner !== id)
            const { id, owner } = held.find((record) => record.id === chosen(restored, command.pick)) ?? {
              id: chosen(held, command.pick),
              owner: "nobody"
            }
            return [id, command.by === "other" ? "somebody" : owner]
          }
          case "downgrade":
            return [named(ordered, command.pick, command.by)]
          case "break":
            return [chosen(ordered, command.pick)]
          case "lookup":
            return [chosen(ordered, command.pick), `>${chosen(ordered, command.pick)}`, "nobody", ">nobody"]
          case "inspect":
            return [command.path, "1", ""]
          case "expire":
            time = Math.max(time, Math.min(...layout.deadlines(before).values(), time + 1e9))
            return undefined
          case "back":
            time -= command.seconds * 1_000_000
            return undefined
        }
      }

      const both = (name: Raw.Name, call: Raw.Call, args: ReadonlyArray<string>) =>
        Effect.gen(function* () {
          const [ran, other, after, expected] = yield* Effect.all(
            [young.run(name, call, args), entered.run(name, call, args), young.look, entered.look],
            { concurrency: "unbounded" }
          )
          same(comparable(name, ran.answer), comparable(name, other.answer), "the answers")
          same([...ran.messages].sort(), [...other.messages].sort(), "what is told")
          same(comparableTable(after), comparableTable(expected), "what the keys hold")
          return { ran, after }
        })

      for (const { client, command, isLate, passes } of steps) {
        time += passes
        const isFull = command.op === "acquire" && before.records.length > 20
        const args = argumentsOf(isFull ? { op: "release", picks: everyone, of: "held", by: "owner" } : command)
        if (args === undefined) continue
        const name = (isFull ? "release" : command.op) as Raw.Name
        const call = { client: clients[client], time, late: isLate ? time - 1 : undefined }
        const { after: first, ran } = yield* both(name, call, args)
        let after = first
        // What is more than one script may do is done by the next ones.
        if (layout.isPending(first)) assert.strictEqual(ran.answer[1], 1, "it says that there is more to do")
        while (layout.isPending(after)) after = (yield* both("look", { ...call, late: undefined }, [])).after
        yield* layout.checkTable(admin, after)
        const reference = rules(after)
        for (const { blocker, id, state } of after.records) {
          if (state === "h") continue
          const blockers = reference.blockers(reference.find(id)!)
          assert.include(
            blockers.map((entry) => entry.id),
            blocker,
            `${id} watches what is in its way`
          )
        }
        if (name === "acquire" && after === first) {
          const deadlines = layout.deadlines(after)
          for (const [at, id] of askedFor(args).entries()) {
            const [tag, blocker, deadline] = ran.answer.slice(3 + 3 * at, 6 + 3 * at)
            if (tag !== 2) continue
            assert.strictEqual(blocker, after.records.find((record) => record.id === id)?.blocker)
            const entry = reference.find(id)!
            const ahead = reference
              .blockers(entry)
              .filter(({ state }) => state === "waiting")
              .at(-1)
            // So that a queue is a chain: what hands a lock over relies on it.
            const isNew = before.records.every((record) => record.id !== id)
            if (isNew && ahead !== undefined) assert.strictEqual(blocker, ahead.id, "the latest that waits")
            assert.strictEqual(deadline, deadlines.get(`h${blocker}`) ?? deadlines.get(`q${blocker}`))
          }
        }
        const kind = kindOf(name, before, after)
        const nth = (what: string) => counts.set(what, (counts.get(what) ?? 0) + 1)
        const restored = before.records.filter(({ id, owner }) => owner !== id)
        if (restored.length > 0) nth("steps beside restored leases")
        for (const { id, owner } of restored) {
          if (args.includes(`${id}/${owner}`)) nth(`${name} of a restored lease by its owner`)
          if (args.includes(id) || args.includes(`!${id}`)) nth(`${name} of a restored lease by somebody else`)
        }
        if (kind !== undefined) nth(kind)
        counts.set("steps", (counts.get("steps") ?? 0) + 1)
        before = after
      }
      yield* layout.check(admin, entered.keys)
    })
}

/** The ids of a call of acquire. */
const askedFor = (args: ReadonlyArray<string>): ReadonlyArray<string> => {
  const ids: Array<string> = []
  for (let at = 2; at < args.length; ) {
    const isSimple = args[at] !== ""
    ids.push(args[isSimple ? at : at + 1]!)
    const targets = isSimple ? 0 : Number(args[at + 5])
    at += isSimple ? 2 : 7 + targets + Number(args[at + 6 + targets])
  }
  return ids
}

describe("RedisStore, young leases beside others", () => {
  layer(TestServer.layer, { excludeTestServices: true })("", (it) => {
    it.effect(
      "they give the same answers and messages, whatever comes before and after",
      () =>
        leavesNothing((fixture) =>
          Effect.gen(function* () {
            const [young, entered] = [yield* Raw.make(fixture, "young"), yield* Raw.make(fixture, "entered")]
            const counts = new Map<string, number>()
            const driven = drive(fixture, young, entered, yield* Raw.start(fixture), counts)
            const runPromise = Runtime.runPromise(yield* Effect.runtime())
            let failedAt = Number.POSITIVE_INFINITY
            const property = FastCheck.asyncProperty(runs, async (steps) => {
              // The search for a smaller run, when one has failed, is not to go on for ever: what passes is none.
              if (performance.now() > failedAt + 20_000) return
              try {
                await runPromise(driven(steps))
              } catch (error) {
                failedAt = Math.min(failedAt, performance.now())
                throw error
              }
            })
            const parameters = { seed: 1, numRuns: 200 }
            yield* Effect.promise(() => FastCheck.assert(property, parameters))
            const taken = Object.fromEntries(counts)
            console.log("young leases:", taken)
            for (const [kind, least] of Object.entries(leastOften)) assert.isAtLeast(taken[kind] ?? 0, least, kind)
          }).pipe(Effect.scoped)
        ),
      // Some 20 s, where two cores have other work to do as well.
      180_000
    )
  })
})
