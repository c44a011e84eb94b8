/**
 * What the processes do: they take locks in every way there is, on a few paths, and are interrupted, as the seed has it.
 */
import { HierarchicalLock, type Lease, type LockError, LockMode, type LockOptions, Target } from "@hilok/core"
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import * as Option from "effect/Option"
import type { Belief, Checker } from "./checker.ts"
import type { Random } from "./random.ts"
import type { Server } from "./server.ts"
import type { Process, World } from "./world.ts"

type Locks = HierarchicalLock.Operations<never>
type Failure = LockError.LockError

/** What the work of a seed is like. Times are in milliseconds. */
export interface Style {
  readonly ttl: number
  /** How long the server may take before a command is given up. */
  readonly commandTimeout: number
  /** How long a lock is held, at most; now and then three times the ttl. */
  readonly hold: number
  readonly pause: number
  readonly workers: number
  readonly interruptions: number
  /** Do operators break leases, and release them by hand? */
  readonly orders: number
  /** Are leases taken over? */
  readonly restores: number
  /** Are leases released by hand in the process that works under them? */
  readonly ownership: boolean
  /** How much later than asked for a `LockTimeout` may come. */
  readonly lateness: number
}

const paths = ["a", "a/b", "a/b/c", "a/b/d", "a/e", "f", "f/g", ["f", "h"], ""] as const

const millis = Duration.millis

const named = (failure: Failure): string => (failure._tag === "LockLost" ? `LockLost ${failure.reason}` : failure._tag)

/** Where something is done. */
interface Inside {
  /** The leases that what is done here is done under. */
  readonly beliefs: ReadonlyArray<Belief>
  /** The ids of those that enclose what is asked for here. */
  readonly leases: ReadonlyArray<string>
}

const outside: Inside = { beliefs: [], leases: [] }

export class Workload {
  /** No more is begun. */
  isOver = false
  /** Little is begun. */
  isResting = false
  /** What is under way, by what it is. */
  readonly underWay = new Set<string>()
  /** How often an operation ended in which way. */
  readonly outcomes = new Map<string, number>()
  private readonly world: World
  private readonly server: Server
  private readonly checker: Checker
  private readonly random: Random
  private readonly style: Style
  private begun = 0

  constructor(world: World, server: Server, checker: Checker, random: Random, style: Style) {
    this.world = world
    this.server = server
    this.checker = checker
    this.random = random
    this.style = style
  }

  /** One who does one thing after another, until it is over. */
  work(process: Process, locks: Locks): Effect.Effect<void> {
    const { random, style } = this
    return Effect.suspend(() => {
      if (this.isOver) return Effect.void
      return Effect.sleep(millis(random.between(0, this.isResting ? 5000 : style.pause))).pipe(
        Effect.zipRight(
          Effect.suspend(() => (this.isOver ? Effect.void : this.watched(process, this.anything(process, locks))))
        ),
        Effect.zipRight(this.work(process, locks))
      )
    })
  }

  /** Runs an operation in a fiber of its own, which may be interrupted at any moment, and looks at its end. */
  private watched(
    process: Process,
    [name, operation]: readonly [string, Effect.Effect<unknown, Failure>]
  ): Effect.Effect<void> {
    return Effect.gen(this, function* () {
      const what = `${process.name} ${name} (${++this.begun})`
      const startedAt = this.world.now
      this.underWay.add(what)
      this.world.note(process, `starts ${what}`)
      const fiber = yield* Effect.fork(operation)
      let isInterrupted = false
      if (this.random.chance(this.style.interruptions)) {
        const after = this.random.chance(0.5) ? this.random.between(0, 30) : this.random.between(0, 2 * this.style.hold)
        this.world.after(after, process, () => {
          if (fiber.unsafePoll() !== null) return
          isInterrupted = true
          this.world.note(process, `interrupts ${what}`)
          fiber.unsafeInterruptAsFork(FiberId.none)
        })
      }
      const exit = yield* Fiber.await(fiber)
      this.underWay.delete(what)
      this.world.note(process, `ends ${what}: ${this.judge(what, startedAt, exit, isInterrupted)}`)
    })
  }

