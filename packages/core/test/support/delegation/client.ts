/**
 * A process: the delegate as it is, the connection that it asks the server through, and its users.
 */
import { LockError, type LockMode, type LockStore } from "@hilok/core"
import { Cause, Duration, Exit } from "effect"
import { Delegate } from "../../../src/internal/delegate.ts"
import { type Answer, Local } from "../../../src/internal/delegation.ts"
import { DelegationMetrics } from "../../../src/internal/delegationMetrics.ts"
import type { DelegateOptions } from "../../../src/internal/localTable.ts"
import { Refusal } from "../../../src/internal/refusal.ts"
import type { Settling } from "../../../src/internal/settling.ts"
import type { Message, Said, Server } from "./server.ts"

export const ttl = 3_000

/** A command on its way: what the server does, and what comes of its answer. */
export interface Command {
  readonly name: string
  readonly run: (server: Server) => unknown
  readonly answered: (result: unknown) => void
  readonly failed: () => void
  /** May it be lost, or come again after others? */
  readonly isSafe: boolean
}

export interface Lease {
  readonly id: string
  targets: ReadonlyArray<LockMode.Region>
  readonly within: ReadonlyArray<string>
  readonly token: number
  /** The delegations under which it is and has been, if it was granted here. */
  readonly under: Set<string>
  readonly user: User
  deadline: number
  refreshAt: number
}

export interface User {
  readonly leases: Array<Lease>
  waits: Waiting | undefined
}

interface Waiting {
  readonly id: string
  readonly targets: ReadonlyArray<LockMode.Region>
  readonly within: ReadonlyArray<string>
  readonly queues: boolean
  readonly local: Local | undefined
  readonly order: number
}

const storeError = new LockError.StoreError({ operation: "command", reason: "it is lost", kind: "timeout" })

export interface Surroundings {
  readonly now: () => number
  readonly say: (text: string) => void
  readonly nextId: (prefix: string) => string
  readonly granted: (client: Client, lease: Lease) => void
  readonly count: (what: string) => void
}

export class Client {
  readonly number: number
  readonly delegate: Delegate
  readonly users: Array<User> = []
  readonly out: Array<Command> = []
  readonly replies: Array<() => void> = []
  readonly pushed: Array<Message> = []
  wakeAt = Number.POSITIVE_INFINITY
  isCrashed = false
  private readonly world: Surroundings
  /** Leases that were lost before their holders knew that they had them. */
  private readonly lostEarly = new Set<string>()
  /** Requests to the server that are not answered. */
  private readonly asked = new Map<string, (answer: Answer) => void>()

  constructor(number: number, options: DelegateOptions, world: Surroundings) {
    this.number = number
    this.world = world
    this.delegate = new Delegate(
      `client${number}`,
      options,
      {
        now: world.now,
        newId: () => world.nextId("D"),
        ask: (request, queues) => this.ask(request, queues, (answer) => this.delegate.answered(request.id, answer)),
        withdraw: (id) => this.withdraw(id),
        settle: (settling) => this.settle(settling),
        refresh: (id, ttl) => this.refreshDelegation(id, ttl),
        wakeAt: (time) => {
          this.wakeAt = Math.min(this.wakeAt, time)
        },
        lost: ({ id, reason }) => this.lose(id, reason)
      },
      new DelegationMetrics("simulation")
    )
  }

  wake(): void {
    this.wakeAt = Number.POSITIVE_INFINITY
    this.delegate.wake()
  }

  leases(): ReadonlyArray<Lease> {
    return this.users.flatMap(({ leases }) => leases)
  }

  // -- To the server

  private send(
    name: string,
    run: (server: Server) => unknown,
    answered: (result: never) => void = () => undefined,
    failed: () => void = () => undefined,
    isSafe = false
  ): void {
    this.world.say(`      c${this.number} -> ${name}`)
    this.out.push({ name, run, answered: answered as Command["answered"], failed, isSafe })
  }

  private ask(request: LockStore.LockRequest, queues: boolean, done: (answer: Answer) => void): void {
    const { id } = request
    const sentAt = this.world.now()
    this.asked.set(id, done)
    if (request.delegated !== undefined && request.within.length > 0) this.world.count("widenings")
    this.send(
      `${queues ? "acquire" : "try"} ${id} ${show(request.targets)}${request.within.length > 0 ? ` within ${request.within}` : ""}`,
      (server) => server.ask(this.number, request, queues),
      (said: Said) => {
        if (said._tag === "granted") {
          const deadline = sentAt + Duration.toMillis(request.ttl)
          this.receive({ ...said, grant: { ...said.grant, deadline } })
        } else if (said._tag !== "waiting") this.receive(said)
      },
      () => {
        if (!this.asked.delete(id)) return
        // What a failed request may have got is given back by who asked.
        if (request.delegated === undefined) this.takeBack(id)
        done(Exit.fail(storeError))
      }
    )
  }

