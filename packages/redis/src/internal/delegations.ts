/**
 * What a client tells the server of its delegations: see settle.lua.
 */
import type { LockError, LockStore } from "@hilok/core"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as codec from "./codec.ts"
import type { Commands } from "./commands.ts"
import * as Script from "./script.ts"

/** Of a settlement, how many targets of leases and enclosing leases go in one command, and how many delegations. */
const perCommand = 64

const sizeOf = ({ request: { targets, within } }: LockStore.Registration): number => targets.length + within.length

/** A settlement in parts, each for one command: no delegation is given back before all its leases are known. */
const partsOf = ({ registrations, releases }: LockStore.Settlement): ReadonlyArray<LockStore.Settlement> => {
  const parts: Array<LockStore.Settlement> = []
  let from = 0
  let size = 0
  for (const [i, registration] of registrations.entries()) {
    const more = sizeOf(registration)
    if (i > from && size + more > perCommand) {
      parts.push({ registrations: registrations.slice(from, i), releases: [] })
      from = i
      size = 0
    }
    size += more
  }
  for (let at = 0; from < registrations.length || at < releases.length; at += perCommand) {
    parts.push({ registrations: registrations.slice(from), releases: releases.slice(at, at + perCommand) })
    from = registrations.length
  }
  return parts
}

const encode = (
  { registrations, releases }: LockStore.Settlement,
  holderOf: (request: LockStore.LockRequest) => string
): ReadonlyArray<Script.Argument> => {
  const args = [String(registrations.length)]
  for (const { from, request, token } of registrations) {
    args.push(String(token), from, "")
    codec.encodeRequest(request, String(Math.ceil(Duration.toMillis(request.ttl))), "q", holderOf(request), args)
  }
  for (const { floor, id } of releases) args.push(id, String(floor))
  return args
}

/**
 * Registers leases and gives delegations back, one command after the other. Each has a time after which the server refuses it: a lease
 * must not come to life again when it has ended.
 */
export const settle = (
  commands: Commands,
  settlement: LockStore.Settlement,
  holderOf: (request: LockStore.LockRequest) => string
): Effect.Effect<ReadonlyArray<boolean>, LockError.StoreError> =>
  Effect.map(
    Effect.forEach(partsOf(settlement), (part) => {
      const tokens = [...part.registrations.map(({ token }) => token), ...part.releases.map(({ floor }) => floor)]
      commands.greatestToken = Math.max(commands.greatestToken, ...tokens)
      return commands.run(Script.settle, encode(part, holderOf), ({ values }) =>
        part.registrations.map((_, i) => values[i] === 1)
      )
    }),
    (parts) => parts.flat()
  )