  private judge(what: string, startedAt: number, exit: Exit.Exit<unknown, Failure>, isInterrupted: boolean): string {
    const failure = Exit.isSuccess(exit) ? undefined : Option.getOrUndefined(Cause.failureOption(exit.cause))
    const outcome = Exit.isSuccess(exit) ? "done" : failure === undefined ? "interrupted" : named(failure)
    this.count(outcome)
    if (Exit.isFailure(exit)) {
      for (const defect of Cause.defects(exit.cause)) this.checker.violated(`${what} died: ${String(defect)}`)
      if (outcome === "interrupted" && !isInterrupted && !what.includes("scoped")) {
        this.checker.violated(`${what} was interrupted by nobody`)
      }
      if (failure?._tag === "StoreError") {
        // A request that waits may have been taken out of the queue by hand.
        if (startedAt >= this.checker.calmSince && this.style.orders === 0) {
          this.checker.violated(`${what} fails though nothing is wrong: ${failure.message}`)
        }
        return failure.message
      }
    }
    return outcome
  }

  private count(outcome: string): void {
    this.outcomes.set(outcome, (this.outcomes.get(outcome) ?? 0) + 1)
  }

  /** What is nested may fail, and what is around it goes on. */
  private aside(nested: Effect.Effect<void, Failure>): Effect.Effect<void> {
    return Effect.catchAll(nested, (failure) => Effect.sync(() => this.count(named(failure))))
  }

  private anything(process: Process, locks: Locks): readonly [string, Effect.Effect<unknown, Failure>] {
    const { random, style } = this
    if (random.chance(style.orders)) return this.order(process, locks)
    if (random.chance(style.restores)) return this.restore(process, locks)
    const dice = random.next()
    if (dice < 0.03) return ["inspect", locks.inspect()]
    if (dice < 0.06) return this.burst(process, locks)
    if (dice < 0.2) return ["manual", this.byHand(process, locks)]
    if (dice < 0.4) return ["scoped", this.scoped(process, locks, outside)]
    return ["with", this.around(process, locks, outside)]
  }

  // -- What is asked for

  private targets(): ReadonlyArray<Target.Target> {
    const { random } = this
    const count = random.chance(0.15) ? 2 + random.below(2) : 1
    return Array.from({ length: count }, () => {
      // The root is in everybody's way.
      const path = paths[random.below(random.chance(0.1) ? paths.length : paths.length - 1)]!
      return Target.make(random.pick(LockMode.all), path)
    })
  }

  /** Those of a nested request always end its wait, as it may wait for its own parent. */
  private options(isNested: boolean): LockOptions.AcquireOptions {
    const { random, style } = this
    const options: { -readonly [K in keyof LockOptions.AcquireOptions]: LockOptions.AcquireOptions[K] } = {}
    if (random.chance(0.15)) options.block = false
    else if (random.chance(isNested ? 0.5 : 0.3)) options.timeout = random.pick([0, 30, 200, 1000, style.ttl * 2])
    if (random.chance(0.1)) options.ttl = Math.round(style.ttl * random.between(0.5, 1.5))
    if (random.chance(0.1)) options.maxHold = Math.round(random.between(20, style.ttl * 2))
    if (isNested) options.reentrant = random.chance(0.5)
    if (random.chance(0.1)) options.label = random.pick(["cron", "web"])
    return options
  }

  // -- What is done under a lock

  private duration(): number {
    const { random, style } = this
    return random.chance(0.15) ? random.between(style.ttl, 3 * style.ttl) : random.between(0, style.hold)
  }

  /** The holder's own work, in the course of which nobody else may hold what it is done under. */
  private busy(inside: Inside, time = this.duration()): Effect.Effect<void> {
    return Effect.suspend(() => {
      for (const belief of inside.beliefs) belief.busy++
      return Effect.ensuring(
        Effect.sleep(millis(time)),
        Effect.sync(() => {
          for (const belief of inside.beliefs) belief.busy--
        })
      )
    })
  }

