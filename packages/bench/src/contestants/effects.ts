import * as Effect from "effect/Effect"
import type { Ask, Hooks } from "./contestant.ts"

/** The section as an effect. */
const section = (hooks: Hooks): Effect.Effect<void> =>
  Effect.suspend(() => {
    const pending = hooks.held()
    return pending === undefined ? Effect.void : Effect.promise(() => pending)
  })

/** A loop over a lock that goes around an effect. */
export const loopOf = <E, R>(
  hooks: Hooks,
  around: (ask: Ask, use: Effect.Effect<void>) => Effect.Effect<void, E, R>
): Effect.Effect<void, E, R> => {
  const use = section(hooks)
  const step: Effect.Effect<void, E, R> = Effect.suspend(() => {
    const ask = hooks.next()
    return ask === undefined
      ? Effect.void
      : Effect.flatMap(around(ask, use), () => {
          hooks.left()
          return step
        })
  })
  return step
}
