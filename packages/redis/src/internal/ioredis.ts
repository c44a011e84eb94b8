/**
 * What ioredis leaves to those who use it: that its listeners are shared, and that it prints nothing.
 */
import type { Cluster, Redis } from "ioredis"

/** What the connections of a store have in common, whoever made the client. */
export const always = {
  lazyConnect: true,
  // Commands have time limits of their own.
  maxRetriesPerRequest: null,
  // It prints, fails without INFO, and holds back what could be told that the server is loading.
  enableReadyCheck: false,
  // What is given up has nothing more to say.
  disconnectTimeout: 200,
  // These change what the client makes of answers. (The second one came with ioredis 6.)
  stringNumbers: false,
  replyMapping: "legacy"
} as const

/** Reconnects soon at first, then every second, forever: what waits meanwhile has time limits of its own. */
export const retryStrategy = (times: number): number => Math.min(times * 50, 1000)

const isDefined = ([, value]: readonly [string, unknown]): boolean => value !== undefined

/** Options without those that are not there: ioredis takes these for more than its defaults. */
export const defined = (options: object | undefined): object =>
  Object.fromEntries(Object.entries(options ?? {}).filter(isDefined))

// biome-ignore lint/suspicious/noExplicitAny: each event has arguments of its own
type Handler = (...args: Array<any>) => void

const shared = new WeakMap<
  Redis | Cluster,
  Map<string, { readonly handlers: Set<Handler>; readonly dispatch: Handler }>
>()

/**
 * Adds a handler of an event, and gives a way to remove it. However many stores are on one client, the client has one
 * listener for each event: more than ten make Node warn of a leak.
 */
export const on = (client: Redis | Cluster, event: string, handler: Handler): (() => void) => {
  const events = shared.get(client) ?? new Map()
  shared.set(client, events)
  let entry = events.get(event)
  if (entry === undefined) {
    const handlers = new Set<Handler>()
    const dispatch: Handler = (...args) => {
      for (const each of Array.from(handlers)) each(...args)
    }
    entry = { handlers, dispatch }
    events.set(event, entry)
    client.on(event as "error", dispatch)
  }
  const { dispatch, handlers } = entry
  handlers.add(handler)
  return () => {
    if (!handlers.delete(handler) || handlers.size > 0) return
    events.delete(event)
    client.off(event as "error", dispatch)
  }
}

/** A password that the server does not need. ioredis prints these, and goes on. */
const needless = /no password is set|without any password configured for the default user/

interface Auth {
  auth: (...args: ReadonlyArray<unknown>) => Promise<unknown>
  readonly connector?: { connectToSentinel?: (...args: ReadonlyArray<unknown>) => Redis }
}

/**
 * Keeps a client of ours from printing: `warn` is called instead. (Its check for readiness prints, too, and is not used.)
 * What it asks Sentinels on connections of their own has nobody who listens for errors, and ioredis would print those.
 */
export const hush = (client: Redis, warn: (text: string) => void): Redis => {
  const inner = client as unknown as Auth
  const auth = inner.auth.bind(client)
  let isWarned = false
  inner.auth = (...args) => {
    const callback = typeof args.at(-1) === "function" ? (args.at(-1) as (...all: Array<unknown>) => void) : undefined
    const answer = auth(...(callback === undefined ? args : args.slice(0, -1))).catch((error: unknown) => {
      if (!(error instanceof Error && needless.test(error.message))) throw error
      if (!isWarned) warn("A password was given, but the server does not ask for one")
      isWarned = true
      return "OK"
    })
    if (callback === undefined) return answer
    return answer.then((reply) => callback(null, reply), callback)
  }
  const { connector } = inner
  const connect = connector?.connectToSentinel
  if (connector !== undefined && connect !== undefined) {
    connector.connectToSentinel = (...args) => connect.apply(connector, args as []).on("error", () => undefined)
  }
  return client
}

/** The database that a client is in: what it was told last, else what its options say. */
export const database = (client: Redis): number =>
  (client as { readonly condition?: { readonly select?: number } }).condition?.select ?? client.options.db ?? 0

/** The name of the command that an error of the server answers. */
export const commandOf = (error: unknown): string | undefined =>
  (error as { readonly command?: { readonly name?: string } } | undefined)?.command?.name
