import { cli } from "./cli.ts"
import { cluster } from "./cluster.ts"
import { crowd, first, idle } from "./delegations.ts"
import { held, size } from "./held.ts"
import { hot } from "./hotLock.ts"
import { memory } from "./memory.ts"
import { queue } from "./queue.ts"
import { tree } from "./tree.ts"
import { fresh, many, one } from "./uncontended.ts"
import type { Workload } from "./workload.ts"

export const workloads: ReadonlyArray<Workload> = [
  one,
  many,
  fresh,
  hot,
  tree,
  crowd,
  first,
  idle,
  held,
  size,
  queue,
  memory,
  cluster,
  cli
]
