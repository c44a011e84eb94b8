/** The demo: serves the documents, on this machine only, until it is stopped. */
import { createServer } from "node:http"
import * as HttpServer from "@effect/platform/HttpServer"
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import { HierarchicalLock, LockOptions, MemoryStore } from "@hilok/core"
import { RedisStore } from "@hilok/redis"
import { Config, Console, Effect, Layer, Option } from "effect"
import * as Server from "./Server.ts"

const help = `Serves a tree of documents under hierarchical locks, with a page to try it.

  npm run demo -- documents                                        locks in memory
  REDIS_URL=redis://localhost:6379 npm run demo -- documents       locks in Redis: see them with hilok ls

PORT says where (default 3000; 0: a port that is free). Ctrl-C ends it.
`

/** In Redis when the environment names a server. */
const Store = Layer.unwrapEffect(
  Effect.map(Config.option(Config.string("REDIS_URL")), (url) =>
    Option.isSome(url) ? RedisStore.layerConfig() : MemoryStore.layerConfig()
  )
)

const Listening = Layer.unwrapEffect(
  Effect.map(Config.withDefault(Config.integer("PORT"), 3000), (port) => {
    const server = createServer()
    // Pages that watch would keep the server open. Their requests end with their connections.
    const disconnect = Effect.sync(() => {
      server.close()
      server.closeAllConnections()
    })
    return Layer.provideMerge(
      Layer.scopedDiscard(Effect.addFinalizer(() => disconnect)),
      NodeHttpServer.layer(() => server, { host: "127.0.0.1", port })
    )
  })
)

const announce = HttpServer.addressFormattedWith((address) =>
  Console.log(`The documents are at ${address} and Ctrl-C ends this.`)
)

/** As the environment says, but for the separator, which is that of the tree. */
const Locks = HierarchicalLock.layerConfig(
  Config.map(LockOptions.config, (options) => ({ label: "documents", ...options, separator: "/" }))
)

const Main = Layer.scopedDiscard(announce).pipe(
  Layer.provideMerge(Server.layer),
  Layer.provide(Listening),
  Layer.provide(Layer.provide(Locks, Store))
)

const [argument] = process.argv.slice(2)
if (argument === undefined) NodeRuntime.runMain(Layer.launch(Main))
else {
  console[argument === "--help" ? "log" : "error"](help)
  process.exitCode = argument === "--help" ? 0 : 64
}
