/**
 * The requests of this client on their way: asked for, waiting, given up.
 *
 * The server queues and grants; a grant comes as a message. Messages are hints: a waiting request is also looked at
 * when it says that it still waits (three times per ttl of its place in the queue), when the deadline of what blocks it
 * passes, and when a connection is re-established. One that the server has forgotten is asked for again.
 */
import { type LockEntry, LockError, type LockStore } from "@hilok/core"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { Batch } from "./batch.ts"
import * as codec from "./codec.ts"
import { type Commands, type Host, localDeadline, type Reply, sleep } from "./commands.ts"
import * as failure from "./failure.ts"
import * as Script from "./script.ts"

/** A request that does not queue was refused. */
export class Refusal {
  readonly blocker: LockEntry.LockEntry

  constructor(blocker: LockEntry.LockEntry) {
    this.blocker = blocker
  }
}

export type Answer = LockStore.Grant | Refusal
export type Failed = LockError.Deadlock | LockError.StoreError
type Resume = (result: Exit.Exit<Answer, Failed>) => void

const never = { sentAt: 0, serverTime: 0 }

/** One request. It is `queued` here, `sent` to the server, `waiting` there, or `settled`. */
export class Request {
  readonly request: LockStore.LockRequest
  /** Wait in the server's queue, or be refused. */
  readonly queue: boolean
  /** Milliseconds: of the lease, and of the place in the queue. */
  readonly ttl: number
  readonly waitTtl: number
  /** Who asks, encoded. */
  readonly holder: string
  /** To be called once. */
  resume: Resume = () => undefined
  state: "queued" | "sent" | "waiting" | "settled" = "queued"
  /** Called when the request is gone from the server, after its caller gave it up. */
  abandoned: (() => void) | undefined = undefined
  /** What a message said before the answer to the command came. */
  early: { readonly words: ReadonlyArray<string>; readonly time: number } | undefined = undefined
  /** When it was first asked for, or is asked for anew. */
  askedAt = 0
  /** May the server have it, though it is `queued` here? */
  mayBeThere = false
  /** The greatest token that was seen before it was asked for: its own is greater. */
  floor = 0
  /** The last answer about it. */
  seen: Pick<Reply, "sentAt" | "serverTime"> = never
  lookAt = Number.POSITIVE_INFINITY

  constructor(request: LockStore.LockRequest, holder: string, queue: boolean) {
    this.request = request
    this.holder = holder
    this.queue = queue
    this.ttl = Math.ceil(Duration.toMillis(request.ttl))
    this.waitTtl = request.waitTtl === undefined ? this.ttl : Math.ceil(Duration.toMillis(request.waitTtl))
  }

  /** Appends what the script is asked for, where the call says `holder` and `ttl` once: see acquire.lua. */
  encode(holder: string, ttl: number, args: Array<Script.Argument>): void {
    const { delegated, id, impatient, targets, within } = this.request
    const isPlain =
      this.queue && this.ttl === this.waitTtl && targets.length === 1 && within.length === 0 && delegated === undefined
    if (isPlain && this.holder === holder && this.ttl === ttl) {
      args.push(id, codec.encodeTarget(targets[0]))
    } else {
      let how = this.queue ? "q" : impatient === true ? "i" : "t"
      if (how !== "t" && this.ttl !== this.waitTtl) how += this.waitTtl
      if (delegated !== undefined) how += `/${delegated}`
      args.push("")
      codec.encodeRequest({ id, targets, within }, String(this.ttl), how, this.holder, args)
    }
  }
}

class Release {
  /** See `codec.encodeName`. */
  readonly name: string
  readonly done: (live: boolean | LockError.StoreError) => void

  constructor(name: string, done: Release["done"]) {
    this.name = name
    this.done = done
  }
}

const isQueued = ({ state }: Request): boolean => state === "queued"

