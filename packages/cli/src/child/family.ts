/**
 * The child with all that it has started.
 *
 * Without a terminal the child leads a process group of its own. In a terminal it has to stay in ours, or it could not
 * read from the terminal; then its descendants are looked up.
 */

import { execFileSync } from "node:child_process"
import { closeSync, openSync, readdirSync, readFileSync } from "node:fs"
import type { Signal } from "../internal/signals.ts"

export interface Family {
  /** Hands on what we were sent. */
  readonly forward: (signal: Signal) => void
  /** Sends a signal to all of them. */
  readonly end: (signal: NodeJS.Signals) => void
  readonly isGone: () => boolean
}

/** Do we have a controlling terminal? */
export const hasTerminal = (): boolean => {
  try {
    closeSync(openSync("/dev/tty", "r"))
    return true
  } catch {
    return false
  }
}

/** Sends a signal; `false` when nobody is there. */
const kill = (pid: number, signal: NodeJS.Signals | 0): boolean => {
  try {
    process.kill(pid, signal)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM"
  }
}

export const ownGroup = (leader: number): Family => ({
  forward: (signal) => void kill(-leader, signal),
  end: (signal) => void kill(-leader, signal),
  isGone: () => !kill(-leader, 0)
})

export const inTerminal = (child: number): Family => {
  const known = new Set([child])
  return {
    // The terminal has sent these to the child as well, if it has sent them.
    forward: (signal) => {
      if ((signal === "SIGINT" || signal === "SIGQUIT") && isForeground()) return
      kill(child, signal)
    },
    end: (signal) => {
      for (const pid of descendants(child)) known.add(pid)
      for (const pid of known) if (!kill(pid, signal)) known.delete(pid)
    },
    isGone: () => Array.from(known).every((pid) => !kill(pid, 0))
  }
}

/** The fields of /proc/PID/stat behind the name, which may contain anything: state, parent, group, session, tty, … */
const statFields = (pid: number | "self"): ReadonlyArray<string> => {
  const stat = readFileSync(`/proc/${pid}/stat`, "latin1")
  return stat.slice(stat.lastIndexOf(")") + 2).split(" ")
}

/** Are we in the foreground process group of our terminal? Where that cannot be told: yes. */
const isForeground = (): boolean => {
  try {
    const [, , group, , , foreground] = statFields("self")
    return group === foreground
  } catch {
    return true
  }
}

const fromProc = (): ReadonlyArray<readonly [pid: number, parent: number]> =>
  readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        return [[Number(name), Number(statFields(Number(name))[1])] as const]
      } catch {
        return [] // It has ended meanwhile.
      }
    })

const fromPs = (): ReadonlyArray<readonly [pid: number, parent: number]> =>
  execFileSync("ps", ["-A", "-o", "pid=,ppid="], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] })
    .split("\n")
    .map((line) => line.trim().split(/\s+/).map(Number))
    .map(([pid = 0, parent = 0]) => [pid, parent])

const descendants = (ancestor: number): ReadonlyArray<number> => {
  try {
    const processes = process.platform === "linux" ? fromProc() : fromPs()
    const found = [ancestor]
    for (const parent of found) for (const [pid, of] of processes) if (of === parent && pid > 0) found.push(pid)
    return found.slice(1)
  } catch {
    return []
  }
}
