import { assert } from "@effect/vitest"
import * as LockMode from "@hilok/core/LockMode"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import { identity } from "effect/Function"
import * as Conformance from "../Conformance.ts"
import type { Kit, Test } from "./kit.ts"

/** May these targets lie in several partitions? */
const mayBeSpread = (targets: ReadonlyArray<Conformance.Spot>): boolean =>
  targets.some(({ mode, path }) => path === "" && LockMode.coversSubtree(mode)) ||
  new Set(targets.map(({ path }) => path.split("/")[0])).size > 1

/**
 * What of a scenario has the same answers in partitions: until somebody has to wait who asks for several of them. From then on others
 * may come first where it has not asked yet.
 */
const acrossPartitions = (scenario: Conformance.Scenario): Conformance.Scenario => {
  const end = scenario.steps.findIndex(
    (step) => step.op === "acquire" && step.expect === "waiting" && mayBeSpread(step.targets)
  )
  return end === -1 ? scenario : { ...scenario, steps: scenario.steps.slice(0, end) }
}

/** Plays a scenario and compares each answer, and what then is held and waits. */
const play = ({ partitioned, session, store }: Kit, scenario: Conformance.Scenario, place: Kit["inOne"] = identity) =>
  Effect.gen(function* () {
    // Tokens of different partitions are in no order.
    const ordered = (granted: ReadonlyArray<string>) => (partitioned ? granted.slice().sort() : granted)
    const ids = new Map<number, string>()
    const idOf = (number: number) => ids.get(number) ?? `unknown.${number}`
    const states = new Map<string, "held" | "waiting">()

    for (const [at, step] of scenario.steps.entries()) {
      const where = `${scenario.name}, step ${at + 1}, ${JSON.stringify(step)}`
      let granted: ReadonlyArray<string> = []
      if (step.op === "acquire" || step.op === "try") {
        const request = session.request(place(step.targets), { within: step.within.map(idOf) })
        ids.set(step.id, request.id)
        if (step.op === "try") {
          const answer = yield* session.attempt(request)
          assert.strictEqual(Either.isRight(answer) ? "granted" : "refused", step.expect, where)
          if (step.expect === "granted") states.set(request.id, "held")
        } else {
          yield* session.ask(request)
          if (step.expect === "granted") {
            granted = [request.id]
          } else if (step.expect === "waiting") {
            states.set(request.id, "waiting")
          }
        }
      } else if ("granted" in step) {
        const id = idOf(step.id)
        const before = states.get(id)
        if (step.op === "downgrade") {
          assert.strictEqual(yield* store.downgrade(id, id), before === "held", where)
        } else {
          states.delete(id)
          if (step.op === "cancel") yield* session.cancel(id)
          else assert.strictEqual(yield* store.release(id, id), before !== undefined, where)
        }
        granted = step.granted.map(idOf)
      }
      const seen = yield* session.observe
      assert.deepStrictEqual(ordered(seen.granted), ordered(granted), where)
      for (const id of granted) states.set(id, "held")
      assert.deepStrictEqual(
        seen.deadlocks.map(({ cycle }) => cycle[0]),
        "expect" in step && step.expect === "deadlock" ? [idOf(step.id)] : [],
        where
      )
      const live = Array.from(ids.values()).flatMap((id) => (states.has(id) ? [[id, states.get(id)]] : []))
      assert.deepStrictEqual(
        seen.entries.map(({ id, state }) => [id, state]),
        live,
        where
      )
    }
  })

export const conformanceTests = (test: Test, scenarios?: number): void => {
  for (const [at, first] of LockMode.all.entries()) {
    for (const second of LockMode.all.slice(at)) {
      test(`${first} and ${second} exclude each other exactly where the table of conflicts says so`, (kit) =>
        Effect.gen(function* () {
          const rows = Conformance.conflicts.filter(
            (row) =>
              (row.first.mode === first && row.second.mode === second) ||
              (row.first.mode === second && row.second.mode === first)
          )
          for (const row of rows) {
            const held = yield* kit.session.held([row.first])
            const request = kit.session.request([row.second])
            const answer = yield* kit.session.attempt(request)
            assert.strictEqual(Either.isLeft(answer), row.conflict, JSON.stringify(row))
            if (Either.isLeft(answer)) assert.strictEqual(answer.left.id, held.id)
            else yield* kit.store.release(request.id, request.id)
            yield* kit.store.release(held.id, held.id)
          }
        }))
    }
  }

  for (const scenario of Conformance.scenarios.slice(0, scenarios)) {
    test(`each step of the scenario "${scenario.name}" has the answer that the rules give`, (kit) =>
      play(kit, kit.partitioned ? acrossPartitions(scenario) : scenario))
  }

  for (const scenario of Conformance.deadlocks) {
    test(`a cycle of nested requests is found, and nothing else taken for one: ${scenario.name}`, (kit) =>
      play(kit, scenario, kit.inOne))
  }
}
