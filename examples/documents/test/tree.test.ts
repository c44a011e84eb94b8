import { assert, describe, it } from "@effect/vitest"
import { LockPath } from "@hilok/core"
import { Effect, Either } from "effect"
import { Tree } from "../src/Tree.ts"

const at = (path: string) => Either.getOrThrow(LockPath.parse(path))

/** A tree of `a/b/c`, a document, and the folders above it and beside it. */
const planted = Effect.gen(function* () {
  const tree = new Tree()
  for (const folder of ["a", "a/b", "z"]) yield* tree.makeFolder(at(folder), 1)
  yield* tree.edit(at("a/b/c"), "text", 2)
  return tree
})

const names = (tree: Tree, path: string) =>
  Effect.map(tree.list(at(path)), (entries) => entries.map(({ kind, path }) => `${kind} ${path}`))

describe("the tree", () => {
  it.effect("moves a folder with all that is in it", () =>
    Effect.gen(function* () {
      const tree = yield* planted
      yield* tree.move(at("a/b"), at("z/new"), 3)
      assert.deepStrictEqual(yield* names(tree, "a"), [])
      assert.deepStrictEqual(yield* names(tree, "z"), ["folder z/new"])
      assert.strictEqual(yield* tree.read(at("z/new/c")), "text")
      assert.strictEqual((yield* Effect.flip(tree.read(at("a/b/c"))))._tag, "Missing")
    })
  )

  it.effect("deletes a folder with all that is in it, and nothing that is called alike", () =>
    Effect.gen(function* () {
      const tree = yield* planted
      yield* tree.makeFolder(at("ab"), 3)
      yield* tree.delete(at("a"), 4)
      assert.deepStrictEqual(yield* names(tree, ""), ["folder ab", "folder z"])
      assert.strictEqual((yield* Effect.flip(tree.list(at("a/b"))))._tag, "Missing")
    })
  )

  it.effect("refuses what a tree cannot do, and stays as it is", () =>
    Effect.gen(function* () {
      const tree = yield* planted
      const refused = <E>(change: Effect.Effect<void, E>) => Effect.map(Effect.flip(change), String)
      assert.include(yield* refused(tree.move(at("a"), at("a/b/a"), 3)), "a cannot be moved into itself")
      assert.include(yield* refused(tree.move(at("a"), at("z"), 3)), "z is there already")
      assert.include(yield* refused(tree.move(at("a"), at("no/a"), 3)), "There is no folder no")
      assert.include(yield* refused(tree.move(at("no"), at("z/no"), 3)), "There is no folder or document no")
      assert.include(yield* refused(tree.delete(at(""), 3)), "/ is the root")
      assert.include(yield* refused(tree.edit(at("a"), "", 3)), "a is a folder")
      assert.include(yield* refused(tree.edit(at("a/b/c/d"), "", 3)), "There is no folder a/b/c")
      assert.include(yield* refused(tree.makeFolder(at("z"), 3)), "z is there already")
      assert.deepStrictEqual(yield* names(tree, ""), ["folder a", "folder z"])
      assert.strictEqual(yield* tree.read(at("a/b/c")), "text")
    })
  )
})

describe("the fencing token", () => {
  it.effect("of a late writer is refused where somebody has written since: the node, above it, below it", () =>
    Effect.gen(function* () {
      const late = (tree: Tree) => ({
        edit: tree.edit(at("a/b/c"), "late", 5),
        make: tree.makeFolder(at("a/b/new"), 5),
        move: tree.move(at("a"), at("z/a"), 5),
        delete: tree.delete(at("a/b"), 5)
      })
      const stale = <E>(change: Effect.Effect<void, E>) =>
        Effect.map(Effect.either(change), (result) => Either.isLeft(result) && String(result.left).startsWith("Stale"))
      const after = (write: (tree: Tree) => Effect.Effect<void, unknown>) =>
        Effect.all({
          edit: Effect.tap(planted, write).pipe(Effect.flatMap((tree) => stale(late(tree).edit))),
          make: Effect.tap(planted, write).pipe(Effect.flatMap((tree) => stale(late(tree).make))),
          move: Effect.tap(planted, write).pipe(Effect.flatMap((tree) => stale(late(tree).move))),
          delete: Effect.tap(planted, write).pipe(Effect.flatMap((tree) => stale(late(tree).delete)))
        })
      // The same document; what is beside it is not meant.
      assert.deepStrictEqual(yield* after((tree) => tree.edit(at("a/b/c"), "new", 6)), {
        edit: true,
        make: false,
        move: true,
        delete: true
      })
      // All below a folder that was deleted or moved away.
      const all = { edit: true, make: true, move: true, delete: true }
      assert.deepStrictEqual(yield* after((tree) => tree.delete(at("a"), 6)), all)
      assert.deepStrictEqual(yield* after((tree) => tree.move(at("a"), at("z/moved"), 6)), all)
      // Elsewhere, and what was written before.
      const none = { edit: false, make: false, move: false, delete: false }
      assert.deepStrictEqual(yield* after((tree) => tree.edit(at("z/other"), "new", 6)), none)
      assert.deepStrictEqual(yield* after((tree) => tree.edit(at("a/b/c"), "old", 4)), none)
    })
  )

  it.effect("that wrote a node is none of those who write below it at the same time", () =>
    Effect.gen(function* () {
      const tree = yield* planted
      yield* tree.delete(at("z"), 3)
      yield* tree.makeFolder(at("z"), 9)
      yield* tree.edit(at("z/mine"), "with an older token, but that of a subtree of its own", 4)
      assert.strictEqual((yield* Effect.flip(tree.edit(at("z/mine"), "", 2)))._tag, "Stale")
    })
  )
})
