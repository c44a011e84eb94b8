/**
 * Time, and the processes that live in it. Everything that happens is an event at a time of the world, and belongs to a
 * process or to the rest of the world. Between two events all that the first one set going runs to its end.
 */
import { setImmediate as realSetImmediate } from "node:timers"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Scheduler from "effect/Scheduler"
import type * as Supervisor from "effect/Supervisor"
import type { Random } from "./random.ts"

/** What a loop of Node does in one turn, in this order. */
export const Phase = { timers: 0, poll: 1, check: 2 } as const
type Phase = (typeof Phase)[keyof typeof Phase]

/**
 * Times are in milliseconds, and multiples of this, so that they are exact as milliseconds and as microseconds however
 * they are added up.
 */
const tick = 1 / 8
export const inTicks = (millis: number): number => Math.round(millis / tick) * tick

class Event {
  at: number
  readonly phase: Phase
  readonly order: number
  readonly process: Process | undefined
  readonly run: () => void
  isCancelled = false

  constructor(at: number, phase: Phase, order: number, process: Process | undefined, run: () => void) {
    this.at = at
    this.phase = phase
    this.order = order
    this.process = process
    this.run = run
  }

  isBefore(other: Event): boolean {
    if (this.at !== other.at) return this.at < other.at
    return this.phase !== other.phase ? this.phase < other.phase : this.order < other.order
  }
}

class Agenda {
  private readonly heap: Array<Event> = []

  get first(): Event | undefined {
    return this.heap[0]
  }

  add(event: Event): void {
    const { heap } = this
    let at = heap.push(event) - 1
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (!event.isBefore(heap[parent]!)) break
      heap[at] = heap[parent]!
      at = parent
    }
    heap[at] = event
  }

  take(): Event | undefined {
    const { heap } = this
    const first = heap[0]
    const last = heap.pop()
    if (first === undefined || last === undefined || first === last) return first
    let at = 0
    for (;;) {
      let child = 2 * at + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && heap[child + 1]!.isBefore(heap[child]!)) child++
      if (!heap[child]!.isBefore(last)) break
      heap[at] = heap[child]!
      at = child
    }
    heap[at] = last
    return first
  }
}

export class World {
  now = 0
  readonly trace: Array<string> = []
  /** Called when all that happens at one time has happened. */
  onMoment: () => void = () => undefined
  /** What goes wrong outside all processes. */
  failure: string | undefined = undefined
  private readonly agenda = new Agenda()
  private order = 0
  private current: Process | undefined = undefined

  /** Runs something after a time, in a process or outside all of them. Gives a way to call it off. */
  after(millis: number, process: Process | undefined, run: () => void, phase: Phase = Phase.poll): () => void {
    const event = new Event(inTicks(this.now + millis), phase, this.order++, process, run)
    this.agenda.add(event)
    return () => {
      event.isCancelled = true
    }
  }

  note(who: Process | string, what: string): void {
    this.trace.push(`${this.now.toFixed(3).padStart(10)}  ${typeof who === "string" ? who : who.name}: ${what}`)
  }

  /** Lets time go by until the condition holds or the time has come. Answers whether it holds. */
  async run(isDone: () => boolean, until: number): Promise<boolean> {
    const limit = inTicks(until)
    while (!isDone() && this.failure === undefined) {
      const event = this.agenda.first
      if (event === undefined || event.at > limit) {
        this.now = Math.max(this.now, limit)
        this.onMoment()
        return isDone()
      }
      this.agenda.take()
      if (event.isCancelled) continue
      const { process } = event
      if (process !== undefined && process.pausedUntil > event.at) {
        // It comes when the process runs again, in the order of a turn.
        event.at = process.pausedUntil
        this.agenda.add(event)
        continue
      }
      this.now = event.at
      this.current = process
      event.run()
      if (process !== undefined) await new Promise<void>((resolve) => realSetImmediate(resolve))
      const next = this.agenda.first
      if (next === undefined || next.at > this.now) this.onMoment()
    }
    return isDone()
  }

