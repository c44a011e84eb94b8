/**
 * Young leases (`lua/young.lua`), and how they are entered in the table.
 */
import { assert, describe, layer } from "@effect/vitest"
import { Cause, Effect, Exit } from "effect"
import { type Fixture, leavesNothing, TestServer, withOwnServer } from "./support/fixture.ts"
import * as layout from "./support/layout.ts"
import * as Raw from "./support/raw.ts"

/** A namespace used by hand: a clock that moves when it is told to, and the usual commands. */
const hand = (fixture: Fixture) =>
  Effect.gen(function* () {
    const raw = yield* Raw.make(fixture, "young")
    const clock = { time: yield* Raw.start(fixture) }
    const run = (name: Raw.Name, args: ReadonlyArray<string>, client = "one") =>
      Effect.gen(function* () {
        // As on a real server, no two of these come in the same microsecond.
        if (name === "acquire" || name === "release" || name === "break") clock.time++
        const ran = yield* raw.run(name, { client, time: clock.time }, args)
        yield* layout.check(fixture.admin, raw.keys)
        return ran
      })
    const ask = (ttl: number, ...requests: ReadonlyArray<string>) => run("acquire", ["[]", `${ttl}`, ...requests])
    /** The ids of young leases. */
    const young = Effect.map(raw.look, (table) => Array.from(table.young.keys(), (name) => name.slice(1)))
    const deadline = (id: string) =>
      Effect.map(raw.look, (table) => layout.deadlines(table).get(`h${id}`) ?? Number.NaN)
    /** Asks for leases, each with a command of its own. */
    const leases = (...ids: ReadonlyArray<string>) =>
      Effect.forEach(ids, (id) => ask(60_000, id, `Wown/${id}/`), { discard: true })
    return { raw, clock, run, ask, young, deadline, leases }
  })

/** What went wrong, or the empty string. */
const failure = (effect: Effect.Effect<unknown>) =>
  Effect.map(Effect.exit(effect), (exit) => (Exit.isFailure(exit) ? Cause.pretty(exit.cause) : ""))

