import { RedisStore } from "@hilok/redis"
import { suite } from "@hilok/testing"
import { Effect, Layer } from "effect"
import * as Cluster from "./support/cluster.ts"

// With 8: partitions.eight.contract.test.ts. With one: cluster.contract.test.ts, and on one server, with all scenarios, RedisStore.contract.test.ts.
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
  scenarios: 25
})
