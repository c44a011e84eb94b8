/**
 * Paths as people write them.
 */
import { LockPath } from "@hilok/core"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import { clean } from "./clean.ts"
import { type Failure, usage } from "./failure.ts"

/** Refuses what somebody takes for the name of a file: "a/../b" would be a lock beside that on "b". */
export const check = (path: string, separator: string): Effect.Effect<void, Failure> => {
  const dots = path.split(separator).find((segment) => segment === "." || segment === "..")
  return dots === undefined
    ? Effect.void
    : Effect.fail(
        usage(
          `The path ${JSON.stringify(path)} has the segment ${JSON.stringify(dots)}, which leads nowhere: ` +
            "paths are names in a tree of locks, not of files. Write it without"
        )
      )
}

export const segmentsOf = (path: LockPath.Input, separator: string): ReadonlyArray<string> =>
  Either.match(LockPath.parse(path, separator), {
    onLeft: () => (typeof path === "string" ? [path] : path),
    onRight: LockPath.segments
  })

/** A path for people. */
export const shown = (path: LockPath.Input, separator: string): string =>
  clean(segmentsOf(path, separator).join(separator)) || separator
