/**
 * `hilok ls`: who holds what.
 */
import { HierarchicalLock, type LockEntry, type LockError } from "@hilok/core"
import type * as ConfigError from "effect/ConfigError"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { exitCode, Failure } from "./failure.ts"
import { print } from "./output.ts"
import * as render from "./render.ts"
import * as server from "./server.ts"
import { onSignal, signalCode } from "./signals.ts"
import { screenOf } from "./text.ts"

export interface LsOptions {
  readonly server: server.ServerOptions
  readonly output: "tree" | "table" | "json"
  readonly watch: boolean
  readonly olderThan: Duration.Duration | undefined
  readonly prefix: string | undefined
}

const entriesOf = (options: LsOptions) =>
  Effect.map(HierarchicalLock.inspect(options.prefix), (entries) => {
    const least = options.olderThan === undefined ? 0 : Duration.toMillis(options.olderThan)
    return entries.filter(({ age }) => age >= least)
  })

const linesOf = (entries: ReadonlyArray<LockEntry.LockEntry>, options: LsOptions, separator: string) => {
  if (options.output === "json") return JSON.stringify(entries, undefined, 2).split("\n")
  const screen = screenOf(process.stdout)
  if (entries.length === 0) return ["Nothing is held, and nobody waits."]
  return options.output === "tree" ? render.tree(entries, separator, screen) : render.table(entries, separator, screen)
}

const hideCursor = "\x1b[?25l"
const showCursor = "\x1b[?25h"

/** Draws over what was drawn before, and only as much as the screen holds. */
const frames = (): ((lines: ReadonlyArray<string>) => void) => {
  let drawn = 0
  return (lines) => {
    const rows = Math.max(2, process.stdout.rows) - 1
    const shown =
      lines.length <= rows ? lines : [...lines.slice(0, rows - 1), `… ${lines.length - rows + 1} more lines`]
    const up = drawn === 0 ? "" : `\x1b[${drawn}A`
    process.stdout.write(`${up}\r${shown.map((line) => `${line}\x1b[K\n`).join("")}\x1b[J`)
    drawn = shown.length
  }
}

const watch = (
  options: LsOptions,
  separator: string
): Effect.Effect<
  number,
  LockError.InvalidPath | LockError.StoreError,
  HierarchicalLock.HierarchicalLock | Scope.Scope
> =>
  Effect.gen(function* () {
    yield* Effect.acquireRelease(
      Effect.sync(() => process.stdout.write(hideCursor)),
      () => Effect.sync(() => process.stdout.write(showCursor))
    )
    const draw = frames()
    const redraw = Effect.map(entriesOf(options), (entries) => draw(linesOf(entries, options, separator)))
    const ended = Effect.async<number>((resume) =>
      // Ctrl-C is how one leaves it.
      onSignal((signal) => resume(Effect.succeed(signal === "SIGINT" ? 0 : signalCode(signal))))
    )
    const resized = Effect.async<void>((resume) => {
      const onResize = () => resume(Effect.void)
      process.stdout.once("resize", onResize)
      return Effect.sync(() => process.stdout.off("resize", onResize))
    })
    return yield* Effect.raceFirst(
      ended,
      Effect.forever(Effect.zipRight(redraw, Effect.raceFirst(resized, Effect.sleep("1 second"))))
    )
  })

/** Answers with the exit code. */
export const ls = (
  options: LsOptions
): Effect.Effect<number, Failure | LockError.LockError | ConfigError.ConfigError> =>
  Effect.gen(function* () {
    if (options.watch && (!process.stdout.isTTY || options.output === "json")) {
      return yield* new Failure({
        message: "--watch draws a tree or a table in a terminal, and only there",
        code: exitCode.usage
      })
    }
    const separator = yield* server.separator
    return yield* Effect.scoped(
      options.watch
        ? watch(options, separator)
        : Effect.flatMap(entriesOf(options), (entries) => Effect.as(print(linesOf(entries, options, separator)), 0))
    ).pipe(Effect.provide(server.layer(options.server)))
  })