/** Requests and releases in one command: enough to share its cost, few enough that no call takes long. */
const perCommand = 32
/** Requests in one command while some wait: it takes longer to queue than to be granted. */
const perCommandInQueue = 16
const looksPerCommand = 50
/**
 * Requests that may be on their way at a time: enough to keep the server busy, also from afar, and few enough that what
 * else the client sends does not have to wait for long. By the answers to the first ones it is known whether the next have
 * to queue.
 */
const requestsAtATime = 1024
/** How soon, at the earliest, a request is looked at again (milliseconds): nothing spins. */
const lookPause = 20
const heartbeatsPerTtl = 3

export class Requests {
  private readonly waiting = new Map<string, Request>()
  /**
   * What is on its way, a list for each command. Most requests are only asked and answered, and are in no `Map` or `Set`:
   * the former tables of one that so many pass through, with all that was in them, live on once one of them has grown
   * old, until the next full collection.
   */
  private readonly sent: Array<ReadonlyArray<Request>> = []
  /** Did the last command with requests succeed? If not, none is held back, to wait for the time limits of others. */
  private isAnswered = true
  /** The last that was granted after a wait: most likely others wait behind it, so its release does not wait for more. */
  private urgent: string | undefined = undefined
  private readonly acquires: Batch<Request>
  private readonly releases: Batch<Release>
  /** Those that are asked for again a little later. */
  private readonly later = new Set<Request>()
  private stopTimer: (() => void) | undefined = undefined
  private timerAt = Number.POSITIVE_INFINITY
  private readonly commands: Commands
  private readonly host: Host
  private readonly onMissed: (id: string, since: number) => void

  /** `onMissed`: a look found a grant that no message has told; at the time `since` the request still waited. */
  constructor(commands: Commands, host: Host, onMissed: (id: string, since: number) => void = () => undefined) {
    this.commands = commands
    this.host = host
    this.onMissed = onMissed
    const acquiresPerCommand = () => (this.waiting.size > 0 ? perCommandInQueue : perCommand)
    this.acquires = new Batch(
      acquiresPerCommand,
      queueMicrotask,
      (requests) => this.sendAcquires(requests),
      () => !this.isAnswered || this.countSent() < requestsAtATime
    )
    this.releases = new Batch(
      () => perCommand,
      queueMicrotask,
      (releases) => this.sendReleases(releases)
    )
  }

  ask(request: Request, resume = request.resume): void {
    request.resume = resume
    request.askedAt = this.host.now()
    this.enqueue(request)
  }

  private enqueue(request: Request): void {
    request.state = "queued"
    request.early = undefined
    this.acquires.add(request)
  }

  /** Ends a lease, or takes a request out of the queue. It is named by its owner or by hand: see `codec.encodeName`. */
  release(name: string, done: Release["done"]): void {
    this.releases.add(new Release(name, done))
    if (name === this.urgent) {
      this.urgent = undefined
      this.releases.flush()
    }
  }

  /** Gives a request up, wherever it is. `gone` is called when nothing is left of it, or nothing more can be done. */
  abandon(request: Request, gone: () => void): void {
    const { id } = request.request
    switch (request.state) {
      case "queued":
        // It stays where it is, and is not sent.
        this.forget(request)
        if (request.mayBeThere) this.release(id, () => undefined)
        return gone()
      case "sent":
        // A cancel could overtake it, so the answer comes first.
        request.abandoned = gone
        return
      default:
        this.forget(request)
        return this.release(id, gone)
    }
  }

  private forget(request: Request): void {
    if (request.state === "waiting") this.waiting.delete(request.request.id)
    request.state = "settled"
  }

  private find(id: string): Request | undefined {
    const waiting = this.waiting.get(id)
    if (waiting !== undefined) return waiting
    // A message that came before the answer to its command.
    for (const requests of this.sent) {
      const sent = requests.find(({ request, state }) => state === "sent" && request.id === id)
      if (sent !== undefined) return sent
    }
    return undefined
  }

