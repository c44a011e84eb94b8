/**
 * Paths in the tree, and their one encoding.
 *
 * A path is a list of non-empty segments. In the canonical encoding each segment is escaped (`%` and `/` become
 * `%25` and `%2F`) and followed by `/`: `a/b/c/`; the root is the empty string. So one path lies at or below another
 * exactly when the other's encoding is a prefix of its own, and `a/` is never a prefix of `ab/`. Every store uses this
 * encoding, so clients with different separators lock the same nodes.
 *
 * @since 0.1.0
 */
import type * as Brand from "effect/Brand"
import * as Either from "effect/Either"
import { toStringUnknown } from "effect/Inspectable"
import { InvalidPath } from "./LockError.ts"

/**
 * A path in the canonical encoding.
 *
 * @since 0.1.0
 * @category models
 */
export type LockPath = string & Brand.Brand<"@hilok/core/LockPath">

/**
 * What a caller may write for a path: one string with separators, or the list of its segments (which may then
 * contain the separator).
 *
 * @since 0.1.0
 * @category models
 */
export type Input = string | ReadonlyArray<string>

/**
 * The greatest number of segments in a path.
 *
 * @since 0.1.0
 * @category constants
 */
export const maxSegments = 128

/**
 * The greatest length of an encoded path, in bytes of UTF-8.
 *
 * @since 0.1.0
 * @category constants
 */
export const maxBytes = 1024

/**
 * The node above all others. Locking it for writing locks everything.
 *
 * @since 0.1.0
 * @category constants
 */
export const root: LockPath = "" as LockPath

// Printable ASCII without `%`: only `/` needs an escape, and a character is a byte.
const plain = /^[ -$&-~]*$/
const loneSurrogate = /\p{Surrogate}/u

/** Plain segments, separated by single slashes. */
const simple = /^[\w.:@-]+(?:\/[\w.:@-]+)*$/

const utf8Length = (text: string): number => {
  let bytes = text.length
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i)
    // Each half of a surrogate pair stands for two of the four bytes of its character.
    if (unit >= 0x80) bytes += unit < 0x800 || (unit >= 0xd800 && unit <= 0xdfff) ? 1 : 2
  }
  return bytes
}

