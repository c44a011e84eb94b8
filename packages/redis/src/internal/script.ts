/**
 * The operations of the library in `lua/` as values, and the one place that runs them.
 *
 * The server has the library in one of two ways. As *functions*, made once and called by name: Redis 7 and Valkey, if the user
 * may load and call them. Else as a *script*, which is slower, as the server makes everything in it anew on each run. The answers
 * are the same. A server that has forgotten the one or the other is given it again.
 */
import { createHash } from "node:crypto"
import { Cluster, Command, Redis } from "ioredis"
import * as cluster from "./cluster.ts"
import * as failure from "./failure.ts"
import type * as Keys from "./keys.ts"
import { library as text } from "./scripts.gen.ts"

export interface Script {
  /** What the operation does, for messages: "the lock store failed to …". */
  readonly verb: string
  /** Its name in the library. */
  readonly name: string
  /** Whether it may give a short answer, which says that all that was asked for was done. */
  readonly isShort: boolean
}

const make = (verb: string, name: string, isShort = false): Script => ({ verb, name, isShort })

export const acquire = make("acquire", "acquire", true)
export const release = make("release", "release", true)
export const refresh = make("refresh", "refresh")
export const look = make("look after waiting requests", "look")
export const restore = make("restore", "restore")
export const settle = make("settle delegations", "settle")
export const giveBack = make("give back", "give_back")
export const downgrade = make("downgrade", "downgrade")
export const breakLease = make("break a lease", "break")
export const lookup = make("look up a lease", "lookup")
export const inspect = make("inspect", "inspect")
export const claim = make("agree on the number of partitions", "claim")

const all = [acquire, release, refresh, look, settle, restore, giveBack, downgrade, breakLease, lookup, inspect, claim]

const digest = (text: string) => createHash("sha1").update(text).digest("hex")

/** The library's name has a hash of its text: those of several versions stand beside each other. Its functions begin with it. */
export const libraryName = `hilok_${digest(text).slice(0, 12)}`

const functionName = ({ name }: Script): string => `${libraryName}_${name}`

/** What asks for locks is the only operation that the server refuses when memory is short. */
const registration = (script: Script) => `redis.register_function{
  function_name = '${functionName(script)}',
  callback = function(keys, args) return perform('${script.name}', keys, args) end,
  flags = {${script === acquire ? "" : "'allow-oom'"}}
}`

/** Shows whether a client may run scripts, and whether it passes on what they answer. Touches no key. */
const probe = "return { 1, '1', { 2, '' } }"
const probeAnswer = JSON.stringify([1, "1", [2, ""]])
const probeFunction = `${libraryName}_probe`

export const functions = `#!lua name=${libraryName}
${text}
${all.map(registration).join("\n")}
redis.register_function{ function_name = '${probeFunction}', callback = function() ${probe} end, flags = { 'no-writes' } }`

/**
 * The first argument names the operation. A script may always write when memory is short once it has written anything: even if that
 * was to remove what is not there.
 */
export const script = `${text}
local name = table.remove(ARGV, 1)
if name ~= '${acquire.name}' then
  redis.call('HDEL', KEYS[1], '')
end
return perform(name, KEYS, ARGV)`

export const scriptSha = digest(script)

/** A text: what is none costs ioredis a look for what else it may be. */
export type Argument = string

const numberOfKeys = "3"

/** Texts alone are flat: see `send`. */
function asTheyAre(this: Array<Argument>): Array<Argument> {
  return this
}

/**
 * Sends a command. The client's methods flatten the arguments, which takes ioredis several times as long as all else until it
 * writes them out: a microsecond for one lock, ten for 32. (They also collect commands, if the client is told to, and keep stack
 * traces for its errors. What is sent here is collected already, and has errors of its own.)
 */
const send = (client: cluster.Client, name: Name, args: Array<Argument>): Promise<unknown> => {
  if (!(client instanceof Redis)) return sendElsewhere(client, name, args)
  args.flat = asTheyAre as typeof args.flat
  const keyPrefix = client.options.keyPrefix ?? ""
  return client.sendCommand(new Command(name, args, { replyEncoding: "utf8", keyPrefix })) as Promise<unknown>
}

type Name = "fcall" | "evalsha" | "eval"
type Caller = { readonly [_ in Name]: (...args: Array<Argument>) => Promise<unknown> }

/** To a Cluster, which finds the node by the keys; or by an application's client of another copy of ioredis, with the commands of that one. */
const sendElsewhere = (client: cluster.Client, name: Name, args: Array<Argument>): Promise<unknown> => {
  if (!cluster.isCluster(client)) return (client as unknown as Caller)[name](...args)
  let sent: Promise<unknown>
  if (client instanceof Cluster) {
    args.flat = asTheyAre as typeof args.flat
    const keyPrefix = client.options.keyPrefix ?? ""
    sent = client.sendCommand(new Command(name, args, { replyEncoding: "utf8", keyPrefix })) as Promise<unknown>
  } else sent = (client as unknown as Caller)[name](...args)
  return sent.catch((error: unknown) => {
    // The client connects to the Cluster anew, and did not send it again.
    if (client.status !== "end" && /^Connection is closed/.test(messageOf(error))) throw new Error(failure.nodeLost)
    throw error
  })
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : "")
const isMissing = (error: unknown) => /^ERR Function not found/.test(messageOf(error))
/** The server has no functions, or they are not for this user: nothing that changes soon. */
const isDenied = (error: unknown) => /^ERR unknown command|^NOPERM/i.test(messageOf(error))
/** Functions need memory that lasts; a script does not. */
const isFull = (error: unknown) => messageOf(error).startsWith("OOM")
const isForgotten = (error: unknown) => messageOf(error).startsWith("NOSCRIPT")

