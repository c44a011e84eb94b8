/**
 * Several processes with delegations over one server, and everything that can befall them, by seed. The delegates, the lock table and
 * nothing else decide; there are no fibers and no timers, so a run is the same each time.
 *
 * After each step: no two leases that exclude each other overlap, tokens of such leases rise, no nested request waits in a
 * process. At the end: who waits, waits for a user, and all that could be granted was; then nothing is left.
 */
import { LockMode, LockPath } from "@hilok/core"
import { Either } from "effect"
import { Client, type Command, type Lease, show, ttl, type User } from "./client.ts"
import { Random } from "./random.ts"
import { type Message, type Rules, Server } from "./server.ts"

export interface Result {
  readonly seed: number
  readonly violation: string | undefined
  readonly trace: ReadonlyArray<string>
  readonly counts: Readonly<Record<string, number>>
}

export interface Options {
  readonly isVerbose?: boolean
  readonly steps?: number
  /** What the server does not do. */
  readonly rules?: Partial<Rules>
}

class Violation extends Error {}

const paths = ["", "a/", "a/b/", "a/b/c/", "a/d/", "e/", "e/f/", "e/g/", "e/g/h/"].map((path) =>
  Either.getOrThrow(LockPath.parse(path))
)

interface Given {
  readonly id: string
  readonly client: number
  readonly targets: ReadonlyArray<LockMode.Region>
  readonly within: ReadonlyArray<string>
  readonly token: number
  /** How many had been given when its delegation, or it, ended in the server. */
  readonly under: ReadonlySet<string>
}

class Simulation {
  now = 1_000
  readonly trace: Array<string> = []
  readonly counts: Record<string, number> = {}
  private readonly random: Random
  private readonly isVerbose: boolean
  private readonly server: Server
  private readonly clients: ReadonlyArray<Client>
  private readonly given: Array<Given> = []
  /** What has ended in the server other than by its owner, and how many had been given by then. */
  private readonly dead = new Map<string, number>()
  /** Leases that an operator has taken over. */
  private readonly taken: Array<Pick<Lease, "id" | "targets" | "within">> = []
  private ids = 0
  private order = 0
  private steps = 0
  /** Does hardly any time go by? Then tokens in the server do not follow its clock. */
  private readonly standsStill: boolean
  private readonly isHostile: boolean
  /** Are commands and their answers lost? */
  private readonly isLossy: boolean
  /** Is it one process that does nearly everything? */
  private readonly isLonely: boolean
  /** Of a hundred things that a holder does, how many end a lease. */
  private readonly ending: number
  /** In so many of a hundred steps a message arrives, if one is on its way. */
  private readonly haste: number
  private readonly paths: ReadonlyArray<LockPath.LockPath>

  constructor(seed: number, { isVerbose = false, rules = {} }: Options) {
    this.isVerbose = isVerbose
    const random = new Random(seed)
    this.random = random
    this.standsStill = random.oneIn(4)
    this.isHostile = !random.oneIn(5)
    this.isLossy = this.isHostile && !random.oneIn(3)
    this.isLonely = random.oneIn(2)
    this.haste = random.pick([50, 75, 90])
    this.ending = random.pick([50, 70, 90])
    this.paths = random.pick([paths.slice(1, 3), paths.slice(0, 6), paths.slice(1)])
    this.server = new Server(
      () => this.now,
      (client, message) => {
        const found = this.clients[client]
        if (found !== undefined && !found.isCrashed) found.pushed.push(message)
      },
      rules
    )
    this.server.onEnded = (id) => {
      if (!this.dead.has(id)) this.dead.set(id, this.given.length)
      this.say(`B: ${id} has ended`)
    }
    const options = {
      linger: random.pick([200, 1_000, 10_000]),
      maxIdle: random.pick([1, 3, 100]),
      maxLocal: random.pick([1, 2, 100]),
      widen: random.oneIn(2),
      widenAfter: 2,
      widenTo: 1
    }
    this.clients = Array.from({ length: 2 + random.below(2) }, (_, i) => {
      const client = new Client(i, options, {
        now: () => this.now,
        say: (text) => this.say(text),
        nextId: (prefix) => `${prefix}${++this.ids}.${i}`,
        granted: (client, lease) => this.granted(client, lease),
        count: (what) => this.count(what)
      })
      const users = 1 + random.below(4)
      for (let i = 0; i < users; i++) client.users.push({ leases: [], waits: undefined })
      return client
    })
    this.say(`seed ${seed} ${JSON.stringify(options)}${this.standsStill ? ", time stands still" : ""}`)
  }

