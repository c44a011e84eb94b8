import { setTimeout as delay } from "node:timers/promises"
import * as Effect from "effect/Effect"
import type { Redis } from "ioredis"
import { connect } from "./client.ts"
import { type Contestant, loopOf, ttl } from "./contestant.ts"
import * as effects from "./effects.ts"

const deleteIfMine = `if redis.call("get", KEYS[1]) == ARGV[1] then return redis.call("del", KEYS[1]) else return 0 end`

/** Between two tries, in milliseconds: spread, so that those who wait do not keep step. */
const pause = () => 5 + 10 * Math.random()

const acquire = async (client: Redis, key: string): Promise<string> => {
  const token = crypto.randomUUID()
  while ((await client.set(key, token, "PX", ttl, "NX")) === null) await delay(pause())
  return token
}

const open = async (port: number, enableAutoPipelining: boolean) => {
  const client = await connect(port, { enableAutoPipelining })
  return { client, sha: String(await client.script("LOAD", deleteIfMine)) }
}

const make = (name: string, enableAutoPipelining: boolean): Contestant => ({
  name,
  open: async (port) => {
    const { client, sha } = await open(port, enableAutoPipelining)
    return {
      loop: loopOf(
        (path) => acquire(client, path),
        (token, path) => client.evalsha(sha, 1, path, token)
      ),
      close: async () => client.disconnect()
    }
  }
})

/** The mutex that most people write by hand: `SET NX PX`, and a script that deletes the key if it is still one's own. */
export const setNx: Contestant = make("setnx", false)

/** The same, with what is sent in one tick put together by ioredis. */
export const setNxPipelined: Contestant = make("setnx-pipelined", true)

/** The same, written in Effect. */
export const setNxEffect: Contestant = {
  name: "setnx-effect",
  open: async (port) => {
    const { client, sha } = await open(port, false)
    const take = (key: string, token: string): Effect.Effect<void> =>
      Effect.flatMap(
        Effect.promise(() => client.set(key, token, "PX", ttl, "NX")),
        (reply) =>
          reply === null
            ? Effect.flatMap(
                Effect.suspend(() => Effect.sleep(pause())),
                () => take(key, token)
              )
            : Effect.void
      )
    const withLock = (key: string, use: Effect.Effect<void>): Effect.Effect<void> =>
      Effect.suspend(() => {
        const token = crypto.randomUUID()
        return Effect.acquireUseRelease(
          take(key, token),
          () => use,
          () => Effect.promise(() => client.evalsha(sha, 1, key, token))
        )
      })
    return {
      loop: (hooks) => Effect.runPromise(effects.loopOf(hooks, ({ path }, use) => withLock(path, use))),
      close: async () => client.disconnect()
    }
  }
}
