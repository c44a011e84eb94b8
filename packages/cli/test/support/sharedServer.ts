import { Effect, Exit, Scope } from "effect"
import { afterAll, beforeAll } from "vitest"
import { type Server, start } from "../../../redis/test/support/server.ts"

/** A server for the tests of a file. */
export const sharedServer = (): (() => Server) => {
  let server: Server | undefined
  let scope: Scope.CloseableScope | undefined
  beforeAll(async () => {
    scope = await Effect.runPromise(Scope.make())
    server = await Effect.runPromise(Scope.extend(start(), scope))
  })
  afterAll(async () => {
    if (scope !== undefined) await Effect.runPromise(Scope.close(scope, Exit.void))
  })
  return () => server!
}
