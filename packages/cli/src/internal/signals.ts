/**
 * The signals that would end the process, handled from the start.
 */
import { constants } from "node:os"

export const signalCode = (signal: NodeJS.Signals): number => 128 + constants.signals[signal]

type Listener = (signal: NodeJS.Signals) => void

/** Those that end a process unless it handles them, but for PROF, which is the profiler's, and faults such as SEGV. */
const fatal = ["HUP", "INT", "QUIT", "TERM", "USR1", "USR2", "ALRM", "VTALRM", "XCPU", "XFSZ", "PWR", "IO", "STKFLT"]
/** Those that do nothing to a process unless it handles them; Node ignores PIPE, too. */
const harmless = ["PIPE", "WINCH", "URG", "INFO"]

const here = (names: ReadonlyArray<string>): ReadonlyArray<NodeJS.Signals> =>
  names.map((name) => `SIG${name}` as NodeJS.Signals).filter((name) => name in constants.signals)

// Nothing has been asked of the server yet.
let listener: Listener = (signal) => process.exit(signalCode(signal))

for (const name of here(fatal)) process.on(name, (signal) => listener(signal))

/** From now on, signals go here. */
export const onSignal = (next: Listener): void => {
  listener = next
}

/** From now on, all of them go there, those included that did nothing so far. */
export const onEverySignal = (next: Listener): void => {
  onSignal(next)
  for (const name of here(harmless)) process.on(name, next)
}
