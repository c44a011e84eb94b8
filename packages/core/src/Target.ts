/**
 * What a caller wants to lock: a mode on a path.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import * as written from "./internal/writtenPath.ts"
import * as LockMode from "./LockMode.ts"
import type * as LockPath from "./LockPath.ts"

/**
 * A mode on a path, as the caller writes it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Target {
  readonly mode: LockMode.LockMode
  readonly path: LockPath.Input
}

/**
 * The schema of a target.
 *
 * @since 0.1.0
 * @category schemas
 */
export const schema: Schema.Schema<Target> = Schema.Struct({
  mode: LockMode.schema,
  path: Schema.Union(Schema.String, Schema.Array(Schema.String))
})

/**
 * @since 0.1.0
 * @category constructors
 */
export const make = (mode: LockMode.LockMode, path: LockPath.Input): Target => ({ mode, path })

/**
 * Shared, the node and everything below it.
 *
 * @since 0.1.0
 * @category constructors
 */
export const read = (path: LockPath.Input): Target => make("read", path)

/**
 * Exclusive, the node and everything below it.
 *
 * @since 0.1.0
 * @category constructors
 */
export const write = (path: LockPath.Input): Target => make("write", path)

/**
 * Shared, the node alone.
 *
 * @since 0.1.0
 * @category constructors
 */
export const readNode = (path: LockPath.Input): Target => make("readNode", path)

/**
 * Exclusive, the node alone.
 *
 * @since 0.1.0
 * @category constructors
 */
export const writeNode = (path: LockPath.Input): Target => make("writeNode", path)

/**
 * The target, and `readNode` on each node above it, for `locks` and `withLocks`. A file system needs this for an edit,
 * a move or a deletion: nobody can then rename or delete a folder above it (with `writeNode` on that folder), while all
 * other work in these folders goes on. The lists for targets that share ancestors can be joined into one.
 *
 * @example
 * ```ts
 * import { HierarchicalLock, Target } from "@hilok/core"
 * import { Console, Effect } from "effect"
 * import assert from "node:assert"
 *
 * assert.deepStrictEqual(Target.withParents(Target.write("docs/2026/plan")), [
 *   Target.readNode(""),
 *   Target.readNode("docs"),
 *   Target.readNode("docs/2026"),
 *   Target.write("docs/2026/plan")
 * ])
 *
 * const move = Console.log("moved").pipe(
 *   HierarchicalLock.withLocks([
 *     ...Target.withParents(Target.write("docs/2026/plan")),
 *     ...Target.withParents(Target.write("archive/plan"))
 *   ])
 * )
 * await Effect.runPromise(Effect.provide(move, HierarchicalLock.layerMemory()))
 * ```
 *
 * @since 0.2.0
 * @category constructors
 */
export const withParents = (target: Target, separator = "/"): ReadonlyArray<Target> => [
  ...written.ancestors(target.path, separator).map(readNode),
  target
]

const show = (path: LockPath.Input): string => (typeof path === "string" ? path : path.join("/")) || "/"

/**
 * The targets for people: `write "a/b", read "c"`. The root is `"/"`.
 *
 * @since 0.1.0
 * @category getters
 */
export const format = (targets: ReadonlyArray<Target>): string =>
  targets.map(({ mode, path }) => `${mode} ${JSON.stringify(show(path))}`).join(", ")
