/**
 * Sends scripts to the server: with a time limit, with what ties a late command's hands, and with the two clocks.
 */

import type { LockError } from "@hilok/core"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as cluster from "./cluster.ts"
import * as codec from "./codec.ts"
import * as failure from "./failure.ts"
import type * as Keys from "./keys.ts"
import * as Script from "./script.ts"

/** The runtime that the store was built with. */
export interface Host {
  /** The monotonic clock, in milliseconds. */
  readonly now: () => number
  /** Runs an effect in the background, and gives a way to end it. */
  readonly fork: (effect: Effect.Effect<void>) => () => void
}

export const sleep = (millis: number): Effect.Effect<void> =>
  Effect.sleep(Duration.millis(Math.max(0, Math.ceil(millis))))

/** What a script answered. */
export class Reply {
  /** When the command was sent and when it was answered, on the monotonic clock (milliseconds). */
  readonly sentAt: number
  readonly receivedAt: number
  /** The time of the server while the script ran (microseconds). */
  readonly serverTime: number
  /** What comes behind the beginning that all answers share; nothing in a short answer. */
  readonly values: ReadonlyArray<unknown>
  /** In a short answer, which says that all that was asked for was done: the first token, if there are any. */
  readonly firstToken: number | undefined
  /** Was the script told the greatest token? Then what it granted has a greater one. */
  readonly isAbove: boolean

  constructor(
    sentAt: number,
    receivedAt: number,
    serverTime: number,
    values: ReadonlyArray<unknown>,
    firstToken: number | undefined,
    isAbove = false
  ) {
    this.sentAt = sentAt
    this.receivedAt = receivedAt
    this.serverTime = serverTime
    this.values = values
    this.firstToken = firstToken
    this.isAbove = isAbove
  }
}

/** The latest local time at which the server can have had the given time, less what the reply took: never too late. */
export const localDeadline = (reply: Pick<Reply, "sentAt" | "serverTime">, deadline: number): number =>
  reply.sentAt + (deadline - reply.serverTime) / 1000

type Done = (result: Reply | LockError.StoreError) => void

/** A command on its way. */
class Flight {
  readonly script: Script.Script
  readonly args: ReadonlyArray<Script.Argument>
  /** When it was sent for the first time. */
  readonly sentAt: number
  readonly done: Done
  isSettled = false
  /** What the server said when it could do nothing for now. */
  refusal: LockError.StoreError | undefined = undefined
  /** Those that were sent before and after it: they come and go too fast for a collection (see requests.ts). */
  previous: Flight | undefined = undefined
  next: Flight | undefined = undefined

  constructor(script: Script.Script, args: ReadonlyArray<Script.Argument>, sentAt: number, done: Done) {
    this.script = script
    this.args = args
    this.sentAt = sentAt
    this.done = done
  }
}

export interface Listener {
  /** What happened to this client's requests in the course of a script of its own. */
  readonly onEvents: (events: string, time: number) => void
  /** The server has more to look at than one script may. */
  readonly onMore: () => void
  /** How the server has the library is known, or has changed. */
  readonly onLoader: (loader: Script.Loader) => void
  /** A command was given up, and the server has said nothing at all since it was sent. */
  readonly onSilence: () => void
  /** The server can do nothing for now; behind its address there may be another one. */
  readonly onRefusal: () => void
}

/** How often a command is sent again when the server's clock was set, so that it took it for late. */
const lateRetries = 2
/** How long a server that can do nothing for now is left in peace: more each time, up to a limit (milliseconds). */
const firstPause = 20
const longestPause = 500
/** How long after a warning of that the next one may come (milliseconds). */
const warningPause = 10_000
/** By how much (microseconds) tokens may be ahead of what is known of the server's clock: so many come in a moment. */
const tokenSlack = 1000

