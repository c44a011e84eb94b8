/**
 * The number of partitions of a namespace, on which all its clients have to agree: see partitions.lua.
 */
import { LockError } from "@hilok/core"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Runtime from "effect/Runtime"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import type { Settings } from "./client.ts"
import * as cluster from "./cluster.ts"
import * as codec from "./codec.ts"
import { Commands } from "./commands.ts"
import type * as Connection from "./connection.ts"
import * as failure from "./failure.ts"
import * as ioredis from "./ioredis.ts"
import * as Script from "./script.ts"

/** How often the note is looked at, and made again in a server that has lost its data. */
const interval = Duration.seconds(30)

const inWords = (count: number): string => (count === 1 ? "one partition" : `${count} partitions`)

const disagreement = (table: string, ours: number, theirs: number): LockError.InvalidOptions =>
  new LockError.InvalidOptions({
    option: "partitions",
    reason:
      `it is ${ours}, but the locks of this namespace are in ${inWords(theirs)}: all its clients must have the same number. ` +
      `To change it, stop them all, and delete the key ${table} of the server`
  })

const spread = /spread over (\d+) partitions/

/** What a client that goes by one partition is told by a server where there are more. */
export const refusalOf = (error: LockError.StoreError, table: string): LockError.InvalidOptions | undefined => {
  const theirs = spread.exec(error.reason)?.[1]
  return theirs === undefined ? undefined : disagreement(table, 1, Number(theirs))
}

export class PartitionCount {
  /** Why nothing is asked for any more: the number was changed while this client ran. */
  refusal: LockError.StoreError | undefined = undefined

  /** Sees to it that a namespace has so many partitions, and goes on to. Fails when it has others. */
  static readonly make = (
    { client, renew }: Pick<Connection.Connection, "client" | "renew">,
    { commandTimeout, keys }: Settings,
    ours: number
  ): Effect.Effect<PartitionCount, LockError.StoreError | LockError.InvalidOptions, Scope.Scope> =>
    Effect.gen(function* () {
      const clock = yield* Effect.clock
      const runFork = Runtime.runFork(yield* Effect.runtime<never>())
      const host = {
        now: () => Number(clock.unsafeCurrentTimeNanos()) / 1e6,
        fork: (effect: Effect.Effect<void>) => {
          const fiber = runFork(effect)
          return () => fiber.unsafeInterruptAsFork(fiber.id())
        }
      }
      const commands = yield* Effect.acquireRelease(
        Effect.sync(
          () =>
            new Commands(client, keys, "", Duration.toMillis(commandTimeout), host, {
              onEvents: () => undefined,
              onMore: () => undefined,
              onLoader: () => undefined,
              onSilence: () => renew("silent", keys.keys[0]),
              onRefusal: () => renew("refused", keys.keys[0])
            })
        ),
        (opened) => Effect.sync(() => opened.close())
      )
      const [table] = keys.keys
      const claim = Effect.filterOrFail(
        commands.run(Script.claim, [String(ours)], ({ values }) => codec.number(values[0])),
        (number) => number === ours,
        (number) => disagreement(table, ours, number)
      )
      yield* claim
      const count = new PartitionCount()
      const setRefusal = (refusal: LockError.StoreError | undefined) =>
        Effect.sync(() => {
          count.refusal = refusal
        })
      const watch = Effect.catchTags(Effect.zipRight(claim, setRefusal(undefined)), {
        StoreError: () => Effect.void,
        InvalidOptions: (error) => {
          const isKnown = count.refusal !== undefined
          const refused = setRefusal(failure.refused(Script.acquire.verb, error.message))
          return isKnown ? refused : Effect.zipRight(refused, Effect.logError(error.message))
        }
      })
      // Behind the address, or in the slot, there may be a server that knows nothing.
      yield* Effect.acquireRelease(
        Effect.sync(() => {
          const look = () => void host.fork(watch)
          return [ioredis.on(client, "ready", look), cluster.onMove(client, table, look)]
        }),
        (ends) =>
          Effect.sync(() => {
            for (const end of ends) end()
          })
      )
      yield* watch.pipe(
        Effect.repeat(Schedule.spaced(interval)),
        Effect.delay(interval),
        Effect.interruptible,
        Effect.forkScoped
      )
      return count
    })
}