  /** Says that a lease is held, while something is done under it. */
  private believing(
    process: Process,
    lease: Lease.Lease,
    around: Inside,
    maxHold: unknown,
    work: (inside: Inside, belief: Belief) => Effect.Effect<unknown, Failure>
  ): Effect.Effect<void, Failure> {
    return Effect.suspend(() => {
      const belief = this.checker.believe(process, lease, around.leases, maxHold as number | undefined)
      const inside = { beliefs: [...around.beliefs, belief], leases: [...around.leases, lease.id] }
      return Effect.asVoid(
        Effect.ensuring(
          work(inside, belief),
          Effect.sync(() => this.checker.end(belief))
        )
      )
    })
  }

  private body(process: Process, locks: Locks, lease: Lease.Lease) {
    return (inside: Inside, belief: Belief): Effect.Effect<unknown, Failure> => {
      const { random } = this
      const work = this.busy(inside)
      const dice = random.next()
      if (dice < 0.1)
        return Effect.zipRight(work, Effect.zipRight(this.downgrade(locks, lease, belief), this.busy(inside)))
      // Nor does anybody see for what is nested in what is detached.
      const isSeen = inside.beliefs.length === inside.leases.length
      if (dice < 0.3 && isSeen && inside.beliefs.length < 3) {
        const nested = random.chance(0.7) ? this.around(process, locks, inside) : this.scoped(process, locks, inside)
        return Effect.zipRight(this.aside(nested), work)
      }
      if (dice < 0.35) return Effect.zipRight(lease.check, work)
      if (dice < 0.38) {
        // It may wait for the lease that it is in, which nobody sees.
        const impatient = this.around(process, locks, { ...inside, leases: [] }, { timeout: 100, block: true })
        return Effect.zipRight(this.aside(locks.detached(impatient)), work)
      }
      return work
    }
  }

  private downgrade(locks: Locks, lease: Lease.Lease, belief: Belief): Effect.Effect<void, Failure> {
    return Effect.suspend(() => {
      // From here on others may be let in, whoever else of the process holds it.
      for (const one of this.checker.beliefs) {
        if (one.process !== belief.process || one.life.id !== belief.life.id) continue
        one.regions = one.regions.map(({ mode, path }) => ({ mode: LockMode.downgraded(mode), path }))
      }
      return Effect.catchTag(locks.downgrade(lease), "StoreError", () => Effect.void)
    })
  }

  // -- The ways to get a lock

  private around(
    process: Process,
    locks: Locks,
    inside: Inside,
    more: LockOptions.AcquireOptions = {}
  ): Effect.Effect<void, Failure> {
    return Effect.suspend((): Effect.Effect<void, Failure> => {
      const targets = this.targets()
      const options = { ...this.options(inside.leases.length > 0), ...more }
      const use = (lease: Lease.Lease) =>
        this.believing(process, lease, inside, options.maxHold, this.body(process, locks, lease))
      return this.inTime(process, this.oneOrMore(locks, use, targets, options))
    })
  }

  private oneOrMore(
    locks: Locks,
    use: (lease: Lease.Lease) => Effect.Effect<void, Failure>,
    targets: ReadonlyArray<Target.Target>,
    options: LockOptions.AcquireOptions
  ): Effect.Effect<void, Failure> {
    const [{ mode, path }] = targets as [Target.Target]
    if (targets.length > 1) return locks.withLocks(use, targets, options)
    switch (mode) {
      case "read":
        return locks.withRead(use, path, options)
      case "write":
        return locks.withWrite(use, path, options)
      case "readNode":
        return locks.withReadNode(use, path, options)
      case "writeNode":
        return locks.withWriteNode(use, path, options)
    }
  }

  /** Whoever set a time limit goes on when it is over. With `timeout: 0` that is when the server has answered. */
  private inTime(process: Process, operation: Effect.Effect<void, Failure>): Effect.Effect<void, Failure> {
    const started = this.world.now
    return Effect.tapErrorTag(operation, "LockTimeout", ({ timeout }) =>
      Effect.sync(() => {
        const late = this.world.now - started - timeout
        if (timeout === 0 || late <= this.style.lateness || process.pausedUntil > started) return
        this.checker.violated(`${process.name} is told ${late} ms late that its request has timed out`)
      })
    )
  }

