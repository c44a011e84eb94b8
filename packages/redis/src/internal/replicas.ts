/**
 * Grants that are told only when enough replicas have them.
 *
 * A connection of its own refreshes what was granted, by hand, and sends WAIT behind that. WAIT answers when replicas have
 * what was written on its connection, and so all that was written before, by anybody: replication is one stream. So it is the
 * same who granted, this client's own command or the release of another client, and who waits for replicas holds up no
 * other command. The refresh also tells whether the lease is known there: another server may have taken over.
 *
 * What is granted meanwhile shares the next round.
 */
import { LockError, type LockStore } from "@hilok/core"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Option from "effect/Option"
import * as codec from "./codec.ts"
import { afterReading, type Host, localDeadline, type Reply, sleep } from "./commands.ts"
import * as failure from "./failure.ts"
import { type Link, type Settings, waitingFor } from "./replicaLink.ts"
import { type Answer, type Failed, Refusal, type Request, type Requests } from "./requests.ts"
import * as Script from "./script.ts"

type Resume = (result: Exit.Exit<Answer, Failed>) => void

const lost = "the server that has taken over does not know the lock"
const leasesPerCommand = 200
/**
 * How long before the time limit the server is to say how far it has come: a quarter of it, at least so many milliseconds, and at most
 * half. An idle server looks at its clock ten times a second.
 */
const leastReserve = 150
/** How long after the time limit of all in a round a connection counts as dead that has not answered (milliseconds). */
const silence = 250
/** How long after a round that could not be finished the next one begins, and after which a lost grant is asked for again. */
const pause = 50

/** Of a lease that enough replicas have: its local deadline, and whether it is a delegation that is wanted back. */
interface Copied {
  readonly deadline: number
  readonly wanted: boolean
}

/** `undefined`: the server does not know the lease (any more). */
type Outcome = Copied | undefined | LockError.StoreError

/** A lease that is to be copied. */
class Copy {
  readonly who: object
  readonly id: string
  readonly ttl: number
  /** When it fails, on the monotonic clock. */
  readonly until: number
  readonly operation: string
  readonly done: (outcome: Outcome) => void
  found: Copied | undefined = undefined

  constructor(who: object, id: string, ttl: number, until: number, operation: string, done: Copy["done"]) {
    this.who = who
    this.id = id
    this.ttl = ttl
    this.until = until
    this.operation = operation
    this.done = done
  }
}

/** Those that share a WAIT. */
class Round {
  readonly copies: ReadonlyArray<Copy>
  /** How many refreshes are not answered yet. */
  unwritten: number
  /** Is WAIT to be sent when they are? Else it has been. */
  waitsLater = false
  /** The latest time limit. */
  readonly until: number

  constructor(copies: ReadonlyArray<Copy>) {
    this.copies = copies
    this.until = Math.max(...copies.map(({ until }) => until))
    this.unwritten = Math.ceil(copies.length / leasesPerCommand)
  }
}

/** A server that is a replica by now refuses WAIT in words of its own. */
const isReplica = /WAIT cannot be used with replica/

