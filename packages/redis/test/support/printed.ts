import { vi } from "@effect/vitest"
import { Effect, Logger } from "effect"

/** Runs an effect, and answers with what ioredis has printed and with our own warnings. */
export const printed = <A, E, R>(effect: Effect.Effect<A, E, R>) => {
  const own: Array<string> = []
  const foreign: Array<unknown> = []
  const logger = Logger.make(({ message }) => void own.push(String(message)))
  const spies = (["log", "warn", "error"] as const).map((name) =>
    vi.spyOn(console, name).mockImplementation((...args) => void foreign.push(...args))
  )
  return Effect.provide(effect, Logger.replace(Logger.defaultLogger, logger)).pipe(
    Effect.map((value) => ({ own, foreign, value })),
    Effect.ensuring(
      Effect.sync(() => {
        for (const spy of spies) spy.mockRestore()
      })
    )
  )
}