  private scoped(process: Process, locks: Locks, inside: Inside): Effect.Effect<void, Failure> {
    return Effect.suspend(() => {
      // A nested one would stop what is around it.
      const onLost =
        inside.beliefs.length === 0 && this.random.chance(0.5) ? ("interrupt" as const) : ("signal" as const)
      const options = { ...this.options(inside.leases.length > 0), onLost }
      return Effect.flatMap(locks.locks(this.targets(), options), (lease) =>
        this.believing(process, lease, inside, options.maxHold, (...here) => {
          const work = this.body(process, locks, lease)(...here)
          return onLost === "signal" ? Effect.raceFirst(work, lease.lost) : work
        })
      ).pipe(HierarchicalLock.scoped)
    })
  }

  /** A lease by hand, which its holder refreshes. */
  private byHand(process: Process, locks: Locks): Effect.Effect<void, Failure> {
    return Effect.suspend(() => {
      const { random, style } = this
      const refreshing = locks.acquire(this.targets(), { timeout: random.pick([50, 500, style.ttl]), ttl: style.ttl })
      return Effect.acquireUseRelease(
        refreshing,
        (lease) =>
          this.believing(process, lease, outside, undefined, (inside) => {
            const refresh = Effect.sleep(millis(style.ttl / 3)).pipe(
              Effect.zipRight(Effect.catchTag(locks.refresh(lease), "StoreError", () => Effect.void)),
              Effect.forever
            )
            const work = this.busy(inside)
            return Effect.raceFirst(random.chance(0.7) ? Effect.raceFirst(work, refresh) : work, lease.lost)
          }),
        (lease) =>
          Effect.suspend(() => {
            // Another fiber of the process may have restored it, and is told by the server.
            this.checker.orders.add(lease.id)
            return Effect.ignore(locks.release(lease))
          })
      )
    })
  }

  /** Many requests in the same moment. */
  private burst(process: Process, locks: Locks): readonly [string, Effect.Effect<unknown, Failure>] {
    const count = 2 + this.random.below(this.random.chance(0.1) ? 50 : 6)
    const each = Effect.suspend(() => {
      const target = Target.make(this.random.pick(LockMode.all), this.random.pick(paths.slice(0, 5)))
      const short = this.random.between(0, 10)
      return locks.withLocks(
        (lease: Lease.Lease) =>
          this.believing(process, lease, outside, undefined, (inside) => this.busy(inside, short)),
        [target],
        this.random.chance(0.3) ? { timeout: 300 } : {}
      )
    })
    const all = Effect.forEach(Array.from({ length: count }), () => Effect.exit(each), {
      concurrency: "unbounded",
      discard: true
    })
    return ["burst", all]
  }

  // -- What others do to a lease

  private someone(isHeld: boolean, isNested?: boolean): Server["requests"][number] | undefined {
    const found = this.server.requests.filter(
      (request) => request.isHeld === isHeld && (isNested ?? request.isNested) === request.isNested
    )
    return found.length === 0 ? undefined : this.random.pick(found)
  }

  private order(process: Process, locks: Locks): readonly [string, Effect.Effect<unknown, Failure>] {
    const found = this.someone(this.random.chance(0.8))
    if (found === undefined) return ["break", locks.breakLease("nobody")]
    const { id } = found
    this.checker.orders.add(id)
    const breaks = this.random.chance(0.6) || (found.process === process && !this.style.ownership)
    return breaks ? ["break", locks.breakLease(id)] : ["release", locks.release(id)]
  }

  private restore(process: Process, locks: Locks): readonly [string, Effect.Effect<unknown, Failure>] {
    // A nested one does not exclude the lease that it is in, wherever it is held.
    const found = this.someone(true, false)
    if (found === undefined) return ["inspect", locks.inspect("a")]
    const restored = Effect.flatMap(locks.restore(found.id, { onLost: "interrupt" }), (lease) =>
      this.believing(process, lease, outside, undefined, this.body(process, locks, lease))
    )
    return ["scoped restore", HierarchicalLock.scoped(restored)]
  }
}
