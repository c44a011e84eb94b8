/**
 * What a client goes on with in the background, when its caller does not wait for it any longer.
 */
import * as Effect from "effect/Effect"
import { afterReading, type Host, sleep } from "./commands.ts"

/**
 * Waits for what is begun to be done, but only for so long (milliseconds). It does not end then: what it has to do, it does
 * later. One timer serves all that wait.
 */
export class ShortWait {
  private readonly waiting: Array<{ readonly until: number; readonly resume: () => void }> = []
  private isArmed = false
  private readonly limit: number
  private readonly host: Host

  constructor(limit: number, host: Host) {
    this.limit = limit
    this.host = host
  }

  for(begin: (done: () => void) => void): Effect.Effect<void> {
    return Effect.async<void>((resume) => {
      let isDone = false
      begin(() => {
        isDone = true
        resume(Effect.void)
      })
      if (isDone) return
      this.waiting.push({ until: this.host.now() + this.limit, resume: () => resume(Effect.void) })
      if (!this.isArmed) this.arm(this.limit)
    })
  }

  private arm(millis: number): void {
    this.isArmed = true
    this.host.fork(
      Effect.zipRight(
        sleep(millis),
        Effect.map(afterReading, () => this.onTimer())
      )
    )
  }

  private onTimer(): void {
    const now = this.host.now()
    const first = this.waiting.findIndex(({ until }) => until > now)
    for (const { resume } of this.waiting.splice(0, first === -1 ? this.waiting.length : first)) resume()
    const next = this.waiting[0]
    if (next === undefined) this.isArmed = false
    else this.arm(next.until - now)
  }
}

/** What is on its way, by name, and what has to wait until it is not. */
export class UnderWay {
  private readonly behind = new Map<string, { count: number; readonly waiting: Array<() => void> }>()

  /** One more begins. The answer is to be called when it can do nothing more. */
  begin(name: string): () => void {
    const all = this.behind.get(name) ?? { count: 0, waiting: [] }
    this.behind.set(name, all)
    all.count++
    return () => {
      if (--all.count > 0) return
      this.behind.delete(name)
      for (const go of all.waiting) go()
    }
  }

  /** Goes on when nothing of the name is on its way: maybe at once. */
  after(name: string, go: () => void): void {
    const all = this.behind.get(name)
    if (all === undefined) go()
    else all.waiting.push(go)
  }
}
