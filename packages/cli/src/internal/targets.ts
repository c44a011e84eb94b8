/**
 * What a command line asks to lock.
 */
import * as Effect from "effect/Effect"
import { Invocation, type Target } from "../Argv.ts"
import * as Exit from "./exit.ts"

interface Parsed {
  readonly paths: ReadonlyArray<string>
  readonly write: ReadonlyArray<string>
  readonly read: ReadonlyArray<string>
  readonly readNode: ReadonlyArray<string>
  readonly writeNode: ReadonlyArray<string>
}

/** The targets of the command line; or those that were put together by the wizard, which knows of no order. */
export const chosenTargets = (parsed: Parsed): Effect.Effect<ReadonlyArray<Target>, Exit.Stop, Invocation> =>
  Effect.flatMap(Invocation, ({ targets }) => {
    const of = (mode: Target["mode"], paths: ReadonlyArray<string>) => paths.map((path) => ({ mode, path }))
    const all =
      targets.length > 0
        ? targets
        : [
            ...of("write", parsed.paths),
            ...of("write", parsed.write),
            ...of("read", parsed.read),
            ...of("readNode", parsed.readNode),
            ...of("writeNode", parsed.writeNode)
          ]
    return all.length > 0 ? Effect.succeed(all) : Effect.fail(Exit.usage("no path to lock: / is the root of the tree"))
  })