const load = (server: Redis): Promise<unknown> =>
  server.call("FUNCTION", "LOAD", functions).catch((error: unknown) => {
    // Another client was faster.
    if (!/already exists/.test(messageOf(error))) throw error
  })

/** Loads the library where the key is; `false` when it is not known where. */
const loadFor = async (client: cluster.Client, key: string): Promise<boolean> => {
  const server = cluster.serverOf(client, key)
  if (server !== undefined) await load(server)
  return server !== undefined
}

/** How a server has the library. */
export type Loader = "functions" | "script"

/** What a client can do on its server. */
interface Examined {
  readonly loader: Loader
  /** A command whose answers the client changes before it passes them on: its options can have it do so. */
  readonly changes: string | undefined
}

/**
 * Tries what runs the library, and gives the server the functions if they are missing. Rejects when the client can run neither way. Of a
 * Cluster, the node that serves the key is tried, which is not touched.
 */
export const examine = async (client: cluster.Client, key = ""): Promise<Examined> => {
  const keys = cluster.isCluster(client) ? ["1", key] : ["0"]
  const call = () => send(client, "fcall", [probeFunction, ...keys])
  const callLoaded = () =>
    call().catch((error: unknown) => {
      if (!isMissing(error)) throw error
      return loadFor(client, key).then(call)
    })
  const evaluate = () => send(client, "eval", [probe, ...keys])
  const evaluateHash = () => send(client, "evalsha", [digest(probe), ...keys])
  /** Nothing where the client may not. */
  const attempt = (ask: () => Promise<unknown>): Promise<unknown> =>
    ask().catch((error: unknown) => {
      // (A script may be forgotten at any time.)
      if (isDenied(error) || isFull(error) || isForgotten(error)) return undefined
      throw error
    })
  const called = await attempt(callLoaded)
  const answers = {
    fcall: called,
    eval: await (called === undefined ? evaluate() : attempt(evaluate)),
    evalsha: await attempt(evaluateHash)
  }
  const [changes] = Object.entries(answers).find(
    ([, answer]) => answer !== undefined && JSON.stringify(answer) !== probeAnswer
  ) ?? [undefined]
  return { loader: called === undefined ? "script" : "functions", changes }
}

type OnReply = (reply: unknown) => void
type OnError = (error: unknown) => void

/** The library on one server, or on the node of a Cluster that serves the keys. */
export class Library {
  private loading: Promise<unknown> | undefined = undefined
  private loader: Loader | undefined = undefined
  private readonly client: cluster.Client
  private readonly keys: Keys.Keys["keys"]
  private readonly onLoader: (loader: Loader) => void

  /** `onLoader` is told how the server has the library, when that is known, and if it changes. */
  constructor(client: cluster.Client, keys: Keys.Keys["keys"], onLoader: (loader: Loader) => void) {
    this.client = client
    this.keys = keys
    this.onLoader = onLoader
  }

  /** Runs an operation. */
  run(script: Script, args: ReadonlyArray<Argument>, onReply: OnReply, onError: OnError): void {
    if (this.loader === "script") return this.runScript(script, args, onReply, onError)
    this.call(script, args).then(
      (reply) => {
        this.found("functions")
        onReply(reply)
      },
      (error: unknown) => {
        if (isDenied(error)) return this.useScript(script, args, onReply, onError)
        if (!isMissing(error)) return onError(error)
        const runScript = () => this.runScript(script, args, onReply, onError)
        this.load().then(
          () =>
            this.call(script, args).then(onReply, (error: unknown) =>
              // The slot has moved meanwhile, or is on its way: a script goes wherever it is.
              isMissing(error) ? runScript() : onError(error)
            ),
          (error: unknown) => (isDenied(error) ? this.useScript(script, args, onReply, onError) : runScript())
        )
      }
    )
  }

  private call(script: Script, args: ReadonlyArray<Argument>): Promise<unknown> {
    return send(this.client, "fcall", [functionName(script), numberOfKeys, ...this.keys, ...args])
  }

  /** Commands that find the functions gone at the same time load them once. */
  private load(): Promise<unknown> {
    this.loading ??= loadFor(this.client, this.keys[0]).finally(() => {
      this.loading = undefined
    })
    return this.loading
  }

  private useScript(script: Script, args: ReadonlyArray<Argument>, onReply: OnReply, onError: OnError): void {
    this.found("script")
    this.runScript(script, args, onReply, onError)
  }

  private runScript({ name }: Script, args: ReadonlyArray<Argument>, onReply: OnReply, onError: OnError): void {
    const rest = [numberOfKeys, ...this.keys, name, ...args]
    send(this.client, "evalsha", [scriptSha, ...rest]).then(onReply, (error: unknown) => {
      if (!isForgotten(error)) return onError(error)
      send(this.client, "eval", [script, ...rest]).then(onReply, onError)
    })
  }

  private found(loader: Loader): void {
    if (loader === this.loader) return
    this.loader = loader
    this.onLoader(loader)
  }
}
