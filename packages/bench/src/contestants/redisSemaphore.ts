import { Mutex } from "redis-semaphore"
import { connect } from "./client.ts"
import { type Contestant, loopOf, ttl } from "./contestant.ts"

/** redis-semaphore's `Mutex`. Its default gives up after ten seconds; all else is as it comes. */
export const redisSemaphore: Contestant = {
  name: "redis-semaphore",
  open: async (port) => {
    const client = await connect(port)
    return {
      loop: loopOf(
        async (path) => {
          const mutex = new Mutex(client, path, { lockTimeout: ttl, acquireTimeout: 600_000 })
          await mutex.acquire()
          return mutex
        },
        (mutex) => mutex.release()
      ),
      close: async () => client.disconnect()
    }
  }
}
