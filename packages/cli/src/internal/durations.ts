/**
 * Lengths of time for people.
 */

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
