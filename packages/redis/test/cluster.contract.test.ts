import { RedisStore } from "@hilok/redis"
import { suite } from "@hilok/testing"
import { Effect, Layer, Redacted } from "effect"
import * as Cluster from "./support/cluster.ts"
import * as rights from "./support/rights.ts"

// Whatever a store does without replicas, it does with them, too. Without: partitions.contract.test.ts.
const layer = Layer.unwrapScoped(
  Effect.gen(function* () {
    const { addresses, nodes } = yield* Cluster.start()
    const [acl = "", ...rules] = [...rights.command, ...rights.cluster, rights.wait]
    yield* Effect.forEach(nodes, ({ admin }) => Effect.promise(() => admin.call(acl, ...rules)))
    return RedisStore.layer({
      cluster: { nodes: addresses },
      username: rights.username,
      password: Redacted.make(rights.password),
      namespace: `test-${crypto.randomUUID()}`,
      replicas: { min: 1, timeout: "20 seconds" }
    })
  })
)

suite("RedisStore on a Redis Cluster with replicas, as the user in docs/production.md", layer, {
  excludeTestServices: true,
  runs: 5,
  scenarios: 25,
  delegations: true
})
