/**
 * Starts the refresh loops of the leases that are held to their first refresh. Most are not: so a hold costs no fiber
 * and no timer of its own, and one timer of the service, armed now and then, serves them all.
 */
import type * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import type * as FiberId from "effect/FiberId"
import type { HeldLease } from "./heldLease.ts"
import { unsafeNow } from "./monotonic.ts"

type Loop = Fiber.RuntimeFiber<void>

/** One lease, from the start of its hold to its end. */
export interface Kept {
  readonly lease: HeldLease
  loop: Loop | undefined
  slot: Set<Kept> | undefined
}

export class Refreshes {
  private readonly clock: Clock.Clock
  private readonly fork: (effect: Effect.Effect<void>) => Loop
  /** By the time at which they are due. The times fall on a grid, so there are few of them. */
  private readonly slots = new Map<number, Set<Kept>>()
  private timer: Loop | undefined = undefined
  private timerAt = Number.POSITIVE_INFINITY
  private isClosed = false

  constructor(clock: Clock.Clock, fork: (effect: Effect.Effect<void>) => Loop) {
    this.clock = clock
    this.fork = fork
  }

  begin(lease: HeldLease): Kept {
    const kept: Kept = { lease, loop: undefined, slot: undefined }
    if (this.isClosed) {
      this.start(kept)
      return kept
    }
    const due = lease.firstDue()
    let slot = this.slots.get(due)
    if (slot === undefined) {
      slot = new Set()
      this.slots.set(due, slot)
      if (due < this.timerAt) this.arm(due)
    }
    slot.add(kept)
    kept.slot = slot
    return kept
  }

  end(kept: Kept, by: FiberId.FiberId): void {
    kept.slot?.delete(kept)
    kept.loop?.unsafeInterruptAsFork(by)
  }

  /** Ends the timer. What is still held then goes on being refreshed, each by a loop of its own. */
  close(): void {
    this.isClosed = true
    this.timer?.unsafeInterruptAsFork(this.timer.id())
    for (const slot of this.slots.values()) for (const kept of slot) this.start(kept)
    this.slots.clear()
  }

  private start(kept: Kept, due?: number): void {
    kept.slot = undefined
    kept.loop = this.fork(kept.lease.keepAlive(due))
  }

  private arm(due: number): void {
    this.timer?.unsafeInterruptAsFork(this.timer.id())
    this.timerAt = due
    this.timer = this.fork(this.sleep())
  }

  private sleep(): Effect.Effect<void> {
    return Effect.suspend(() => {
      const left = this.timerAt - unsafeNow(this.clock)
      if (left > 0) return Effect.flatMap(this.clock.sleep(Duration.millis(Math.ceil(left))), () => this.sleep())
      this.timer = undefined
      this.timerAt = Number.POSITIVE_INFINITY
      this.startDue()
      return Effect.void
    })
  }

  private startDue(): void {
    const now = unsafeNow(this.clock)
    let next = Number.POSITIVE_INFINITY
    for (const [due, slot] of this.slots) {
      if (due > now && slot.size > 0) next = Math.min(next, due)
      if (due > now && slot.size > 0) continue
      this.slots.delete(due)
      for (const kept of slot) this.start(kept, due)
    }
    if (next < this.timerAt) this.arm(next)
  }
}
