import { assert } from "@effect/vitest"

/** The value, which must be of the class. */
export const narrow = <A>(value: unknown, expected: abstract new (...args: never) => A): A => {
  if (value instanceof expected) return value
  return assert.fail(`${String(value)} is not a ${expected.name}`)
}