const escapeSegment = (segment: string): string =>
  segment.includes("%") || segment.includes("/") ? segment.replace(/%/g, "%25").replace(/\//g, "%2F") : segment

const unescapeSegment = (segment: string): string =>
  segment.includes("%") ? segment.replace(/%2F/g, "/").replace(/%25/g, "%") : segment

/**
 * Says what is wrong with a separator; `undefined` when it can be used. A separator is one or more characters other
 * than `%` and NUL.
 *
 * @since 0.1.0
 * @category validation
 */
export const separatorProblem = (separator: unknown): string | undefined => {
  if (typeof separator !== "string" || separator === "") return "must be one or more characters"
  if (separator.includes("%")) return `must not contain "%", which the encoding uses as its escape`
  if (separator.includes("\0")) return "must not contain NUL"
  if (loneSurrogate.test(separator)) return "must be well-formed Unicode (it has a lone surrogate)"
  return undefined
}

/**
 * Parses a path. In a string, leading, trailing and doubled separators are ignored; a list of segments is taken as it
 * is, and an empty segment in it is refused.
 *
 * Fails with `InvalidPath`, which names the segment and the limit, for: more than 128 segments, more than 1,024 bytes
 * when encoded, NUL, lone surrogates.
 *
 * @since 0.1.0
 * @category constructors
 */
export const parse = (input: Input, separator = "/"): Either.Either<LockPath, InvalidPath> => {
  const encoded = encode(input, separator)
  return typeof encoded === "string" ? Either.right(encoded) : Either.left(encoded)
}

/**
 * Like `parse`, without the `Either`, as paths are parsed by the hundred thousand.
 *
 * @internal
 */
export const encode = (input: Input, separator: string): LockPath | InvalidPath => {
  // What most paths look like. A string this short cannot have more than `maxSegments` segments.
  if (separator === "/" && typeof input === "string" && input.length < maxSegments * 2 && simple.test(input)) {
    return `${input}/` as LockPath
  }
  let parts: ReadonlyArray<string>
  if (typeof input === "string") {
    parts = input.split(separator).filter((segment) => segment !== "")
  } else if (isStrings(input)) {
    parts = input
    const empty = parts.indexOf("")
    if (empty !== -1) return invalid(input, `segment ${empty + 1} is empty`)
  } else {
    return invalid(toStringUnknown(input, 0), "a path is a string or a list of strings (its segments)")
  }
  if (parts.length === 0) return root
  if (parts.length > maxSegments) {
    return invalid(input, `it has ${parts.length} segments; at most ${maxSegments} are allowed`)
  }
  let encoded = ""
  let ascii = true
  for (let i = 0; i < parts.length; i++) {
    const segment = parts[i]!
    if (plain.test(segment)) {
      encoded += (segment.includes("/") ? escapeSegment(segment) : segment) + "/"
      continue
    }
    if (segment.includes("\0")) return invalid(input, `segment ${i + 1} (${quote(segment)}) contains NUL`)
    if (loneSurrogate.test(segment)) {
      return invalid(input, `segment ${i + 1} (${quote(segment)}) contains a lone surrogate, so it is not Unicode text`)
    }
    ascii = false
    encoded += escapeSegment(segment) + "/"
  }
  const bytes = ascii ? encoded.length : utf8Length(encoded)
  if (bytes > maxBytes) {
    const longest = parts.reduce((at, part, i) => (part.length > parts[at]!.length ? i : at), 0)
    return invalid(
      input,
      `it takes ${bytes} bytes when encoded; at most ${maxBytes} are allowed (segment ${longest + 1} is the longest)`
    )
  }
  return encoded as LockPath
}

const isStrings = (input: unknown): input is ReadonlyArray<string> => {
  if (!Array.isArray(input)) return false
  // Not `every`, which skips the holes of a sparse list.
  for (const segment of input) if (typeof segment !== "string") return false
  return true
}

const quote = (text: string): string => JSON.stringify(text.length > 40 ? `${text.slice(0, 40)}…` : text)

const invalid = (input: Input, reason: string): InvalidPath => {
  const shown = typeof input === "string" ? input : input.join("/")
  return new InvalidPath({ path: shown.length > 200 ? `${shown.slice(0, 200)}…` : shown, reason })
}

/**
 * The segments of a path, unescaped. The root has none.
 *
 * @since 0.1.0
 * @category getters
 */
export const segments = (path: LockPath): ReadonlyArray<string> =>
  path === "" ? [] : path.slice(0, -1).split("/").map(unescapeSegment)

/**
 * The path as a caller with this separator would write it: a string, or the list of its segments when one of them
 * contains the separator. `parse` turns the result back into the path.
 *
 * @since 0.1.0
 * @category getters
 */
export const toInput = (path: LockPath, separator = "/"): Input => {
  if (separator === "/" && !path.includes("%")) return path.slice(0, -1)
  const parts = segments(path)
  return parts.some((part) => part.includes(separator)) ||
    parse(parts.join(separator), separator).pipe(Either.getOrUndefined) !== path
    ? parts
    : parts.join(separator)
}

/**
 * The path for people: its segments joined by the separator. The root is the separator alone.
 *
 * @since 0.1.0
 * @category getters
 */
export const format = (path: LockPath, separator = "/"): string =>
  path === root ? separator : segments(path).join(separator)

/**
 * Whether the path lies at or below the other one.
 *
 * @since 0.1.0
 * @category predicates
 */
export const isWithin = (path: LockPath, other: LockPath): boolean => path.startsWith(other)

export { ancestors, join, parent } from "./internal/writtenPath.ts"
