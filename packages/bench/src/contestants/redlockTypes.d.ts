// redlock's package.json does not lead TypeScript to its types. This is what is used of it.
declare module "redlock" {
  import type { Redis } from "ioredis"

  export interface Lock {
    readonly release: () => Promise<unknown>
  }

  export default class Redlock {
    constructor(clients: Iterable<Redis>, settings?: { readonly retryCount?: number })
    acquire(resources: Array<string>, duration: number): Promise<Lock>
    using<A>(resources: Array<string>, duration: number, routine: () => Promise<A>): Promise<A>
  }
}