  private withdraw(id: string): void {
    this.asked.delete(id)
    this.takeBack(id)
  }

  private takeBack(id: string): void {
    this.send(
      `release ${id}`,
      (server) => server.change((table, now) => table.release(id, now, id)),
      undefined,
      undefined,
      true
    )
  }

  private settle(settling: Settling): void {
    this.world.count("settlements")
    const { registrations, releases } = settling
    const named = [
      ...registrations.map(({ from, request, token }) => `${request.id} under ${from} (${token})`),
      ...releases.map(({ floor, id }) => `-${id} floor ${floor}`)
    ]
    this.send(
      `settle ${named.join(", ")}`,
      (server) => server.settle(this.number, settling),
      (answer: ReadonlyArray<boolean>) => this.delegate.settled(settling, answer),
      () => this.delegate.settled(settling, storeError)
    )
  }

  private refreshDelegation(id: string, ttl: number): void {
    const sentAt = this.world.now()
    this.send(
      `refresh ${id}`,
      (server) => server.refresh(id, ttl),
      (found: { readonly wanted: boolean } | undefined) =>
        this.delegate.refreshed(id, found && { deadline: sentAt + ttl, wanted: found.wanted }),
      () => this.delegate.refreshed(id, storeError)
    )
  }

  // -- From the server

  receive(message: Message): void {
    const { delegate } = this
    this.world.say(
      `   c${this.number} hears ${message._tag} ${message.id}${message._tag === "granted" && message.grant.wanted ? " wanted" : ""}`
    )
    switch (message._tag) {
      case "recall":
        return delegate.recalled(message)
      case "revoked":
        if (delegate.revoked(message)) this.lose(message.id, message.reason)
        return
    }
    const done = this.asked.get(message.id)
    if (done === undefined) return
    this.asked.delete(message.id)
    if (message._tag === "granted") done(Exit.succeed(message.grant))
    else if (message._tag === "refused") done(Exit.succeed(new Refusal(message.blocker)))
    else done(Exit.fail(new LockError.Deadlock({ targets: [], cycle: message.cycle })))
  }

  /** Looks at what waits in the server: messages may be lost. */
  look(): void {
    for (const id of this.asked.keys()) {
      this.send(
        `look ${id}`,
        (server) => server.change((table, now) => table.look(id, now)),
        undefined,
        undefined,
        true
      )
    }
  }

  // -- Users

  request(
    user: User,
    targets: ReadonlyArray<LockMode.Region>,
    within: ReadonlyArray<string>,
    isDelegable: boolean,
    queues: boolean,
    order: number
  ): void {
    const id = this.world.nextId("L")
    const request: LockStore.LockRequest = {
      id,
      targets: targets as LockStore.LockRequest["targets"],
      ttl: Duration.millis(ttl),
      within,
      holder: {}
    }
    this.world.say(
      `c${this.number} ${id} asks ${show(targets)}${within.length > 0 ? ` within ${within}` : ""}${isDelegable ? "" : " by hand"}${queues ? "" : " without waiting"}`
    )
    const isContended = isDelegable && this.delegate.isContended(request)
    if (isContended) this.world.count("contended")
    const local = isDelegable && !isContended ? new Local({ ...request, delegable: true }, queues) : undefined
    const waits: Waiting = { id, targets, within, queues, local, order }
    user.waits = waits
    const done = (answer: Answer): void => {
      if (user.waits !== waits) return
      user.waits = undefined
      if (Exit.isFailure(answer) || answer.value instanceof Refusal) {
        const why = Exit.isFailure(answer) ? Cause.squash(answer.cause) : "refused"
        const tag = why instanceof Error ? why.name : "refused"
        this.world.count(tag)
        return this.world.say(`   c${this.number} ${id} fails: ${tag}`)
      }
      const { deadline, token } = answer.value
      const under = local?.delegation?.id
      const now = this.world.now()
      const lease: Lease = {
        ...{ id, targets, within, token, under: new Set(under === undefined ? [] : [under]), user, deadline },
        refreshAt: now + (deadline - now) / 3
      }
      this.world.say(
        `   c${this.number} ${id} has ${show(targets)}${under === undefined ? "" : ` under ${under}`}, token ${token}`
      )
      user.leases.push(lease)
      if (this.lostEarly.delete(id)) return this.lose(id, "before its holder knew of it")
      this.world.granted(this, lease)
    }
    if (local === undefined) {
      this.delegate.prepare(targets, within, (trouble) => {
        if (user.waits !== waits) return
        if (trouble !== undefined) return done(Exit.fail(trouble))
        this.ask({ ...request, impatient: !queues }, queues, done)
      })
      return
    }
    const grant = this.delegate.grantAtOnce(local)
    if (grant !== undefined) return done(Exit.succeed(grant))
    // Its fiber gets the answer a little later, and may be interrupted before.
    local.resume = (answer) => this.replies.push(() => done(answer))
    this.delegate.request(local)
  }

