/**
 * A client of ioredis for a Redis Cluster: how one is made, and which of its nodes serves a key.
 *
 * ioredis finds the node of a command by the command's first key, and follows MOVED, ASK and TRYAGAIN by itself. What it does not do:
 * send what has no key to a chosen node, notice that a node says nothing any more, and tell that a slot has moved.
 */
import { LockError } from "@hilok/core"
import * as Effect from "effect/Effect"
import * as Runtime from "effect/Runtime"
import { Cluster, type ClusterOptions, Command, type Redis } from "ioredis"
import * as ioredis from "./ioredis.ts"

/** A client of one server, or of a Cluster. */
export type Client = Redis | Cluster

/** (An application's client may be of another copy of ioredis.) */
export const isCluster = (client: Client): client is Cluster => client.isCluster

export interface Address {
  readonly host: string
  readonly port: number
}

const show = ({ host, port }: Address): string => `${host.includes(":") ? `[${host}]` : host}:${port}`

/** What ioredis keeps to itself, and is alike in all of its versions. */
interface Inner {
  /** By slot: its primary, then its replicas. */
  readonly slots: ReadonlyArray<ReadonlyArray<string> | undefined>
  readonly startupNodes: ReadonlyArray<unknown>
  readonly refreshSlotsCache: (done?: (error?: unknown) => void) => void
}

const innerOf = (cluster: Cluster): Inner => cluster as unknown as Inner

const slotOf = (cluster: Cluster, key: string): number =>
  (
    new Command("get", [key], { keyPrefix: cluster.options.keyPrefix ?? "" }) as unknown as { getSlot: () => number }
  ).getSlot()

/** Asks a node which one serves which slot, as ioredis does when it is told that one has moved. */
export const refresh = (cluster: Cluster): void => innerOf(cluster).refreshSlotsCache()

/** The address of the primary that serves a key, as far as the client knows. */
const primaryOf = (cluster: Cluster, key: string): string | undefined =>
  innerOf(cluster).slots[slotOf(cluster, key)]?.[0]

/** The nodes that a client knows before it has asked any. */
export const startupNodes = (cluster: Cluster): ReadonlyArray<string> =>
  innerOf(cluster).startupNodes.map((node) =>
    typeof node === "object" && node !== null
      ? show({ host: "127.0.0.1", port: 6379, ...node })
      : String(node).replace(/^.*@/, "")
  )

const addressOf = ({ options: { host = "", port = 0 } }: Redis): string => `${host}:${port}`

/** The connection to the primary that serves a key. */
export const nodeOf = (cluster: Cluster, key: string): Redis | undefined => {
  const address = primaryOf(cluster, key)
  return cluster.nodes().find((node) => addressOf(node) === address)
}

/** The client that what has no key of its own is sent by, so that it gets where the key is. */
export const serverOf = (client: Client, key: string): Redis | undefined =>
  isCluster(client) ? nodeOf(client, key) : client

/** Calls `onMove` when another primary than before serves a key. Gives a way to stop that. */
export const onMove = (client: Client, key: string, onMove: () => void): (() => void) => {
  if (!isCluster(client)) return () => undefined
  let last = primaryOf(client, key)
  return ioredis.on(client, "refresh", () => {
    const now = primaryOf(client, key)
    if (now === last) return
    last = now
    onMove()
  })
}

/**
 * Leads a connection, each time that it is about to connect anew, to the primary that serves a key; when that is not to be reached, to
 * others in turn, as messages come through any node.
 */
export const aim = (cluster: Cluster, key: string, client: Redis, attempt: number): void => {
  const address = primaryOf(cluster, key)
  const all = cluster.nodes()
  const others = all.filter((node) => addressOf(node) !== address)
  const first = all.find((node) => addressOf(node) === address)
  const order = first === undefined ? others : [first, ...others]
  if (order.length === 0) return
  const { host, port } = order[Math.max(0, attempt - 1) % order.length]!.options
  Object.assign(client.options, { host, port })
}

/** A connection that neither prints nor makes others that do. */
const hush = (node: Redis, warn: (text: string) => void, onError: (error: unknown) => void): void => {
  ioredis.hush(node, warn)
  const duplicate = node.duplicate.bind(node)
  node.duplicate = (options) => {
    const made = duplicate(options)
    hush(made, warn, onError)
    // Why a node cannot be asked for the slots: the error of the command says no more than that the connection is closed.
    return made.on("error", onError)
  }
}

/** What went wrong with a node of a Cluster that was made here, last. */
const causes = new WeakMap<Cluster, unknown>()

/** Why an error of a Cluster came: it says itself that no node could be asked, and no more. */
export const causeOf = (cluster: Cluster, error: unknown): unknown => {
  const { lastNodeError: last } = error as { readonly lastNodeError?: unknown }
  const isTelling = last instanceof Error && !/^Connection is closed/.test(last.message)
  return isTelling ? last : (causes.get(cluster) ?? last ?? error)
}

/** Makes a client, which does not connect yet. `InvalidOptions` when ioredis cannot make one. */
export const create = (
  nodes: ReadonlyArray<Address>,
  options: ClusterOptions
): Effect.Effect<Cluster, LockError.InvalidOptions> =>
  Effect.gen(function* () {
    const run = Runtime.runFork(yield* Effect.runtime<never>())
    const cluster = yield* Effect.try({
      try: () =>
        new Cluster([...nodes], {
          clusterRetryStrategy: ioredis.retryStrategy,
          // Enough for a slot that moves. When there is no primary, the store hears of it soon, and sends what still matters again.
          maxRedirections: 6,
          ...ioredis.defined(options),
          redisOptions: {
            connectionName: "hilok",
            keepAlive: 10_000,
            ...ioredis.defined(options.redisOptions),
            ...ioredis.always
          },
          lazyConnect: true,
          // Commands wait while nobody knows the slots: they have time limits of their own.
          enableOfflineQueue: true,
          // What a slot that nobody serves says is told, and tried again.
          enableReadyCheck: false,
          scaleReads: "master"
        } as ClusterOptions),
      catch: (error) =>
        new LockError.InvalidOptions({
          option: "cluster.options",
          reason: `ioredis refuses it: ${error instanceof Error ? error.message : String(error)}`
        })
    })
    const note = (error: unknown) => void causes.set(cluster, error)
    const warn = (text: string) => void run(Effect.logWarning(text))
    cluster.on("ready", () => causes.delete(cluster))
    cluster.on("+node", (node: Redis) => hush(node, warn, note))
    return cluster
  })
