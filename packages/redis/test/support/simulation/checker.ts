/**
 * What must hold: checked whenever all that happens at one time has happened.
 *
 * A *belief* is that a process works under a lease, in the opinion of that process. As long as nobody has disturbed the
 * lease (an operator, another process by its id, the loss of the server's data, its clock set forward) the server has it.
 * If it was disturbed, the belief ends within the ttl.
 */
import { type Lease, LockMode, LockPath, type Target } from "@hilok/core"
import * as Either from "effect/Either"
import type { Sender } from "./decisions.ts"
import { shortened } from "./protocol.ts"
import type { Observer, Server } from "./server.ts"
import type { Process, World } from "./world.ts"

/** One grant, or one taking over. */
interface Life {
  readonly id: string
  readonly token: number
  readonly process: Process
  readonly since: number
  /** The longest that it was given. */
  ttl: number
  isOver: boolean
  disturbedAt: number | undefined
  /** Has its process said that it knows of it? */
  isKnown: boolean
}

export interface Belief {
  readonly process: Process
  readonly life: Life
  /** The ids of the leases that enclose it. */
  readonly within: ReadonlyArray<string>
  readonly since: number
  /** It may not be held for longer (milliseconds). */
  readonly maxHold: number
  regions: ReadonlyArray<LockMode.Region>
  /** How many works are done under it at the moment: none while it waits for something, or gives something back. */
  busy: number
  /** Nothing was done under it yet. */
  isNew: boolean
}

/** How long a process may take from its timer to the end of the work. */
const grace = 3
/** How soon a grant is known, or given back, when nothing is wrong. */
const soon = 200

const regionsOf = (targets: ReadonlyArray<Target.Target>): ReadonlyArray<LockMode.Region> =>
  targets.map(({ mode, path }) => ({ mode, path: Either.getOrThrow(LockPath.parse(path)) }))

export class Checker implements Observer {
  violation: string | undefined = undefined
  /** From then on nothing is wrong with the network, the server or the processes. */
  calmSince = Number.POSITIVE_INFINITY
  readonly beliefs = new Set<Belief>()
  /** What was ever believed, with its token. */
  private readonly history: Array<Belief & { readonly asked: ReadonlyArray<LockMode.Region> }> = []
  private readonly lives = new Map<string, Life>()
  private readonly byToken = new Map<number, Array<Life>>()
  private unknown: Array<Life> = []
  /** What somebody has ordered the end of, who may not be its owner. */
  readonly orders = new Set<string>()
  private lastToken = 0
  grants = 0
  /** Those that waited when the clock was set forward: their processes know the time that it was before. */
  private readonly astray = new Set<string>()
  private isSetBack = false
  private readonly world: World
  private readonly commandTimeout: number

  constructor(world: World, commandTimeout: number) {
    this.world = world
    this.commandTimeout = commandTimeout
  }

  violated(what: string): void {
    if (this.violation !== undefined) return
    this.violation = shortened(what)
    this.world.failure = this.violation
    this.world.note("VIOLATION", this.violation)
  }

  // -- What the server decides

  private begin(id: string, token: number, ttl: number, process: Process): void {
    const life = {
      id,
      token,
      process,
      since: this.world.now,
      ttl,
      isOver: false,
      disturbedAt: undefined,
      isKnown: false
    }
    this.lives.set(id, life)
    this.unknown.push(life)
    const known = this.byToken.get(token)
    if (known === undefined) this.byToken.set(token, [life])
    else known.push(life)
  }

  asked(id: string, { process, sentAt }: Sender): void {
    const age = this.world.now - sentAt
    if (age > this.commandTimeout + grace && !this.isSetBack) {
      this.violated(`${process.name} asked for ${id} ${age} ms ago, and gave that up; it is let in all the same`)
    }
  }

  granted(id: string, token: number, ttl: number, to: Process): void {
    if (token <= this.lastToken) this.violated(`the server gives token ${token} after ${this.lastToken}`)
    this.lastToken = token
    this.grants++
    this.begin(id, token, ttl, to)
    if (this.astray.delete(id)) this.disturb(this.lives.get(id)!)
  }

  prolonged(id: string, ttl: number): void {
    const life = this.lives.get(id)
    if (life === undefined) return
    life.ttl = Math.max(life.ttl, ttl)
    // It has got over it.
    life.disturbedAt = undefined
  }