  private say(text: string): void {
    if (this.isVerbose) this.trace.push(`${String(this.steps).padStart(4)} ${this.now.toFixed(2)} ${text}`)
  }

  private fail(what: string): never {
    throw new Violation(what)
  }

  private get live(): ReadonlyArray<Client> {
    return this.clients.filter(({ isCrashed }) => !isCrashed)
  }

  // -- What is checked

  private count(what: string): void {
    this.counts[what] = (this.counts[what] ?? 0) + 1
  }

  private granted(client: Client, lease: Lease): void {
    const { id, targets, token, under, within } = lease
    this.count(under.size === 0 ? "below" : "local")
    const lost = Math.min(...[id, ...under].map((id) => this.dead.get(id) ?? Number.POSITIVE_INFINITY))
    for (const [i, earlier] of this.given.entries()) {
      if (!LockMode.anyConflict(earlier.targets, targets)) continue
      const isLost = this.isDead(earlier)
      if (isLost || token > earlier.token) {
        // What a delegation that has ended still grants must be older than what was given since.
        if (lost <= i && !isLost && !this.standsStill && earlier.client !== client.number && token >= earlier.token) {
          this.fail(`${id} under what is lost has token ${token}, ${earlier.id} has ${earlier.token}`)
        }
      } else if (lost > i) this.fail(`${id} has token ${token}, after ${earlier.id} had ${earlier.token}`)
    }
    this.given.push({ id, client: client.number, targets, within, token, under })
  }

  /** May its holder not know yet that it has lost it? */
  private isDoomed(client: Client, lease: Lease): boolean {
    if (this.dead.has(lease.id)) return true
    const delegation = client.delegate.locals.get(lease.id)?.delegation
    const isCovered = delegation !== undefined && this.server.isHeld(delegation.id)
    return this.isDead(lease) && !isCovered && !this.server.isHeld(lease.id)
  }

  /** Has it, or a delegation that it was under, ended in the server other than by this process? */
  private isDead({ id, under }: Pick<Given, "id" | "under">): boolean {
    if (this.dead.has(id)) return true
    for (const delegation of under) if (this.dead.has(delegation)) return true
    return false
  }

  private check(): void {
    if (this.server.violation !== undefined) this.fail(this.server.violation)
    const held = this.taken.filter(({ id }) => this.server.isHeld(id))
    const takenIds = new Set(held.map(({ id }) => id))
    for (const client of this.live) {
      for (const local of client.delegate.locals.values()) {
        if (local.state === "local" && local.within.length > 0)
          this.fail(`${local.id} is nested and waits in c${client.number}`)
      }
      for (const lease of client.leases()) {
        // A wider one may have taken its place.
        const delegation = client.delegate.locals.get(lease.id)?.delegation
        if (delegation !== undefined) lease.under.add(delegation.id)
        if (this.now >= lease.deadline || this.isDoomed(client, lease) || takenIds.has(lease.id)) continue
        if (!this.server.isHeld(lease.id) && !this.isCovered(client, lease)) {
          this.fail(`c${client.number} has ${lease.id}, and the server knows nothing of it`)
        }
        held.push(lease)
      }
    }
    for (let i = 0; i < held.length; i++) {
      for (let j = i + 1; j < held.length; j++) {
        const [a, b] = [held[i]!, held[j]!]
        if (a.within.includes(b.id) || b.within.includes(a.id)) continue
        if (LockMode.anyConflict(a.targets, b.targets)) {
          this.fail(`${a.id} ${show(a.targets)} and ${b.id} ${show(b.targets)} at the same time`)
        }
      }
    }
  }

