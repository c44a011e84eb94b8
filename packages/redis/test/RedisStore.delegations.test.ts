/**
 * Delegations in the library, beside the rules: random commands run on the server and on a `LockTable`, and all is compared after
 * each: answers, messages, who holds and who waits, and what the keys hold.
 */
import { assert, describe, layer } from "@effect/vitest"
import { type LockEntry, LockMode, LockPath, LockTable } from "@hilok/core"
import { Effect, FastCheck, Runtime } from "effect"
import { leavesNothing, TestServer } from "./support/fixture.ts"
import * as layout from "./support/layout.ts"
import * as Raw from "./support/raw.ts"

const letters: Record<LockMode.LockMode, string> = { read: "R", write: "W", readNode: "r", writeNode: "w" }
const encode = ({ mode, path }: LockMode.Region) => letters[mode] + path

// -- What may happen. A number chooses one of those there are.

type How = "q" | "t" | "i"

type Step =
  | {
      readonly op: "ask"
      readonly how: How
      /** Whose delegation it is to be. */
      readonly delegate: "mine" | "theirs" | null
      readonly targets: ReadonlyArray<LockMode.Region>
      /** Inside a lease of a user, or for a delegation inside those of its client. */
      readonly inside: number | null
      readonly again: boolean
    }
  | {
      readonly op: "settle"
      readonly pick: number
      readonly registrations: number
      readonly release: boolean
      /** How far the tokens are ahead of that of the delegation (microseconds). */
      readonly ahead: number
    }
  | { readonly op: "release" | "look" | "refresh" | "break" | "downgrade"; readonly pick: number }
  | { readonly op: "expire" }

const pick = FastCheck.nat({ max: 30 })
const target = FastCheck.record({
  mode: FastCheck.constantFrom(...LockMode.all),
  path: FastCheck.constantFrom("", "a/", "a/b/", "a/b/c/", "a/c/", "b/") as FastCheck.Arbitrary<LockPath.LockPath>
})
const asks = FastCheck.record({
  op: FastCheck.constant("ask" as const),
  how: FastCheck.constantFrom<Array<How>>("q", "q", "t", "i"),
  delegate: FastCheck.constantFrom("mine" as const, "theirs" as const, null, null),
  targets: FastCheck.array(target, { minLength: 1, maxLength: 2 }),
  inside: FastCheck.option(pick, { freq: 3 }),
  again: FastCheck.integer({ min: 0, max: 9 }).map((n) => n === 0)
})
const steps: FastCheck.Arbitrary<Array<Step>> = FastCheck.array(
  FastCheck.oneof(
    { weight: 8, arbitrary: asks },
    {
      weight: 4,
      arbitrary: FastCheck.record({
        op: FastCheck.constant("settle" as const),
        pick,
        registrations: FastCheck.nat({ max: 2 }),
        release: FastCheck.boolean(),
        ahead: FastCheck.constantFrom(0, 1, 5_000_000)
      })
    },
    {
      weight: 6,
      arbitrary: FastCheck.record({
        op: FastCheck.constantFrom<Array<"release" | "look" | "refresh" | "break" | "downgrade">>(
          ...(["release", "release", "look", "refresh", "break", "downgrade"] as const)
        ),
        pick
      })
    },
    { weight: 1, arbitrary: FastCheck.constant({ op: "expire" as const }) }
  ),
  { maxLength: 60, size: "max" }
)

// -- How it is compared

const ttl = 60_000

/** What somebody is told, as text. What a refused request and a cycle are shown is for any of several to name. */
type Told = ReadonlyArray<string>

const toldByServer = ({ answer, messages }: Raw.Ran): Told =>
  [String(answer[2]), ...messages.map((message) => message.split("\n").slice(2).join("\n"))]
    .flatMap((text) => text.split("\n"))
    .flatMap((line) => {
      const [letter, id, ...rest] = line.split(" ")
      if (letter === "" || letter === "k" || letter === "l") return []
      if (letter === "f" || letter === "d") return [`${letter} ${id}`]
      return [letter === "g" || letter === "G" ? `${letter} ${id} ${rest[0]}` : line]
    })
    .sort()

