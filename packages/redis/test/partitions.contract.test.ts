import { RedisStore } from "@hilok/redis"
import { suite } from "@hilok/testing"
import { Effect, Layer } from "effect"
import * as Cluster from "./support/cluster.ts"
import * as TidyStore from "./support/tidyStore.ts"

const kind = { excludeTestServices: true, delegations: true, partitioned: true } as const

suite("RedisStore in 8 partitions", TidyStore.layerWith({ partitions: 8 }), { ...kind, runs: 10 })

const onCluster = Layer.unwrapScoped(
  Effect.map(Cluster.start(), ({ addresses }) =>
    RedisStore.layer({ cluster: { nodes: addresses }, namespace: `test-${crypto.randomUUID()}`, partitions: 3 })
  )
)

suite("RedisStore in 3 partitions on a Redis Cluster", onCluster, { ...kind, runs: 10 })
