import { DelegatingStore } from "@hilok/core"
import { suite } from "@hilok/testing"
import { Layer } from "effect"
import * as TidyStore from "./support/tidyStore.ts"

// All scenarios are played over MemoryStore.
suite("DelegatingStore over RedisStore", Layer.provide(DelegatingStore.layer({ widen: true }), TidyStore.layer), {
  excludeTestServices: true,
  runs: 20,
  scenarios: 25
})