  private settle(request: Request, result: Exit.Exit<Answer, Failed>): void {
    this.forget(request)
    request.resume(result)
  }

  // -- Asking

  private countSent(): number {
    let count = 0
    for (const requests of this.sent) count += requests.length
    return count
  }

  private sendAcquires(collected: ReadonlyArray<Request>): void {
    const requests = collected.every(isQueued) ? collected : collected.filter(isQueued)
    if (requests.length === 0) return
    // Most requests of a client have the same holder and ttl: these are sent once.
    const { holder, ttl } = requests[0]!
    const args: Array<Script.Argument> = [holder, String(ttl)]
    for (const request of requests) {
      request.state = "sent"
      request.floor = this.commands.greatestToken
      request.encode(holder, ttl, args)
    }
    this.sent.push(requests)
    this.commands.send(Script.acquire, args, (result) => {
      this.sent.splice(this.sent.indexOf(requests), 1)
      this.isAnswered = "values" in result
      for (let i = 0; i < requests.length; i++) {
        const request = requests[i]!
        // The store was closed meanwhile.
        if (request.state !== "sent") continue
        if (!("values" in result)) this.notAnswered(request, result)
        else if (result.firstToken !== undefined)
          this.answer(request, result, 1, result.firstToken + i, result.serverTime + ttl * 1000)
        else this.answer(request, result, result.values[3 * i], result.values[3 * i + 1], result.values[3 * i + 2])
      }
      this.acquires.goOn()
    })
  }

  /** A request that may wait is asked for again for as long as the server can do nothing for now; any is, for a while. */
  private notAnswered(request: Request, error: LockError.StoreError): void {
    const mayWait = request.queue || this.host.now() < request.askedAt + this.commands.timeout
    if (failure.refusal(error) === undefined || !mayWait || request.abandoned !== undefined) {
      return this.failAsk(request, error)
    }
    this.forget(request)
    request.state = "queued"
    request.mayBeThere = true
    this.later.add(request)
    this.commands.retry(() => this.askLater(request))
  }

  private askLater(request: Request): void {
    if (this.later.delete(request) && isQueued(request)) this.enqueue(request)
  }

  /** The command may have run, or may run yet: what it may have got is given back. */
  private failAsk(request: Request, error: LockError.StoreError): void {
    const { abandoned } = request
    this.forget(request)
    // Where the server can do nothing for now, that may take a while.
    const isRefused = failure.refusal(error) !== undefined
    this.release(request.request.id, () => (isRefused ? undefined : abandoned?.()))
    if (abandoned === undefined) request.resume(Exit.fail(error))
    else if (isRefused) abandoned()
  }

  private answer(request: Request, reply: Reply, tag: unknown, first: unknown, second: unknown): void {
    request.seen = reply
    if (request.abandoned !== undefined) {
      this.forget(request)
      return tag === 1 || tag === 2 || tag === 5
        ? this.release(request.request.id, request.abandoned)
        : request.abandoned()
    }
    try {
      switch (tag) {
        case 1:
        case 5:
          // With that, a smaller one is what the id has got before.
          if (reply.isAbove && request.state === "sent") request.floor = 0
          return this.granted(request, reply.serverTime, codec.number(first), codec.number(second), tag === 5)
        case 2:
          this.wait(request, reply, codec.number(second))
          if (request.early !== undefined) this.onMessage(request.early.words, request.early.time)
          return
        case 3:
          return this.settle(request, Exit.succeed(new Refusal(codec.decodeEntry(first, reply.serverTime))))
        case 4:
          return this.deadlocked(request, codec.text(first).split(" "))
        default:
          throw new codec.UnknownReply("an answer to acquire")
      }
    } catch (error) {
      if (!(error instanceof codec.UnknownReply)) throw error
      this.failAsk(request, failure.fromError(Script.acquire.verb, error))
    }
  }

