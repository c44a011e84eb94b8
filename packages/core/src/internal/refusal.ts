import type { LockEntry } from "../LockEntry.ts"

/** A request that does not wait was refused. */
export class Refusal {
  readonly blocker: LockEntry

  constructor(blocker: LockEntry) {
    this.blocker = blocker
  }
}
