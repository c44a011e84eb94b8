/** What is compared. Each contestant runs in a process of its own, and works through what the hooks ask for. */

export interface Ask {
  readonly path: string
  readonly mode: "read" | "write"
}

/** What a workload does at each step of a loop. All of it is synchronous, but for a section that takes time. */
export interface Hooks {
  /** What to lock next; `undefined` ends the loop. */
  readonly next: () => Ask | undefined
  /** The section, with the lock held. */
  readonly held: () => void | Promise<void>
  /** The release has been answered. */
  readonly left: () => void
}

export interface Session {
  /** What has to be there before so many loops contend for a path. It is not measured. */
  readonly prepare?: (path: string, loops: number) => Promise<void>
  /** Locks, runs the section and releases, one after the other, until there is no more to ask for. */
  readonly loop: (hooks: Hooks) => Promise<void>
  /** Takes exclusive locks, and keeps them until the session is closed, with nothing around it that would count as well. */
  readonly keep?: (paths: ReadonlyArray<string>) => Promise<void>
  readonly close: () => Promise<void>
}

export interface Contestant {
  readonly name: string
  /** Opens its connections. `port` is the server's, on the loopback interface. */
  readonly open: (port: number) => Promise<Session>
}

/** How long a lock lasts where it has to be said (milliseconds), as HiLok's default. */
export const ttl = 10_000

/** A loop over a lock that is taken and given back by promises. */
export const loopOf =
  <A>(acquire: (path: string) => Promise<A>, release: (taken: A, path: string) => Promise<unknown>) =>
  async (hooks: Hooks): Promise<void> => {
    for (;;) {
      const ask = hooks.next()
      if (ask === undefined) return
      const taken = await acquire(ask.path)
      const section = hooks.held()
      if (section !== undefined) await section
      await release(taken, ask.path)
      hooks.left()
    }
  }
