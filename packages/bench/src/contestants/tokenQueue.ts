import type { Redis } from "ioredis"
import { connect } from "./client.ts"
import type { Contestant } from "./contestant.ts"

/**
 * What a fair hand-over has to pay: one token in a list, which goes from hand to hand. The server wakes those who wait
 * for it in the order in which they came, each on a connection of its own. It is no lock: whoever dies with the
 * token takes it along.
 */
export const tokenQueue: Contestant = {
  name: "blpop",
  open: async (port) => {
    const free: Array<Redis> = []
    const all: Array<Redis> = []
    const more = async () => {
      const client = await connect(port)
      all.push(client)
      return client
    }
    return {
      prepare: async (path, loops) => {
        while (free.length < loops) free.push(await more())
        if ((await free[0]!.setnx(`${path}:made`, "1")) === 1) await free[0]!.lpush(path, "token")
      },
      loop: async (hooks) => {
        const client = free.pop() ?? (await more())
        for (;;) {
          const ask = hooks.next()
          if (ask === undefined) break
          await client.blpop(ask.path, 0)
          const section = hooks.held()
          if (section !== undefined) await section
          await client.lpush(ask.path, "token")
          hooks.left()
        }
        free.push(client)
      },
      close: async () => {
        for (const client of all) client.disconnect()
      }
    }
  }
}
