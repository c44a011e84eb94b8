/**
 * Lengths of time, in milliseconds, as people write and read them.
 */

const units: Readonly<Record<string, number>> = {
  ms: 1,
  milli: 1,
  millis: 1,
  s: 1_000,
  second: 1_000,
  seconds: 1_000,
  m: 60_000,
  minute: 60_000,
  minutes: 60_000,
  h: 3_600_000,
  hour: 3_600_000,
  hours: 3_600_000,
  d: 86_400_000,
  day: 86_400_000,
  days: 86_400_000
}

/**
 * Reads `500ms`, `30s`, `1.5m`, `2h`, `1d` and `10 seconds`. A bare number is in `bare`: seconds on the command line, as
 * for flock(1), sleep(1) and timeout(1); milliseconds in the environment, as for the library.
 */
export const parse = (text: string, bare: "s" | "ms"): number | undefined => {
  const [, amount, unit] = /^\s*(\d+(?:\.\d+)?|\.\d+)\s*([a-z]*)\s*$/.exec(text) ?? []
  const factor = units[unit || bare]
  return amount === undefined || factor === undefined ? undefined : Number(amount) * factor
}

export const allowed = `a number with ms, s, m, h or d ("30s", "500ms", "1.5h"), or words such as "10 seconds"`

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
