/**
 * `hilok break`: an operator ends leases of others.
 */
import { createInterface } from "node:readline"
import { HierarchicalLock, LockEntry } from "@hilok/core"
import * as Effect from "effect/Effect"
import { json } from "./clean.ts"
import type { BreakInput } from "./commands.ts"
import { exitCode, say, usage } from "./failure.ts"
import * as ids from "./ids.ts"
import * as paths from "./paths.ts"
import { print } from "./print.ts"
import * as server from "./server.ts"

/** One line from the terminal, which keeps its own ways: Ctrl-C is a signal. */
const confirm = (question: string): Effect.Effect<boolean> =>
  Effect.async((resume) => {
    const terminal = createInterface({ input: process.stdin, output: process.stderr, terminal: false })
    terminal.once("close", () => resume(Effect.succeed(false)))
    terminal.question(`${question} [y/N] `, (answer) => {
      resume(Effect.succeed(/^y(es)?$/i.test(answer.trim())))
      terminal.close()
    })
    return Effect.sync(() => terminal.close())
  })

const isHeld = ({ state }: LockEntry.LockEntry) => state === "held"

/** The leases, and how many ids are not those of leases. */
const find = ({ args, values: { all } }: BreakInput) =>
  Effect.gen(function* () {
    if (all !== undefined) {
      yield* paths.check(all, yield* server.separator)
      return { leases: (yield* HierarchicalLock.inspect(all)).filter(isHeld), missing: 0 }
    }
    const leases = new Map<string, LockEntry.LockEntry>()
    let missing = 0
    for (const id of args) {
      const entry = yield* ids.find(id)
      if (entry !== undefined && isHeld(entry)) leases.set(entry.id, entry)
      else {
        missing++
        say(`${id} is not held${entry === undefined ? "" : ": it waits"}`)
      }
    }
    return { leases: Array.from(leases.values()), missing }
  })

/** Answers with the exit code. */
export const breakLeases = (input: BreakInput) =>
  Effect.gen(function* () {
    const { all, yes } = input.values
    if ((all === undefined) === (input.args.length === 0)) {
      return yield* Effect.fail(usage("Name the leases to break by their ids, or all of a path by --all PREFIX"))
    }
    if (input.values.json && !yes) return yield* Effect.fail(usage("--json does not ask, so it needs --yes"))
    const { leases, missing } = yield* find(input)
    const code = missing > 0 ? exitCode.negative : 0
    if (!input.values.json) {
      if (leases.length === 0 && all !== undefined) say(`Nothing is held at ${JSON.stringify(all)} or below`)
      for (const lease of leases) say(LockEntry.format(lease))
    }
    if (leases.length > 0 && !yes) {
      if (!process.stdin.isTTY || !process.stderr.isTTY) {
        return yield* Effect.fail(usage("Nothing was broken: there is no terminal to ask in, so --yes is needed"))
      }
      const sure = yield* confirm(`Break ${leases.length === 1 ? "this lease" : `these ${leases.length} leases`}?`)
      if (!sure) {
        say("Nothing was broken")
        return exitCode.negative
      }
    }
    const results = yield* Effect.forEach(leases, (lease) =>
      Effect.map(HierarchicalLock.breakLease(lease.id), (broken) => ({ ...lease, broken }))
    )
    if (input.values.json) yield* print([json(results, 2)])
    else if (leases.length > 0) {
      const broken = results.filter((result) => result.broken).length
      say(`${broken} of ${leases.length} broken${broken < leases.length ? "; the others had ended" : ""}`)
    }
    return code
  }).pipe(Effect.provide(server.layer(input.values)))
