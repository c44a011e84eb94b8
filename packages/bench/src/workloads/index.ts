import { cli } from "./cli.ts"
import { held, size } from "./held.ts"
import { hot } from "./hotLock.ts"
import { memory } from "./memory.ts"
import { queue } from "./queue.ts"
import { tree } from "./tree.ts"
import { fresh, many, one } from "./uncontended.ts"
import type { Workload } from "./workload.ts"

export const workloads: ReadonlyArray<Workload> = [one, many, fresh, hot, tree, held, size, queue, memory, cli]
