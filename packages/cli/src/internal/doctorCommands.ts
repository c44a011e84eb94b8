/**
 * Whether the user of the server may run what the scripts run, one command after the other: of one that is missing, the
 * server says that a script failed, but not always which command it was.
 */
import type { Redis } from "ioredis"

/** Names, as they are in the rules of a user, with arguments that do no harm. (What runs the scripts is tried by the store's own code.) */
export const samples = (
  hash: string,
  set: string,
  channel: string
): ReadonlyArray<readonly [string, ...Array<string>]> => [
  ["ping"],
  ["time"],
  ["exists", set],
  ["hset", hash, "field", "value"],
  ["hmget", hash, "field"],
  ["hdel", hash, "field"],
  ["zadd", set, "0", "member"],
  ["pexpire", set, "60000"],
  ["zcard", set],
  ["zmscore", set, "member"],
  ["zrange", set, "0", "-1"],
  ["zrangebylex", set, "-", "+"],
  ["zrangebyscore", set, "-inf", "+inf"],
  ["zrevrangebylex", set, "+", "-"],
  ["zscore", set, "member"],
  ["zremrangebylex", set, "-", "+"],
  ["zrem", set, "member"],
  ["publish", channel, ""],
  ["subscribe", channel],
  // Last, as it takes away what the others have made.
  ["del", set, hash]
]

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

/** What a server says of somebody who may not. */
const denied = /^NOPERM|no permissions/i

/** Asks the server what it would say, where it lets this user ask that. */
const dryRun = async (
  client: Redis
): Promise<((name: string, args: ReadonlyArray<string>) => Promise<string>) | undefined> => {
  try {
    const user = String(await client.call("acl", "whoami"))
    await client.call("acl", "dryrun", user, "ping")
    return async (name, args) => String(await client.call("acl", "dryrun", user, ...name.split("|"), ...args))
  } catch {
    return undefined
  }
}

/** Runs the command itself. */
const forReal =
  (client: Redis) =>
  async (name: string, args: ReadonlyArray<string>): Promise<string> => {
    if (name === "subscribe") {
      // The only way to stop that for sure is to leave.
      const listener = client.duplicate().on("error", () => undefined)
      try {
        await listener.subscribe(...args)
      } finally {
        listener.disconnect()
      }
    } else await client.call(...(name.split("|") as [string]), ...args)
    return "OK"
  }

export interface Denied {
  readonly commands: ReadonlyArray<string>
  /** What else the user may not: keys, channels, in the server's words. */
  readonly others: ReadonlyArray<string>
}

/** `bases`: what the keys of the locks begin with, one or the other. */
export const denials = async (client: Redis, bases: ReadonlyArray<string>): Promise<Denied> => {
  const attempt = (await dryRun(client)) ?? forReal(client)
  const commands = new Set<string>()
  const others = new Set<string>()
  for (const base of bases) {
    const own = `${base}doctor:${crypto.randomUUID()}`
    for (const [name, ...args] of samples(`${own}:hash`, `${own}:set`, `${base}client:doctor`)) {
      // A command's own errors, such as that of a script that is not known or a slot elsewhere, are not about rights.
      const said = await attempt(name, args).catch(messageOf)
      if (!denied.test(said)) continue
      if (/\bkey|\bchannel/i.test(said)) others.add(said)
      else commands.add(name)
    }
  }
  return { commands: Array.from(commands), others: Array.from(others) }
}