/** In a Cluster another node has the slot by now. */
const isElsewhere = ({ reason }: LockError.StoreError): boolean => /\((?:MOVED|ASK) /.test(reason)

const isForNow = (error: LockError.StoreError): boolean =>
  error.kind === "connection" ||
  error.kind === "timeout" ||
  error.kind === "busy" ||
  isReplica.test(error.reason) ||
  isElsewhere(error)

/** The same, for whoever asked for something else. */
const named = ({ cause, kind, reason }: LockError.StoreError, operation: string): LockError.StoreError =>
  new LockError.StoreError({ operation, reason, kind, cause })

export class Replicas {
  /** Those that are not done yet, by who asks. */
  private readonly open = new Map<object, Copy>()
  private waiting: Array<Copy> = []
  private round: Round | undefined = undefined
  private isScheduled = false
  /**
   * Does the server have the library, as far as is known? If not, WAIT is only sent when the refresh has been answered: what comes
   * behind a WAIT that blocks, as the library would, is not carried out.
   */
  private isWarm = false
  private stopTimer: (() => void) | undefined = undefined
  private timerAt = Number.POSITIVE_INFINITY
  /** What the last round ended with, if it did not succeed. */
  private last: number | LockError.StoreError | undefined = undefined
  private readonly settings: Settings
  private readonly link: Link
  private readonly requests: Requests
  private readonly host: Host

  constructor(settings: Settings, link: Link, requests: Requests, host: Host) {
    this.settings = settings
    this.link = link
    this.requests = requests
    this.host = host
    // What was written on a connection is not what a WAIT on the next one covers.
    link.onClose(() => {
      this.isWarm = false
      if (this.round !== undefined) this.again(this.round)
    })
  }

  /**
   * Keeps the grant of a request back until enough replicas have it. When they do not in time, the lease is taken back:
   * `withdraw` does that, and ends soon. One that the server does not know is asked for again.
   */
  guard(request: Request, resume: Resume, withdraw: Effect.Effect<void>): Resume {
    let askUntil: number | undefined
    const fail = (error: LockError.StoreError) => this.host.fork(Effect.map(withdraw, () => resume(Exit.fail(error))))
    const granted: Resume = (result) => {
      if (Exit.isFailure(result) || result.value instanceof Refusal) return resume(result)
      const { token, wanted } = result.value
      const now = this.host.now()
      const until = now + this.settings.timeout
      askUntil ??= until
      const mayAskAgain = now < askUntil
      this.add(request, request.request.id, request.ttl, until, Script.acquire.verb, (outcome) => {
        if (outcome === undefined) {
          if (mayAskAgain) return this.askAgain(request, granted, fail)
          return fail(failure.refused(Script.acquire.verb, lost))
        }
        if ("operation" in outcome) return fail(outcome)
        const { deadline } = outcome
        resume(
          Exit.succeed(wanted === true || outcome.wanted ? { token, deadline, wanted: true } : { token, deadline })
        )
      })
    }
    return granted
  }

  /** The same for a lease that was taken over. `None` when it is not live. When it fails, whoever asked gives it back. */
  restored(
    id: string,
    ttl: number,
    grant: LockStore.RestoredGrant
  ): Effect.Effect<Option.Option<LockStore.RestoredGrant>, LockError.StoreError> {
    return Effect.async((resume) => {
      const who = {}
      this.add(who, id, ttl, this.host.now() + this.settings.timeout, Script.restore.verb, (outcome) => {
        if (outcome === undefined) return resume(Effect.succeedNone)
        if ("operation" in outcome) return resume(Effect.fail(outcome))
        resume(Effect.succeedSome({ ...grant, deadline: outcome.deadline }))
      })
      return Effect.sync(() => this.forget(who))
    })
  }

  /** Whoever asked has given it up. */
  forget(who: object): void {
    this.open.delete(who)
  }

  /** A lease was ended by an order, before its holder was told that it has it. */
  ended(id: string, what: string): void {
    for (const copy of Array.from(this.open.values())) {
      if (copy.id === id) this.settle(copy, failure.refused(copy.operation, `the lease was ${what} by an order`))
    }
  }

  close(): void {
    this.stopTimer?.()
    this.round = undefined
    this.waiting = []
    for (const copy of Array.from(this.open.values())) this.settle(copy, failure.closed(copy.operation))
    this.link.commands.close()
  }

  private add(who: object, id: string, ttl: number, until: number, operation: string, done: Copy["done"]): void {
    const copy = new Copy(who, id, ttl, until, operation, done)
    if (this.open.size === 0) this.last = undefined
    this.open.set(who, copy)
    this.waiting.push(copy)
    this.arm(until)
    this.schedule()
  }

  private isOpen(copy: Copy): boolean {
    return this.open.get(copy.who) === copy
  }

  private settle(copy: Copy, outcome: Outcome): void {
    if (!this.isOpen(copy)) return
    this.open.delete(copy.who)
    copy.done(outcome)
  }

  /** The connections may lead to different servers. */
  private askAgain(request: Request, granted: Resume, fail: (error: LockError.StoreError) => void): void {
    this.link.leave()
    const { id } = request.request
    const again = new Copy(request, id, request.ttl, Number.POSITIVE_INFINITY, Script.acquire.verb, (outcome) => {
      if (outcome !== undefined && "operation" in outcome) fail(outcome)
    })
    this.open.set(request, again)
    this.host.fork(
      Effect.map(sleep(pause), () => {
        if (!this.isOpen(again)) return
        this.open.delete(request)
        this.requests.ask(request, granted)
      })
    )
  }

  // -- Rounds

  private get reserve(): number {
    const { timeout } = this.settings
    return Math.min(Math.max(leastReserve, timeout / 4), timeout / 2)
  }

  private schedule(): void {
    if (this.isScheduled || this.round !== undefined) return
    this.isScheduled = true
    queueMicrotask(this.begin)
  }

  private readonly begin = (): void => {
    this.isScheduled = false
    if (this.round !== undefined) return
    const copies = this.waiting.filter((copy) => this.isOpen(copy))
    this.waiting = []
    if (copies.length === 0) return
    const round = new Round(copies)
    this.round = round
    this.arm(round.until + silence)
    for (let from = 0; from < copies.length; from += leasesPerCommand) {
      const some = copies.slice(from, from + leasesPerCommand)
      this.link.commands.send(
        Script.refresh,
        some.flatMap(({ id, ttl }) => [codec.encodeName(id, undefined), String(ttl)]),
        (result) => this.written(round, some, result)
      )
    }
    if (this.isWarm) this.wait(round)
    else round.waitsLater = true
  }

  private written(round: Round, copies: ReadonlyArray<Copy>, result: Reply | LockError.StoreError): void {
    if (this.round !== round) return
    if (!("values" in result)) return this.again(round, result)
    for (let i = 0; i < copies.length; i++) {
      const deadline = result.values[i]
      copies[i]!.found =
        typeof deadline === "number" && deadline !== 0
          ? { deadline: localDeadline(result, Math.abs(deadline)), wanted: deadline < 0 }
          : undefined
    }
    round.unwritten--
    if (round.unwritten > 0) return
    this.isWarm = true
    if (round.waitsLater) this.wait(round)
  }

  private wait(round: Round): void {
    if (this.round !== round) return
    round.waitsLater = false
    const limit = Math.max(1, Math.floor(round.until - this.host.now() - this.reserve))
    this.link.wait(this.settings.min, limit).then(
      (count) => {
        if (this.round !== round) return
        if (round.unwritten === 0) return this.counted(round, count)
        // The server did not have the library, or could do nothing for now.
        round.waitsLater = true
        this.isWarm = false
      },
      (error: unknown) => {
        if (this.round === round) this.again(round, failure.fromError(waitingFor, error))
      }
    )
  }

  private counted(round: Round, count: number): void {
    if (count < this.settings.min) {
      this.last = count
      const limit = this.host.now() + this.reserve
      for (const copy of round.copies) if (copy.until <= limit) this.settle(copy, this.problem(copy))
      return this.again(round)
    }
    this.round = undefined
    this.last = undefined
    for (const copy of round.copies) this.settle(copy, copy.found)
    this.schedule()
  }

  /** A round has come to nothing: those that may wait longer go into another one. */
  private again(round: Round, error?: LockError.StoreError): void {
    this.round = undefined
    if (error !== undefined) this.isWarm = false
    if (error !== undefined && isElsewhere(error)) this.link.renew()
    if (error !== undefined && !isForNow(error)) {
      for (const copy of round.copies) this.settle(copy, named(error, copy.operation))
    } else if (error !== undefined) this.last = error
    this.waiting.unshift(...round.copies.filter((copy) => this.isOpen(copy)))
    if (this.isScheduled) return
    this.isScheduled = true
    this.host.fork(Effect.map(sleep(pause), this.begin))
  }

  /** Why a lease is not reported. */
  private problem({ operation }: Copy): LockError.StoreError {
    const { min, timeout } = this.settings
    if (typeof this.last === "object") return named(this.last, operation)
    if (this.last === undefined) {
      const reason = `the server did not say within ${timeout} ms which replicas have the lock: replicas.min asks for ${min}`
      return new LockError.StoreError({ operation, kind: "timeout", reason })
    }
    const had = this.last === 1 ? "1 replica" : `${this.last} replicas`
    const reason = `${had} had the lock within ${timeout} ms, but replicas.min asks for ${min}`
    return new LockError.StoreError({ operation, kind: "busy", reason })
  }

  // -- The time limits: one timer for all

  private arm(at: number): void {
    if (at >= this.timerAt) return
    this.stopTimer?.()
    this.timerAt = at
    this.stopTimer = this.host.fork(
      Effect.zipRight(
        sleep(at - this.host.now()),
        // What a process that was stopped did not read yet comes first.
        Effect.map(afterReading, () => this.onTimer())
      )
    )
  }

  private onTimer(): void {
    this.stopTimer = undefined
    this.timerAt = Number.POSITIVE_INFINITY
    const now = this.host.now()
    let next = Number.POSITIVE_INFINITY
    for (const copy of Array.from(this.open.values())) {
      if (copy.until <= now) this.settle(copy, this.problem(copy))
      else next = Math.min(next, copy.until)
    }
    const { round } = this
    if (round !== undefined && round.until + silence <= now) {
      this.link.renew()
      this.again(round)
    } else if (round !== undefined) next = Math.min(next, round.until + silence)
    if (next !== Number.POSITIVE_INFINITY) this.arm(next)
  }
}
