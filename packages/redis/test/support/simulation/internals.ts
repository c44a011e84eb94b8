/**
 * What the clients under test keep for themselves: nothing, when nothing is under way.
 */
import { Batch } from "../../../src/internal/batch.ts"
import { Commands } from "../../../src/internal/commands.ts"
import { Requests } from "../../../src/internal/requests.ts"

type Insides = { readonly [name: string]: unknown }

const sizeOf = (value: unknown): number =>
  value === undefined
    ? 0
    : typeof value === "number"
      ? value
      : Array.isArray(value)
        ? value.length
        : value instanceof Map || value instanceof Set
          ? value.size
          : 1

/** What must be empty then, by the class. */
const watched: ReadonlyArray<readonly [new (...args: never) => unknown, string, ReadonlyArray<string>]> = [
  [Commands, "send", ["oldest", "newest", "unanswered"]],
  [Requests, "ask", ["waiting", "sent"]],
  [Batch, "add", ["queue"]]
]

export class Internals {
  private readonly found = new Map<unknown, readonly [string, ReadonlyArray<string>]>()

  /** Takes note of the objects in use while the body runs: each shows itself by a method that all of them are used by. */
  async watch<A>(body: () => Promise<A>): Promise<A> {
    const { found } = this
    const restored = watched.map(([made, method, fields]) => {
      const prototype = made.prototype as Record<string, (...args: Array<unknown>) => unknown>
      const original = prototype[method]!
      prototype[method] = function (this: unknown, ...args) {
        found.set(this, [made.name, fields])
        return original.apply(this, args)
      }
      return () => {
        prototype[method] = original
      }
    })
    try {
      return await body()
    } finally {
      for (const restore of restored) restore()
    }
  }

  get problems(): ReadonlyArray<string> {
    return Array.from(this.found, ([object, [name, fields]]) =>
      fields.flatMap((field) => {
        const value = (object as Insides)[field]
        if (!(field in (object as Insides))) return [`${name} has no ${field}`]
        return sizeOf(value) === 0 ? [] : [`${name}.${field} is not empty`]
      })
    ).flat()
  }
}
