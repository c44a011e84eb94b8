/**
 * What the scripts do, decided by `LockTable`: each call is done at a time of the server, answered, and told to those whom
 * it concerns.
 */
import { LockStore, LockTable } from "@hilok/core"
import * as Protocol from "./protocol.ts"
import type { Random } from "./random.ts"
import type { Process } from "./world.ts"

/** Whose call it is, and when it was sent in the time of the world. */
export interface Sender {
  readonly process: Process
  readonly sentAt: number
}

/** Who learns what is decided. */
export interface Witness {
  /** A request that was not known. */
  readonly asked: (id: string, sender: Sender) => void
  readonly granted: (id: string, token: number, ttl: number, to: Process) => void
  /** Its ttl begins anew. */
  readonly prolonged: (id: string, ttl: number) => void
  /** A lease or a request is no more. */
  readonly ended: (id: string) => void
  readonly taken: (id: string, by: Process) => void
}

/** Rules that a test can switch off, to see that it is noticed. */
export interface Rules {
  /** A late command does nothing. */
  readonly late: boolean
  /** Clients are told what happens to their requests. */
  readonly messages: boolean
  /** What is released ends. */
  readonly releases: boolean
  /** What is over is not refreshed. */
  readonly expiry: boolean
  /** A deadline is told as it is. */
  readonly deadlines: boolean
  /** Who conflicts has to wait. */
  readonly exclusion: boolean
  /** Tokens rise. */
  readonly tokens: boolean
}

export const allRules: Rules = {
  late: true,
  messages: true,
  releases: true,
  expiry: true,
  deadlines: true,
  exclusion: true,
  tokens: true
}

/** Whose a lease is: a name, who is told of what happens to it. */
interface Owner {
  readonly owner: string
  readonly client: string
  readonly process: Process
}

interface Entry extends Owner {
  readonly asked: Protocol.Asked
  owner: string
  /** Whose it was before, until the owner has refreshed it. */
  former: (Owner & { readonly deadline: number }) | undefined
  /** Who is told of what happens to it. */
  client: string
  process: Process
  targets: ReadonlyArray<string>
  ttl: number
  /** Of the lease, which a request that waits is not yet. */
  token: number | undefined
  /** In milliseconds of the server. */
  deadline: number
}

/** How the deadlines are told when the rule is off: later than they are. */
const lie = 40

const letters = { broken: "b", expired: "e", released: "r", taken: "t" } as const

const micros = (millis: number): number => Math.round(millis * 1000)

export class Decisions {
  readonly table = new LockTable.LockTable()
  readonly entries = new Map<string, Entry>()
  readonly random: Random
  readonly rules: Rules
  readonly witness: Witness

  constructor(random: Random, rules: Rules, witness: Witness) {
    this.random = random
    this.rules = rules
    this.witness = witness
  }

  get requests(): ReadonlyArray<{
    readonly id: string
    readonly isHeld: boolean
    readonly isNested: boolean
    readonly process: Process
  }> {
    return Array.from(this.entries, ([id, { asked, process, token }]) => ({
      id,
      isHeld: token !== undefined,
      isNested: asked.within.length > 0,
      process
    }))
  }

  isLive(id: string, token: number, now: number): boolean {
    const entry = this.entries.get(id)
    return entry?.token === token && entry.deadline > now
  }

  /** Who has not left at the given time. */
  left(now: number): ReadonlyArray<string> {
    return Array.from(this.entries)
      .filter(([, { deadline }]) => deadline > now)
      .map(([id, { process, token }]) => `${id} of ${process.name}, ${token === undefined ? "waiting" : "held"}`)
  }

  /** Does what a call asks for, and answers it. */
  perform(call: Protocol.Call, caller: Sender, now: number, publish: (channel: string, text: string) => void): unknown {
    if (this.rules.late && micros(now) > call.late) return Protocol.late(micros(now))
    this.table.raise(call.floor)
    const performance = new Performance(this, call, caller, now)
    const { answer } = performance
    for (const [client, lines] of performance.outbox) {
      publish(call.channels + client, Protocol.message(micros(now), lines))
    }
    return answer
  }
}

