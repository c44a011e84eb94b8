/**
 * The calls of the scripts as values, and their answers: what the heads of the files in `lua` say of `ARGV` and of what is
 * returned. Nothing else in the simulation knows about either.
 */
import type { LockMode, LockPath } from "@hilok/core"
import * as Script from "../../../src/internal/script.ts"

export interface Asked {
  readonly id: string
  readonly ttl: number
  /** How long it stays in the queue. */
  readonly waitTtl: number
  readonly queue: boolean
  readonly holder: string
  readonly targets: ReadonlyArray<string>
  readonly within: ReadonlyArray<string>
}

interface IdAndTtl {
  readonly id: string
  readonly ttl: number
}

/** A lease by the name of its owner, or by hand: then nobody is named. */
export interface Named {
  readonly id: string
  readonly owner: string | undefined
}

export type Operation =
  | { readonly _tag: "acquire"; readonly requests: ReadonlyArray<Asked> }
  | { readonly _tag: "release"; readonly leases: ReadonlyArray<Named> }
  | { readonly _tag: "refresh"; readonly leases: ReadonlyArray<Named & IdAndTtl> }
  | { readonly _tag: "look"; readonly leases: ReadonlyArray<IdAndTtl> }
  | ({ readonly _tag: "restore"; readonly owner: string } & IdAndTtl)
  | { readonly _tag: "giveBack"; readonly id: string; readonly owner: string }
  | ({ readonly _tag: "downgrade" } & Named)
  | { readonly _tag: "breakLease"; readonly id: string }
  /** `blocker`: what is wanted is what it waits for. */
  | { readonly _tag: "lookup"; readonly wanted: ReadonlyArray<{ readonly id: string; readonly blocker: boolean }> }
  | { readonly _tag: "inspect"; readonly path: string }

export interface Call {
  /** Who calls. */
  readonly client: string
  /** The prefix of the clients' channels. */
  readonly channels: string
  /** The time of the server after which the call must do nothing (microseconds); `Infinity` where it is never too late. */
  readonly late: number
  /** Tokens have to be greater than this one. */
  readonly floor: number
  readonly operation: Operation
}

// -- Calls

const decodeRequests = (args: ReadonlyArray<string>): Operation => {
  const [holder = "", ttl, ...rest] = args
  const requests: Array<Asked> = []
  for (let at = 0; at < rest.length; ) {
    if (rest[at] !== "") {
      const [id, target] = rest.slice(at, at + 2) as [string, string]
      requests.push({ id, ttl: Number(ttl), waitTtl: Number(ttl), queue: true, holder, targets: [target], within: [] })
      at += 2
      continue
    }
    const [, id, ownTtl, queue, ownHolder, count] = rest.slice(at) as [string, string, string, string, string, string]
    const targets = rest.slice(at + 6, at + 6 + Number(count))
    const behind = at + 6 + targets.length
    const within = rest.slice(behind + 1, behind + 1 + Number(rest[behind]))
    const waitTtl = Number(queue.slice(1) || ownTtl)
    requests.push({
      id,
      ttl: Number(ownTtl),
      waitTtl,
      queue: queue.startsWith("q"),
      holder: ownHolder,
      targets,
      within
    })
    at = behind + 1 + within.length
  }
  return { _tag: "acquire", requests }
}

const pairs = (args: ReadonlyArray<string>): ReadonlyArray<IdAndTtl> =>
  Array.from({ length: args.length / 2 }, (_, i) => ({ id: args[2 * i]!, ttl: Number(args[2 * i + 1]) }))

const decodeName = (name: string): Named => {
  if (name.startsWith("!")) return { id: name.slice(1), owner: undefined }
  const [id = "", owner = id] = name.split("/")
  return { id, owner }
}

const decodeWanted = (text: string) => ({ id: text.replace(/^>/, ""), blocker: text.startsWith(">") })

const decoders: ReadonlyArray<
  readonly [script: Script.Script, minds: boolean, decode: (args: ReadonlyArray<string>) => Operation]
> = [
  [Script.acquire, true, decodeRequests],
  [Script.release, false, (names) => ({ _tag: "release", leases: names.map(decodeName) })],
  [
    Script.refresh,
    true,
    (args) => ({ _tag: "refresh", leases: pairs(args).map(({ id, ttl }) => ({ ...decodeName(id), ttl })) })
  ],
  [Script.look, true, (args) => ({ _tag: "look", leases: pairs(args) })],
  [Script.restore, true, ([id, ttl, owner]) => ({ _tag: "restore", id: id!, ttl: Number(ttl), owner: owner! })],
  [Script.giveBack, false, ([id, owner]) => ({ _tag: "giveBack", id: id!, owner: owner! })],
  [Script.downgrade, true, ([name]) => ({ _tag: "downgrade", ...decodeName(name!) })],
  [Script.breakLease, true, ([id]) => ({ _tag: "breakLease", id: id! })],
  [Script.lookup, false, (texts) => ({ _tag: "lookup", wanted: texts.map(decodeWanted) })],
  [Script.inspect, false, ([path]) => ({ _tag: "inspect", path: path! })]
]