const endings = { expired: "e", broken: "b", released: "r", taken: "t" } as const

const toText = (event: LockTable.Event): string => {
  switch (event._tag) {
    case "Granted":
      return `${event.wanted === true ? "G" : "g"} ${event.id} ${event.token}`
    case "Refused":
      return `f ${event.id}`
    case "Deadlock":
      return `d ${event.id}`
    case "Recalled":
      return `w ${event.id} ${event.urgent ? 2 : 1} ${event.client}`
    case "Ended":
      return `${event.state === "waiting" ? "x" : endings[event.reason]} ${event.id}`
  }
}

const toldByTable = (table: LockTable.LockTable): Told => table.takeEvents().map(toText).sort()

const users = (entries: ReadonlyArray<LockEntry.LockEntry>) =>
  entries.filter(({ delegated, state }) => state === "held" && delegated !== true)

const regionsOf = ({ targets }: LockEntry.LockEntry): ReadonlyArray<LockMode.Region> =>
  targets.map(({ mode, path }) => ({ mode, path: (path === "" ? "" : `${path}/`) as LockPath.LockPath }))

const outcomes = { Granted: 1, Waiting: 2, Refused: 3, Deadlock: 4 } as const

const drive = (raw: Raw.Raw, check: (table: layout.Table) => Effect.Effect<void>, start: number) => {
  let made = 0
  return (run: ReadonlyArray<Step>) =>
    Effect.gen(function* () {
      yield* raw.clear
      const table = new LockTable.LockTable()
      let time = start
      const now = () => time / 1000
      let last: LockTable.Request | undefined
      const entries = () => table.inspect(LockPath.root, now())
      const call = () => ({ client: time % 2000 === 0 ? "one" : "two", time })
      const choose = <A>(among: ReadonlyArray<A>, at: number): A | undefined => among[at % among.length]

      const step = (step: Step): Effect.Effect<Raw.Ran> => {
        if (step.op === "expire") {
          time = Math.max(time, Math.ceil((table.nextDeadline ?? 0) * 1000))
          table.expire(now())
          return raw.run("look", call(), [])
        }
        const all = entries()
        const kept = all.filter(({ delegated }) => delegated === true)
        switch (step.op) {
          case "ask": {
            const { delegate, targets } = step
            // Of several delegations in its way it watches any, and is looked at again only when that one goes.
            const isAmbiguous =
              kept.filter((delegation) => LockMode.anyConflict(regionsOf(delegation), targets)).length > 1
            const how = step.how === "i" && isAmbiguous ? "t" : step.how
            const lease = step.inside === null ? undefined : choose(users(all), step.inside)
            const within =
              step.inside === null
                ? []
                : delegate === null
                  ? lease === undefined
                    ? []
                    : [lease.id]
                  : kept.filter(({ label }) => label === delegate).map(({ id }) => id)
            const request: LockTable.Request =
              step.again && !isAmbiguous && last !== undefined
                ? last
                : {
                    id: `r${made++}`,
                    targets: delegate === null ? targets : targets.slice(0, 1),
                    ttl,
                    waitTtl: ttl,
                    within,
                    holder: { label: delegate ?? "user" },
                    delegated: delegate ?? undefined,
                    impatient: how === "i"
                  }
            last = request
            const isQueued = how === "q" && request.within.length === 0
            const isImpatient = request.impatient === true
            const letter = isImpatient ? "i" : isQueued ? "q" : "t"
            const outcome = isQueued && !isImpatient ? table.acquire(request, now()) : table.tryAcquire(request, now())
            const args = [
              '["host",1]',
              String(ttl),
              "",
              request.id,
              String(ttl),
              request.delegated === undefined ? letter : `${letter}/${request.delegated}`,
              "[]",
              String(request.targets.length),
              ...request.targets.map(encode),
              String(request.within.length),
              ...request.within
            ]
            return Effect.map(raw.run("acquire", call(), args), (ran) => {
              const isWanted = outcome._tag === "Granted" && outcome.wanted === true
              assert.strictEqual(ran.answer[3], isWanted ? 5 : outcomes[outcome._tag], `the answer to ${request.id}`)
              if (outcome._tag === "Granted") assert.strictEqual(ran.answer[4], outcome.token, "the token")
              if (outcome._tag === "Refused") {
                const isKept = table.lookup(outcome.blocker, now())?.delegated === true
                assert.strictEqual((ran.answer[4] as ReadonlyArray<unknown>)[1] === "d", isKept, "is it a delegation?")
              }
              return ran
            })
          }
          case "settle": {
            const delegation = choose(kept, step.pick)
            const from = delegation?.id ?? "nobody"
            const floor = (delegation?.token ?? time) + step.ahead
            const region: LockMode.Region =
              delegation === undefined ? { mode: "read", path: LockPath.root } : regionsOf(delegation)[0]!
            // As its client has decided: nothing that conflicts.
            const isTaken = users(all).some((lease) => LockMode.anyConflict(regionsOf(lease), [region]))
            const count = isTaken ? 0 : LockMode.isExclusive(region.mode) ? 1 : step.registrations
            const registrations = Array.from({ length: count }, (_, i) => ({
              id: `r${made++}`,
              token: floor - count + 1 + i,
              targets: [region]
            }))
            const expected = registrations.map(({ id, targets, token }) =>
              table.register(
                { id, targets, ttl, waitTtl: ttl, within: [], holder: { label: "user" } },
                token,
                from,
                now()
              )
            )
            if (step.release) table.release(from, now(), from, floor)
            const args = [
              String(registrations.length),
              ...registrations.flatMap(({ id, targets, token }) => [
                ...[String(token), from, "", id, String(ttl), "q", "[]", String(targets.length)],
                ...targets.map(encode),
                "0"
              ]),
              ...(step.release ? [from, String(floor)] : [])
            ]
            return Effect.map(raw.run("settle", call(), args), (ran) => {
              assert.deepStrictEqual(ran.answer.slice(3), expected.map(Number), "what is registered")
              return ran
            })
          }
          case "look": {
            const id =
              choose(
                all.filter(({ state }) => state === "waiting"),
                step.pick
              )?.id ?? "nobody"
            table.look(id, now())
            if (id !== "nobody") table.refresh(id, ttl, now(), id)
            return raw.run("look", call(), [id, String(ttl)])
          }
          case "refresh": {
            const id = choose(kept, step.pick)?.id ?? "nobody"
            const deadline = table.refresh(id, ttl, now(), id)
            const isWanted = table.isWanted(id)
            return Effect.map(raw.run("refresh", call(), [id, String(ttl)]), (ran) => {
              const expected = deadline === undefined ? 0 : Math.round(deadline * 1000) * (isWanted ? -1 : 1)
              assert.strictEqual(ran.answer[3], expected, "the deadline of a delegation, negative if it is wanted")
              return ran
            })
          }
          case "downgrade": {
            const id = choose(users(all), step.pick)?.id ?? "nobody"
            table.downgrade(id, now(), id)
            return raw.run("downgrade", call(), [id])
          }
          case "release": {
            const id = choose(all, step.pick)?.id ?? "nobody"
            table.release(id, now(), id)
            return raw.run("release", call(), [id])
          }
          case "break": {
            const id = choose(all, step.pick)?.id ?? "nobody"
            table.breakLease(id, now())
            return raw.run("break", call(), [id])
          }
        }
      }

      const both = (one: Step) =>
        Effect.gen(function* () {
          const ran = yield* step(one)
          assert.strictEqual(toldByServer(ran).join("\n"), toldByTable(table).join("\n"), `what ${one.op} leads to`)
          const keys = yield* raw.look
          const shown = keys.records.map(({ delegate, id, state }) => `${id} ${state} ${state === "h" ? delegate : ""}`)
          const expected = entries().map(({ delegated, id, label, state }) =>
            state === "held" ? `${id} h ${delegated === true ? label : undefined}` : `${id} q `
          )
          assert.deepStrictEqual(shown.sort(), expected.sort(), "who holds and who waits")
          yield* check(keys)
        })

      for (const one of run) {
        time += 1000
        // Looking at the table drops what is due.
        if ((table.nextDeadline ?? time) * 1000 <= time) yield* both({ op: "expire" })
        yield* both(one)
      }
    })
}