/** One call. */
class Performance {
  readonly answer: unknown
  /** What others than the caller are told, by their clients. */
  readonly outbox = new Map<string, Array<string>>()
  private readonly own: Array<string> = []
  private readonly table: LockTable.LockTable
  private readonly entries: Map<string, Entry>
  private readonly random: Random
  private readonly rules: Rules
  private readonly witness: Witness
  private readonly call: Protocol.Call
  private readonly caller: Sender
  private readonly now: number
  private readonly time: number

  constructor({ entries, random, rules, table, witness }: Decisions, call: Protocol.Call, caller: Sender, now: number) {
    this.table = table
    this.entries = entries
    this.random = random
    this.rules = rules
    this.witness = witness
    this.call = call
    this.caller = caller
    this.now = now
    this.time = micros(now)
    // What every script begins with.
    table.expire(now)
    this.settle()
    const { operation } = call
    switch (operation._tag) {
      case "acquire":
        this.answer = this.acquire(operation.requests)
        break
      case "release":
        this.answer = this.release(operation.leases)
        break
      case "refresh":
        this.answer = this.long(operation.leases.map((lease) => this.refresh(lease, lease.ttl)))
        break
      case "look":
        this.answer = this.long(operation.leases.flatMap(({ id, ttl }) => this.look(id, ttl)))
        break
      case "restore":
        this.answer = this.long(this.restore(operation.id, operation.ttl, operation.owner))
        break
      case "giveBack":
        this.answer = this.long([this.giveBack(operation.id, operation.owner)])
        break
      case "downgrade":
        this.answer = this.long([this.downgrade(operation)])
        break
      case "breakLease": {
        const live = table.breakLease(operation.id, now)
        this.settle()
        this.answer = this.long([live ? 1 : 0])
        break
      }
      case "lookup":
        this.answer = this.long(operation.wanted.map((wanted) => this.lookup(wanted)))
        break
      case "inspect": {
        const ids = table.inspect(operation.path as never, now).map(({ id }) => id)
        this.answer = this.long([0, "", ...ids.map((id) => this.describe(id))])
        break
      }
    }
  }

  /** Now and then it says that there is more to look at, though there is not: that does no harm. */
  private long(values: ReadonlyArray<unknown>): unknown {
    return Protocol.answer(this.time, this.random.chance(0.02), this.own, values)
  }

  private tell(client: string, line: string): void {
    if (client === this.call.client) {
      this.own.push(line)
      return
    }
    const lines = this.outbox.get(client)
    if (lines === undefined) this.outbox.set(client, [line])
    else lines.push(line)
  }

  /** Takes note of what the table has decided about others than the one that was asked for. */
  private settle(isHandOver = false): void {
    for (const event of this.table.takeEvents()) {
      const entry = this.entries.get(event.id)
      if (entry === undefined) continue
      switch (event._tag) {
        case "Granted":
          this.grant(event.id, entry, event.token, event.deadline)
          // The short form leaves out what follows from the time.
          if (isHandOver && this.random.chance(0.5) && event.deadline === this.now + entry.ttl) {
            this.tell(entry.client, entry.token === this.time ? `g ${event.id}` : `g ${event.id} ${entry.token}`)
          } else this.tell(entry.client, `g ${event.id} ${entry.token} ${this.told(event.deadline)}`)
          break
        case "Deadlock":
          this.forget(event.id)
          this.tell(entry.client, `d ${event.cycle.join(" ")}`)
          break
        case "Ended":
          if (event.reason !== "taken") this.forget(event.id)
          this.tell(
            entry.client,
            `${event.state === "held" ? letters[event.reason] : "x"} ${event.id}${event.owner === event.id ? "" : ` ${event.owner}`}`
          )
          break
      }
    }
  }

