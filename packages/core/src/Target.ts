/**
 * What a caller asks for: a mode on a path.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
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
 * The targets for people: `write "a/b", read "c"`.
 *
 * @since 0.1.0
 * @category getters
 */
export const format = (targets: ReadonlyArray<Target>): string =>
  targets
    .map(({ mode, path }) => `${mode} ${JSON.stringify(typeof path === "string" ? path : path.join("/"))}`)
    .join(", ")
