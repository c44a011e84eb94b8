import { RedisStore } from "@hilok/redis"
import { suite } from "@hilok/testing"
import { Effect, Layer } from "effect"
import * as Cluster from "./support/cluster.ts"

const layer = Layer.unwrapScoped(
  Effect.map(Cluster.start(), ({ addresses }) =>
    RedisStore.layer({ cluster: { nodes: addresses }, namespace: `test-${crypto.randomUUID()}`, partitions: 8 })
  )
)

suite("RedisStore in 8 partitions on a Redis Cluster", layer, {
  excludeTestServices: true,
  delegations: true,
  partitioned: true,
  runs: 5,
  scenarios: 25
})