describe("RedisStore", () => {
  layer(TestServer.layer, { excludeTestServices: true })("delegations beside the rules", (it) => {
    it.effect(
      "whatever clients with and without delegations ask for, the server answers as the lock table does",
      () =>
        leavesNothing((fixture) =>
          Effect.gen(function* () {
            const raw = yield* Raw.make(fixture, "young")
            const step = drive(raw, (table) => layout.checkTable(fixture.admin, table), yield* Raw.start(fixture))
            const runPromise = Runtime.runPromise(yield* Effect.runtime())
            const property = FastCheck.asyncProperty(steps, (run) => runPromise(step(run)))
            yield* Effect.promise(() => FastCheck.assert(property, { numRuns: 300 }))
          }).pipe(Effect.scoped)
        ),
      60_000
    )

    it.effect("many are recalled by and by, each once, and once more when it is looked at or urgent", () =>
      leavesNothing((fixture) =>
        Effect.gen(function* () {
          const raw = yield* Raw.make(fixture, "young")
          let time = yield* Raw.start(fixture)
          const run = (name: Raw.Name, ...args: ReadonlyArray<string>) => {
            time += 1000
            return raw.run(name, { client: "one", time }, args)
          }
          const ask = (id: string, how: string, target: string) =>
            run("acquire", "[]", String(ttl), "", id, String(ttl), how, "[]", "1", target, "0")
          const all = Array.from({ length: 200 }, (_, i) => `d${i}`)
          for (const id of all) yield* ask(id, "q/mine", `Wa/${id}/`)

          /** Who is recalled by an operation, and by those that go on with it: none of them looks at more than so many. */
          const recalled = (first: Raw.Ran, level: number) =>
            Effect.gen(function* () {
              const ids: Array<string> = []
              for (let ran = first; ; ran = yield* run("look")) {
                const lines = toldByServer(ran)
                assert.isAtMost(lines.length, 64)
                for (const line of lines) {
                  const [letter, id, urgency] = line.split(" ")
                  assert.deepStrictEqual([letter, urgency], ["w", String(level)])
                  ids.push(id!)
                }
                if (ran.answer[1] === 0) return ids.sort()
              }
            })
          const expected = [...all].sort()
          assert.deepStrictEqual(yield* recalled(yield* ask("first", "q", "W"), 1), expected)
          assert.deepStrictEqual(yield* recalled(yield* ask("second", "q", "Ra/"), 1), [], "all have been told")
          assert.deepStrictEqual(yield* recalled(yield* run("look", "first", String(ttl)), 1), expected)
          yield* run("release", "first", "second")
          assert.deepStrictEqual(yield* recalled(yield* ask("third", "i", "Ra/"), 2), expected)
          // It goes while some are still to be told.
          yield* run("look", "third", String(ttl))
          yield* run("release", "third")
          yield* layout.checkTable(fixture.admin, yield* raw.look)
          const floor = String(time + 1)
          const ran = yield* run("settle", "0", ...all.flatMap((id) => [id, floor]))
          assert.strictEqual(ran.answer[1], 0)
          assert.deepStrictEqual((yield* raw.look).records, [])
        }).pipe(Effect.scoped)
      )
    )
  })
})
