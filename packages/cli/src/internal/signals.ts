/**
 * The signals that ask the process to end. They are received from the start; what they do is up to whoever took them
 * over last, and at first that is to end the process in good order.
 */
import { constants } from "node:os"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"

export const names = ["SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT"] as const

export type Signal = (typeof names)[number]

/** The exit code that tells of a signal, as shells have it. */
export const exitCode = (signal: NodeJS.Signals): number => 128 + constants.signals[signal]

export class Signals extends Context.Tag("@hilok/cli/Signals")<
  Signals,
  {
    /** Gives all signals to the handler, until the scope closes. */
    readonly takeOver: (handler: (signal: Signal) => void) => Effect.Effect<void, never, Scope.Scope>
  }
>() {}

/** Receives the signals. */
export class Receiver {
  private handler: (signal: Signal) => void

  constructor(handler: (signal: Signal) => void) {
    this.handler = handler
    for (const name of names) process.on(name, this.receive)
  }

  private readonly receive = (signal: Signal): void => this.handler(signal)

  readonly service: Signals["Type"] = Signals.of({
    takeOver: (handler) =>
      Effect.asVoid(
        Effect.acquireRelease(
          Effect.sync(() => {
            const before = this.handler
            this.handler = handler
            return before
          }),
          (before) =>
            Effect.sync(() => {
              this.handler = before
            })
        )
      )
  })
}