  /**
   * Takes the place of what the code under test has from Node, while the body runs: what comes after reading, and ids.
   * Real timers are forbidden.
   */
  async inPlaceOfNode<A>(body: () => Promise<A>): Promise<A> {
    const { clearImmediate, setImmediate, setTimeout } = globalThis
    const { randomUUID } = crypto
    let made = 0
    const later = (callback: () => void) => {
      const cancel = this.after(0, this.current, callback, Phase.check)
      return { cancel }
    }
    const forbidden = () => {
      this.failure ??= "a real timer was started"
    }
    globalThis.setImmediate = later as unknown as typeof setImmediate
    globalThis.clearImmediate = ((handle: { cancel: () => void } | undefined) =>
      handle?.cancel()) as unknown as typeof clearImmediate
    globalThis.setTimeout = forbidden as unknown as typeof setTimeout
    crypto.randomUUID = () => `00000000-0000-4000-8000-${String(++made).padStart(12, "0")}`
    try {
      return await body()
    } finally {
      Object.assign(globalThis, { clearImmediate, setImmediate, setTimeout })
      crypto.randomUUID = randomUUID
    }
  }
}

/** How many tasks in a row are microtasks before one becomes a timer. */
const noTimers = Number.POSITIVE_INFINITY

/** How much too early or too late a timer may be. */
const timerLateness = { early: 0.5, late: 0.75 }

/** A process: a loop of events of its own, which may stop, and a clock that began at some time of its own. */
export class Process {
  readonly world: World
  readonly name: string
  readonly clock: Clock.Clock
  readonly supervisor: Supervisor.Supervisor<ReadonlyArray<unknown>>
  pausedUntil = Number.NEGATIVE_INFINITY
  /** The timers that were started and are not over. */
  timers = 0
  private readonly scheduler = new Scheduler.MixedScheduler(noTimers)
  private readonly random: Random

  constructor(world: World, name: string, random: Random, supervisor: Process["supervisor"]) {
    this.world = world
    this.name = name
    this.random = random
    this.supervisor = supervisor
    this.clock = this.makeClock(inTicks(random.between(0, 1e6)))
  }

  get isPaused(): boolean {
    return this.pausedUntil > this.world.now
  }

  /** A timer, as Node has them: in whole milliseconds, a little early or late. */
  timer(millis: number, run: () => void): () => void {
    this.timers++
    let isOver = false
    const end = () => {
      if (!isOver) this.timers--
      isOver = true
    }
    const delay = Math.max(1, Math.floor(millis)) + this.random.between(-timerLateness.early, timerLateness.late)
    const cancel = this.world.after(
      delay,
      this,
      () => {
        end()
        run()
      },
      Phase.timers
    )
    return () => {
      end()
      cancel()
    }
  }

  /** Runs an effect in this process. */
  fork<A, E>(effect: Effect.Effect<A, E>) {
    return Effect.runFork(effect.pipe(Effect.withClock(this.clock), Effect.supervised(this.supervisor)), {
      scheduler: this.scheduler
    })
  }

  private makeClock(epoch: number): Clock.Clock {
    const millis = () => this.world.now + epoch
    const nanos = () => BigInt(millis() * 1e6)
    return {
      [Clock.ClockTypeId]: Clock.ClockTypeId,
      unsafeCurrentTimeMillis: millis,
      unsafeCurrentTimeNanos: nanos,
      currentTimeMillis: Effect.sync(millis),
      currentTimeNanos: Effect.sync(nanos),
      sleep: (duration) =>
        Effect.async<void>((resume) => {
          const time = Duration.toMillis(duration)
          if (!Number.isFinite(time)) return undefined
          const cancel = this.timer(time, () => resume(Effect.void))
          return Effect.sync(cancel)
        })
    }
  }
}