  /** Is there a delegation in the server that covers it, by which this process has it? */
  private isCovered(client: Client, lease: Lease): boolean {
    const delegation = client.delegate.locals.get(lease.id)?.delegation
    return delegation !== undefined && (this.server.isHeld(delegation.id) || this.dead.has(delegation.id))
  }

  private checkLossesAreKnown(): void {
    for (const client of this.live) {
      const doomed = client.leases().find((lease) => this.isDoomed(client, lease))
      if (doomed !== undefined) this.fail(`c${client.number} does not know that ${doomed.id} is lost`)
    }
  }

  /** Nothing is on its way, and everybody has looked. */
  private checkQuiet(): void {
    this.checkLossesAreKnown()
    const held = [
      ...this.live.flatMap((client) => client.leases()),
      ...this.taken.filter(({ id }) => this.server.isHeld(id))
    ]
    const waiting = this.live.flatMap(({ users }) => users.flatMap(({ waits }) => (waits === undefined ? [] : [waits])))
    for (const waits of waiting) {
      const { id, order, targets, within } = waits
      const isHeldUp = held.some((lease) => !within.includes(lease.id) && LockMode.anyConflict(lease.targets, targets))
      if (!waits.queues && isHeldUp) this.fail(`${id} was not to wait, and waits for a user`)
      // A request that was asked anew has its place in the queue from then on.
      const isBehind =
        within.length === 0 && waiting.some((other) => other !== waits && LockMode.anyConflict(other.targets, targets))
      if (!isHeldUp && !isBehind) this.fail(`${id} ${show(targets)} waits for nobody (${order})`)
    }
    if (
      waiting.length > 0 &&
      waiting.every(
        (waits) =>
          !held.some((lease) => !waits.within.includes(lease.id) && LockMode.anyConflict(lease.targets, waits.targets))
      )
    ) {
      this.fail(`all wait for each other: ${waiting.map(({ id }) => id).join(" ")}`)
    }
  }

  /** Where nothing went wrong, all that there is in the server is somebody's. */
  private checkNothingIsForgotten(): void {
    for (const { id } of this.server.table.inspect(LockPath.root, this.now)) {
      const isKnown = this.live.some(
        (client) =>
          client.delegate.own.get(id) !== undefined ||
          client.users.some(({ leases, waits }) => waits?.id === id || leases.some((lease) => lease.id === id))
      )
      if (!isKnown) this.fail(`${id} is in the server, and is nobody's`)
    }
  }

  // -- What happens

  private after(): void {
    this.steps++
    if (!this.standsStill) this.now += 0.02
    this.check()
  }

  private deliver(client: Client, command: Command): void {
    const isUnsafe = this.isLossy && !command.isSafe && !this.isCalm
    if (isUnsafe && this.random.oneIn(40)) {
      this.say(`   ${command.name} is lost`)
      return void client.replies.push(command.failed)
    }
    const result = command.run(this.server)
    if (isUnsafe && this.random.oneIn(40)) {
      this.say(`   the answer to ${command.name} is lost`)
      return void client.replies.push(command.failed)
    }
    if (this.isHostile && this.random.oneIn(20)) {
      this.say(`   ${command.name} comes twice`)
      const again: Command = { ...command, answered: () => undefined, failed: () => undefined, isSafe: true }
      // A request does not come late: servers refuse that.
      if (command.name.startsWith("settle") && !this.isCalm)
        client.out.splice(Math.min(client.out.length, this.random.below(3)), 0, again)
      else command.run(this.server)
    }
    client.replies.push(() => command.answered(result))
  }

  private isCalm = false

