/**
 * The command line before `@effect/cli` sees it: what follows `--` is set aside, options may stand anywhere and be
 * written in one word with their value, the last of two that are the same counts, and a mode option sets the mode of
 * the paths that follow it.
 */
import type { LockMode } from "@hilok/core"

/** The options that are followed by a value. */
const withValue = new Set([
  ...["--url", "--namespace", "--key-prefix", "--wait", "--conflict-exit-code", "--ttl", "--reason", "--label"],
  ...["--kill-after", "--max-hold", "--output", "--older-than", "--all", "--completions", "--log-level"]
])

const longNames: Readonly<Record<string, string>> = {
  "-u": "--url",
  "-x": "--write",
  "-s": "--read",
  "-n": "--nonblock",
  "-w": "--wait",
  "-E": "--conflict-exit-code",
  "-o": "--output",
  "-h": "--help"
}

const modes: Readonly<Record<string, LockMode.LockMode>> = {
  "--write": "write",
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
  /** What follows the first `--` of `run`, as it is. */
  readonly rest: ReadonlyArray<string> | undefined
  /** What is wrong with it. */
  readonly problem: string | undefined
}

interface Option {
  /** As it was written, for messages. */
  readonly written: string
  /** The long one, where there is one. */
  readonly name: string
  readonly value: string | undefined
}

/** The options in one word: `--wait=5s`, or `-nw5s`, which is `-n -w 5s`. */
const optionsIn = (word: string): ReadonlyArray<Option> => {
  if (word.startsWith("--")) {
    const at = word.indexOf("=")
    const name = at === -1 ? word : word.slice(0, at)
    return [{ written: name, name, value: at === -1 ? undefined : word.slice(at + 1) }]
  }
  const written = word.slice(0, 2)
  const rest = word.slice(2)
  const name = longNames[written] ?? written
  if (rest === "") return [{ written, name, value: undefined }]
  if (withValue.has(name)) return [{ written, name, value: rest }]
  // What is no option is shown as it was written.
  if (name === written) return [{ written: word, name: word, value: undefined }]
  return [{ written, name, value: undefined }, ...optionsIn(`-${rest}`)]
}

export const parse = (argv: ReadonlyArray<string>): CommandLine => {
  const end = argv.indexOf("--")
  const given = end === -1 ? argv : argv.slice(0, end)
  const rest = end === -1 ? undefined : argv.slice(end + 1)
  const names: Array<string> = []
  const options = new Map<string, ReadonlyArray<string>>()
  const paths: Array<string> = []
  const problems: Array<string> = []
  const takesTargets = () => names[0] === "run" || names[0] === "acquire"
  let mode: LockMode.LockMode = "write"
  let withoutPath: string | undefined
  const addPath = (word: string) => {
    withoutPath = undefined
    if (word === "") problems.push(`An argument is empty; all of the tree is "/"`)
    paths.push(takesTargets() ? encodeTarget(mode, word) : word)
  }
  for (let i = 0; i < given.length; i++) {
    const word = given[i]!
    if (!word.startsWith("-") || word === "-") {
      if (names.length === 0) names.push(word)
      else addPath(word)
      continue
    }
    for (const { name, value, written } of optionsIn(word)) {
      if (takesTargets() && Object.hasOwn(modes, name)) {
        mode = modes[name]!
        withoutPath ??= written
        if (value !== undefined) addPath(value)
      } else if (withValue.has(name)) {
        const taken = value ?? given[++i]
        if (taken === undefined) problems.push(`${written} is followed by a value, which is missing`)
        else options.set(name, [name, taken])
      } else {
        options.set(name, [value === undefined ? name : `${name}=${value}`])
      }
    }
  }
  // Elsewhere `--` only ends the options.
  if (names[0] !== "run") for (const word of rest ?? []) addPath(word)
  if (withoutPath !== undefined) problems.push(`${withoutPath} is the mode of the paths that follow it, and none does`)
  if (options.get("--all")?.[1] === "") problems.push(`--all: the path is empty; all of the tree is "/"`)
  return {
    words: [...names, ...Array.from(options.values()).flat(), ...paths],
    rest,
    // Who asks for help is given it.
    problem: options.has("--help") ? undefined : problems[0]
  }
}
