import type * as Clock from "effect/Clock"

/**
 * The time on a clock that is never set back, in milliseconds. It is only good for measuring how much time goes by.
 */
export const unsafeNow = (clock: Clock.Clock): number => Number(clock.unsafeCurrentTimeNanos()) / 1e6
