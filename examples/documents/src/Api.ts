/** What can be asked over HTTP, and what is answered. */
import { HttpApi, HttpApiEndpoint, HttpApiGroup } from "@effect/platform"
import { LockEntry, LockError } from "@hilok/core"
import { Schema } from "effect"
import { Entry, Missing, Refused, Stale } from "./Tree.ts"

const at = { path: Schema.String }

/** How a request goes about its lock. */
const manner = {
  /** `false`: does not wait for a lock that is not free. */
  wait: Schema.optionalWith(Schema.BooleanFromString, { default: () => true }),
  /** How many seconds the work takes: real work would take its time by itself. */
  takes: Schema.optionalWith(Schema.NumberFromString.pipe(Schema.between(0, 60)), { default: () => 0 }),
  /** Whoever asks, for the people who wait. */
  who: Schema.optional(Schema.String)
}
export type Manner = Schema.Struct.Type<typeof manner>

/**
 * Every endpoint takes a lock, so each can fail with each of these. 503 and 423 come with `Retry-After`.
 *
 * They tell the client who is in the way, as colleagues would want it. An API for strangers would keep that to itself.
 */
const Documents = HttpApiGroup.make("documents")
  .add(
    HttpApiEndpoint.get("list", "/folder")
      .setUrlParams(Schema.Struct({ ...at, ...manner }))
      .addSuccess(Schema.Array(Entry))
  )
  .add(
    HttpApiEndpoint.get("read", "/document")
      .setUrlParams(Schema.Struct({ ...at, ...manner }))
      .addSuccess(Schema.Struct({ content: Schema.String }))
  )
  .add(
    HttpApiEndpoint.put("edit", "/document")
      .setUrlParams(Schema.Struct({ ...at, ...manner }))
      .setPayload(Schema.Struct({ content: Schema.String }))
  )
  .add(HttpApiEndpoint.put("makeFolder", "/folder").setUrlParams(Schema.Struct({ ...at, ...manner })))
  .add(
    HttpApiEndpoint.post("move", "/move").setUrlParams(
      Schema.Struct({ from: Schema.String, to: Schema.String, ...manner })
    )
  )
  .add(HttpApiEndpoint.del("delete", "/subtree").setUrlParams(Schema.Struct({ ...at, ...manner })))
  // Somebody else has it, and the client did not want to wait: "Locked".
  .addError(LockError.WouldBlock, { status: 423 })
  // Too much is going on there: try again later.
  .addError(LockError.LockTimeout, { status: 503 })
  // The lock ended under the work, which was stopped before it wrote: try again.
  .addError(LockError.LockLost, { status: 503 })
  // Two requests wait for each other. (These take all they need at once, so it does not happen here.)
  .addError(LockError.Deadlock, { status: 409 })
  // The client has to write the path differently.
  .addError(LockError.InvalidPath, { status: 400 })
  // A mistake in this program.
  .addError(LockError.InvalidOptions, { status: 500 })
  // The server of the locks is away.
  .addError(LockError.StoreError, { status: 503 })
  .addError(Missing, { status: 404 })
  .addError(Refused, { status: 409 })
  .addError(Stale, { status: 409 })

const Locks = HttpApiGroup.make("locks").add(
  HttpApiEndpoint.get("inspect", "/locks")
    .addSuccess(Schema.Array(LockEntry.schema))
    .addError(LockError.InvalidPath, { status: 400 })
    .addError(LockError.StoreError, { status: 503 })
)

export class Api extends HttpApi.make("documents").add(Documents).add(Locks) {}
