/** The line that shows how far a run is: drawn again in place in a terminal, else now and then. */
import { Effect } from "effect"

const interactive = process.stdout.isTTY === true

const print = (text: string): Effect.Effect<void> => Effect.sync(() => void process.stdout.write(text))

const draw = (line: string): Effect.Effect<void> =>
  interactive ? print(`\r\x1b[K${line.slice(0, (process.stdout.columns || 80) - 1)}`) : print(`${line}\n`)

/** Shows the line again and again while the effect runs, and takes it away at the end. */
export const during = <A, E, R, E1, R1>(
  effect: Effect.Effect<A, E, R>,
  line: Effect.Effect<string, E1, R1>
): Effect.Effect<A, E, R | R1> =>
  Effect.sleep(interactive ? 100 : 1500).pipe(
    Effect.zipRight(line),
    Effect.flatMap(draw),
    Effect.forever,
    Effect.ignore,
    Effect.interruptible,
    Effect.forkScoped,
    Effect.zipRight(effect),
    Effect.scoped,
    Effect.ensuring(interactive ? print("\r\x1b[K") : Effect.void)
  )
