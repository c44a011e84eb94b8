/**
 * The signals that ask the process to end, handled from the start.
 */
import { constants } from "node:os"

export const signalCode = (signal: NodeJS.Signals): number => 128 + constants.signals[signal]

type Listener = (signal: NodeJS.Signals) => void

// Nothing has been asked of the server yet.
let listener: Listener = (signal) => process.exit(signalCode(signal))

for (const name of ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"] as const) process.on(name, (signal) => listener(signal))

/** From now on, signals go here. */
export const onSignal = (next: Listener): void => {
  listener = next
}
