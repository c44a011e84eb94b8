/**
 * Durations as they are written on a command line and in a table.
 */
import * as Duration from "effect/Duration"
import * as Option from "effect/Option"

const units = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** `500ms`, `30s`, `1.5h`, `1h30m`, `10 seconds`. A number alone could mean anything, so only `0` may be one. */
export const parse = (text: string): Option.Option<Duration.Duration> => {
  const trimmed = text.trim()
  if (/^0+$/.test(trimmed)) return Option.some(Duration.zero)
  if (/^(?:\d+(?:\.\d+)?(?:ms|s|m|h|d))+$/.test(trimmed)) {
    let millis = 0
    for (const [, amount, unit] of trimmed.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h|d)/g)) {
      millis += Number(amount) * units[unit as keyof typeof units]
    }
    return Option.some(Duration.millis(millis))
  }
  return trimmed.startsWith("-") ? Option.none() : Duration.decodeUnknown(trimmed)
}

export const allowed = `a duration such as 500ms, 30s, 10m, 1h30m or "10 seconds"`

const two = (value: number): string => String(value).padStart(2, "0")

/** In few characters: `850ms`, `4.2s`, `12s`, `3m05s`, `2h07m`, `5d03h`. */
export const short = (millis: number): string => {
  const ms = Math.max(0, Math.round(millis))
  if (ms < 1000) return `${ms}ms`
  if (ms < 9950) return `${(ms / 1000).toFixed(1)}s`
  const seconds = Math.round(ms / 1000)
  if (seconds < 60) return `${seconds}s`
  const minutes = Math.floor(seconds / 60)
  if (minutes < 60) return `${minutes}m${two(seconds % 60)}s`
  const hours = Math.floor(minutes / 60)
  if (hours < 24) return `${hours}h${two(minutes % 60)}m`
  return `${Math.floor(hours / 24)}d${two(hours % 24)}h`
}
