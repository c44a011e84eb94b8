/** Which cores the server and the clients run on. */
import { execFileSync } from "node:child_process"
import { cpus } from "node:os"

export interface Pinning {
  /** What to put in front of the server's command. */
  readonly server: ReadonlyArray<string>
  readonly about: string
}

export const none: Pinning = { server: [], about: "not pinned to cores" }

/** Gives the server a core of its own, and the others to this process and its children. */
export const arrange = (): Pinning => {
  const last = cpus().length - 1
  if (last === 0) return none
  try {
    execFileSync("taskset", ["-a", "-c", "-p", last === 1 ? "0" : `0-${last - 1}`, String(process.pid)], {
      stdio: "ignore"
    })
    return { server: ["taskset", "-c", String(last)], about: "the server pinned to a core of its own" }
  } catch {
    return none
  }
}
