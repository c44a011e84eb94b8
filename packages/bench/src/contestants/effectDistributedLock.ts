import * as Effect from "effect/Effect"
import { DistributedSemaphore, RedisBacking } from "effect-distributed-lock"
import { connect } from "./client.ts"
import type { Contestant } from "./contestant.ts"
import * as effects from "./effects.ts"

const make = (name: string, pushBasedAcquireEnabled: boolean): Contestant => ({
  name,
  open: async (port) => {
    const client = await connect(port)
    const backing = RedisBacking.layer(client, { pushBasedAcquireEnabled })
    const made = new Map<string, DistributedSemaphore.DistributedSemaphore>()
    const semaphore = (path: string) =>
      Effect.suspend(() => {
        const known = made.get(path)
        if (known !== undefined) return Effect.succeed(known)
        return Effect.tap(DistributedSemaphore.make(path, { ttl: "10 seconds" }), (one) =>
          Effect.sync(() => made.set(path, one))
        )
      })
    return {
      loop: (hooks) =>
        Effect.runPromise(
          effects
            .loopOf(hooks, ({ path }, use) => Effect.flatMap(semaphore(path), (one) => one.withPermits(1)(use)))
            .pipe(Effect.provide(backing))
        ),
      close: async () => client.disconnect()
    }
  }
})

/** effect-distributed-lock as it comes: it listens for releases, on a connection for each who asks. */
export const effectDistributedLock: Contestant = make("effect-distributed-lock", true)

/** effect-distributed-lock without listening: whoever waits tries again every 100 ms. */
export const effectDistributedLockPolling: Contestant = make("effect-distributed-lock-polling", false)
