/**
 * What `hilok doctor` finds, and how it asks.
 */
import * as Effect from "effect/Effect"

export interface Finding {
  readonly ok: boolean
  readonly text: string
  /** What to do, when it is not. */
  readonly advice?: string
}

const patience = 5_000

export const reasonOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

export const ask = <A>(command: () => Promise<A>): Effect.Effect<A, string> =>
  Effect.tryPromise({ try: command, catch: reasonOf }).pipe(
    Effect.timeoutFail({ duration: patience, onTimeout: () => `no answer within ${patience / 1000} s` })
  )

export const finding = (check: Effect.Effect<Finding, string>, what: string, advice: string): Effect.Effect<Finding> =>
  Effect.catchAll(check, (problem) => Effect.succeed({ ok: false, text: `${what}: ${problem}`, advice }))

export const field = (info: string, name: string): string | undefined =>
  new RegExp(`^${name}:(.*?)\\r?$`, "m").exec(info)?.[1]

export const version = (info: string): Finding => {
  const valkey = field(info, "valkey_version")
  const redis = field(info, "redis_version") ?? "unknown"
  const [major = 0, minor = 0] = redis.split(".").map(Number)
  const ok = valkey !== undefined || major > 6 || (major === 6 && minor >= 2)
  return {
    ok,
    text: valkey === undefined ? `version: Redis ${redis}` : `version: Valkey ${valkey}`,
    advice: "Use Redis 6.2 or newer, or Valkey."
  }
}
