import { RedisStore } from "@hilok/redis"
import { suite } from "@hilok/testing"
import { Effect, Layer } from "effect"
import * as Cluster from "./support/cluster.ts"

// With one partition: RedisStore.contract.test.ts and cluster.contract.test.ts.
for (const partitions of [3, 8]) {
  const layer = Layer.unwrapScoped(
    Effect.map(Cluster.start(), ({ addresses }) =>
      RedisStore.layer({ cluster: { nodes: addresses }, namespace: `test-${crypto.randomUUID()}`, partitions })
    )
  )
  suite(`RedisStore in ${partitions} partitions on a Redis Cluster`, layer, {
    excludeTestServices: true,
    delegations: true,
    partitioned: true,
    runs: 5
  })
}
