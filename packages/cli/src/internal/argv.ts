/**
 * The command line before `@effect/cli` sees it: what follows `--` is set aside, options may stand anywhere, and a mode
 * option sets the mode of the paths that follow it.
 */
import type { LockMode } from "@hilok/core"

/** The options that are followed by a value. */
const withValue = new Set([
  ...["-u", "--url", "--namespace", "--key-prefix", "-w", "--wait", "-E", "--conflict-exit-code", "--ttl"],
  ...["--reason", "--label", "--kill-after", "--max-hold", "-o", "--output", "--older-than", "--all"],
  ...["--completions", "--log-level"]
])

const modes: Readonly<Record<string, LockMode.LockMode>> = {
  "-x": "write",
  "--write": "write",
  "-s": "read",
  "--read": "read",
  "--read-node": "readNode",
  "--write-node": "writeNode"
}

/** A mode and a path as one word. No word of a command line contains NUL, and this one does not look like an option. */
const encodeTarget = (mode: LockMode.LockMode, path: string): string => `${mode}\0${path}`

export const decodeTarget = (word: string): { readonly mode: LockMode.LockMode; readonly path: string } => {
  const at = word.indexOf("\0")
  return at === -1
    ? { mode: "write", path: word }
    : { mode: word.slice(0, at) as LockMode.LockMode, path: word.slice(at + 1) }
}

export interface CommandLine {
  /** For `@effect/cli`: the name of the command, its options, its arguments. */
  readonly words: ReadonlyArray<string>
  /** What follows the first `--`, as it is. */
  readonly rest: ReadonlyArray<string> | undefined
  /** What is wrong with the mode options. */
  readonly problem: string | undefined
}

export const parse = (argv: ReadonlyArray<string>): CommandLine => {
  const end = argv.indexOf("--")
  const rest = end === -1 ? undefined : argv.slice(end + 1)
  // `-sn` is `-s -n`
  const given = (end === -1 ? argv : argv.slice(0, end)).flatMap((word) =>
    /^-[a-zA-Z]{2,}$/.test(word) ? Array.from(word.slice(1), (letter) => `-${letter}`) : [word]
  )
  const options: Array<string> = []
  const names: Array<string> = []
  const paths: Array<string> = []
  let mode: LockMode.LockMode = "write"
  let pending: string | undefined
  let problem: string | undefined
  for (let i = 0; i < given.length; i++) {
    const word = given[i]!
    const takesTargets = names[0] === "run" || names[0] === "acquire"
    const [name, value] = word.startsWith("--") && word.includes("=") ? splitOnce(word) : [word, undefined]
    if (takesTargets && Object.hasOwn(modes, name)) {
      mode = modes[name]!
      if (value === undefined) pending ??= name
      else paths.push(encodeTarget(mode, value))
    } else if (!word.startsWith("-") || word === "-") {
      if (names.length === 0) names.push(word)
      else {
        pending = undefined
        paths.push(takesTargets ? encodeTarget(mode, word) : word)
      }
    } else {
      options.push(word)
      if (withValue.has(word) && i + 1 < given.length) options.push(given[++i]!)
    }
  }
  if (pending !== undefined) problem = `${pending} is the mode of the paths that follow it, and none does`
  return { words: [...names, ...options, ...paths], rest, problem }
}

const splitOnce = (word: string): readonly [string, string] => {
  const at = word.indexOf("=")
  return [word.slice(0, at), word.slice(at + 1)]
}
