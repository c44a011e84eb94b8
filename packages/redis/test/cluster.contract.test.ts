import { RedisStore } from "@hilok/redis"
import { suite } from "@hilok/testing"
import { Effect, Layer } from "effect"
import * as Cluster from "./support/cluster.ts"

const layer = Layer.unwrapScoped(
  Effect.map(Cluster.start(), ({ addresses }) =>
    RedisStore.layer({ cluster: { nodes: addresses }, namespace: `test-${crypto.randomUUID()}` })
  )
)

suite("RedisStore on a Redis Cluster", layer, { excludeTestServices: true, runs: 5, scenarios: 60, delegations: true })
