/** A process of one contestant: opens it, and does the tasks that the parent sends. */

import type { Session } from "./contestants/contestant.ts"
import { contestants } from "./contestants/index.ts"
import { runTask, type TaskName } from "./tasks/index.ts"

export type Message =
  | { readonly id: number; readonly op: "open"; readonly contestant: string; readonly port: number }
  | { readonly id: number; readonly op: "task"; readonly name: TaskName; readonly spec: unknown }

export type Answer = { readonly id: number; readonly value: unknown } | { readonly id: number; readonly error: string }

let session: Session | undefined

const handle = async (message: Message): Promise<unknown> => {
  if (message.op === "open") {
    session = await contestants.get(message.contestant)!.open(message.port)
    return undefined
  }
  return runTask(message.name, session!, message.spec)
}

const answer = (reply: Answer) => process.send?.(reply)

process.on("message", (message: Message) => {
  handle(message).then(
    (value) => answer({ id: message.id, value }),
    (error: unknown) => answer({ id: message.id, error: error instanceof Error ? error.message : String(error) })
  )
})
process.on("disconnect", () => process.exit())
