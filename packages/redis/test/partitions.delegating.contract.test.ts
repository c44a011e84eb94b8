import { DelegatingStore } from "@hilok/core"
import { suite } from "@hilok/testing"
import { Layer } from "effect"
import * as TidyStore from "./support/tidyStore.ts"

const layer = Layer.provide(DelegatingStore.layer({ widen: true }), TidyStore.layerWith({ partitions: 3 }))

suite("DelegatingStore over RedisStore in 3 partitions", layer, {
  excludeTestServices: true,
  partitioned: true,
  runs: 3,
  scenarios: 10
})
