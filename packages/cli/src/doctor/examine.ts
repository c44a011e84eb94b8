/**
 * Examines the server and tells what was found.
 */
import * as Effect from "effect/Effect"
import * as Exit from "../internal/exit.ts"
import type { Connection } from "../internal/options.ts"
import * as Output from "../internal/output.ts"
import { coloured, plain } from "../render/style.ts"
import * as Checks from "./checks.ts"
import * as Server from "./server.ts"

export interface Options extends Connection {
  readonly json: boolean
}

const report = (findings: ReadonlyArray<Checks.Finding>, json: boolean): void => {
  if (json) return Output.line(JSON.stringify(findings, null, 2))
  const paint = Output.colours(1) ? coloured : plain
  for (const { advice, check, found, ok } of findings) {
    const mark = ok ? paint("green", "✓") : paint("red", "✗")
    Output.line(`${mark} ${check.padEnd(9)} ${Output.visible(found)}`)
    if (advice !== undefined) Output.line(`  ${" ".repeat(9)} → ${advice}`)
  }
}

export const examine = (options: Options): Effect.Effect<void, Exit.Stop> =>
  Effect.scoped(
    Effect.gen(function* () {
      const client = yield* Effect.either(Server.connect(options))
      if (client._tag === "Left") {
        const advice =
          "see that it runs, that the address (--url, REDIS_URL) and the password are right, and that no firewall is in between"
        report([{ check: "reachable", ok: false, found: client.left.message, advice }], options.json)
        return yield* Exit.stop(Exit.code.unavailable)
      }
      const findings: ReadonlyArray<Checks.Finding> = [
        { check: "reachable", ok: true, found: "yes" },
        ...(yield* Checks.byInfo(client.right, options)),
        yield* Checks.latency(client.right, options),
        yield* Checks.clock(client.right, options),
        yield* Checks.locks(options)
      ]
      report(findings, options.json)
      if (findings.some(({ ok }) => !ok)) return yield* Exit.stop(Exit.code.failed)
    })
  )
