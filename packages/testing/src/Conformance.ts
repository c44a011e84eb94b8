/**
 * The data that says what is right: which locks conflict, and scenarios with the answer to each step.
 *
 * @since 0.1.0
 */
import type * as LockMode from "@hilok/core/LockMode"
import * as data from "./internal/conflicts.ts"
import { deadlocks as deadlockText } from "./internal/deadlocks.ts"
import { scenarios as scenarioText } from "./internal/scenarios.ts"

/**
 * A mode on a path with the separator `/`; the empty path is the root.
 *
 * @since 0.1.0
 * @category models
 */
export interface Spot {
  readonly mode: LockMode.LockMode
  readonly path: string
}

/**
 * Two locks, and whether they exclude each other.
 *
 * @since 0.1.0
 * @category models
 */
export interface Row {
  readonly first: Spot
  readonly second: Spot
  readonly conflict: boolean
}

/**
 * One step of a scenario. Ids are the order of arrival; an id that never arrived is unknown, and changes nothing.
 *
 * - `acquire`, `try`: a request, which waits or is refused if it is not granted. A request that fails with `deadlock`
 *   has left the queue.
 * - `release`, `cancel`, `downgrade`: `granted` lists the waiting requests that are granted then, in the order of their tokens.
 *
 * @since 0.1.0
 * @category models
 */
export type Step =
  | {
      readonly op: "acquire" | "try"
      readonly id: number
      readonly targets: ReadonlyArray<Spot>
      readonly within: ReadonlyArray<number>
      readonly expect: "granted" | "waiting" | "refused" | "deadlock"
    }
  | {
      readonly op: "release" | "cancel" | "downgrade"
      readonly id: number
      readonly granted: ReadonlyArray<number>
    }

/**
 * Steps to be taken one after the other, beginning with an empty store.
 *
 * @since 0.1.0
 * @category models
 */
export interface Scenario {
  readonly name: string
  readonly steps: ReadonlyArray<Step>
}

// The notation: `+` acquire, `?` try, `-` release, `x` cancel, `v` downgrade, each followed by the id. A request goes on
// with its targets, a letter for the mode and the path; `<` and the ids of the leases that it is nested in; `=` and the
// first letter of the answer. The others go on with `=` and the ids they let in.
const ops = { "+": "acquire", "?": "try", "-": "release", x: "cancel", v: "downgrade" } as const
const modes = { r: "read", w: "write", R: "readNode", W: "writeNode" } as const
const answers = { g: "granted", w: "waiting", r: "refused", d: "deadlock" } as const

const numbers = (text: string | undefined): ReadonlyArray<number> => (text ? text.split(",").map(Number) : [])

const parseStep = (text: string): Step => {
  const op = ops[text[0] as keyof typeof ops]
  const [id, ...fields] = text.slice(1).split(" ")
  const field = (mark: string) => fields.find((field) => field.startsWith(mark))?.slice(1)
  if (op !== "acquire" && op !== "try") return { op, id: Number(id), granted: numbers(field("=")) }
  return {
    op,
    id: Number(id),
    targets: fields[0]!
      .split(",")
      .map((target) => ({ mode: modes[target[0] as keyof typeof modes], path: target.slice(1) })),
    within: numbers(field("<")),
    expect: answers[field("=") as keyof typeof answers]
  }
}

const parse = (text: string): ReadonlyArray<Scenario> =>
  text
    .trim()
    .split("\n")
    .map((line) => {
      const colon = line.indexOf(": ")
      return {
        name: line.slice(0, colon),
        steps: line
          .slice(colon + 2)
          .split("; ")
          .map(parseStep)
      }
    })

/**
 * Every pair of modes on pairs of paths of every kind.
 *
 * @since 0.1.0
 * @category data
 */
export const conflicts: ReadonlyArray<Row> = data.conflicts.map(
  ([firstMode, firstPath, secondMode, secondPath, conflict]) => ({
    first: { mode: firstMode, path: firstPath },
    second: { mode: secondMode, path: secondPath },
    conflict
  })
)

/**
 * Random scenarios with requests of all kinds. No request in them closes a cycle.
 *
 * @since 0.1.0
 * @category data
 */
export const scenarios: ReadonlyArray<Scenario> = parse(scenarioText)

/**
 * Scenarios of nested requests, with those that close a cycle.
 *
 * @since 0.1.0
 * @category data
 */
export const deadlocks: ReadonlyArray<Scenario> = parse(deadlockText)