  ended(id: string): void {
    const life = this.lives.get(id)
    if (life === undefined) return
    life.isOver = true
    this.lives.delete(id)
    this.astray.delete(id)
    if (this.orders.has(id)) this.disturb(life)
  }

  taken(id: string, by: Process): void {
    const life = this.lives.get(id)
    if (life === undefined) return
    life.isOver = true
    this.disturb(life)
    this.begin(id, life.token, life.ttl, by)
  }

  disturbed(waiting: ReadonlyArray<string>): void {
    for (const life of this.lives.values()) this.disturb(life)
    for (const id of waiting) this.astray.add(id)
  }

  setBack(): void {
    this.isSetBack = true
  }

  private disturb(life: Life): void {
    life.disturbedAt ??= this.world.now
  }

  // -- What the processes believe

  /** A process begins to work under a lease. */
  believe(
    process: Process,
    lease: Lease.Lease,
    within: ReadonlyArray<string>,
    maxHold = Number.POSITIVE_INFINITY
  ): Belief {
    const life = this.byToken
      .get(lease.token)
      ?.filter((one) => one.id === lease.id && one.process === process)
      .at(-1)
    const regions = regionsOf(lease.targets)
    this.world.note(
      process,
      `BEGINS ${shortened(lease.id)} ${lease.targets.map(({ mode, path }) => `${mode} ${path}`).join(" ")}`
    )
    if (life === undefined) {
      this.violated(`${process.name} was told of lease ${lease.id} with token ${lease.token}, which nobody gave it`)
      throw new Error("no such lease")
    }
    life.isKnown = true
    const belief = { process, life, within, since: this.world.now, maxHold, regions, busy: 0, isNew: true }
    this.beliefs.add(belief)
    return belief
  }

  /** A process has ended its work under a lease. */
  end(belief: Belief): void {
    this.world.note(belief.process, `ENDS ${shortened(belief.life.id)}`)
    this.beliefs.delete(belief)
  }

  /** Tokens rise, for those who conflict. */
  private begins(belief: Belief): void {
    const { life, regions } = belief
    belief.isNew = false
    for (const former of this.history) {
      if (
        life.disturbedAt === undefined &&
        former.life.token >= life.token &&
        !related(former, belief) &&
        LockMode.anyConflict(former.asked, regions)
      ) {
        this.violated(`${show(belief)} does not have a greater token than ${show(former)} before it`)
      }
    }
    this.history.push({ ...belief, asked: regions })
  }

  check(server: Server): void {
    const { now } = this.world
    const awake = Array.from(this.beliefs).filter(({ busy, process }) => busy > 0 && !process.isPaused)
    for (const belief of awake) {
      const { life, maxHold, since } = belief
      if (belief.isNew) this.begins(belief)
      if (life.disturbedAt === undefined && !server.isLive(life.id, life.token)) {
        this.violated(`${show(belief)} is not live in the server`)
      }
      if (life.disturbedAt !== undefined && now > Math.max(since, life.disturbedAt) + life.ttl + grace) {
        this.violated(`${show(belief)} goes on ${now - life.disturbedAt} ms after it was disturbed`)
      }
      if (now > since + maxHold + grace)
        this.violated(`${show(belief)} goes on for longer than its maxHold, ${maxHold} ms`)
    }
    for (const [i, a] of awake.entries()) {
      for (const b of awake.slice(i + 1)) {
        if (a.life.disturbedAt !== undefined || b.life.disturbedAt !== undefined || related(a, b)) continue
        if (LockMode.anyConflict(a.regions, b.regions)) this.violated(`${show(a)} and ${show(b)} conflict`)
      }
    }
    this.unknown = this.unknown.filter(({ isKnown, isOver, since }) => !isKnown && !isOver && since >= this.calmSince)
    for (const { id, process, since } of this.unknown) {
      if (now > since + soon)
        this.violated(`${process.name} has lease ${id} for ${now - since} ms, and does not know it`)
    }
  }
}

/** One is inside of the other, or they are the same. */
const related = (a: Belief, b: Belief): boolean =>
  a.life.id === b.life.id || a.within.includes(b.life.id) || b.within.includes(a.life.id)

const show = ({ life, process, regions, since }: Belief): string =>
  `${process.name}'s ${life.id} (${regions.map(({ mode, path }) => `${mode} ${path}`).join(", ")}; token ${life.token}, since ${since})`
