/**
 * Checks the record of a run on its own account, without the lock's notion of conflict: it looks at each node of the
 * tree that has a file, and at who was there when.
 */
import type { Target } from "@hilok/core"
import type { Branch } from "./Bank.ts"
import type { Hold } from "./Hold.ts"

/** Two workers who were at one node at the same time, though one of them wrote there. */
export interface Clash {
  readonly node: string
  readonly first: Hold
  readonly second: Hold
  readonly from: number
  readonly to: number
}

export interface Verdict {
  readonly clashes: ReadonlyArray<Clash>
  /** How many pairs of holds clashed; a pair can clash at several nodes. */
  readonly pairs: number
  /** How many holds came after one that they exclude, yet with a smaller fencing token. */
  readonly inversions: number
}

/** The nodes a target reaches, as a plain reading of what the modes mean. */
const reaches = ({ mode, path }: Target.Target, node: string): boolean =>
  node === path || ((mode === "read" || mode === "write") && (path === "" || node.startsWith(`${String(path)}/`)))

const writes = ({ mode }: Target.Target): boolean => mode === "write" || mode === "writeNode"

export const check = (holds: ReadonlyArray<Hold>, branches: ReadonlyArray<Branch>): Verdict => {
  const clashes: Array<Clash> = []
  const pairs = new Map<Hold, Set<Hold>>()
  const inverted = new Set<Hold>()
  const inOrder = [...holds].sort((a, b) => a.granted - b.granted)
  for (const node of branches.flatMap((branch) => [branch.path, ...branch.accounts])) {
    let present: Array<{ readonly hold: Hold; readonly writer: boolean }> = []
    let lastToken = 0
    let lastWriteToken = 0
    for (const hold of inOrder) {
      const here = hold.targets.filter((target) => reaches(target, node))
      if (here.length === 0) continue
      const writer = here.some(writes)
      present = present.filter((other) => other.hold.done > hold.granted)
      for (const other of present) {
        if (!writer && !other.writer) continue
        const to = Math.min(hold.done, other.hold.done)
        clashes.push({ node, first: other.hold, second: hold, from: hold.granted, to })
        pairs.set(hold, (pairs.get(hold) ?? new Set()).add(other.hold))
      }
      present.push({ hold, writer })
      if (hold.token === undefined) continue
      if (hold.token <= (writer ? lastToken : lastWriteToken)) inverted.add(hold)
      lastToken = Math.max(lastToken, hold.token)
      if (writer) lastWriteToken = Math.max(lastWriteToken, hold.token)
    }
  }
  return {
    clashes,
    pairs: Array.from(pairs.values(), ({ size }) => size).reduce((a, b) => a + b, 0),
    inversions: inverted.size
  }
}