  /** At a time of the server (microseconds). */
  private granted(request: Request, time: number, token: number, deadline: number, wanted: boolean): void {
    if (time <= request.floor && token <= request.floor) return this.giveBack(request)
    if (token > this.commands.greatestToken) this.commands.greatestToken = token
    let local = localDeadline(request.seen, deadline)
    if (request.state === "waiting") {
      const now = this.host.now()
      // The server's clock may have been set forward since the last answer: no lease lasts longer than its ttl from now on.
      local = Math.min(local, now + request.ttl)
      // A process that was stopped may hear of a grant when the lease is over.
      if (local <= now) return this.askAgain(request)
      this.urgent = request.request.id
    }
    this.settle(request, Exit.succeed(wanted ? { token, deadline: local, wanted } : { token, deadline: local }))
  }

  /**
   * It was granted by a server that has taken over from one whose clock was ahead: the next token goes above the greatest. (By
   * another clock, a smaller token is that of a lease which has been granted before, and is asked for again.)
   */
  private giveBack(request: Request): void {
    this.forget(request)
    request.state = "queued"
    request.mayBeThere = true
    this.later.add(request)
    this.release(request.request.id, (live) => {
      if (typeof live === "boolean") return this.askLater(request)
      // The release may be carried out yet.
      if (this.later.delete(request) && isQueued(request)) this.settle(request, Exit.fail(live))
    })
  }

  private deadlocked(request: Request, cycle: ReadonlyArray<string>): void {
    const targets = codec.displayTargets(request.request.targets)
    this.settle(request, Exit.fail(new LockError.Deadlock({ targets, cycle })))
  }

  private sendReleases(releases: ReadonlyArray<Release>): void {
    this.commands.send(
      Script.release,
      releases.map(({ name }) => name),
      (result) => {
        for (let i = 0; i < releases.length; i++) {
          releases[i]!.done("values" in result ? result.firstToken !== undefined || result.values[i] === 1 : result)
        }
      }
    )
  }

  // -- Waiting

  private wait(request: Request, reply: Reply, blockerDeadline: number): void {
    if (request.state !== "waiting") {
      if (this.waiting.has(request.request.id)) {
        const reason = "a request with the same id is under way already"
        return this.settle(request, Exit.fail(failure.refused(Script.acquire.verb, reason)))
      }
      this.waiting.set(request.request.id, request)
    }
    request.state = "waiting"
    request.seen = reply
    const heartbeat = reply.sentAt + request.waitTtl / heartbeatsPerTtl
    const passed = reply.receivedAt + (blockerDeadline - reply.serverTime) / 1000 + 1
    request.lookAt = Math.min(heartbeat, Math.max(passed, reply.receivedAt + lookPause))
    this.arm(request.lookAt)
  }

  /**
   * What happened at a time of the server: a letter for it, the id of the request or lease, and more. What happened
   * before the last answer is out of date: the request may have been asked for again since.
   */
  onMessage(words: ReadonlyArray<string>, time: number): void {
    const request = this.find(words[1] ?? "")
    if (request === undefined || request.abandoned !== undefined) return
    if (request.state === "sent") {
      request.early = { words, time }
      return
    }
    if (request.state !== "waiting" || !(time >= request.seen.serverTime)) return
    switch (words[0]) {
      case "g":
      case "G": {
        const token = words[2] === undefined ? time : Number(words[2])
        const deadline = words[3] === undefined ? time + request.ttl * 1000 : Number(words[3])
        const wanted = words[0] === "G"
        return Number.isSafeInteger(token + deadline) ? this.granted(request, time, token, deadline, wanted) : undefined
      }
      case "f":
        return this.refused(request, words.slice(2).join(" "), time)
      case "d":
        return this.deadlocked(request, words.slice(1))
      case "x":
        return this.askAgain(request)
      case "l":
        return this.look([request])
      case "k": {
        const reason = "the request was taken out of the queue, by a release with its id"
        return this.settle(request, Exit.fail(failure.refused(Script.acquire.verb, reason)))
      }
    }
  }

