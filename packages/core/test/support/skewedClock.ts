import { Clock, Effect } from "effect"

/** A clock that can jump, as for a process that was paused: those that sleep do not wake up by that. */
export interface SkewedClock extends Clock.Clock {
  jump(millis: number): void
}

export const skewedClock: Effect.Effect<SkewedClock> = Effect.map(Effect.clock, (clock) => {
  let ahead = 0
  const millis = () => clock.unsafeCurrentTimeMillis() + ahead
  const nanos = () => clock.unsafeCurrentTimeNanos() + BigInt(ahead) * 1_000_000n
  return {
    [Clock.ClockTypeId]: Clock.ClockTypeId,
    sleep: (duration) => clock.sleep(duration),
    unsafeCurrentTimeMillis: millis,
    unsafeCurrentTimeNanos: nanos,
    currentTimeMillis: Effect.sync(millis),
    currentTimeNanos: Effect.sync(nanos),
    jump: (by) => {
      ahead += by
    }
  }
})
