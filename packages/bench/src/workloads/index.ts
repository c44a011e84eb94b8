import { many, one } from "./uncontended.ts"
import type { Workload } from "./workload.ts"

export const workloads: ReadonlyArray<Workload> = [one, many]
