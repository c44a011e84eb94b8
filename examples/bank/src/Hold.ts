/** The record of one piece of work under a lock: who asked for what, when it was let in, when it was done. */
import { Target } from "@hilok/core"
import { Effect, Schema } from "effect"

export const Kind = Schema.Literal("transfer", "crossTransfer", "branchAudit", "headAudit")
export type Kind = typeof Kind.Type

export const kinds: Readonly<Record<Kind, string>> = {
  transfer: "transfer within a branch",
  crossTransfer: "transfer between branches",
  branchAudit: "audit of a branch",
  headAudit: "audit of the whole bank"
}

export const Hold = Schema.Struct({
  worker: Schema.String,
  /** Which process the worker is in, when there are several. */
  process: Schema.optional(Schema.Int),
  kind: Kind,
  targets: Schema.Array(Target.schema),
  /** When the worker asked, was let in, and was done: milliseconds on the machine's monotonic clock. */
  asked: Schema.Number,
  granted: Schema.Number,
  done: Schema.Number,
  /** The fencing token; absent without locks. */
  token: Schema.optional(Schema.Number),
  finding: Schema.optional(Schema.String)
})
export type Hold = typeof Hold.Type

/** One hold as a line of text. */
export const Line = Schema.parseJson(Hold)

/** The time on a clock that all processes of this machine share, so that holds of different processes compare. */
export const now: Effect.Effect<number> = Effect.sync(() => Number(process.hrtime.bigint()) / 1e6)
