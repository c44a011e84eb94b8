import { connect } from "./client.ts"
import type { Contestant } from "./contestant.ts"
import { loopOf } from "./contestant.ts"

const script = "return 1"

/** What any lock that is held by scripts has to pay: a script that does nothing, twice. */
export const limit: Contestant = {
  name: "limit",
  open: async (port) => {
    const client = await connect(port)
    const sha = String(await client.script("LOAD", script))
    return {
      loop: loopOf(
        (path) => client.evalsha(sha, 1, path),
        (_, path) => client.evalsha(sha, 1, path)
      ),
      close: async () => client.disconnect()
    }
  }
}
