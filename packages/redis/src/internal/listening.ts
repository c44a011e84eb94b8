/**
 * Listening for messages, on a connection that may be dead without a word.
 *
 * Every two seconds the subscription is made again, which changes nothing but is answered. Without an answer by the next
 * time, the connection is given up for a new one. So it is when it is answered, but a message that must have been sent did
 * not come before the answer: then it leads to another server than that for commands.
 */
import type { LockError } from "@hilok/core"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as cluster from "./cluster.ts"
import { afterReading, type Host, sleep } from "./commands.ts"
import type { Connection } from "./connection.ts"
import * as ioredis from "./ioredis.ts"
import { ask, persist } from "./serverCheck.ts"

/** How often the connection is asked for a sign of life (milliseconds). */
const interval = 2000

const operation = "subscribe"

export interface Listening {
  /** A message about this request or lease has been sent, and did not come: makes sure that any do. */
  readonly missed: (id: string) => void
}

/**
 * Subscribes to a channel. `onConnect` is called whenever a connection that was lost is there again, of either kind, and when another
 * node of a Cluster takes the channel's slot over: messages may have been missed. `listened`: should they not have been?
 */
export const listen = (
  { client, subscriber }: Pick<Connection, "client" | "subscriber">,
  channel: string,
  patience: Duration.Duration,
  host: Host,
  onMessage: (message: string) => void,
  onConnect: (listened: boolean) => void
): Effect.Effect<Listening, LockError.StoreError, Scope.Scope> =>
  Effect.gen(function* () {
    const missing = new Set<string>()
    // In a Cluster the connection changes with the slot: what was said meanwhile is nothing that the new one lacks.
    const listened = !cluster.isCluster(client)
    // Which connection it is, by number; whether it is subscribed, and whether it owes an answer.
    let epoch = 0
    let isSubscribed = true
    let isAsked = false

    const renew = (): void => {
      isAsked = false
      missing.clear()
      if (subscriber.status === "ready" || subscriber.status === "connect") subscriber.disconnect(true)
    }

    const subscribe = (): void => {
      const asked = epoch
      const awaited = Array.from(missing)
      isAsked = true
      subscriber.subscribe(channel).then(
        () => {
          if (epoch !== asked) return
          isAsked = false
          if (awaited.some((id) => missing.has(id))) return renew()
          if (isSubscribed) return
          isSubscribed = true
          onConnect(listened)
        },
        () => {
          // Refused, as by a server that is busy: the next time, then.
          if (epoch === asked) isAsked = false
        }
      )
    }

    const onReady = (): void => {
      epoch++
      isSubscribed = false
      missing.clear()
      subscribe()
    }

    const receive = (from: string, message: string): void => {
      if (from !== channel) return
      for (const id of missing) if (message.includes(id)) missing.delete(id)
      onMessage(message)
    }

    const beat = (): void => {
      // In every other state the client is about to connect anew by itself.
      if (subscriber.status !== "ready" && subscriber.status !== "connect") return
      if (isAsked) return renew()
      if (subscriber.status === "ready") subscribe()
      else isAsked = true
    }
    const watch: Effect.Effect<void> = Effect.forever(
      Effect.zipRight(
        // A process that was stopped first reads what has come meanwhile.
        Effect.zipRight(sleep(interval), afterReading),
        Effect.sync(beat)
      )
    )

    // A message may come along with the answer.
    const deafen = ioredis.on(subscriber, "message", receive)
    yield* persist(
      ask(() => subscriber.subscribe(channel), operation, patience),
      operation,
      patience
    ).pipe(Effect.onError(() => Effect.sync(deafen)))
    yield* Effect.acquireRelease(
      Effect.sync(() => [
        deafen,
        ioredis.on(subscriber, "ready", onReady),
        ioredis.on(client, "ready", () => onConnect(listened)),
        // What the other primary has to say was said to nobody, until now; and it may not know what the former one knew.
        cluster.onMove(client, channel, () => onConnect(false)),
        host.fork(watch)
      ]),
      (ends) =>
        Effect.sync(() => {
          for (const end of ends) end()
        })
    )
    return {
      missed: (id) => {
        missing.add(id)
        if (subscriber.status === "ready") subscribe()
      }
    }
  })
