/**
 * The scripts as values, and the one place that calls `eval`.
 */
import { createHash } from "node:crypto"
import { Command, Redis } from "ioredis"
import type * as Keys from "./keys.ts"
import * as lua from "./scripts.gen.ts"

export interface Script {
  /** What the script does, for messages: "the lock store failed to …". */
  readonly verb: string
  readonly lua: string
  readonly sha: string
  /** Whether it may give a short answer, which says that all that was asked for was done. */
  readonly isShort: boolean
}

const make = (verb: string, text: string, isShort = false): Script => ({
  verb,
  lua: text,
  sha: createHash("sha1").update(text).digest("hex"),
  isShort
})

export const acquire = make("acquire", lua.acquire, true)
export const release = make("release", lua.release, true)
export const refresh = make("refresh", lua.refresh)
export const look = make("look after waiting requests", lua.look)
export const restore = make("restore", lua.restore)
export const giveBack = make("give back", lua.giveBack)
export const downgrade = make("downgrade", lua.downgrade)
export const breakLease = make("break a lease", lua.breakLease)
export const lookup = make("look up a lease", lua.lookup)
export const inspect = make("inspect", lua.inspect)

const all = [acquire, release, refresh, look, restore, giveBack, downgrade, breakLease, lookup, inspect]

/** A text: what is none costs ioredis a look for what else it may be. */
export type Argument = string

/**
 * Makes the scripts known to the server, as far as it lets us: one that it does not know costs a second command, which
 * what was sent in between overtakes.
 */
export const load = (client: Redis): Promise<unknown> =>
  Promise.allSettled(all.map(({ lua }) => client.script("LOAD", lua)))

/** Texts alone are flat: see `evaluate`. */
function asTheyAre(this: Array<Argument>): Array<Argument> {
  return this
}

/**
 * Sends a command. `client.evalsha` and `client.eval` flatten the arguments, which takes ioredis several times as long as
 * all else until it writes them out: a microsecond for one lock, ten for 32. (They also collect commands, if the client is
 * told to, and keep stack traces for its errors. What is sent here is collected already, and has errors of its own.)
 */
const evaluate = (
  client: Redis,
  name: "evalsha" | "eval",
  script: string,
  keys: ReadonlyArray<string>,
  args: ReadonlyArray<Argument>
): Promise<unknown> => {
  const numberOfKeys = String(keys.length)
  // An application's client of another copy of ioredis takes the commands of that one.
  if (!(client instanceof Redis)) return (client as Redis)[name](script, numberOfKeys, ...keys, ...args)
  const all = [script, numberOfKeys, ...keys, ...args]
  all.flat = asTheyAre as typeof all.flat
  const keyPrefix = client.options.keyPrefix ?? ""
  return client.sendCommand(new Command(name, all, { replyEncoding: "utf8", keyPrefix })) as Promise<unknown>
}

/** Runs a script that the server may have forgotten. */
export const run = (
  client: Redis,
  script: Script,
  { keys }: Keys.Keys,
  args: ReadonlyArray<Argument>,
  onReply: (reply: unknown) => void,
  onError: (error: unknown) => void
): void => {
  evaluate(client, "evalsha", script.sha, keys, args).then(onReply, (error: unknown) => {
    if (!(error instanceof Error && error.message.startsWith("NOSCRIPT"))) return onError(error)
    evaluate(client, "eval", script.lua, keys, args).then(onReply, onError)
  })
}

const probing = make("probe", "return {1,'1',{2,''}}")

/** Sends a script that shows whether the client passes answers on as they are: it is to be `probeAnswer`. */
export const probe = (client: Redis, command: "evalsha" | "eval"): Promise<unknown> =>
  evaluate(client, command, command === "eval" ? probing.lua : probing.sha, [], [])

export const probeAnswer: unknown = [1, "1", [2, ""]]
