/**
 * The live tree, once or again and again.
 */
import { HierarchicalLock, type LockEntry, LockError, LockPath } from "@hilok/core"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "../internal/exit.ts"
import type { Connection } from "../internal/options.ts"
import * as Output from "../internal/output.ts"
import { withSession } from "../internal/session.ts"
import { short } from "../internal/time.ts"
import { table, tree, type View } from "../render/entries.ts"
import * as Screen from "../render/screen.ts"
import { coloured, plain } from "../render/style.ts"
import { truncate } from "../render/text.ts"

export interface Options extends Connection {
  readonly prefix: string
  readonly output: "tree" | "table" | "json"
  readonly watch: boolean
  readonly interval: Duration.Duration | undefined
  readonly olderThan: Duration.Duration | undefined
}

type Entries = ReadonlyArray<LockEntry.LockEntry>

const look = ({ olderThan, prefix }: Options) =>
  Effect.map(HierarchicalLock.inspect(prefix), (entries): Entries => {
    const least = olderThan === undefined ? 0 : Duration.toMillis(olderThan)
    return entries.filter(({ age }) => age >= least)
  })

const summary = (entries: Entries): string => {
  const held = entries.filter(({ state }) => state === "held").length
  return `${held} held, ${entries.length - held} waiting`
}

const lines = (entries: Entries, options: Options, view: View): ReadonlyArray<string> =>
  entries.length === 0
    ? [
        truncate(
          `Nothing is held or waited for${options.prefix === "" ? "" : ` below ${options.prefix}`}.`,
          view.available
        )
      ]
    : options.output === "table"
      ? table(entries, view)
      : tree(entries, view)

const width = (): number => (Output.isTerminal(1) ? (process.stdout.columns ?? 80) : Number.POSITIVE_INFINITY)

export const list = (options: Options): Effect.Effect<void, Exit.Stop> => {
  const separator = options.separator ?? "/"
  const show = Effect.gen(function* () {
    const below = yield* LockPath.parse(options.prefix, separator)
    const view = (available: number): View => ({
      separator,
      below,
      available,
      paint: Output.colours(1) ? coloured : plain
    })
    if (!options.watch) {
      const entries = yield* look(options)
      return Output.write(
        options.output === "json"
          ? `${JSON.stringify(entries, null, 2)}\n`
          : lines(entries, options, view(width()))
              .map((line) => `${line}\n`)
              .join("")
      )
    }
    return yield* Output.isTerminal(1) && options.output !== "json"
      ? Effect.scoped(watch(options, view))
      : follow(options, view(width()))
  })
  return withSession(
    options,
    {},
    Effect.mapError(show, (error) => Exit.fromLockError(error))
  )
}

/** Frames in place. Trouble with the server is shown, and ends when the server is back. */
const watch = (options: Options, view: (available: number) => View) =>
  Effect.gen(function* () {
    const screen = yield* Screen.open
    const interval = options.interval ?? Duration.seconds(1)
    let entries: Entries = []
    let trouble: string | undefined
    const frame = Effect.gen(function* () {
      const seen = yield* Effect.either(look(options))
      if (seen._tag === "Right") entries = seen.right
      else if (!(seen.left instanceof LockError.StoreError)) return yield* Effect.fail(seen.left)
      trouble = seen._tag === "Left" ? seen.left.message : undefined
      draw()
    })
    const draw = () => {
      const available = screen.columns()
      const { paint } = view(available)
      const head = `${options.prefix === "" ? "all locks" : options.prefix}: ${summary(entries)}, every ${short(Duration.toMillis(interval))}`
      screen.draw([
        paint("dim", truncate(head, available)),
        ...(trouble === undefined ? [] : [paint("red", truncate(Output.visible(trouble), available))]),
        "",
        ...lines(entries, options, view(available))
      ])
    }
    return yield* Effect.forever(Effect.zipRight(frame, Effect.raceFirst(Effect.sleep(interval), screen.resized)))
  })

/** Elsewhere than in a terminal: a picture whenever who holds or waits has changed. */
const follow = (options: Options, view: View) => {
  let before: string | undefined
  return Effect.gen(function* () {
    const entries = yield* look(options)
    const now = entries.map(({ id, state, targets }) => `${id} ${state} ${JSON.stringify(targets)}`).join()
    if (now !== before) {
      before = now
      Output.write(
        options.output === "json"
          ? `${JSON.stringify(entries)}\n`
          : `${[summary(entries), ...lines(entries, options, view)].join("\n")}\n\n`
      )
    }
  }).pipe(Effect.zipRight(Effect.sleep(options.interval ?? Duration.seconds(1))), Effect.forever)
}