  private refused(request: Request, blocker: string, time: number): void {
    try {
      this.settle(request, Exit.succeed(new Refusal(codec.parseEntry(blocker, time))))
    } catch (error) {
      if (!(error instanceof codec.UnknownReply)) throw error
      // The next look tells.
    }
  }

  private askAgain(request: Request): void {
    this.forget(request)
    this.ask(request)
  }

  /** Looks at all that wait: messages may have been missed. */
  lookAtAll(): void {
    this.look(Array.from(this.waiting.values()))
  }

  private look(requests: ReadonlyArray<Request>): void {
    for (let from = 0; from < requests.length; from += looksPerCommand) {
      const some = requests.slice(from, from + looksPerCommand)
      for (const request of some) request.lookAt = Number.POSITIVE_INFINITY
      this.commands.send(
        Script.look,
        some.flatMap(({ request, waitTtl }) => [request.id, String(waitTtl)]),
        (result) => {
          for (let i = 0; i < some.length; i++) this.looked(some[i]!, result, i)
        }
      )
    }
  }

  private looked(request: Request, result: Reply | LockError.StoreError, i: number): void {
    if (request.state !== "waiting") return
    if (!("values" in result)) {
      const now = this.host.now()
      // The server has dropped it by now, and cannot be asked to take it again, unless it only can do nothing for now.
      if (now > request.seen.sentAt + request.waitTtl) {
        return failure.refusal(result) === undefined ? this.failAsk(request, result) : this.askAgain(request)
      }
      request.lookAt = now + Math.max(lookPause, request.waitTtl / heartbeatsPerTtl / 4)
      return this.arm(request.lookAt)
    }
    const [tag, first, second] = result.values.slice(3 * i, 3 * i + 3)
    if (tag === 0) return this.askAgain(request)
    if (tag === 1 || tag === 5) this.onMissed(request.request.id, request.seen.sentAt)
    this.answer(request, result, tag, first, second)
  }

  // -- The timer: it sleeps until the first of the waiting requests is to be looked at. When that is gone it sleeps on, and
  // may serve the next: requests come and go faster than timers are set.

  private arm(at: number): void {
    if (at >= this.timerAt) return
    this.stopTimer?.()
    this.timerAt = at
    this.stopTimer = this.host.fork(Effect.map(sleep(at - this.host.now()), () => this.onTimer()))
  }

  private disarm(): void {
    this.stopTimer?.()
    this.stopTimer = undefined
    this.timerAt = Number.POSITIVE_INFINITY
  }

  private onTimer(): void {
    this.stopTimer = undefined
    this.timerAt = Number.POSITIVE_INFINITY
    const now = this.host.now()
    const due: Array<Request> = []
    let next = Number.POSITIVE_INFINITY
    for (const request of this.waiting.values()) {
      // What is due soon goes along, and what has waited for more than half of its time: so all that have the same ttl
      // come to be looked at together, whenever they were asked for, and none is looked at twice as often as it has to.
      const half = (request.seen.sentAt + request.lookAt) / 2
      if (now >= Math.min(half, request.lookAt - lookPause / 2)) due.push(request)
      else next = Math.min(next, request.lookAt)
    }
    this.look(due)
    if (next !== Number.POSITIVE_INFINITY) this.arm(next)
  }

  /** Fails what is under way, and sends what takes it out of the server. */
  close(): void {
    this.disarm()
    const fail = (request: Request) => this.settle(request, Exit.fail(failure.closed(Script.acquire.verb)))
    for (const request of this.acquires.clear()) if (isQueued(request)) fail(request)
    const later = Array.from(this.later).filter(isQueued)
    this.later.clear()
    for (const request of [...this.sent.flat(), ...later, ...this.waiting.values()]) {
      const { abandoned } = request
      fail(request)
      this.release(request.request.id, () => abandoned?.())
    }
    this.releases.flush()
  }
}
