import { suite } from "@hilok/testing"
import * as TidyStore from "./support/tidyStore.ts"

suite("RedisStore", TidyStore.layer, { excludeTestServices: true, runs: 100, delegations: true })
