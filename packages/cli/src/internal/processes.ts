/**
 * The processes of this machine: who was started by whom.
 */
import { execFileSync } from "node:child_process"
import { readdirSync, readFileSync } from "node:fs"

interface Process {
  readonly parent: number
  /** When it was started: another process with the same number has another time. */
  readonly started: string
}

const fromProc = (): ReadonlyMap<number, Process> => {
  const found = new Map<number, Process>()
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue
    try {
      const stat = readFileSync(`/proc/${name}/stat`, "utf8")
      // proc(5): the second field is the name in parentheses, which may hold anything.
      const [state, parent, ...rest] = stat.slice(stat.lastIndexOf(")") + 2).split(" ")
      if (state !== "Z") found.set(Number(name), { parent: Number(parent), started: rest[17] ?? "" })
    } catch {
      // It has ended.
    }
  }
  return found
}

const fromPs = (): ReadonlyMap<number, Process> => {
  const found = new Map<number, Process>()
  const lines = execFileSync("ps", ["-A", "-o", "pid=,ppid=,stat=,lstart="], { encoding: "utf8" }).split("\n")
  for (const line of lines) {
    const [pid, parent, state, ...started] = line.trim().split(/\s+/)
    if (state !== undefined && !state.startsWith("Z")) {
      found.set(Number(pid), { parent: Number(parent), started: started.join(" ") })
    }
  }
  return found
}

const all = (): ReadonlyMap<number, Process> => {
  try {
    return process.platform === "linux" ? fromProc() : fromPs()
  } catch {
    return new Map()
  }
}

/** A process and all that it has started, directly or not, even when what was in between has ended meanwhile. */
export class Family {
  private members = new Map<number, string>()

  constructor(root: number) {
    const started = all().get(root)?.started
    if (started !== undefined) this.members.set(root, started)
  }

  /** Those that are alive. */
  alive(): ReadonlyArray<number> {
    const processes = all()
    const alive = new Map<number, string>()
    const add = (pid: number, { started }: Process): void => {
      if (alive.has(pid)) return
      alive.set(pid, started)
      for (const [child, found] of processes) if (found.parent === pid) add(child, found)
    }
    for (const [pid, started] of this.members) {
      const found = processes.get(pid)
      if (found?.started === started) add(pid, found)
    }
    this.members = alive
    return Array.from(alive.keys())
  }
}
