import { layer, type Vitest } from "@effect/vitest"
import { Layer } from "effect"
import { TestServer, withOwnServer } from "../../../redis/test/support/fixture.ts"
import { Program } from "./hilok.ts"

export const timeLimit = 40_000

/** Tests of the built program on a server that they leave as it is. */
export const withProgram = (
  name: string,
  tests: (it: Vitest.MethodsNonLive<Program | TestServer, true>) => void
): void =>
  layer(Layer.merge(Program.layer, TestServer.layer), { excludeTestServices: true, timeout: timeLimit })(name, tests)

/** Tests of the built program on a server of their own, which they may stop. */
export const withProgramAndOwnServer = (
  name: string,
  tests: (it: Vitest.MethodsNonLive<Program | TestServer, true>) => void
): void =>
  withOwnServer(name, undefined, (it) => {
    it.layer(Program.layer, { timeout: timeLimit })((it) => {
      tests(it)
    })
  })
