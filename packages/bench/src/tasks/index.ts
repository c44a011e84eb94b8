import type { Session } from "../contestants/contestant.ts"
import { runCycles } from "./cycles.ts"
import { hold, keep, keepIdle, keepMany, letGo } from "./hold.ts"
import { runLoop, runOnce, take } from "./hot.ts"
import { finishQueue, queueUp, releaseHolder } from "./queue.ts"
import { runTree, runWriter } from "./tree.ts"

const tasks = {
  cycles: runCycles,
  take,
  once: runOnce,
  loop: runLoop,
  tree: runTree,
  writer: runWriter,
  hold,
  keep,
  letGo,
  keepMany,
  keepIdle,
  queueUp,
  releaseHolder,
  finishQueue
} as const

type Tasks = typeof tasks

export type TaskName = keyof Tasks
export type TaskSpec<K extends TaskName> = Parameters<Tasks[K]>[1]
export type TaskResult<K extends TaskName> = Awaited<ReturnType<Tasks[K]>>

export const runTask = (name: TaskName, session: Session, spec: unknown): Promise<unknown> =>
  (tasks[name] as (session: Session, spec: unknown) => Promise<unknown>)(session, spec)
