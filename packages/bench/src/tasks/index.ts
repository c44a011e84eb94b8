import type { Session } from "../contestants/contestant.ts"
import { runCycles } from "./cycles.ts"

/** What a process of a contestant can be asked to do. */
const tasks = {
  cycles: runCycles
} as const

type Tasks = typeof tasks
export type TaskName = keyof Tasks
export type TaskSpec<K extends TaskName> = Parameters<Tasks[K]>[1]
export type TaskResult<K extends TaskName> = Awaited<ReturnType<Tasks[K]>>

export const runTask = (name: TaskName, session: Session, spec: unknown): Promise<unknown> =>
  (tasks[name] as (session: Session, spec: unknown) => Promise<unknown>)(session, spec)
