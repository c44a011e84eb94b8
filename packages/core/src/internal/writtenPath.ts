/**
 * Paths as callers write them. None of these checks a path: that is done where it is used.
 */
import * as Option from "effect/Option"
import type { Input } from "../LockPath.ts"

const split = (path: Input, separator: string): ReadonlyArray<string> =>
  typeof path === "string" ? path.split(separator).filter((segment) => segment !== "") : path

/**
 * The path one level up, written as the path is: a string, or a list of segments. The root has none.
 *
 * @example
 * ```ts
 * import { LockPath } from "@hilok/core"
 * import { Option } from "effect"
 * import assert from "node:assert"
 *
 * assert.deepStrictEqual(LockPath.parent("north/b1/a7"), Option.some("north/b1"))
 * assert.deepStrictEqual(LockPath.parent(["north", "b1"]), Option.some(["north"]))
 * assert.deepStrictEqual(LockPath.parent("north::b1", "::"), Option.some("north"))
 * assert.deepStrictEqual(LockPath.parent("/"), Option.none())
 * ```
 *
 * @since 0.2.0
 * @category paths
 */
export const parent: {
  (path: string, separator?: string): Option.Option<string>
  (path: ReadonlyArray<string>, separator?: string): Option.Option<ReadonlyArray<string>>
  (path: Input, separator?: string): Option.Option<Input>
} = (path: Input, separator = "/"): Option.Option<never> =>
  Option.fromNullable(ancestors(path, separator).at(-1) as never)

/**
 * Every path above this one, from the root down to its parent, written as the path is. The root, which has none, is the
 * empty string or the empty list.
 *
 * @example
 * ```ts
 * import { LockPath } from "@hilok/core"
 * import assert from "node:assert"
 *
 * assert.deepStrictEqual(LockPath.ancestors("north/b1/a7"), ["", "north", "north/b1"])
 * assert.deepStrictEqual(LockPath.ancestors(["north", "b1"]), [[], ["north"]])
 * ```
 *
 * @since 0.2.0
 * @category paths
 */
export const ancestors: {
  (path: string, separator?: string): ReadonlyArray<string>
  (path: ReadonlyArray<string>, separator?: string): ReadonlyArray<ReadonlyArray<string>>
  (path: Input, separator?: string): ReadonlyArray<Input>
} = (path: Input, separator = "/"): ReadonlyArray<never> => {
  const parts = split(path, separator)
  return parts.map((_, depth) => {
    const above = parts.slice(0, depth)
    return (typeof path === "string" ? above.join(separator) : above) as never
  })
}

/**
 * One path out of several, each below the one before it: a string, or the list of its segments when one of them contains
 * the separator.
 *
 * @example
 * ```ts
 * import { LockPath } from "@hilok/core"
 * import assert from "node:assert"
 *
 * assert.strictEqual(LockPath.join(["/north/", "b1", ["a7"]]), "north/b1/a7")
 * // A segment that comes from elsewhere, such as a file name, goes into a list: it may hold the separator.
 * assert.deepStrictEqual(LockPath.join(["north", ["9/10"]]), ["north", "9/10"])
 * ```
 *
 * @since 0.2.0
 * @category paths
 */
export const join = (paths: ReadonlyArray<Input>, separator = "/"): Input => {
  const parts = paths.flatMap((path) => split(path, separator))
  const joined = parts.join(separator)
  const again = split(joined, separator)
  return again.length === parts.length && again.every((part, i) => part === parts[i]) ? joined : parts
}
