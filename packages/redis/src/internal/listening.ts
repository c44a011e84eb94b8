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
  /** A grant was found that no message has told; at the time `since` the request still waited. Makes sure that messages do come. */
  readonly missed: (id: string, since: number) => void
}

/**
 * Subscribes to a channel. `onConnect` is called whenever a connection that was lost is there again, of either kind, and when another
 * node of a Cluster takes the channel's slot over: messages may have been missed.
 */
export const listen = (
  { client, subscriber }: Pick<Connection, "client" | "subscriber">,
  channel: string,
  patience: Duration.Duration,
  host: Host,
  onMessage: (message: string) => void,
  onConnect: () => void
): Effect.Effect<Listening, LockError.StoreError, Scope.Scope> =>
  Effect.gen(function* () {
    const missing = new Set<string>()
    // Which connection it is, by number; since when it is subscribed, if it is, and whether it owes an answer.
    let epoch = 0
    let subscribedAt: number | undefined
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
          if (subscribedAt !== undefined) return
          subscribedAt = host.now()
          onConnect()
        },
        () => {
          // Refused, as by a server that is busy: the next time, then.
          if (epoch === asked) isAsked = false
        }
      )
    }

    const onReady = (): void => {
      epoch++
      subscribedAt = undefined
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
    subscribedAt = host.now()
    yield* Effect.acquireRelease(
      Effect.sync(() => [
        deafen,
        ioredis.on(subscriber, "ready", onReady),
        ioredis.on(client, "ready", onConnect),
        // What the other primary has to say was said to nobody, until now; and it may not know what the former one knew.
        cluster.onMove(client, channel, onConnect),
        host.fork(watch)
      ]),
      (ends) =>
        Effect.sync(() => {
          for (const end of ends) end()
        })
    )
    return {
      missed: (id, since) => {
        // It may have been said when nobody listened. To connect anew for that would lose what is said meanwhile, and so on.
        if (subscriber.status !== "ready" || subscribedAt === undefined || since < subscribedAt) return
        missing.add(id)
        subscribe()
      }
    }
  })
