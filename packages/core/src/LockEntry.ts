/**
 * What can be seen of one lease or one waiting request.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import * as Target from "./Target.ts"

/**
 * Describes, for people, whoever makes a request. No decision depends on it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Holder {
  /** The name of the program or worker. */
  readonly label?: string | undefined
  /** Why the lock is taken. */
  readonly reason?: string | undefined
  readonly host?: string | undefined
  readonly pid?: number | undefined
}

/**
 * One lease or one waiting request. Times are in milliseconds, on the store's own clock.
 *
 * - `since`: when the lease was granted, or when the waiting request arrived (epoch).
 * - `age`: how long ago that was.
 * - `timeLeft`: how long until it expires unless it is refreshed; absent when it does not expire.
 * - `ticket`: its place in the order of arrival; `token`: the fencing token of a lease.
 * - `blockedBy`: the id of one lease or request that a waiting request waits for. There may be more.
 * - `within`: the ids of the leases that enclose the request.
 * - `delegated`: nobody holds it: a process keeps it to decide on the locks it covers (see `DelegatingStore`), and
 *   gives it back when another process asks.
 *
 * @since 0.1.0
 * @category models
 */
export interface LockEntry extends Holder {
  readonly id: string
  readonly state: "held" | "waiting"
  readonly targets: ReadonlyArray<Target.Target>
  readonly ticket: number
  readonly token?: number | undefined
  readonly since: number
  readonly age: number
  readonly timeLeft?: number | undefined
  readonly blockedBy?: string | undefined
  readonly within: ReadonlyArray<string>
  readonly delegated?: boolean | undefined
}

/**
 * The schema of an entry.
 *
 * @since 0.1.0
 * @category schemas
 */
export const schema: Schema.Schema<LockEntry> = Schema.Struct({
  id: Schema.String,
  state: Schema.Literal("held", "waiting"),
  targets: Schema.Array(Target.schema),
  ticket: Schema.Number,
  token: Schema.optional(Schema.Number),
  since: Schema.Number,
  age: Schema.Number,
  timeLeft: Schema.optional(Schema.Number),
  blockedBy: Schema.optional(Schema.String),
  within: Schema.Array(Schema.String),
  delegated: Schema.optional(Schema.Boolean),
  label: Schema.optional(Schema.String),
  reason: Schema.optional(Schema.String),
  host: Schema.optional(Schema.String),
  pid: Schema.optional(Schema.Number)
})

/**
 * The entry in a few words: `write "a/b", held by "worker-3" on host (pid 7), for "nightly build", id …`.
 *
 * @since 0.1.0
 * @category getters
 */
export const format = (entry: LockEntry): string => {
  const who = entry.label === undefined ? "" : ` by ${JSON.stringify(entry.label)}`
  const where =
    entry.host === undefined ? "" : ` on ${entry.host}${entry.pid === undefined ? "" : ` (pid ${entry.pid})`}`
  const why = entry.reason === undefined ? "" : `, for ${JSON.stringify(entry.reason)}`
  const state = entry.state === "waiting" ? "waited for" : entry.delegated ? "kept" : "held"
  return `${Target.format(entry.targets)}, ${state}${who}${where}${why}, id ${entry.id}`
}
