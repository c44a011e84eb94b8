import { suite } from "@hilok/testing"
import * as TidyStore from "./support/tidyStore.ts"

for (const partitions of [3, 8])
suite(`RedisStore in ${partitions} partitions`, TidyStore.layerWith({ partitions }), { excludeTestServices: true, runs: 30, delegations: true, partitioned: true })
