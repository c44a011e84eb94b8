import Redlock from "redlock"
import { connect } from "./client.ts"
import { type Contestant, loopOf, ttl } from "./contestant.ts"

// Its default gives up after ten tries.
const settings = { retryCount: -1 }

/** redlock on one server, which is how most use it. */
export const redlock: Contestant = {
  name: "redlock",
  open: async (port) => {
    const client = await connect(port)
    const locks = new Redlock([client], settings)
    return {
      loop: loopOf(
        (path) => locks.acquire([path], ttl),
        (lock) => lock.release()
      ),
      close: async () => client.disconnect()
    }
  }
}

/** redlock with `using`, which extends the lock while it is held. */
export const redlockUsing: Contestant = {
  name: "redlock-using",
  open: async (port) => {
    const client = await connect(port)
    const locks = new Redlock([client], settings)
    return {
      loop: async (hooks) => {
        for (;;) {
          const ask = hooks.next()
          if (ask === undefined) return
          await locks.using([ask.path], ttl, async () => hooks.held())
          hooks.left()
        }
      },
      close: async () => client.disconnect()
    }
  }
}