export class Commands {
  /** How long a command may take (milliseconds). */
  readonly timeout: number
  /** The greatest token that this client has seen. */
  greatestToken = 0
  private oldest: Flight | undefined = undefined
  private newest: Flight | undefined = undefined
  /** The number of commands that are on their way, those that were given up among them. */
  private unanswered = 0
  private stopWatching: (() => void) | undefined = undefined
  private closed = false
  /** By how much the server's clock is ahead of the local one, in microseconds; unknown before the first answer. */
  private ahead: number | undefined = undefined
  private heardAt = Number.NEGATIVE_INFINITY
  /** What is to be tried again after the pause, and how often in a row the server could do nothing. */
  private retries: Array<() => void> = []
  private stopPause: (() => void) | undefined = undefined
  private refusals = 0
  private warnAgainAt = Number.NEGATIVE_INFINITY
  private readonly library: Script.Library
  private readonly channels: string
  private readonly id: string
  private readonly host: Host
  private readonly listener: Listener

  constructor(client: cluster.Client, keys: Keys.Keys, id: string, timeout: number, host: Host, listener: Listener) {
    this.library = new Script.Library(client, keys.keys, listener.onLoader)
    this.channels = keys.channels
    this.id = id
    this.timeout = timeout
    this.host = host
    this.listener = listener
  }

  /**
   * Sends a script. `done` is called once: with the answer, or with what went wrong. When the server can do nothing for now, a
   * command is sent again until its time is over, and a release beyond that. One with requests is not: see `Requests`, which asks for those that still want.
   */
  send(script: Script.Script, args: ReadonlyArray<Script.Argument>, done: Done, retries = lateRetries): void {
    if (this.closed) return done(failure.closed(script.verb))
    const flight = new Flight(script, args, this.host.now(), done)
    this.begin(flight)
    this.unanswered++
    this.transmit(flight, flight.sentAt, retries)
  }

  private transmit(flight: Flight, sentAt: number, retries: number): void {
    const { args, done, script } = flight
    const isAbove = this.isBehind(sentAt)
    this.library.run(
      script,
      [this.id, this.channels, this.limits(flight.sentAt, isAbove), ...args],
      (reply) => {
        this.unanswered--
        const receivedAt = this.host.now()
        this.heardAt = receivedAt
        this.refusals = 0
        try {
          const { events, firstToken, more, time, values } = codec.decodeAnswer(reply, script.isShort)
          this.ahead = time - receivedAt * 1000
          if (more === -1) {
            // The server's clock was set, or the command did come late.
            if (!this.end(flight)) return
            if (retries > 0) return this.send(script, args, done, retries - 1)
            return done(failure.timedOut(script.verb, this.timeout))
          }
          if (events !== "") this.listener.onEvents(events, time)
          this.settle(flight, new Reply(sentAt, receivedAt, time, values, firstToken, isAbove))
          if (more === 1) this.listener.onMore()
        } catch (error) {
          if (!(error instanceof codec.UnknownReply)) throw error
          this.settle(flight, failure.fromError(script.verb, error))
        }
      },
      (cause) => {
        this.heardAt = this.host.now()
        const error = failure.fromError(script.verb, cause)
        const refusal = failure.refusal(error)
        const isWanted = () => !this.closed && (!flight.isSettled || script === Script.release)
        if (refusal === undefined || script === Script.acquire || !isWanted()) {
          this.unanswered--
          if (refusal !== undefined) this.refused(error)
          return this.settle(flight, error)
        }
        flight.refusal = error
        this.refused(error)
        this.retry(() => {
          if (isWanted()) return this.transmit(flight, this.host.now(), retries)
          this.unanswered--
        })
      }
    )
  }

  /** May the server's clock be behind the greatest token? */
  private isBehind(sentAt: number): boolean {
    return this.greatestToken > (this.ahead === undefined ? 0 : sentAt * 1000 + this.ahead + tokenSlack)
  }

  /**
   * By which time of the server the command has been given up here, so that it must not do anything there; and, if so asked, the
   * token that grants are to go above.
   */
  private limits(sentAt: number, withToken: boolean): string {
    const { ahead } = this
    const late = ahead === undefined ? Number.MAX_SAFE_INTEGER : Math.ceil((sentAt + this.timeout) * 1000 + ahead)
    return withToken ? `${late} ${this.greatestToken}` : String(late)
  }

