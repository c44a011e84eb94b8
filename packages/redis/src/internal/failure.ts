/**
 * What went wrong, in words, without what must not be shown: the errors of ioredis carry the command and its
 * arguments, a password among them.
 */
import { LockError } from "@hilok/core"

/** What Redis 6.2 says before an error that a script ran into, and ioredis before one of its own check. */
const preamble = /^(?:ERR Error running script \(call to \w+\): (?:@\w+: ?\d+: )*-?|Ready check failed: )/

type Kind = typeof LockError.StoreErrorKind.Type

/** What a client of one server is told by a node of a Cluster. */
export const inCluster =
  "the server is part of a Redis Cluster: name its nodes by the option cluster, REDIS_CLUSTER_NODES or --cluster, or give a Cluster of ioredis"

/** The connection to a node of a Cluster was lost, and the client looks for the one that serves the slot now. */
export const nodeLost = "the connection to a node of the Cluster was lost"

const advice: ReadonlyArray<readonly [RegExp, Kind, string]> = [
  [/^WRONGPASS|^NOAUTH|^ERR invalid password/, "denied", "the server refuses the user or the password"],
  [
    /^NOPERM|^ERR The user executing the script can't/,
    "denied",
    "the user may not run the store's commands (those of its scripts, on its keys and channels)"
  ],
  [/^DENIED/, "denied", "the server is in protected mode, and refuses connections from elsewhere"],
  [/^WRONGTYPE/, "other", "a key of the lock table holds something else: choose another key prefix or namespace"],
  [/^(?:OOM|-?OOM)|OOM command not allowed/, "full", "the server is out of memory"],
  [/^MISCONF/, "full", "the server cannot save its data and refuses writes"],
  [/^LOADING/, "busy", "the server is loading its data"],
  [/^READONLY|read only replica/i, "busy", "the server is a read-only replica"],
  [/^MASTERDOWN/, "busy", "the server is a replica that has lost its primary"],
  [/^NOREPLICAS/, "busy", "the server has fewer replicas than min-replicas-to-write asks for, and refuses writes"],
  [/^UNBLOCKED/, "busy", "the server has changed its role"],
  [/^BUSY/, "busy", "the server is busy with a script"],
  [/^ERR max number of clients/, "busy", "the server has as many clients as it takes"],
  [/^CLUSTERDOWN/, "busy", "the Cluster is down, or nobody serves the slot of the locks"],
  [/^MOVED|^ASK/, "other", inCluster],
  [/^TRYAGAIN/, "busy", "the slot of the locks is on its way to another node"],
  [
    /^Too many Cluster redirections/,
    "busy",
    "nobody serves the slot of the locks for now: its primary is away, or the slot on its way to another node"
  ],
  [new RegExp(`^${nodeLost}`), "busy", "another node may take over"],
  [/cluster support disabled/, "other", "the server is not part of a Redis Cluster: use the option url"],
  [
    /^Failed to refresh slots cache|^None of startup nodes/,
    "connection",
    "no node of the Cluster says who serves which slot"
  ],
  [/ECONNREFUSED|connect ENOENT/, "connection", "nothing listens at the address"],
  [/ENOTFOUND|EAI_AGAIN/, "connection", "the host name is not known"],
  [/EHOSTUNREACH|ENETUNREACH/, "connection", "there is no way to the address"],
  [/ETIMEDOUT|connect timeout|command timed out/i, "timeout", "the server did not answer in time"],
  [
    /Connection is closed|ECONNRESET|EPIPE|max retries per request|Stream isn't writeable/i,
    "connection",
    "the connection is closed"
  ]
]

const describe = (message: string): { readonly kind: Kind; readonly reason: string } => {
  const plain = message.replace(preamble, "")
  const known = advice.find(([pattern]) => pattern.test(plain))
  return known === undefined
    ? { kind: "other", reason: message }
    : { kind: known[1], reason: `${known[2]} (${message})` }
}

/** An error without the command that it came from. */
const bare = (error: unknown): Error => {
  const clean = new Error(error instanceof Error ? error.message : "unknown error")
  clean.name = error instanceof Error ? error.name : "Error"
  return clean
}

const messageOf = (error: unknown): string => {
  if (error instanceof AggregateError && error.errors[0] instanceof Error) return error.errors[0].message
  return error instanceof Error ? error.message : String(error)
}

export const fromError = (operation: string, error: unknown): LockError.StoreError =>
  error instanceof LockError.StoreError
    ? error
    : new LockError.StoreError({ operation, ...describe(messageOf(error)), cause: bare(error) })

/** For what the store itself refuses to do. */
export const refused = (operation: string, reason: string): LockError.StoreError =>
  new LockError.StoreError({ operation, reason, kind: "other" })

const refusals: ReadonlyArray<readonly [RegExp, "wait" | "leave"]> = [
  [/^(?:BUSY|CLUSTERDOWN|TRYAGAIN) /, "wait"],
  // (Whether the command was carried out is not known here: then it changes nothing the second time.)
  [new RegExp(`^Too many Cluster redirections|^${nodeLost}`), "wait"],
  [/^(?:LOADING|READONLY|MASTERDOWN|NOREPLICAS|UNBLOCKED) /, "leave"]
]

/**
 * Did the server say that it can do nothing for now? Then the command has done nothing, and may be sent again. `wait`: to
 * the same server. `leave`: behind the same address there may be another one by now, on a new connection.
 */
export const refusal = ({ cause }: LockError.StoreError): "wait" | "leave" | undefined => {
  const message = cause instanceof Error ? cause.message.replace(preamble, "") : ""
  return refusals.find(([pattern]) => pattern.test(message))?.[1]
}

export const isNoCluster = ({ cause }: LockError.StoreError): boolean =>
  cause instanceof Error && /cluster support disabled/.test(cause.message)

/** The same error, with the nodes of a Cluster that were to be asked first. */
export const noNode = (error: LockError.StoreError, nodes: ReadonlyArray<string>): LockError.StoreError =>
  new LockError.StoreError({
    operation: error.operation,
    reason: `of the Cluster's nodes ${nodes.join(", ")} none can be used: ${error.reason}`,
    kind: error.kind,
    ...(error.cause === undefined ? {} : { cause: error.cause })
  })

export const timedOut = (operation: string, millis: number): LockError.StoreError =>
  new LockError.StoreError({ operation, reason: `the server did not answer within ${millis} ms`, kind: "timeout" })

export const notReady = (operation: string, millis: number): LockError.StoreError =>
  new LockError.StoreError({
    operation,
    reason: `the server was not ready within ${millis} ms: it does not answer, or is still loading its data`,
    kind: "timeout"
  })

export const closed = (operation: string): LockError.StoreError =>
  new LockError.StoreError({ operation, reason: "it is closed", kind: "closed" })
