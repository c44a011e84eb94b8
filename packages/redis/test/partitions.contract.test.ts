import { RedisStore } from "@hilok/redis"
import { suite } from "@hilok/testing"
import { Effect, Layer } from "effect"
import * as Cluster from "./support/cluster.ts"

// All scenarios are played on one server. With 8: partitions.eight.contract.test.ts. With one: RedisStore.contract.test.ts and cluster.contract.test.ts.
const layer = Layer.unwrapScoped(
  Effect.map(Cluster.start(), ({ addresses }) =>
    RedisStore.layer({ cluster: { nodes: addresses }, namespace: `test-${crypto.randomUUID()}`, partitions: 3 })
  )
)

suite("RedisStore in 3 partitions on a Redis Cluster", layer, {
  excludeTestServices: true,
  delegations: true,
  partitioned: true,
  runs: 5,
  scenarios: 60
})