  private grant(id: string, entry: Entry, token: number, deadline: number): void {
    entry.token = this.rules.tokens ? token : token - this.random.below(1e6)
    entry.deadline = deadline
    this.witness.granted(id, entry.token, entry.ttl, entry.process)
  }

  private forget(id: string): void {
    this.entries.delete(id)
    this.witness.ended(id)
  }

  /** A deadline as it is told, in microseconds. */
  private told(deadline: number): number {
    return micros(deadline + (this.rules.deadlines ? 0 : lie))
  }

  private deadlineOf(id: string): number {
    return this.told(this.entries.get(id)?.deadline ?? this.now)
  }

  // -- The scripts

  private acquire(requests: ReadonlyArray<Protocol.Asked>): unknown {
    let first: number | undefined
    let isShort = true
    const answers = requests.flatMap((asked, i): ReadonlyArray<unknown> => {
      const isKnown = this.entries.has(asked.id)
      const request = {
        id: asked.id,
        targets: asked.targets.map(Protocol.decodeTarget),
        ttl: asked.ttl,
        waitTtl: asked.waitTtl,
        within: asked.within,
        holder: {}
      }
      if (!isKnown) {
        const { client } = this.call
        const deadline = this.now + asked.waitTtl
        const { targets, ttl } = asked
        this.witness.asked(asked.id, this.caller)
        this.entries.set(asked.id, {
          asked,
          client,
          owner: asked.id,
          former: undefined,
          process: this.caller.process,
          targets,
          ttl,
          token: undefined,
          deadline
        })
      }
      const entry = this.entries.get(asked.id)!
      const outcome = asked.queue ? this.table.acquire(request, this.now) : this.table.tryAcquire(request, this.now)
      isShort &&= !isKnown && outcome._tag === "Granted"
      switch (outcome._tag) {
        case "Granted":
          if (!isKnown) this.grant(asked.id, entry, outcome.token, outcome.deadline)
          first ??= entry.token!
          isShort &&= entry.token === first + i && outcome.deadline === this.now + requests[0]!.ttl
          return [1, entry.token, this.told(outcome.deadline)]
        case "Waiting":
          if (!this.rules.exclusion) {
            this.table.breakLease(outcome.blocker, this.now)
            this.table.takeEvents()
            const granted = this.table.acquire(request, this.now)
            if (granted._tag === "Granted") {
              this.grant(asked.id, entry, granted.token, granted.deadline)
              return [1, entry.token, this.told(granted.deadline)]
            }
          }
          return [2, outcome.blocker, this.deadlineOf(outcome.blocker)]
        case "Refused":
          this.entries.delete(asked.id)
          return [3, this.describe(outcome.blocker), 0]
        default:
          this.forget(asked.id)
          return [4, outcome.cycle.join(" "), 0]
      }
    })
    this.settle()
    if (!isShort || first === undefined || this.own.length > 0 || !this.rules.deadlines || this.random.chance(0.3)) {
      return this.long(answers)
    }
    return Protocol.short(this.time, first === this.time ? undefined : first, [])
  }

  private release(leases: ReadonlyArray<Protocol.Named>): unknown {
    const answers = leases.map(({ id, owner }) => {
      const entry = this.entries.get(id)
      if (entry === undefined || (owner !== undefined && owner !== entry.owner)) return 0
      if (!this.rules.releases && this.random.chance(0.1)) return 1
      if (entry.token === undefined) this.tell(entry.client, `k ${id}`)
      if (owner !== undefined || entry.token === undefined) this.forget(id)
      this.table.release(id, this.now, owner)
      this.settle(leases.length === 1)
      return 1
    })
    const isShort = answers.every((live) => live === 1) && this.random.chance(0.7)
    return isShort ? Protocol.short(this.time, undefined, this.own) : this.long(answers)
  }

  private refresh({ id, owner }: Protocol.Named, ttl: number): number {
    const entry = this.entries.get(id)
    if (entry?.token === undefined) return this.rules.expiry ? 0 : this.told(this.now + ttl)
    if (owner !== undefined && owner !== entry.owner) return 0
    this.prolong(id, entry, ttl, owner)
    return this.told(entry.deadline)
  }

