/** The application: documents over HTTP, each request under the locks that it needs. */
import { readFileSync } from "node:fs"
import { HttpApiBuilder, HttpApp, HttpServerResponse } from "@effect/platform"
import { HierarchicalLock, LockPath, Target } from "@hilok/core"
import { Effect, Layer, Stream } from "effect"
import { Api, type Manner } from "./Api.ts"
import { Tree } from "./Tree.ts"

/** How long a request waits for its locks. A client that has gone away by then does not wait: its fiber is interrupted. */
const patience = "5 seconds"

/**
 * What a file system would lock. Each has `readNode` on the folders above, so that none of them is moved or deleted
 * meanwhile, while all else in them goes on.
 */
const locksFor = {
  /** The node stays as it is: what a folder contains is read in one step. */
  look: (path: LockPath.Input) => Target.withParents(Target.readNode(path)),
  /** The node is mine. */
  change: (path: LockPath.Input) => Target.withParents(Target.writeNode(path)),
  /** The node is mine, and all that is below. */
  delete: (path: LockPath.Input) => Target.withParents(Target.write(path)),
  /** Both are, and neither of the two folders goes away. All at once, so that two moves do not wait for each other. */
  move: (from: LockPath.Input, to: LockPath.Input) => [
    ...Target.withParents(Target.write(from)),
    ...Target.withParents(Target.write(to))
  ]
}

/** Does something under locks. It gets the fencing token, for whoever writes. */
const under = <A, E>(
  targets: ReadonlyArray<Target.Target>,
  reason: string,
  { takes, wait, who }: Manner,
  work: (token: number) => Effect.Effect<A, E>
) =>
  HierarchicalLock.withLocks(
    ({ token }) => Effect.zipRight(Effect.sleep(`${takes} seconds`), work(token)),
    targets,
    wait ? { timeout: patience, reason, label: who } : { block: false, reason, label: who }
  )

/** The same at one path. */
const underOne = <A, E>(
  verb: string,
  locks: (path: LockPath.Input) => ReadonlyArray<Target.Target>,
  { path, ...manner }: Manner & { readonly path: string },
  work: (path: LockPath.LockPath, token: number) => Effect.Effect<A, E>
) =>
  Effect.flatMap(LockPath.parse(path), (parsed) =>
    under(locks(path), `${verb} ${path}`, manner, (token) => work(parsed, token))
  )

/** What is there to begin with: folders, and documents with what they say. */
const samples = {
  "": ["archive", "plans", "plans/2026"],
  "plans/2026/budget": "Less of everything.",
  "plans/2026/offsite": "By the sea.",
  "plans/notes": "Ask everyone.",
  "archive/2025": "It was fine."
}

const DocumentsLive = HttpApiBuilder.group(Api, "documents", (handlers) =>
  Effect.gen(function* () {
    const tree = new Tree()
    for (const [path, content] of Object.entries(samples)) {
      if (typeof content === "string") yield* tree.edit(yield* LockPath.parse(path), content, 0)
      else for (const folder of content) yield* tree.makeFolder(yield* LockPath.parse(folder), 0)
    }
    return handlers
      .handle("list", ({ urlParams }) => underOne("list", locksFor.look, urlParams, (path) => tree.list(path)))
      .handle("read", ({ urlParams }) =>
        underOne("read", locksFor.look, urlParams, (path) => Effect.map(tree.read(path), (content) => ({ content })))
      )
      .handle("edit", ({ payload: { content }, urlParams }) =>
        underOne("edit", locksFor.change, urlParams, (path, token) => tree.edit(path, content, token))
      )
      .handle("makeFolder", ({ urlParams }) =>
        underOne("make the folder", locksFor.change, urlParams, (path, token) => tree.makeFolder(path, token))
      )
      .handle("move", ({ urlParams: { from, to, ...manner } }) =>
        Effect.flatMap(Effect.all([LockPath.parse(from), LockPath.parse(to)]), ([source, target]) =>
          under(locksFor.move(from, to), `move ${from} to ${to}`, manner, (token) => tree.move(source, target, token))
        )
      )
      .handle("delete", ({ urlParams }) =>
        underOne("delete", locksFor.delete, urlParams, (path, token) => tree.delete(path, token))
      )
  }).pipe(Effect.orDie)
)

const LocksLive = HttpApiBuilder.group(Api, "locks", (handlers) =>
  handlers.handle("inspect", () => HierarchicalLock.inspect())
)

const page = readFileSync(new URL("page.html", import.meta.url), "utf8")

/** The page to try it, and the locks as they change, for it. */
const PageLive = HttpApiBuilder.Router.use((router) =>
  Effect.gen(function* () {
    const locks = yield* HierarchicalLock.HierarchicalLock
    yield* router.get("/", HttpServerResponse.html(page))
    const events = locks.changes("", { every: "200 millis" }).pipe(
      Stream.map((entries) => `data: ${JSON.stringify(entries)}\n\n`),
      Stream.encodeText
    )
    yield* router.get("/events", HttpServerResponse.stream(events, { contentType: "text/event-stream" }))
  })
)

/** What is to be tried again says when. */
const retryAfter = HttpApp.withPreResponseHandler((_, response) =>
  Effect.succeed(
    response.status === 503 || response.status === 423
      ? HttpServerResponse.setHeader(response, "retry-after", "1")
      : response
  )
)

/** Needs an HTTP server, and the locks. */
export const layer = HttpApiBuilder.serve(retryAfter).pipe(
  Layer.provide(PageLive),
  Layer.provide(HttpApiBuilder.api(Api)),
  Layer.provide([DocumentsLive, LocksLive])
)
