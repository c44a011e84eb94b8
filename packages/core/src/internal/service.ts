/**
 * The service, written once over any store: timeouts, scopes, refresh loops, loss, spans and metrics.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { InvalidOptions } from "../LockError.ts"
import type * as LockMode from "../LockMode.ts"
import type * as LockOptions from "../LockOptions.ts"
import type * as LockPath from "../LockPath.ts"
import type { LockStore } from "../LockStore.ts"
import type * as Target from "../Target.ts"
import * as byHand from "./byHand.ts"
import * as Context from "./context.ts"
import * as guard from "./guard.ts"
import * as hold from "./hold.ts"
import * as nesting from "./nesting.ts"
import type { Operations, Use } from "./operations.ts"
import { single } from "./request.ts"
import * as streams from "./streams.ts"

type Options = LockOptions.AcquireOptions | undefined
type AnyUse = Use<unknown, unknown, unknown>

/** Is this the effect, or the function to one, that runs under a lock? A path and targets are strings and lists. */
const isUse = (argument: unknown): argument is AnyUse => typeof argument === "function" || Effect.isEffect(argument)

const refuse = (option: string, reason: string) => Effect.fail(new InvalidOptions({ option, reason }))

/**
 * Takes what runs under a lock first or last. JavaScript may get the order wrong, which the types do not let pass: then
 * it gets an error, as it would else get a function that nobody calls.
 */
export const eitherOrder =
  (run: (use: AnyUse, what: never, options: Options) => Effect.Effect<unknown, unknown, unknown>) =>
  (first: unknown, second?: unknown, third?: unknown) => {
    if (isUse(first)) return run(first, second as never, third as Options)
    if (isUse(second) || isUse(third)) {
      return refuse("options", "the effect comes before the path or the targets, or in a call or pipe of its own")
    }
    return (use: unknown) =>
      isUse(use)
        ? run(use, first as never, second as Options)
        : refuse("effect", "what runs under a lock is an effect, or a function from the lease to one")
  }

export const make = (
  store: LockStore["Type"],
  options: LockOptions.Options
): Effect.Effect<Operations<never>, InvalidOptions, Scope.Scope> =>
  Effect.map(Context.make(store, options), (context) => {
    const one = (mode: LockMode.LockMode) => (path: LockPath.Input, options?: Options) =>
      hold.scoped(context, single(mode, path), options)

    const locks = (targets: ReadonlyArray<Target.Target>, options?: Options) => hold.scoped(context, targets, options)

    const around = <What>(targetsOf: (what: What) => ReadonlyArray<Target.Target>) =>
      eitherOrder((use, what, options) => hold.around(context, use, targetsOf(what), options))

    const aroundOne = (mode: LockMode.LockMode) => around((path: LockPath.Input) => single(mode, path))

    const ifAvailable = <What>(targetsOf: (what: What) => ReadonlyArray<Target.Target>) =>
      eitherOrder((use, what, options) => hold.aroundIfAvailable(context, use, targetsOf(what), options))

    const oneIfAvailable = (mode: LockMode.LockMode) => ifAvailable((path: LockPath.Input) => single(mode, path))

    const manual = byHand.make(context)

    // The public types are stricter than one implementation can be: their errors follow the options.
    return {
      ...manual,
      read: one("read"),
      write: one("write"),
      readNode: one("readNode"),
      writeNode: one("writeNode"),
      locks,
      withRead: aroundOne("read"),
      withWrite: aroundOne("write"),
      withReadNode: aroundOne("readNode"),
      withWriteNode: aroundOne("writeNode"),
      withLocks: around((targets: ReadonlyArray<Target.Target>) => targets),
      withReadIfAvailable: oneIfAvailable("read"),
      withWriteIfAvailable: oneIfAvailable("write"),
      withReadNodeIfAvailable: oneIfAvailable("readNode"),
      withWriteNodeIfAvailable: oneIfAvailable("writeNode"),
      withLocksIfAvailable: ifAvailable((targets: ReadonlyArray<Target.Target>) => targets),
      streamLocks: streams.streamLocks(locks),
      changes: streams.changes(manual.inspect),
      scoped: guard.scoped,
      detached: nesting.outside
    } as Operations<never>
  })
