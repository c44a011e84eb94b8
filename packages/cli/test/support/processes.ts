/**
 * Processes as the system sees them.
 */
import { execFileSync } from "node:child_process"
import { Effect } from "effect"
import { until } from "./hilok.ts"

/** Its state, as ps(1) writes it: `T` is stopped; `undefined` when it is gone, or only not yet waited for. */
const stateOf = (pid: number): string | undefined => {
  try {
    const state = execFileSync("ps", ["-o", "stat=", "-p", String(pid)], { encoding: "utf8" }).trim()
    return state.startsWith("Z") ? undefined : state[0]
  } catch {
    return undefined
  }
}

export const isAlive = (pid: number): boolean => stateOf(pid) !== undefined

export const stopped = (pid: number): Effect.Effect<void> =>
  Effect.asVoid(
    until(
      Effect.sync(() => stateOf(pid)),
      (state) => state === "T"
    )
  )

export const gone = (pid: number): Effect.Effect<void> =>
  Effect.asVoid(
    until(
      Effect.sync(() => stateOf(pid)),
      (state) => state === undefined
    )
  )

export const send = (pid: number, signal: NodeJS.Signals): Effect.Effect<void> =>
  Effect.sync(() => void process.kill(pid, signal))
