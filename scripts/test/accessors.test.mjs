import { describe, expect, test } from "vitest"
import { generateAccessors } from "../accessors.mjs"

const source = (operations) => `
import type * as Effect from "effect/Effect"
import type * as Unused from "effect/Unused"

export interface Two<What, R> {
  <A>(use: A, what: What): Effect.Effect<A, never, R>
  (what: What): R
}

export interface Operations<R> {
${operations}
}

export interface Layers<I> {}
`

describe("an accessor", () => {
  test("has the comment of its function, and its type", () => {
    const code = generateAccessors(source("  /** Reads. */\n  readonly read: (path: string) => Effect.Effect<R>"))
    expect(code).toContain(
      '/**\n * Reads.\n */\nexport const read: Operations<HierarchicalLock>["read"] = accessors.read\n'
    )
    expect(code).not.toContain("Unused")
  })

  test("has, when it has several signatures, its comment on the first", () => {
    const code = generateAccessors(source("  /** Runs. */\n  readonly run: Two<string, R>"))
    expect(code).toContain(`export const run: {
  /**
   * Runs.
   */
  <A>(use: A, what: string): Effect.Effect<A, never, HierarchicalLock>
  (what: string): HierarchicalLock
} = accessors.run`)
    expect(code).toContain('import type * as Effect from "effect/Effect"')
  })

  test("has, in place of a reference, what the other's comment says before its tags", () => {
    const code = generateAccessors(
      source(`
  /**
   * Reads.
   *
   * Waits.
   *
   * @example reading
   */
  readonly read: () => R
  /**
   * Writes. Otherwise as \`read\`.
   *
   * @example writing
   */
  readonly write: () => R`)
    )
    expect(code).toContain("/**\n * Writes.\n *\n * Waits.\n *\n * @example writing\n */")
  })

  test("must have a comment, and one that refers to a function there is", () => {
    expect(() => generateAccessors(source("  readonly read: () => R"))).toThrow("`read` has no comment")
    const reference = source("  /** Writes. Otherwise as `raed`. */\n  readonly write: () => R")
    expect(() => generateAccessors(reference)).toThrow("refers to `raed`")
  })
})
