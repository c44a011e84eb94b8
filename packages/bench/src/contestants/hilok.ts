import { DelegatingStore, HierarchicalLock, type LockStore } from "@hilok/core"
import { RedisStore } from "@hilok/redis"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Scope from "effect/Scope"
import type { Contestant } from "./contestant.ts"
import * as effects from "./effects.ts"

/** HiLok as an application uses it, without spans. */
const over = <E>(name: string, store: (port: number) => Layer.Layer<LockStore.LockStore, E>): Contestant => ({
  name,
  open: async (port) => {
    const runtime = ManagedRuntime.make(Layer.provide(HierarchicalLock.layer({ spans: false }), store(port)))
    await runtime.runtime()
    const scope = Effect.runSync(Scope.make())
    return {
      loop: (hooks) =>
        runtime.runPromise(
          effects.loopOf(hooks, ({ mode, path }, use) =>
            mode === "read" ? HierarchicalLock.withRead(use, path) : HierarchicalLock.withWrite(use, path)
          )
        ),
      keep: (paths) =>
        runtime.runPromise(
          Effect.forEach(
            paths,
            (path) => HierarchicalLock.detached(Scope.extend(HierarchicalLock.write(path), scope)),
            {
              concurrency: 64,
              discard: true
            }
          )
        ),
      close: async () => {
        await Effect.runPromise(Scope.close(scope, Exit.void))
        await runtime.dispose()
      }
    }
  }
})

export const hilok = over("hilok", (port) => RedisStore.layer({ redis: { host: "127.0.0.1", port } }))

/** The same with delegations. What it keeps for a while is not to be in the way of others: it has a namespace of its own. */
const delegated = (options: DelegatingStore.Options) => (port: number) =>
  Layer.provide(
    DelegatingStore.layer(options),
    RedisStore.layer({ redis: { host: "127.0.0.1", port }, namespace: "delegated" })
  )

export const hilokDelegated = over("hilok-delegated", delegated({ widen: true }))

/** One that keeps them for as long as it is looked at. */
export const hilokLingering = over("hilok-lingering", delegated({ linger: "5 minutes" }))

/** Over so many partitions of a namespace, on the Cluster that has a node at the port. */
const partitioned = (partitions: number) =>
  over(`hilok-cluster-${partitions}`, (port) =>
    RedisStore.layer({ cluster: { nodes: [`127.0.0.1:${port}`] }, namespace: `spread-${partitions}`, partitions })
  )

export const hilokCluster1 = partitioned(1)
export const hilokCluster3 = partitioned(3)
export const hilokCluster8 = partitioned(8)
export const hilokCluster48 = partitioned(48)

/** Each grant is on a replica before it is reported. */
export const hilokReplicas = over("hilok-replicas", (port) =>
  RedisStore.layer({ cluster: { nodes: [`127.0.0.1:${port}`] }, namespace: "copied", replicas: { min: 1 } })
)
