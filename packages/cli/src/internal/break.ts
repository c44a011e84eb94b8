/**
 * `hilok break`: an operator ends leases of others.
 */
import { createInterface } from "node:readline"
import { HierarchicalLock, LockEntry, type LockError, type LockStore } from "@hilok/core"
import type * as ConfigError from "effect/ConfigError"
import * as Effect from "effect/Effect"
import { exitCode, Failure, say } from "./failure.ts"
import { lookup } from "./lookup.ts"
import * as server from "./server.ts"
import { clean } from "./text.ts"

export interface BreakOptions {
  readonly server: server.ServerOptions
  readonly all: string | undefined
  readonly yes: boolean
  readonly ids: ReadonlyArray<string>
}

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

interface Found {
  readonly leases: ReadonlyArray<LockEntry.LockEntry>
  /** The ids that are not those of leases. */
  readonly missing: number
}

const find = (
  options: BreakOptions
): Effect.Effect<
  Found,
  LockError.InvalidPath | LockError.StoreError,
  HierarchicalLock.HierarchicalLock | LockStore.LockStore
> =>
  Effect.gen(function* () {
    const isHeld = ({ state }: LockEntry.LockEntry) => state === "held"
    if (options.all !== undefined) {
      return { leases: (yield* HierarchicalLock.inspect(options.all)).filter(isHeld), missing: 0 }
    }
    const leases: Array<LockEntry.LockEntry> = []
    for (const id of options.ids) {
      const entry = yield* lookup(id)
      if (entry !== undefined && isHeld(entry)) leases.push(entry)
      else say(`${clean(id)} is not held${entry === undefined ? "" : ": it waits"}`)
    }
    return { leases, missing: options.ids.length - leases.length }
  })

const usage = (message: string) => new Failure({ message, code: exitCode.usage })

/** Answers with the exit code. */
export const breakLeases = (
  options: BreakOptions
): Effect.Effect<number, Failure | LockError.LockError | ConfigError.ConfigError> =>
  Effect.gen(function* () {
    if ((options.all === undefined) === (options.ids.length === 0)) {
      return yield* usage("Name the leases to break by their ids, or all of a path by --all PREFIX")
    }
    const { leases, missing } = yield* find(options)
    const code = missing > 0 ? exitCode.negative : 0
    if (leases.length === 0) {
      if (options.all !== undefined) say(`Nothing is held at ${JSON.stringify(options.all)} or below`)
      return code
    }
    for (const lease of leases) say(clean(LockEntry.format(lease)))
    if (!options.yes) {
      if (!process.stdin.isTTY || !process.stderr.isTTY) {
        return yield* usage("Nothing was broken: there is no terminal to ask in, so --yes is needed")
      }
      const sure = yield* confirm(`Break ${leases.length === 1 ? "this lease" : `these ${leases.length} leases`}?`)
      if (!sure) {
        say("Nothing was broken")
        return exitCode.negative
      }
    }
    let broken = 0
    for (const { id } of leases) if (yield* HierarchicalLock.breakLease(id)) broken++
    say(`${broken} of ${leases.length} broken${broken < leases.length ? "; the others had ended" : ""}`)
    return code
  }).pipe(Effect.provide(server.layer(options.server)))