/** Is this the text from which a server makes the functions? */
export const checkFunctions = (text: string): void => {
  if (text !== Script.functions) throw new Error("the functions are not those of the library")
}

/** The operation and the arguments behind it: of a function, or of a script, by its text or the hash of that. */
const parts = (command: "fcall" | "eval" | "evalsha", [called, keys, ...rest]: ReadonlyArray<string>) => {
  const args = rest.slice(Number(keys))
  if (command === "fcall") return [called!.replace(`${Script.libraryName}_`, ""), ...args]
  if (called !== (command === "eval" ? Script.script : Script.scriptSha))
    throw new Error("not the script of the library")
  return args
}

/** The call that the arguments of a command make. */
export const decode = (command: "fcall" | "eval" | "evalsha", all: ReadonlyArray<string>): Call => {
  const [name, ...args] = parts(command, all)
  const found = decoders.find(([script]) => script.name === name)
  if (found === undefined) throw new Error(`the library has no operation ${name}`)
  const [client = "", channels = "", limits = "", ...rest] = args
  const [, minds, operation] = found
  const [late, floor = 0] = limits.split(" ").map(Number)
  return { client, channels, late: minds ? late! : Number.POSITIVE_INFINITY, floor, operation: operation(rest) }
}

// -- Answers

/** Times are in microseconds of the server. */
export const answer = (
  now: number,
  more: boolean,
  events: ReadonlyArray<string>,
  values: ReadonlyArray<unknown>
): unknown => [now, more ? 1 : 0, events.join("\n"), ...values]

export const late = (now: number): unknown => [now, -1]

/** All that was asked for was done. `token`: the first one, where that is not the time. */
export const short = (now: number, token: number | undefined, events: ReadonlyArray<string>): unknown => {
  const time = `${Math.floor(now / 1e6)} ${now % 1e6}`
  return [token === undefined ? time : `${time} ${token}`, ...events].join("\n")
}

export interface Described {
  readonly id: string
  readonly state: "held" | "waiting"
  readonly ticket: number
  readonly token: number
  readonly since: number
  readonly deadline: number
  readonly blocker: string
  readonly holder: string
  readonly targets: ReadonlyArray<string>
  readonly within: ReadonlyArray<string>
}

export const describe = (entry: Described): ReadonlyArray<unknown> => [
  entry.id,
  entry.state === "held" ? "h" : "q",
  entry.ticket,
  entry.token,
  entry.since,
  entry.deadline,
  entry.blocker,
  entry.holder,
  entry.targets.length,
  ...entry.targets,
  ...entry.within
]

export const message = (now: number, lines: ReadonlyArray<string>): string => `${now}\n${lines.join("\n")}`

// -- Targets

const modes: Readonly<Record<string, LockMode.LockMode>> = { R: "read", W: "write", r: "readNode", w: "writeNode" }

export const decodeTarget = (target: string): LockMode.Region => ({
  mode: modes[target.slice(0, 1)]!,
  path: target.slice(1) as LockPath.LockPath
})

export const downgraded = (target: string): string => target.replace(/^W/, "R").replace(/^w/, "r")

// -- For the trace

/** Ids are made to be told apart at their ends. */
export const shortened = (text: string): string => text.replace(/00000000-0000-4000-8000-0*/g, "#")

const showName = ({ id, owner }: Named): string =>
  owner === undefined ? `!${id}` : owner === id ? id : `${id} of ${owner}`

export const show = (operation: Operation): string => {
  switch (operation._tag) {
    case "acquire":
      return `asks for ${operation.requests
        .map(({ id, queue, targets, ttl, within }) => {
          const nested = within.length === 0 ? "" : ` within ${within.join(" ")}`
          return shortened(`${id} ${targets.join(" ")} (${ttl} ms${queue ? "" : ", or refused"}${nested})`)
        })
        .join(", ")}`
    case "release":
      return shortened(`releases ${operation.leases.map(showName).join(" ")}`)
    case "refresh":
      return shortened(`refreshes${operation.leases.map((lease) => ` ${showName(lease)} (${lease.ttl} ms)`).join()}`)
    case "look":
      return shortened(operation._tag + operation.leases.map(({ id, ttl }) => ` ${id} (${ttl} ms)`).join())
    case "restore":
      return shortened(`restores ${operation.id} (${operation.ttl} ms) for ${operation.owner}`)
    case "giveBack":
      return shortened(`gives ${operation.id} back, of ${operation.owner}`)
    case "downgrade":
      return shortened(`downgrades ${showName(operation)}`)
    case "lookup":
      return shortened(`looks up ${operation.wanted.map(({ blocker, id }) => (blocker ? `>${id}` : id)).join(" ")}`)
    case "inspect":
      return `inspects ${operation.path}`
    default:
      return shortened(`${operation._tag} ${operation.id}`)
  }
}

export const showAnswer = (value: unknown): string => {
  if (typeof value === "string") return shortened(`answers ${value.replaceAll("\n", " | ")}`)
  const [time, more, events, ...values] = value as ReadonlyArray<unknown>
  const rest = values.flat().join(" ")
  return shortened(
    more === -1
      ? `is too late, at ${time}`
      : `answers ${time} ${more} ${String(events).replaceAll("\n", " | ")}: ${rest}`
  )
}