  private prolong(id: string, entry: Entry, ttl: number, owner: string | undefined): void {
    const deadline = this.table.refresh(id, ttl, this.now, owner)
    if (deadline === undefined) return
    if (owner !== undefined) entry.former = undefined
    if (entry.token !== undefined) this.witness.prolonged(id, ttl)
    this.move(id, entry, deadline)
  }

  private move(id: string, entry: Entry, deadline: number): void {
    const before = entry.deadline
    entry.deadline = deadline
    if (entry.token === undefined || deadline >= before) return
    // Those who watch it meant to look later.
    for (const { blockedBy, id: watcher } of this.table.inspect("" as never, this.now)) {
      if (blockedBy === id) this.tell(this.entries.get(watcher)!.client, `l ${watcher}`)
    }
  }

  private look(id: string, ttl: number): ReadonlyArray<unknown> {
    const entry = this.entries.get(id)
    if (entry === undefined) return [0, 0, 0]
    // What was granted meanwhile lasts from now on, unless it is another's by now.
    if (entry.token === undefined) this.prolong(id, entry, ttl, entry.owner)
    else if (entry.owner === id) this.prolong(id, entry, entry.ttl, undefined)
    if (entry.token !== undefined) return [1, entry.token, this.told(entry.deadline)]
    const blocker = this.table.lookup(id, this.now)!.blockedBy!
    return [2, blocker, this.deadlineOf(blocker)]
  }

  private restore(id: string, ttl: number, owner: string): ReadonlyArray<unknown> {
    const entry = this.entries.get(id)
    if (entry?.token === undefined) return []
    const { client, deadline, owner: former, process } = entry
    this.table.restore(id, ttl, this.now, owner)
    this.settle()
    if (owner !== former) entry.former = { owner: former, client, process, deadline }
    entry.owner = owner
    entry.client = this.call.client
    entry.process = this.caller.process
    entry.ttl = Math.max(entry.ttl, ttl)
    // Within one process it goes on for all who have it there.
    if (process !== this.caller.process) this.witness.taken(id, this.caller.process)
    this.move(id, entry, Math.max(deadline, this.now + ttl))
    this.witness.prolonged(id, ttl)
    return [entry.token, this.told(entry.deadline), ...entry.targets]
  }

  private giveBack(id: string, owner: string): number {
    const entry = this.entries.get(id)
    const former = entry?.former
    if (entry === undefined || former === undefined || !this.table.giveBack(id, this.now, owner)) return 0
    entry.owner = former.owner
    entry.client = former.client
    entry.process = former.process
    entry.former = undefined
    if (former.process !== this.caller.process) this.witness.taken(id, former.process)
    this.move(id, entry, former.deadline)
    this.settle()
    return 1
  }

  private lookup({ blocker, id }: { readonly id: string; readonly blocker: boolean }): unknown {
    if (!blocker) return this.entries.has(id) ? this.describe(id) : 0
    const blocked = this.table.blocked(id, LockStore.mostAhead, this.now)
    return blocked === undefined ? 0 : [blocked.ahead, this.describe(blocked.blocker.id)]
  }

  private downgrade({ id, owner }: Protocol.Named): number {
    const entry = this.entries.get(id)
    if (entry?.token === undefined || !this.table.downgrade(id, this.now, owner)) return 0
    entry.targets = entry.targets.map(Protocol.downgraded)
    this.settle()
    return 1
  }

  private describe(id: string): ReadonlyArray<unknown> {
    const { asked, deadline, targets } = this.entries.get(id)!
    const found = this.table.lookup(id, this.now)!
    return Protocol.describe({
      id,
      state: found.state,
      ticket: found.ticket,
      token: found.token ?? 0,
      since: micros(found.since),
      deadline: micros(deadline),
      blocker: found.blockedBy ?? "",
      holder: asked.holder,
      targets,
      within: asked.within
    })
  }
}