  private hear(client: Client): void {
    const at = this.random.below(Math.min(client.pushed.length, 3))
    const message = client.pushed[at] as Message
    const isRepeated = this.isHostile && !this.isCalm && this.random.oneIn(8) && client.pushed.length < 8
    if (!isRepeated) client.pushed.splice(at, 1)
    if (message._tag === "recall" && this.isHostile && !this.isCalm && this.random.oneIn(6))
      return this.say(`   a recall of ${message.id} is lost`)
    client.receive(message)
  }

  private deliveries(): ReadonlyArray<() => void> {
    const events: Array<() => void> = []
    for (const client of this.clients) {
      if (client.out.length > 0) {
        events.push(() => {
          const command = client.out.shift()!
          if (client.isCrashed) command.run(this.server)
          else this.deliver(client, command)
        })
      }
      if (client.isCrashed) continue
      if (client.replies.length > 0) events.push(() => client.replies.shift()!())
      if (client.pushed.length > 0) events.push(() => this.hear(client))
      if (this.now >= client.wakeAt) events.push(() => client.wake())
    }
    return events
  }

  private target(): LockMode.Region {
    const { random } = this
    const mode = random.below(10) < 7 ? LockMode.all[random.below(2)]! : random.pick(LockMode.all)
    return { mode, path: random.pick(this.paths) }
  }

  private act(client: Client, user: User): void {
    const { random } = this
    const dice = random.below(100)
    if (user.waits !== undefined) {
      if (dice > 85) client.cancel(user)
    } else if (user.leases.length > 0 && dice < this.ending) {
      client.end(random.oneIn(4) ? random.pick(user.leases) : user.leases[user.leases.length - 1]!)
    } else if (user.leases.length > 0 && dice < this.ending + 5) {
      const lease = random.pick(user.leases)
      if (lease.targets.some(({ mode }) => LockMode.isExclusive(mode))) client.downgrade(lease)
    } else if (user.leases.length < 3) {
      // Inside its own leases, or those of a sibling that has forked it; rarely as an outsider.
      const own = random.oneIn(10) ? [] : [...user.leases, ...(random.oneIn(3) ? random.pick(client.users).leases : [])]
      const held = new Set(client.leases().map(({ id }) => id))
      const within = Array.from(new Set(own.flatMap((lease) => [...lease.within, lease.id]))).filter((id) =>
        held.has(id)
      )
      const targets = random.oneIn(6) ? [this.target(), this.target()] : [this.target()]
      client.request(user, targets, within, !random.oneIn(8), !random.oneIn(8), ++this.order)
    }
  }

  /** The one that does nearly everything; who else holds something soon ends that. */
  private loner(): Client {
    const others = this.live.slice(1).filter((client) => client.leases().length > 0)
    return others.length > 0 && this.random.oneIn(2) ? this.random.pick(others) : this.live[0]!
  }

  private befall(dice: number): boolean {
    const { random } = this
    const client = random.pick(this.live)
    if (dice < 3) client.look()
    else if (dice >= 96) client.delegate.askToWiden(random.pick(this.paths))
    else if (dice < 5) {
      this.now += random.pick([10, 100, 300])
      for (const client of this.live) client.keepAlive()
    } else if (dice < 6 && this.isHostile && this.live.length > 1 && random.oneIn(6)) {
      this.say(`c${client.number} crashes`)
      this.count("crashed")
      if (random.oneIn(2)) client.out.length = 0
      client.crash()
    } else if (dice < 8 && this.isHostile) {
      const held = this.server
        .change((table, now) => table.inspect(LockPath.root, now))
        .filter(({ state }) => state === "held")
      if (held.length === 0) return false
      const { id, within } = random.pick(held)
      if (random.oneIn(2) || this.server.isDelegation(id)) {
        this.say(`an operator breaks ${id}`)
        this.count("broken")
        this.server.change((table, now) => table.breakLease(id, now))
      } else {
        this.say(`an operator takes ${id} over`)
        this.server.change((table, now) => {
          const { targets } = table.lease(id, now)!
          table.restore(id, ttl, now, "operator")
          if (!this.taken.some((lease) => lease.id === id)) this.taken.push({ id, targets, within })
        })
      }
    } else if (dice < 9 && this.taken.length > 0) {
      const { id } = this.taken.shift()!
      this.say(`the operator ends ${id}`)
      this.server.change((table, now) => table.release(id, now, "operator"))
    } else return false
    return true
  }

