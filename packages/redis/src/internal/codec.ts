/**
 * Between what the core knows and what the scripts take and answer.
 */

import { type LockEntry, LockMode, LockPath, type LockStore } from "@hilok/core"
import type { NonEmptyReadonlyArray } from "effect/Array"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"

const letters: Record<LockMode.LockMode, string> = { read: "R", write: "W", readNode: "r", writeNode: "w" }
const modes = new Map(LockMode.all.map((mode) => [letters[mode], mode]))

export const encodeTarget = ({ mode, path }: LockMode.Region): string => letters[mode] + path

/** How a lease is named to the scripts: by its owner, whose name is as a rule its id; or by hand. See rest.lua. */
export const encodeName = (id: string, owner: string | undefined): string =>
  owner === undefined ? `!${id}` : owner === id ? id : `${id}/${owner}`

/** Appends a request that is not a simple one, without the empty string before it: see acquire.lua. */
export const encodeRequest = (
  { id, targets, within }: Pick<LockStore.LockRequest, "id" | "targets" | "within">,
  ttl: string,
  how: string,
  holder: string,
  args: Array<string>
): void => {
  args.push(id, ttl, how, holder, String(targets.length))
  for (const target of targets) args.push(encodeTarget(target))
  args.push(String(within.length), ...within)
}

/** A reply of the server that no script of ours gives. */
export class UnknownReply extends Error {
  constructor(what: string) {
    super(`the server's reply is not one of this store's scripts: ${what}`)
    this.name = "UnknownReply"
  }
}

const decodeTarget = (text: unknown): LockMode.Region => {
  const mode = typeof text === "string" ? modes.get(text.slice(0, 1)) : undefined
  if (mode === undefined) throw new UnknownReply("a target without a mode")
  return { mode, path: (text as string).slice(1) as LockPath.LockPath }
}

export const decodeTargets = (texts: ReadonlyArray<unknown>): NonEmptyReadonlyArray<LockMode.Region> => {
  if (texts.length === 0) throw new UnknownReply("a lease without targets")
  return texts.map(decodeTarget) as unknown as NonEmptyReadonlyArray<LockMode.Region>
}

export const number = (value: unknown): number =>
  typeof value === "number" ? value : unknown(`${typeof value} where a number was due`)

export const text = (value: unknown): string =>
  typeof value === "string" ? value : unknown(`${typeof value} where a text was due`)

const list = (value: unknown): ReadonlyArray<unknown> =>
  Array.isArray(value) ? value : unknown(`${typeof value} where a list was due`)

const unknown = (what: string): never => {
  throw new UnknownReply(what)
}

/** What all scripts answer (see perform.lua). The time is in microseconds. */
interface Answer {
  readonly time: number
  /** -1: the command was late; 1: there is more to look at. */
  readonly more: unknown
  /** What happened to the caller's requests, by line. */
  readonly events: string
  readonly values: ReadonlyArray<unknown>
  /** Of a short answer, which has no values. */
  readonly firstToken: number | undefined
}

const nothing: ReadonlyArray<unknown> = []

/** A short answer: see perform.lua. */
const decodeShort = (answer: string): Answer => {
  const end = answer.indexOf("\n")
  const [seconds, micros, token] = (end === -1 ? answer : answer.slice(0, end)).split(" ")
  const time = Number(seconds) * 1e6 + Number(micros)
  const firstToken = token === undefined ? time : Number(token)
  if (!Number.isSafeInteger(time + firstToken)) throw new UnknownReply("a text")
  return { time, more: 0, events: end === -1 ? "" : answer.slice(end + 1), values: nothing, firstToken }
}

export const decodeAnswer = (reply: unknown, mayBeShort: boolean): Answer => {
  if (mayBeShort && typeof reply === "string") return decodeShort(reply)
  const all = list(reply)
  const [time, more, events] = all
  return {
    time: number(time),
    more,
    events: more === -1 ? "" : text(events),
    values: all.slice(3),
    firstToken: undefined
  }
}

export const displayTargets = (regions: ReadonlyArray<LockMode.Region>): LockEntry.LockEntry["targets"] =>
  regions.map(({ mode, path }) => ({ mode, path: LockPath.toInput(path) }))

// The holder travels as a list in JSON, what is mostly missing at its end: it is kept once for each lease.
const maybe = <A>(schema: Schema.Schema<A>) => Schema.optionalElement(Schema.NullOr(schema))
const Holder = Schema.parseJson(
  Schema.Tuple(
    maybe(Schema.String),
    maybe(Schema.Number),
    maybe(Schema.String),
    maybe(Schema.String),
    maybe(Schema.Array(Schema.Number))
  )
)

/**
 * Of a request in several partitions, what each has with it: in how many partitions it is, then which of its targets lie in this one,
 * by number.
 */
export type Share = ReadonlyArray<number>

/** Who asks, and what share of a request it is that is asked for. */
export type SharedHolder = LockEntry.Holder & { readonly share?: Share | undefined }

/** How much of a text for people others get to see, in units of UTF-16: it is kept for each lease, and shown in errors. */
const textLimit = 256

const cut = (text: string | undefined): string | undefined =>
  // Not in the middle of a character.
  text === undefined || text.length <= textLimit ? text : text.slice(0, textLimit).replace(/[\ud800-\udbff]$/, "")

export const encodeHolder = ({ label, reason, host, pid, share }: SharedHolder): string => {
  const parts = [cut(host), pid, cut(label), cut(reason), share]
  while (parts.length > 0 && parts.at(-1) === undefined) parts.pop()
  return JSON.stringify(parts)
}

const decodeHolder = (json: string): SharedHolder => {
  const [host, pid, label, reason, share] = Option.getOrElse(Schema.decodeOption(Holder)(json), () => [])
  return {
    label: label ?? undefined,
    reason: reason ?? undefined,
    host: host ?? undefined,
    pid: pid ?? undefined,
    ...(share ? { share } : undefined)
  }
}

const Described = Schema.parseJson(Schema.Array(Schema.Unknown))

/** What `describe` in `events.lua` answers, at the given time of the server (microseconds). */
export const decodeEntry = (reply: unknown, now: number): LockEntry.LockEntry => {
  const [id, state, ticket, token, since, deadline, blocker, holder, count, ...rest] = list(reply)
  const targets = rest.slice(0, number(count)).map(decodeTarget)
  const delegated = state === "d"
  const held = state === "h" || delegated
  return {
    ...decodeHolder(text(holder)),
    id: text(id),
    state: held ? "held" : "waiting",
    targets: displayTargets(targets),
    ticket: number(ticket),
    token: held ? number(token) : undefined,
    since: number(since) / 1000,
    age: (now - number(since)) / 1000,
    timeLeft: (number(deadline) - now) / 1000,
    blockedBy: Predicate.isString(blocker) && blocker !== "" ? blocker : undefined,
    within: rest.slice(number(count)).map(text),
    ...(delegated ? { delegated } : undefined)
  }
}

/** The same in JSON, in a message. */
export const parseEntry = (json: string, now: number): LockEntry.LockEntry => {
  const parsed = Schema.decodeOption(Described)(json)
  return Option.isSome(parsed) ? decodeEntry(parsed.value, now) : unknown("a message that is no JSON")
}

/** What a waiting request waits for: see lookup.lua. */
export const decodeBlocked = (reply: unknown, now: number): LockStore.Blocked => {
  const [ahead, blocker] = list(reply)
  return { ahead: number(ahead), blocker: decodeEntry(blocker, now) }
}
