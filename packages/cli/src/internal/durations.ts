/**
 * Lengths of time, as people write and read them.
 */
import * as Duration from "effect/Duration"
import * as Either from "effect/Either"
import * as Option from "effect/Option"

const units: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** Reads `500ms`, `30s`, `1.5m`, `1h`, `2d`, `10 seconds`, `0`. */
export const parse = (text: string): Either.Either<Duration.Duration, string> => {
  const [, amount, unit] = /^\s*(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)?\s*$/.exec(text) ?? []
  if (amount !== undefined && (unit !== undefined || Number(amount) === 0)) {
    return Either.right(Duration.millis(Number(amount) * (units[unit ?? "ms"] ?? 1)))
  }
  const words = /^\s*(\d+(?:\.\d+)?)\s+([a-z]+)\s*$/.exec(text)
  return Option.match(words === null ? Option.none() : Duration.decodeUnknown(`${words[1]} ${words[2]}`), {
    onNone: () =>
      Either.left(
        `${JSON.stringify(text)} is not a duration: write a number with ms, s, m, h or d ("30s", "500ms", "1.5h"), ` +
          `or words such as "10 seconds"`
      ),
    onSome: Either.right
  })
}

/** `0.4s`, `12s`, `3m 4s`, `2h 5m`, `3d 4h`. */
export const format = (millis: number): string => {
  const ms = Math.max(0, millis)
  if (ms < 9_950) return `${(ms / 1000).toFixed(1)}s`
  const seconds = Math.round(ms / 1000)
  if (seconds < 60) return `${seconds}s`
  const minutes = Math.floor(seconds / 60)
  if (minutes < 60) return `${minutes}m ${seconds % 60}s`
  const hours = Math.floor(minutes / 60)
  return hours < 24 ? `${hours}h ${minutes % 60}m` : `${Math.floor(hours / 24)}d ${hours % 24}h`
}