  /** The server can do nothing for now. */
  private refused(error: LockError.StoreError): void {
    if (this.stopPause !== undefined || this.closed) return
    const now = this.host.now()
    if (now >= this.warnAgainAt) {
      this.warnAgainAt = now + warningPause
      this.host.fork(Effect.logWarning(`The lock store has to wait: ${error.reason}`))
    }
    const pause = Math.min(firstPause * 2 ** this.refusals, longestPause)
    this.refusals++
    if (failure.refusal(error) === "leave") this.listener.onRefusal()
    this.stopPause = this.host.fork(
      Effect.map(sleep(pause), () => {
        this.stopPause = undefined
        const { retries } = this
        this.retries = []
        for (const retry of retries) retry()
      })
    )
  }

  /** Runs something after the pause that a server gets which can do nothing for now. */
  retry(again: () => void): void {
    this.retries.push(again)
  }

  /**
   * The same as an effect. Interrupted, it no longer waits for the answer. `begin` is called when it is sent, and what that
   * answers with in any case, when the script has run or can do nothing more.
   */
  run<A>(
    script: Script.Script,
    args: ReadonlyArray<Script.Argument>,
    decode: (reply: Reply) => A,
    begin?: () => () => void
  ): Effect.Effect<A, LockError.StoreError> {
    return Effect.flatMap(
      Effect.async<Reply, LockError.StoreError>((resume) => {
        const settled = begin?.()
        this.send(script, args, (result) => {
          resume("values" in result ? Effect.succeed(result) : Effect.fail(result))
          settled?.()
        })
      }),
      (reply) => Effect.try({ try: () => decode(reply), catch: (error) => failure.fromError(script.verb, error) })
    )
  }

  private begin(flight: Flight): void {
    flight.previous = this.newest
    if (this.newest === undefined) this.oldest = flight
    else this.newest.next = flight
    this.newest = flight
    // One fiber looks after the time limits of all commands, and only while there are any.
    this.stopWatching ??= this.host.fork(this.expire)
  }

  /** It is on its way no more. `false` when it was not before. */
  private end(flight: Flight): boolean {
    if (flight.isSettled) return false
    flight.isSettled = true
    if (flight.previous === undefined) this.oldest = flight.next
    else flight.previous.next = flight.next
    if (flight.next === undefined) this.newest = flight.previous
    else flight.next.previous = flight.previous
    flight.previous = undefined
    flight.next = undefined
    return true
  }

  private settle(flight: Flight, result: Reply | LockError.StoreError): void {
    if (this.end(flight)) flight.done(result)
  }

  /** Waits until all that was sent is answered, also what was given up: a release does its work however late it is. */
  get idle(): Effect.Effect<void> {
    return Effect.suspend(() => (this.unanswered === 0 ? Effect.void : Effect.zipRight(sleep(1), this.idle)))
  }

  close(): void {
    this.closed = true
    this.stopWatching?.()
    this.stopPause?.()
    while (this.oldest !== undefined) this.settle(this.oldest, failure.closed(this.oldest.script.verb))
  }

  private readonly expire: Effect.Effect<void> = Effect.suspend(() => {
    const { oldest } = this
    if (oldest === undefined) {
      this.stopWatching = undefined
      return Effect.void
    }
    const left = oldest.sentAt + this.timeout - this.host.now()
    if (left > 0) return Effect.zipRight(sleep(left + 1), this.expire)
    return Effect.flatMap(afterReading, () => {
      this.giveUp()
      return this.expire
    })
  })

  private giveUp(): void {
    const limit = this.host.now() - this.timeout
    let silent = false
    while (this.oldest !== undefined && this.oldest.sentAt <= limit) {
      silent ||= this.oldest.sentAt > this.heardAt
      const { refusal, script } = this.oldest
      this.settle(this.oldest, refusal ?? failure.timedOut(script.verb, this.timeout))
    }
    if (silent) this.listener.onSilence()
  }
}

/** A process that was stopped has timers that are due, but first reads the answers that have come meanwhile. */
export const afterReading = Effect.async<void>((resume) => {
  const immediate = setImmediate(() => resume(Effect.void))
  return Effect.sync(() => clearImmediate(immediate))
})