describe("RedisStore, young leases", () => {
  layer(TestServer.layer, { excludeTestServices: true })("of one namespace", (it) => {
    it.effect("young leases alone are one key, a table is three that expire together, whatever makes it", () =>
      leavesNothing((fixture) =>
        Effect.gen(function* () {
          const { ask, leases, raw, run } = yield* hand(fixture)
          const isYoung = Effect.map(raw.look, ({ ttls }) => {
            assert.isAbove(ttls[0]!, 0)
            assert.deepStrictEqual(ttls.slice(1), [-2, -2])
          })
          const isTable = Effect.map(raw.look, ({ ttls }) => {
            assert.isAbove(ttls[0]!, 0)
            assert.deepStrictEqual(ttls.slice(1), [ttls[0], ttls[0]], "all three at the same time")
          })
          const isGone = Effect.map(raw.look, ({ ttls }) => assert.deepStrictEqual(ttls, [-2, -2, -2]))
          // None of those that come later moves the expiry of the table on.
          yield* ask(600_000, "a", "Wa/")
          yield* isYoung
          // A queue, handed over until nobody waits, twice.
          for (const turn of ["1", "2"]) {
            yield* ask(60_000, `b${turn}`, "Wb/")
            yield* ask(1000, `c${turn}`, "Wb/")
            yield* isTable
            yield* run("release", [`b${turn}`])
            yield* run("release", [`c${turn}`])
            yield* isTable
          }
          yield* run("release", ["a"])
          yield* isGone
          // More than may be young.
          yield* leases("1", "2", "3", "4", "5", "6", "7", "8")
          yield* isYoung
          yield* leases("9")
          yield* isTable
          yield* run("release", ["1", "2", "3", "4", "5", "6", "7", "8", "9"])
          yield* isGone
          // What enters them all.
          yield* leases("1")
          yield* run("lookup", ["nobody"])
          yield* isTable
          yield* run("release", ["1"])
          yield* isGone
        }).pipe(Effect.scoped)
      )
    )

    it.effect("eight leases with a command each are young; what is in the way, or more of them, enters them", () =>
      leavesNothing((fixture) =>
        Effect.gen(function* () {
          const { ask, young, leases, raw, run } = yield* hand(fixture)
          yield* leases("1", "2", "3", "4", "5", "6", "7", "8")
          assert.lengthOf(yield* young, 8)
          yield* run("release", ["3"])
          yield* ask(60_000, "reader", "Rr/s/")
          yield* run("release", ["5"])
          yield* ask(60_000, "another", "Rr/")
          yield* run("release", ["1"])
          yield* ask(60_000, "above", "r")
          assert.sameMembers([...(yield* young)], ["2", "4", "6", "7", "8", "reader", "another", "above"])
          yield* run("release", ["2"])
          // In the way: at the node, above it, below it.
          for (const target of ["wr/", "Wr/s/t/", "Wown/"]) {
            const before = yield* raw.look
            yield* ask(60_000, "waits", target)
            assert.deepStrictEqual(yield* young, [])
            assert.strictEqual((yield* raw.look).records.find(({ id }) => id === "waits")?.state, "q", target)
            yield* run("release", ["waits"])
            yield* raw.clear
            yield* ask(60_000, "reader", "Rr/s/")
            yield* ask(60_000, "another", "Rr/")
            yield* leases("4")
            assert.isAbove(before.records.length, 2)
          }
          yield* ask(60_000, "two", "Wx/", "of-them", "Wy/")
          assert.deepStrictEqual(yield* young, [])
        }).pipe(Effect.scoped)
      )
    )

    it.effect(
      "beside a table leases are young where nothing is in their way; tickets and tokens rise, also when they have ended",
      () =>
        leavesNothing((fixture) =>
          Effect.gen(function* () {
            const { ask, clock, leases, raw, run, young } = yield* hand(fixture)
            yield* leases("1", "2", "3", "4", "5", "6", "7", "8", "9")
            assert.deepStrictEqual(yield* young, [], "nine are entered")
            yield* leases("10")
            assert.deepStrictEqual(yield* young, ["10"])
            // Not at a node that is held, below it, above it; nor deeper than all before.
            for (const target of ["Rown/1/", "rown/1/x/", "Wown/", "R", "Wother/a/b/c/"]) {
              yield* ask(60_000, "near", target)
              assert.deepStrictEqual(yield* young, [], target)
              yield* run("release", ["near"])
              yield* leases(`beside-${target.length}`)
              assert.lengthOf(yield* young, 1, target)
            }
            // What would outlive the keys is entered, so that they are kept for longer.
            yield* ask(3_600_000, "long", "Wlong/")
            assert.deepStrictEqual(yield* young, [])
            clock.time += 1000
            yield* leases("last")
            const [{ ticket, values }] = (yield* raw.look).records.filter(({ id }) => id === "last") as [
              layout.Table["records"][number]
            ]
            yield* run("release", ["last"])
            clock.time -= 500
            const next = yield* ask(60_000, "next", "Wnext/")
            assert.strictEqual(next.answer[4], Number(values[2]) + 1)
            assert.strictEqual((yield* raw.look).lastTicket, Number(ticket) + 1)
            assert.deepStrictEqual(yield* young, [])
            yield* run(
              "release",
              (yield* raw.look).records.map(({ id }) => id)
            )
          }).pipe(Effect.scoped)
        )
    )

    it.effect("the end of young leases leaves alone what somebody else keeps in place of a sorted set", () =>
      leavesNothing((fixture) =>
        Effect.gen(function* () {
          const { clock, leases, raw } = yield* hand(fixture)
          const { admin } = fixture
          for (const key of raw.keys.slice(1)) {
            for (const ids of [["1"], ["1", "2"]]) {
              yield* leases(...ids)
              yield* Effect.promise(() => admin.set(key, "theirs"))
              const ran = yield* raw.run("release", { client: "one", time: clock.time + 10 }, ids)
              assert.deepStrictEqual(
                ran.answer.slice(3),
                ids.map(() => 1)
              )
              assert.strictEqual(yield* Effect.promise(() => admin.get(key)), "theirs")
              assert.strictEqual(yield* Effect.promise(() => admin.exists(...raw.keys)), 1)
              yield* Effect.promise(() => admin.del(key))
            }
          }
        }).pipe(Effect.scoped)
      )
    )

    it.effect("a young lease that expires is gone at once for everyone, and its holder is told", () =>
      leavesNothing((fixture) =>
        Effect.gen(function* () {
          const { ask, clock, deadline, raw, run } = yield* hand(fixture)
          for (const name of ["acquire", "release", "refresh", "look", "lookup"] as const) {
            const args = { acquire: ["[]", "60000", "b", "Wa/"], refresh: ["b", "1"], look: ["b", "1"] }
            yield* ask(1000, "a", "Wa/")
            const due = yield* deadline("a")
            clock.time = due - 1
            yield* raw.run("release", { client: "two", time: clock.time }, ["b"])
            const live = (yield* raw.look).records.map(({ id }) => id)
            assert.deepStrictEqual(live, ["a"], "not before its time")
            clock.time = due
            const call = { client: "two", time: clock.time }
            const ran = yield* raw.run(name, call, name in args ? args[name as keyof typeof args] : ["b"])
            assert.deepStrictEqual(ran.messages, [`to-one\n${due}\ne a`], `by ${name}`)
            if (name === "acquire") assert.strictEqual(ran.answer[3], 1, "and another has the lock")
            assert.deepStrictEqual(
              (yield* raw.look).records.map(({ id }) => id),
              name === "acquire" ? ["b"] : []
            )
            yield* run("release", ["b"])
          }
        }).pipe(Effect.scoped)
      )
    )

    it.effect("a young lease that expires lets in who waits for it", () =>
      leavesNothing((fixture) =>
        Effect.gen(function* () {
          const { ask, clock, deadline, run } = yield* hand(fixture)
          yield* ask(1000, "a", "Wa/")
          const due = yield* deadline("a")
          const queued = yield* run("acquire", ["[]", "60000", "b", "Ra/b/"], "two")
          // What has to wait enters it.
          assert.deepStrictEqual(queued.answer.slice(3), [2, "a", due])
          yield* run("release", ["b"], "two")
          yield* ask(500, "c", "Wc/")
          clock.time += 1
          const next = yield* run("acquire", ["[]", "60000", "d", "rc/"], "two")
          assert.deepStrictEqual(next.answer.slice(3), [2, "c", yield* deadline("c")])
          clock.time = yield* deadline("c")
          const found = yield* run("look", ["d", "60000"], "two")
          const token = clock.time
          assert.deepStrictEqual(found.answer.slice(2), [
            `g d ${token} ${clock.time + 60_000_000}`,
            1,
            token,
            clock.time + 60_000_000
          ])
          assert.deepStrictEqual(found.messages, [`to-one\n${clock.time}\ne c`])
        }).pipe(Effect.scoped)
      )
    )

    it.effect("whatever is done to a young lease, it is as any other", () =>
      leavesNothing((fixture) =>
        Effect.gen(function* () {
          const { ask, clock, deadline, young, raw, run } = yield* hand(fixture)
          const described = (id: string, target: string, until: number) => [
            ...[id, "h", 0, clock.time, clock.time, until, "", "[]", 1, target]
          ]
          const withoutTicket = (entry: unknown) => (entry as Array<unknown>).map((value, at) => (at === 2 ? 0 : value))
          const isEntered = (id: string) =>
            Effect.map(raw.look, ({ scored, young }) => {
              assert.strictEqual(young.size, 0)
              assert.isTrue(scored.has(`h${id}`))
            })
          const one = (id: string) =>
            Effect.gen(function* () {
              clock.time += 1000
              yield* ask(60_000, id, "Wa/b/")
              assert.deepStrictEqual(yield* young, [id])
              return yield* deadline(id)
            })
          const end = (id: string) => run("release", [id])

          yield* one("refreshed")
          const refreshed = yield* run("refresh", ["refreshed", "90000"])
          assert.deepStrictEqual(refreshed.answer.slice(3), [clock.time + 90_000_000])
          assert.strictEqual(yield* deadline("refreshed"), clock.time + 90_000_000)
          yield* isEntered("refreshed")
          yield* end("refreshed")

          yield* one("downgraded")
          assert.deepStrictEqual((yield* run("downgrade", ["downgraded"])).answer.slice(3), [1])
          yield* isEntered("downgraded")
          assert.strictEqual((yield* ask(60_000, "reader", "Ra/")).answer[3], 1)
          assert.strictEqual((yield* ask(60_000, "writer", "Wa/b/")).answer[3], 2)
          yield* run("release", ["downgraded", "reader", "writer"])

          yield* one("broken")
          assert.deepStrictEqual((yield* run("break", ["broken"], "two")).messages, [`to-one\n${clock.time}\nb broken`])
          assert.deepStrictEqual((yield* raw.look).records, [])

          const seen = yield* one("seen")
          const looked = yield* run("lookup", ["seen"])
          assert.deepStrictEqual(withoutTicket(looked.answer[3]), described("seen", "Wa/b/", seen))
          yield* isEntered("seen")
          yield* end("seen")

          const shown = yield* one("shown")
          const inspected = yield* run("inspect", ["a/", "1", ""])
          assert.deepStrictEqual(inspected.answer.slice(5).map(withoutTicket), [described("shown", "Wa/b/", shown)])
          yield* isEntered("shown")
          yield* end("shown")

          const again = yield* one("again")
          const token = clock.time
          clock.time += 7
          assert.deepStrictEqual((yield* ask(1, "again", "Wa/b/")).answer.slice(3), [1, token, again])
          yield* isEntered("again")
          yield* end("again")

          const until = yield* one("restored")
          const restored = yield* run("restore", ["restored", "5000", "owner"], "two")
          assert.deepStrictEqual(restored.answer.slice(3), [clock.time, until, "Wa/b/"])
          assert.deepStrictEqual(restored.messages, [`to-one\n${clock.time}\nt restored`])
          assert.deepStrictEqual((yield* run("release", ["restored"])).answer.slice(3), [0], "it is another's")
          yield* isEntered("restored")
          yield* end("restored/owner")

          const refusing = described("refusing", "Wa/b/", yield* one("refusing"))
          const refused = yield* run("acquire", ["[]", "1", "", "tried", "1", "t", "[]", "1", "Ra/", "0"], "two")
          assert.deepStrictEqual([refused.answer[3], withoutTicket(refused.answer[4])], [3, refusing])
          yield* isEntered("refusing")
          yield* end("refusing")
        }).pipe(Effect.scoped)
      )
    )

    it.effect("who is next in a queue is not let in as long as anything else is in the way", () =>
      leavesNothing((fixture) =>
        Effect.gen(function* () {
          const { ask, raw, run } = yield* hand(fixture)
          const special = (id: string, targets: ReadonlyArray<string>, ...within: ReadonlyArray<string>) =>
            ask(1, "", id, "60000", "q", "[]", `${targets.length}`, ...targets, `${within.length}`, ...within)
          const granted = (ran: Raw.Ran) => String(ran.answer[2]).replace(/^g (\S+) .*$/gm, "$1")
          const end = (...ids: ReadonlyArray<string>) => Effect.map(run("release", ids), granted)
          // What the lease encloses: at its node, below it, above it.
          for (const [lease, inside] of [
            ["Wa/", "ra/"],
            ["wa/", "ra/"],
            ["Wa/", "Ra/b/"],
            ["Wa/", "wa/b/"],
            ["Wa/b/", "Ra/"],
            ["Wa/b/", "W"]
          ] as const) {
            yield* ask(60_000, "lease", lease)
            yield* ask(60_000, "next", lease)
            yield* special("inside", [inside], "lease")
            assert.strictEqual(yield* end("lease"), "", `${lease}, and ${inside} in it`)
            assert.strictEqual(yield* end("inside"), "next")
            yield* end("next")
          }
          // The lease has another target, or the next one wants another.
          yield* special("lease", ["Wa/", "Wb/"])
          yield* ask(60_000, "next", "Wa/")
          assert.strictEqual(yield* end("lease"), "next")
          yield* ask(60_000, "other", "Wb/")
          yield* special("both", ["Wa/", "Wb/"])
          assert.strictEqual(yield* end("next"), "")
          assert.strictEqual(yield* end("other"), "both")
          yield* end("both")
          // The lease did not queue, as it was nested: there is one who waits for longer than the next.
          yield* ask(60_000, "beside", "wA/")
          yield* ask(60_000, "outer", "Ra/")
          yield* special("reader", ["Ra/"])
          yield* ask(60_000, "first", "W")
          yield* special("nested", ["Wa/"], "outer")
          yield* ask(60_000, "next", "Wa/")
          assert.strictEqual(yield* end("reader"), "nested")
          assert.strictEqual(yield* end("outer"), "")
          assert.strictEqual((yield* raw.look).records.find(({ id }) => id === "first")?.blocker, "beside")
          assert.strictEqual(yield* end("nested"), "")
          assert.strictEqual(yield* end("beside"), "first")
          assert.strictEqual(yield* end("first"), "next")
        }).pipe(Effect.scoped)
      )
    )

    it.effect("a lease that is handed over has all of its time, whatever the times of those before it", () =>
      leavesNothing((fixture) =>
        Effect.gen(function* () {
          const { ask, clock, deadline, run } = yield* hand(fixture)
          // Longer than all there was.
          yield* ask(600_000, "a", "Wa/")
          yield* ask(600_000, "b", "Wa/")
          clock.time += 500_000_000
          yield* run("release", ["a"])
          assert.strictEqual(yield* deadline("b"), clock.time + 600_000_000)
          // Shorter than all there is: it said that it waits for long, and nothing is due before.
          yield* ask(1000, "c", "Wa/")
          yield* run("look", ["c", "600000"])
          clock.time += 1_000_000
          yield* run("look", [])
          yield* run("release", ["b"])
          assert.strictEqual(yield* deadline("c"), clock.time + 1_000_000)
          clock.time += 1_000_000
          assert.deepStrictEqual((yield* ask(1000, "d", "Wa/")).answer.slice(2, 4), ["e c", 1])
        }).pipe(Effect.scoped)
      )
    )

    it.effect("the last token is kept until the clock has come to it, whatever is asked for meanwhile", () =>
      leavesNothing((fixture) =>
        Effect.gen(function* () {
          const { ask, clock, leases, raw, run } = yield* hand(fixture)
          const start = clock.time
          for (const how of ["young", "entered", "the long way"]) {
            clock.time = start
            yield* ask(60_000, "a", "Wa/")
            clock.time -= 1_800_000_000
            yield* run("release", ["a"])
            const [kept] = (yield* raw.look).ttls
            if (how === "young") yield* leases("1")
            else if (how === "entered") {
              yield* ask(1000, ...Array.from({ length: 9 }, (_, i) => [`${i}`, `W${i}/`]).flat())
              yield* ask(1000, "9", "W9/")
            } else yield* run("acquire", ["[]", "1000", "", "1", "1000", "q", "[]", "2", "Wb/", "Wc/", "0"])
            const { ttls } = yield* raw.look
            assert.closeTo(ttls[0]!, kept!, 1000, how)
            assert.deepStrictEqual(ttls.slice(1), [ttls[0], ttls[0]], how)
            yield* raw.clear
          }
        }).pipe(Effect.scoped)
      )
    )

    it.effect("who is let in by what a release finds expired, and is what it ends, leaves nothing", () =>
      leavesNothing((fixture) =>
        Effect.gen(function* () {
          const { ask, clock, deadline, raw, run } = yield* hand(fixture)
          for (const name of ["release", "break"] as const) {
            yield* ask(60_000, "other", "Wb/")
            yield* ask(1000, "a", "Wa/")
            yield* ask(60_000, "next", "Wa/")
            clock.time = yield* deadline("a")
            assert.deepStrictEqual((yield* run(name, ["next"])).answer.slice(3), [1])
            assert.deepStrictEqual((yield* run("refresh", ["next", "60000"])).answer.slice(3), [0], "it is not live")
            assert.deepStrictEqual(Array.from((yield* raw.look).scored.keys()), ["hother"])
            yield* run("release", ["other"])
          }
        }).pipe(Effect.scoped)
      )
    )

    it.effect("a call with more in it than the stack of Lua can hold does the same", () =>
      leavesNothing((fixture) =>
        Effect.gen(function* () {
          const { ask, raw, run } = yield* hand(fixture)
          const many = (id: string, targets: ReadonlyArray<string>) =>
            run("acquire", ["[]", "60000", "", id, "60000", "q", "[]", `${targets.length}`, ...targets, "0"])
          const nodes = (count: number, mode: string, name: string) =>
            Array.from({ length: count }, (_, i) => `${mode}${name}${i}/`)
          const names = ["x", "y", "z"]
          // All of these nodes are still held when three of the readers end.
          for (const name of names) {
            yield* many(name, nodes(1333, "R", name))
            yield* many(`other-${name}`, nodes(1333, "R", name))
          }
          assert.deepStrictEqual((yield* run("release", names)).answer.slice(3), [1, 1, 1])
          yield* raw.clear
          // So many nodes at once, while somebody waits.
          for (const name of names) yield* many(name, nodes(3000, "W", name))
          yield* ask(60_000, "held", "Wa/")
          yield* ask(60_000, "waits", "Wa/")
          assert.deepStrictEqual((yield* run("release", names)).answer.slice(3), [1, 1, 1])
          // Too many are refused, before anything is written.
          const table = Effect.map(raw.look, ({ ttls: _, ...rest }) => rest)
          const before = yield* table
          assert.include(yield* failure(many("refused", nodes(5000, "W", "x"))), "too many targets")
          assert.deepStrictEqual(yield* table, before)
          // Deep ones: each has more than a hundred nodes above it.
          const deep = (i: number) => `W${i}/${"d/".repeat(127)}`
          const requests = Array.from({ length: 100 }, (_, i) => [`deep-${i}`, deep(i)]).flat()
          yield* run("release", ["held", "waits"])
          yield* ask(60_000, "shallow", "Rb/")
          assert.strictEqual((yield* ask(60_000, ...requests)).answer.filter((value) => value === 1).length, 100)
        }).pipe(Effect.scoped)
      )
    )
  })

  withOwnServer("when memory is short", undefined, (it) => {
    it.effect("leases are kept, handed over and ended, and nothing is given", () =>
      leavesNothing((fixture) =>
        Effect.gen(function* () {
          const { admin } = fixture
          const { clock, ask, raw, run } = yield* hand(fixture)
          const memory = (bytes: number) => Effect.promise(() => admin.config("SET", "maxmemory", bytes))
          /** Leases, and one that is asked for behind the first. Then memory is short. */
          const begin = Effect.gen(function* () {
            yield* memory(0)
            yield* raw.clear
            clock.time += 1000
            yield* ask(60_000, "a", "Wa/", "b", "Wb/")
            yield* run("acquire", ["[]", "60000", "next", "Wa/"], "two")
            clock.time += 1000
            yield* memory(1)
          })
          const answers = (name: Raw.Name, ...args: ReadonlyArray<string>) =>
            Effect.map(run(name, args), ({ answer }) => answer.slice(3))

          yield* begin
          const before = yield* raw.look
          for (const request of [
            ["c", "Wc/"],
            ["c", "Wa/"],
            ["c", "Wa/b/"],
            ["c", "Wc/", "d", "Wd/"],
            ["", "c", "1", "t", "[]", "1", "Wc/", "0"],
            ["", "c", "1", "q", "[]", "1", "Wa/", "1", "a"],
            ["", "c", "1", "q", "[]", "2", "rc/", "Wd/", "0"]
          ]) {
            assert.include(yield* failure(ask(1000, ...request)), "OOM", request.join(" "))
          }
          assert.deepStrictEqual((yield* raw.look).records, before.records)
          assert.deepStrictEqual((yield* raw.look).head, before.head)
          assert.deepStrictEqual(yield* answers("refresh", "a", "90000"), [clock.time + 90_000_000])
          assert.deepStrictEqual(yield* answers("release", "a"), [1])
          assert.deepStrictEqual(yield* answers("release", "b"), [1])

          yield* begin
          assert.deepStrictEqual((yield* run("release", ["a"])).messages, [
            `to-two\n${clock.time}\ng next ${clock.time} ${clock.time + 60_000_000}`
          ])
          assert.deepStrictEqual(yield* answers("release", "b"), [1])
          assert.deepStrictEqual(yield* answers("release", "next"), [1])

          for (const name of ["downgrade", "break"] as const) {
            yield* begin
            assert.deepStrictEqual(yield* answers(name, "a"), [1])
          }
          yield* begin
          assert.deepStrictEqual((yield* answers("restore", "b", "90000", "b"))[1], clock.time + 90_000_000)
          yield* begin
          assert.lengthOf(yield* answers("lookup", "b"), 1)
          yield* begin
          assert.lengthOf((yield* answers("inspect", "", "1", "")).slice(2), 3)
          yield* begin
          assert.deepStrictEqual((yield* answers("look", "next", "60000")).slice(0, 2), [2, "a"])
          yield* begin
          clock.time += 60_000_000
          assert.deepStrictEqual(yield* answers("refresh", "b", "1000"), [0], "what has expired is dropped")
        }).pipe(Effect.scoped, Effect.ensuring(Effect.promise(() => fixture.admin.config("SET", "maxmemory", 0))))
      )
    )
  })
})