  private drain(looks = 3): void {
    for (let quiet = 0, n = 0; ; n++) {
      if (n > 5_000) this.fail("messages go on for ever")
      const events = this.deliveries()
      if (events.length > 0) {
        this.random.pick(events)()
        this.after()
        continue
      }
      if (quiet++ === looks) return
      for (const client of this.live) client.look()
    }
  }

  /** Lets so much time go by, with everybody doing what is due. */
  private pass(millis: number): void {
    for (let left = millis; left > 0; left -= 100) {
      this.now += 100
      this.server.change((table, now) => table.expire(now))
      for (const client of this.live) client.keepAlive()
      this.drain(0)
    }
  }

  private windDown(): void {
    this.isCalm = true
    this.say("nothing goes wrong any more")
    if (!this.isHostile) {
      // Nobody has to look, then.
      this.drain(0)
      this.checkQuiet()
      this.checkNothingIsForgotten()
    }
    this.drain()
    if (!this.isLossy) this.checkLossesAreKnown()
    for (const { isCrashed, number } of this.clients) if (isCrashed) this.server.forgetWaiting(number)
    // What was left behind in disorder is over by then.
    this.pass(ttl + 200)
    for (;;) {
      this.drain()
      this.checkQuiet()
      const users = this.live.flatMap((client) => client.users.map((user) => ({ client, user })))
      const free = users.filter(({ user }) => user.waits === undefined && user.leases.length > 0)
      const outside = users.find(({ user }) => user.waits?.within.length === 0 && user.leases.length > 0)
      if (free.length > 0) {
        const { client, user } = this.random.pick(free)
        client.end(user.leases[user.leases.length - 1]!)
      } else if (this.taken.length > 0) {
        const { id } = this.taken.shift()!
        this.server.change((table, now) => table.release(id, now, "operator"))
      } else if (outside !== undefined) outside.client.cancel(outside.user)
      else if (users.some(({ user }) => user.waits !== undefined)) {
        this.fail(
          `a deadlock was not noticed: ${users.flatMap(({ user }) => (user.waits ? [user.waits.id] : [])).join(" ")}`
        )
      } else break
      this.after()
    }
    for (const client of this.live) client.delegate.close()
    this.drain()
    const left = this.server.table.inspect(LockPath.root, this.now)
    if (left.length > 0) this.fail(`there is left in the server: ${left.map(({ id }) => id).join(" ")}`)
    for (const { delegate, number } of this.live) {
      const own = Array.from(delegate.own.values()).length
      if (delegate.table.size + delegate.locals.size + own > 0) {
        this.fail(
          `there is left in c${number}: ${delegate.table.size} in its table, ${delegate.locals.size} leases and requests, ${own} delegations`
        )
      }
    }
  }

  run(steps: number): string | undefined {
    const { random } = this
    try {
      while (this.steps < steps) {
        const events = random.below(100) < this.haste ? this.deliveries() : []
        if (events.length > 0) random.pick(events)()
        else if (!this.befall(random.below(100))) {
          const client = this.isLonely && !random.oneIn(6) ? this.loner() : random.pick(this.live)
          const free = client.users.filter(({ waits }) => waits === undefined)
          this.act(client, random.pick(free.length > 0 && !random.oneIn(8) ? free : client.users))
        }
        this.after()
      }
      this.windDown()
      this.counts.recalls = this.server.recalls
      return undefined
    } catch (error) {
      if (error instanceof Violation) return error.message
      this.trace.push(String((error as Error).stack))
      return `it fails: ${(error as Error).message}`
    }
  }
}

export const simulate = (seed: number, options: Options = {}): Result => {
  const simulation = new Simulation(seed, options)
  const violation = simulation.run(options.steps ?? 300)
  return { seed, violation, trace: simulation.trace, counts: simulation.counts }
}
