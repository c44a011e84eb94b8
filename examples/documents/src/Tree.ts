/**
 * The documents: a tree in the memory of this process. It knows nothing of locks, but refuses whoever comes with an old
 * fencing token: a writer that was paused, has lost its lease, and does not know it yet.
 */
import { LockPath } from "@hilok/core"
import { Effect, Schema } from "effect"

/** Nothing is there, or not what was asked for. */
export class Missing extends Schema.TaggedError<Missing>()("Missing", {
  path: Schema.String,
  wanted: Schema.Literal("folder", "document", "folder or document")
}) {
  override get message(): string {
    return `There is no ${this.wanted} ${this.path}`
  }
}

/** The tree is in the way. */
export class Refused extends Schema.TaggedError<Refused>()("Refused", { path: Schema.String, reason: Schema.String }) {
  override get message(): string {
    return `${this.path} ${this.reason}`
  }
}

/** Somebody with a newer token has written there: the lease of this writer had ended before. */
export class Stale extends Schema.TaggedError<Stale>()("Stale", {
  path: Schema.String,
  token: Schema.Number,
  newest: Schema.Number
}) {
  override get message(): string {
    return `${this.path} was written with the token ${this.newest} since: ${this.token} comes too late`
  }
}

export const Entry = Schema.Struct({
  name: Schema.String,
  path: Schema.String,
  kind: Schema.Literal("folder", "document")
})
export type Entry = typeof Entry.Type

type Path = LockPath.LockPath
type Node = { readonly kind: "folder" } | { readonly kind: "document"; readonly content: string }
/** What a writer changes: a node, or all of a subtree. */
type Reach = "node" | "subtree"

const folder: Node = { kind: "folder" }
const show = (path: Path): string => LockPath.format(path)
const parentOf = (path: Path): Path => path.slice(0, path.lastIndexOf("/", path.length - 2) + 1) as Path

/** The newest token at each path that was written, for the node and for all of its subtree. */
class Fences {
  private readonly newest = new Map<Path, Record<Reach, number>>()

  /** Refuses a token that is older than one that has written any of what it is about to write. */
  check(path: Path, reach: Reach, token: number): Stale | undefined {
    for (const [at, { node, subtree }] of this.newest) {
      const isBelow = reach === "subtree" && LockPath.isWithin(at, path)
      const seen = at === path || isBelow ? Math.max(node, subtree) : LockPath.isWithin(path, at) ? subtree : 0
      if (token < seen) return new Stale({ path: show(path), token, newest: seen })
    }
    return undefined
  }

  pass(path: Path, reach: Reach, token: number): void {
    if (reach === "subtree") {
      for (const at of this.newest.keys()) if (LockPath.isWithin(at, path)) this.newest.delete(at)
    }
    const before = this.newest.get(path) ?? { node: 0, subtree: 0 }
    this.newest.set(path, { ...before, [reach]: token })
  }
}

export class Tree {
  private readonly nodes = new Map<Path, Node>([[LockPath.root, folder]])
  private readonly fences = new Fences()

  /** What is in a folder, by name. */
  list(path: Path): Effect.Effect<ReadonlyArray<Entry>, Missing> {
    return Effect.suspend(() => {
      if (this.nodes.get(path)?.kind !== "folder") return new Missing({ path: show(path), wanted: "folder" })
      const entries = Array.from(this.nodes)
        .filter(([at]) => at !== LockPath.root && parentOf(at) === path)
        .map(([at, { kind }]) => ({ name: LockPath.segments(at).at(-1) ?? "", path: show(at), kind }))
      return Effect.succeed(entries.sort((one, other) => (one.name < other.name ? -1 : 1)))
    })
  }

  read(path: Path): Effect.Effect<string, Missing> {
    return Effect.suspend(() => {
      const node = this.nodes.get(path)
      if (node?.kind === "document") return Effect.succeed(node.content)
      return new Missing({ path: show(path), wanted: "document" })
    })
  }

  /** Writes a document, which is made when it is not there. Its folder must be. */
  edit(path: Path, content: string, token: number): Effect.Effect<void, Missing | Refused | Stale> {
    return this.write([[path, "node"]], token, () => {
      if (this.nodes.get(path)?.kind === "folder") return new Refused({ path: show(path), reason: "is a folder" })
      return this.put(path, { kind: "document", content })
    })
  }

  makeFolder(path: Path, token: number): Effect.Effect<void, Missing | Refused | Stale> {
    return this.write([[path, "node"]], token, () => {
      if (this.nodes.has(path)) return new Refused({ path: show(path), reason: "is there already" })
      return this.put(path, folder)
    })
  }

  /** Moves a document, or a folder with all that is in it. */
  move(from: Path, to: Path, token: number): Effect.Effect<void, Missing | Refused | Stale> {
    const both = [
      [from, "subtree"],
      [to, "subtree"]
    ] as const
    return this.write(both, token, () => {
      const node = this.nodes.get(from)
      if (node === undefined) return new Missing({ path: show(from), wanted: "folder or document" })
      if (LockPath.isWithin(to, from)) return new Refused({ path: show(from), reason: "cannot be moved into itself" })
      if (this.nodes.has(to)) return new Refused({ path: show(to), reason: "is there already" })
      const problem = this.put(to, node)
      if (problem !== undefined) return problem
      for (const [at, moved] of this.subtree(from)) {
        this.nodes.delete(at)
        this.nodes.set((to + at.slice(from.length)) as Path, moved)
      }
      return undefined
    })
  }

  /** Deletes a document, or a folder with all that is in it. */
  delete(path: Path, token: number): Effect.Effect<void, Missing | Refused | Stale> {
    return this.write([[path, "subtree"]], token, () => {
      if (path === LockPath.root) return new Refused({ path: show(path), reason: "is the root, which stays" })
      if (!this.nodes.has(path)) return new Missing({ path: show(path), wanted: "folder or document" })
      for (const [at] of this.subtree(path)) this.nodes.delete(at)
      return undefined
    })
  }

  private subtree(path: Path): ReadonlyArray<readonly [Path, Node]> {
    return Array.from(this.nodes).filter(([at]) => LockPath.isWithin(at, path))
  }

  private put(path: Path, node: Node): Missing | undefined {
    const parent = parentOf(path)
    if (this.nodes.get(parent)?.kind !== "folder") return new Missing({ path: show(parent), wanted: "folder" })
    this.nodes.set(path, node)
    return undefined
  }

  /** Compares the token and writes, in one step. */
  private write<E>(
    places: ReadonlyArray<readonly [Path, Reach]>,
    token: number,
    change: () => E | undefined
  ): Effect.Effect<void, E | Stale> {
    return Effect.suspend((): Effect.Effect<void, E | Stale> => {
      for (const [path, reach] of places) {
        const stale = this.fences.check(path, reach, token)
        if (stale !== undefined) return Effect.fail(stale)
      }
      const problem = change()
      if (problem !== undefined) return Effect.fail(problem)
      for (const [path, reach] of places) this.fences.pass(path, reach, token)
      return Effect.void
    })
  }
}
