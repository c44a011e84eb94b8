/**
 * Runs the program to its end, with the exit code it answers with. A signal that nobody took over interrupts it, and
 * the exit code tells of the signal once everything is released.
 */
import { makeRunMain } from "@effect/platform/Runtime"
import * as Cause from "effect/Cause"
import type * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Output from "./output.ts"
import { exitCode, Receiver, type Signal, type Signals } from "./signals.ts"

/** What a broken invariant ends with: `EX_SOFTWARE` of sysexits.h. */
const software = 70

export const runMain = (program: (signals: Signals["Type"]) => Effect.Effect<number>): void => {
  let interrupt: (() => void) | undefined
  let ending: Signal | undefined
  const receiver = new Receiver((signal) => {
    ending ??= signal
    interrupt?.()
  })
  const run = makeRunMain(({ fiber, teardown }) => {
    // What waits without a connection or a timer does not keep Node running.
    // @effect-diagnostics-next-line globalTimers:off
    const keepAlive = setInterval(() => undefined, 2 ** 31 - 1)
    interrupt = () => fiber.unsafeInterruptAsFork(fiber.id())
    if (ending !== undefined) interrupt()
    fiber.addObserver((exit) => {
      clearInterval(keepAlive)
      teardown(exit, (code) => process.exit(code))
    })
  })
  run(program(receiver.service), {
    disableErrorReporting: true,
    teardown: (exit, onExit) => {
      if (Exit.isSuccess(exit)) return onExit(Number(exit.value))
      if (Cause.isInterruptedOnly(exit.cause) && ending !== undefined) return onExit(exitCode(ending))
      Output.note(`this should not have happened: ${Cause.pretty(exit.cause)}`)
      onExit(software)
    }
  })
}
