import { suite } from "@hilok/testing"
import * as TidyStore from "./support/tidyStore.ts"

/** With another loader or another ioredis, the rules that chance looks for are the same. */
const isVariant = process.env.HILOK_TEST_LOADER === "script" || process.env.HILOK_TEST_IOREDIS !== undefined

suite("RedisStore", TidyStore.layer, {
  excludeTestServices: true,
  delegations: true,
  ...(isVariant ? { runs: 20, scenarios: 25 } : { runs: 100 })
})
