import { Effect, type Fiber, RuntimeFlags, RuntimeFlagsPatch, Supervisor } from "effect"

class InterruptAt extends Supervisor.AbstractSupervisor<void> {
  readonly value = Effect.void
  private main: Fiber.RuntimeFiber<unknown, unknown> | undefined = undefined
  private operations = 0
  reached = false
  private readonly at: number

  constructor(at: number) {
    super()
    this.at = at
  }

  override onEffect<A, E>(fiber: Fiber.RuntimeFiber<A, E>): void {
    this.main ??= fiber
    if (fiber !== this.main || this.operations++ !== this.at) return
    this.reached = true
    fiber.unsafeInterruptAsFork(fiber.id())
  }
}

/**
 * Runs an effect and interrupts its fiber right before that one's operation number `at`: finer than any scheduling.
 * Answers whether it came to that.
 */
export const interruptAt = <A, E, R>(effect: Effect.Effect<A, E, R>, at: number): Effect.Effect<boolean, never, R> =>
  Effect.suspend(() => {
    const supervisor = new InterruptAt(at)
    const supervised = effect.pipe(
      Effect.supervised(supervisor),
      Effect.withRuntimeFlagsPatch(RuntimeFlagsPatch.enable(RuntimeFlags.OpSupervision))
    )
    return Effect.fork(supervised).pipe(
      Effect.flatMap((fiber) => fiber.await),
      Effect.map(() => supervisor.reached)
    )
  })
