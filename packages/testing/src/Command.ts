/**
 * Random commands for a store or a lock table. They are plain data, so that a failing run can be read and shrunk: the lease
 * that a command applies to is given by a number, which chooses one of the live entries when the command is run.
 *
 * @since 0.1.0
 */

import * as LockMode from "@hilok/core/LockMode"
import * as LockPath from "@hilok/core/LockPath"
import * as Either from "effect/Either"
import * as FastCheck from "effect/FastCheck"
import type { Entry, Reference } from "./Reference.ts"

/**
 * - `acquire`, `try`: a request, nested in the lease that `inside` chooses and in those that enclose it.
 * - `again`: the same request once more, for a lease that is held.
 * - `cancel`: a client gives up waiting.
 * - `release`, `downgrade`, `break`, `refresh`, `restore`, `giveBack`, `expire`: what happens to a lease, and who does it: its
 *   owner, somebody by hand, or somebody else, perhaps a former owner. For `restore` the last is a new owner.
 * - `stranger`: the operations above with an id that is not live.
 * - `advance`: time passes.
 *
 * Times are in seconds.
 *
 * @since 0.1.0
 * @category models
 */
export type Command =
  | {
      readonly op: "acquire" | "try"
      readonly targets: ReadonlyArray<LockMode.Region>
      readonly inside: number | null
      readonly ttl: number
    }
  | {
      readonly op: "again" | "cancel" | "break" | "expire"
      readonly pick: number
    }
  | { readonly op: "release" | "downgrade"; readonly pick: number; readonly by: "owner" | "hand" | "other" }
  | { readonly op: "refresh"; readonly pick: number; readonly by: "owner" | "hand" | "other"; readonly ttl: number }
  | { readonly op: "restore"; readonly pick: number; readonly by: "owner" | "other"; readonly ttl: number }
  | { readonly op: "giveBack"; readonly pick: number; readonly by: "owner" | "other" }
  | { readonly op: "advance"; readonly seconds: number }
  | { readonly op: "stranger" }

/**
 * The lease that a command applies to, for `cancel` the waiting request.
 *
 * @since 0.1.0
 * @category getters
 */
export const chosen = (
  model: Reference,
  command: { readonly op: Command["op"]; readonly pick: number }
): Entry | undefined => {
  const among = command.op === "cancel" ? model.waiting : model.held
  return among[command.pick % among.length]
}

/**
 * The owner's name that goes with an operation on a lease; none by hand.
 *
 * @since 0.1.0
 * @category getters
 */
export const nameOf = ({ id, owner }: Entry, by: "owner" | "hand" | "other"): string | undefined => {
  if (by === "hand") return undefined
  if (by === "owner") return owner
  return owner === id ? `${id}.other` : id
}

/**
 * The leases that enclose a request, as its client knows them: the chosen lease and those it was requested in, outermost
 * first. Some of them may have ended without the client's knowledge.
 *
 * @since 0.1.0
 * @category getters
 */
export const enclosing = (model: Reference, inside: number | null): ReadonlyArray<string> => {
  const lease = inside === null ? undefined : model.held[inside % model.held.length]
  return lease === undefined ? [] : [...lease.within, lease.id]
}

// Few paths, so that most requests meet others.
const regionBelow = (above: ReadonlyArray<string>): FastCheck.Arbitrary<LockMode.Region> => {
  const path = (weight: number, ...segments: ReadonlyArray<string>) => ({
    weight,
    arbitrary: FastCheck.constant(Either.getOrThrow(LockPath.parse([...above, ...segments])))
  })
  return FastCheck.record({
    mode: FastCheck.constantFrom(...LockMode.all),
    path: FastCheck.oneof(
      path(1),
      path(4, "a"),
      path(4, "a", "b"),
      path(2, "a", "b", "c"),
      path(2, "a", "c"),
      path(2, "ab"),
      path(1, "a/b")
    )
  })
}

const pick = FastCheck.nat({ max: 50 })
const ttl = FastCheck.integer({ min: 1, max: 30 })

const request = (op: "acquire" | "try", region: FastCheck.Arbitrary<LockMode.Region>): FastCheck.Arbitrary<Command> =>
  FastCheck.record({
    op: FastCheck.constant(op),
    targets: FastCheck.oneof(
      { weight: 3, arbitrary: FastCheck.array(region, { minLength: 1, maxLength: 1 }) },
      { weight: 1, arbitrary: FastCheck.array(region, { minLength: 2, maxLength: 3 }) }
    ),
    inside: FastCheck.option<number, null>(pick, { freq: 2, nil: null }),
    ttl
  })

const onOne = (op: "again" | "cancel" | "break" | "expire"): FastCheck.Arbitrary<Command> =>
  FastCheck.record({ op: FastCheck.constant(op), pick })

const owner = { weight: 4, arbitrary: FastCheck.constant("owner" as const) }
const other = { weight: 1, arbitrary: FastCheck.constant("other" as const) }
const hand = { weight: 1, arbitrary: FastCheck.constant("hand" as const) }
const anybody = FastCheck.oneof(owner, other, hand)

const ending = (op: "release" | "downgrade"): FastCheck.Arbitrary<Command> =>
  FastCheck.record({ op: FastCheck.constant(op), pick, by: anybody })

const refresh: FastCheck.Arbitrary<Command> = FastCheck.record({
  op: FastCheck.constant("refresh" as const),
  pick,
  by: anybody,
  ttl
})
const restore: FastCheck.Arbitrary<Command> = FastCheck.record({
  op: FastCheck.constant("restore" as const),
  pick,
  by: FastCheck.constantFrom("owner" as const, "other" as const, "other" as const),
  ttl
})
const giveBack: FastCheck.Arbitrary<Command> = FastCheck.record({
  op: FastCheck.constant("giveBack" as const),
  pick,
  by: FastCheck.oneof(owner, other)
})

/**
 * A list of commands. `time`: whether time passes in it, so that leases expire by themselves. `below`: the segments above all
 * paths in it, by default none.
 *
 * @since 0.1.0
 * @category arbitraries
 */
export const commands = (options: {
  readonly time: boolean
  readonly maxLength?: number | undefined
  readonly below?: ReadonlyArray<string> | undefined
}): FastCheck.Arbitrary<Array<Command>> => {
  const region = regionBelow(options.below ?? [])
  return FastCheck.array(
    FastCheck.oneof(
      { weight: 14, arbitrary: request("acquire", region) },
      { weight: 2, arbitrary: request("try", region) },
      { weight: 5, arbitrary: ending("release") },
      { weight: 1, arbitrary: onOne("cancel") },
      { weight: 1, arbitrary: ending("downgrade") },
      { weight: 1, arbitrary: onOne("break") },
      { weight: 1, arbitrary: onOne("expire") },
      { weight: 1, arbitrary: onOne("again") },
      { weight: 1, arbitrary: refresh },
      { weight: 2, arbitrary: restore },
      { weight: 1, arbitrary: giveBack },
      { weight: 1, arbitrary: FastCheck.constant<Command>({ op: "stranger" }) },
      {
        weight: options.time ? 1 : 0,
        arbitrary: FastCheck.record({
          op: FastCheck.constant("advance" as const),
          seconds: FastCheck.integer({ min: 1, max: 15 })
        })
      }
    ),
    { maxLength: options.maxLength ?? 50, size: "max" }
  )
}