  cancel(user: User): void {
    const { waits } = user
    if (waits === undefined) return
    this.world.say(`c${this.number} ${waits.id} gives up`)
    user.waits = undefined
    if (waits.local !== undefined) this.delegate.cancel(waits.local)
    else if (this.asked.has(waits.id)) this.withdraw(waits.id)
  }

  end(lease: Lease): void {
    this.world.say(`c${this.number} ${lease.id} ends`)
    lease.user.leases.splice(lease.user.leases.indexOf(lease), 1)
    this.release(lease.id)
  }

  private lose(id: string, reason: string): void {
    const lease = this.leases().find((lease) => lease.id === id)
    if (lease === undefined) {
      if (this.users.some(({ waits }) => waits?.id === id)) this.lostEarly.add(id)
      return
    }
    this.world.say(`   c${this.number} ${id} is lost: ${reason}`)
    this.world.count("lost")
    lease.user.leases.splice(lease.user.leases.indexOf(lease), 1)
    this.release(id)
  }

  /** As the store does it. */
  private release(id: string): void {
    const local = this.delegate.locals.get(id)
    if (local?.registration === "sent") local.whenRegistered(() => this.release(id))
    else if (local?.registration === "none") this.delegate.end(local)
    else {
      this.send(
        `release ${id}`,
        (server) => server.change((table, now) => table.release(id, now, id)),
        (isDone: boolean) => local && this.delegate.ended(local, !isDone),
        () => local && this.delegate.ended(local, true)
      )
    }
  }

  downgrade(lease: Lease): void {
    const { id } = lease
    const local = this.delegate.locals.get(id)
    if (local?.registration === "sent") return
    this.world.say(`c${this.number} ${id} downgrades`)
    this.world.count("downgrades")
    lease.targets = lease.targets.map(({ mode, path }) => ({ mode: mode.replace("write", "read") as "read", path }))
    if (local?.registration === "none") return this.delegate.downgraded(local)
    this.send(
      `downgrade ${id}`,
      (server) => server.change((table, now) => table.downgrade(id, now, id)),
      (isDone: boolean) => isDone && local && this.delegate.downgraded(local),
      undefined,
      // One that is lost leaves the lease as it was, which is what `targets` would have to say then.
      true
    )
  }

  /** What keeps leases alive, as the lock service does it. */
  keepAlive(): void {
    const now = this.world.now()
    for (const lease of this.leases()) {
      if (now >= lease.deadline) {
        this.lose(lease.id, "its deadline has passed")
        continue
      }
      if (now < lease.refreshAt) continue
      const local = this.delegate.locals.get(lease.id)
      lease.refreshAt = now + ttl / 12
      if (local !== undefined && local.registration !== "done") {
        if ((local.trouble ?? local.delegation?.trouble) === undefined) lease.deadline = local.delegation!.ends
        continue
      }
      this.send(
        `refresh ${lease.id}`,
        (server) => server.refresh(lease.id, ttl),
        (found: unknown) => {
          if (found === undefined) return this.lose(lease.id, "it is gone")
          lease.deadline = now + ttl
          lease.refreshAt = now + ttl / 3
        }
      )
    }
  }

  crash(): void {
    this.isCrashed = true
    this.pushed.length = 0
    this.replies.length = 0
    this.users.length = 0
  }
}

export const show = (targets: ReadonlyArray<LockMode.Region>): string =>
  targets.map(({ mode, path }) => `${mode}(${path === "" ? "/" : path.slice(0, -1)})`).join("+")
