/**
 * The four lock modes and the one rule that decides which locks exclude each other.
 *
 * A lock covers a *region* (a node, or a node with everything below it) with an *access* (shared or
 * exclusive). Two locks conflict when their regions overlap and at least one of them is exclusive.
 * Nothing is stored on ancestors: intention modes (Gray et al., "Granularity of Locks", 1975) are not
 * needed, because overlap is decided from the paths alone.
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import type * as LockPath from "./LockPath.ts"

/**
 * - `read`: shared, the node and everything below it.
 * - `write`: exclusive, the node and everything below it.
 * - `readNode`: shared, the node alone; its descendants may change.
 * - `writeNode`: exclusive, the node alone; work on its descendants goes on.
 *
 * @since 0.1.0
 * @category models
 */
export type LockMode = "read" | "write" | "readNode" | "writeNode"

/**
 * The schema of a mode.
 *
 * @since 0.1.0
 * @category schemas
 */
export const schema: Schema.Literal<["read", "write", "readNode", "writeNode"]> = Schema.Literal(
  "read",
  "write",
  "readNode",
  "writeNode"
)

/**
 * Every mode, in the order in which the documentation lists them.
 *
 * @since 0.1.0
 * @category models
 */
export const all: ReadonlyArray<LockMode> = schema.literals

/**
 * Whether the access is exclusive (`write`, `writeNode`).
 *
 * @since 0.1.0
 * @category predicates
 */
export const isExclusive = (mode: LockMode): boolean => mode === "write" || mode === "writeNode"

/**
 * Whether the region includes everything below the node (`read`, `write`).
 *
 * @since 0.1.0
 * @category predicates
 */
export const coversSubtree = (mode: LockMode): boolean => mode === "read" || mode === "write"

/**
 * The shared mode over the same region: `write` becomes `read`, `writeNode` becomes `readNode`, a shared mode stays.
 *
 * @since 0.1.0
 * @category combinators
 */
export const downgraded = (mode: LockMode): LockMode =>
  mode === "write" ? "read" : mode === "writeNode" ? "readNode" : mode

/**
 * A mode on a path in the canonical encoding: what stores reason about.
 *
 * @since 0.1.0
 * @category models
 */
export interface Region {
  readonly mode: LockMode
  readonly path: LockPath.LockPath
}

/**
 * Whether the two regions share a node.
 *
 * @since 0.1.0
 * @category predicates
 */
export const overlaps = (a: Region, b: Region): boolean =>
  a.path === b.path ||
  (coversSubtree(a.mode) && b.path.startsWith(a.path)) ||
  (coversSubtree(b.mode) && a.path.startsWith(b.path))

/**
 * Whether the two locks exclude each other: their regions overlap, and at least one is exclusive.
 *
 * @since 0.1.0
 * @category predicates
 */
export const conflicts = (a: Region, b: Region): boolean =>
  (isExclusive(a.mode) || isExclusive(b.mode)) && overlaps(a, b)

/**
 * Whether any region of one request conflicts with any region of the other.
 *
 * @since 0.1.0
 * @category predicates
 */
export const anyConflict = (as: ReadonlyArray<Region>, bs: ReadonlyArray<Region>): boolean =>
  as.some((a) => bs.some((b) => conflicts(a, b)))

/**
 * Whether the outer lock allows everything that the inner one does: the inner region lies within the outer one, and the
 * inner lock is shared if the outer one is.
 *
 * @since 0.2.0
 * @category predicates
 */
export const covers = (outer: Region, inner: Region): boolean =>
  (isExclusive(outer.mode) || !isExclusive(inner.mode)) &&
  (coversSubtree(outer.mode)
    ? inner.path.startsWith(outer.path)
    : inner.path === outer.path && !coversSubtree(inner.mode))
