/**
 * Reads a command line by the description of the commands.
 */
import { parseArgs } from "node:util"
import type { LockMode } from "@hilok/core"
import { type Command, type Input, type Option, type Options, Problem, type Target } from "./description.ts"
import { type Failure, usage } from "./failure.ts"

/** What is asked for. */
export type Line =
  | { readonly _tag: "Run"; readonly command: Command; readonly input: Input<Options> }
  | { readonly _tag: "Help"; readonly command: Command | undefined }
  | { readonly _tag: "Version" }
  | { readonly _tag: "Completions"; readonly shell: string }
  | { readonly _tag: "Wrong"; readonly failure: Failure }

export interface Grammar {
  readonly commands: ReadonlyArray<Command>
  /** Options that stand before any command, or behind all. */
  readonly general: Options
}

/** All options, by their long names. One name means the same, with a value or without, wherever it is known. */
const allOptions = ({ commands, general }: Grammar): ReadonlyMap<string, Option<unknown>> =>
  new Map(
    [general, ...commands.map(({ options }) => options)]
      .flatMap((options) => Object.values(options))
      .map((option) => [option.name, option])
  )

/** `parseArgs` knows the shapes: letters that are joined, `--name=value`, a value in the next word. */
const tokensOf = (args: ReadonlyArray<string>, known: ReadonlyMap<string, Option<unknown>>) =>
  parseArgs({
    args: [...args],
    strict: false,
    allowPositionals: true,
    tokens: true,
    options: Object.fromEntries(
      Array.from(known.values(), ({ name, short, value }) => [
        name,
        { type: value === undefined ? ("boolean" as const) : ("string" as const), ...(short ? { short } : {}) }
      ])
    )
  }).tokens

/** `--ttl -- x`: the value was forgotten. */
const isEnd = ({
  inlineValue,
  value
}: {
  readonly inlineValue?: boolean | undefined
  readonly value?: string | undefined
}): boolean => value === "--" && inlineValue !== true

/** A name that was meant, most likely. */
const suggestion = async (given: string, known: ReadonlyArray<string>): Promise<string> => {
  const { closestMatch } = await import("leven")
  const match = closestMatch(given, known, { maxDistance: 3 })
  return match === undefined ? "" : `. Did you mean ${match}?`
}

interface Given {
  readonly option: Option<unknown>
  /** As it was written. */
  readonly written: string
  readonly text: string | undefined
}

/** What the words are, before it is known whether they fit the command. */
interface Words {
  readonly name: string | undefined
  readonly given: ReadonlyArray<Given>
  readonly targets: ReadonlyArray<Target>
  readonly rest: ReadonlyArray<string> | undefined
  readonly problem: Failure | undefined
}

const read = async (args: ReadonlyArray<string>, grammar: Grammar): Promise<Words> => {
  const known = allOptions(grammar)
  const given: Array<Given> = []
  const targets: Array<Target> = []
  const problems: Array<Failure> = []
  let name: string | undefined
  let mode: LockMode.LockMode = "write"
  let withoutPath: string | undefined
  let rest: ReadonlyArray<string> | undefined
  const add = (path: string): void => {
    withoutPath = undefined
    if (path === "") problems.push(usage(`An argument is empty; all of the tree is "/"`))
    targets.push({ mode, path })
  }
  for (const token of tokensOf(args, known)) {
    if (token.kind === "option-terminator") {
      // But for a command that is to be run, it only ends the options.
      if (grammar.commands.some((command) => command.name === name && command.takesCommand)) {
        rest = args.slice(token.index + 1)
        break
      }
    } else if (token.kind === "positional") {
      if (name === undefined) name = token.value
      else add(token.value)
    } else {
      const option = known.get(token.name)
      const written = token.rawName
      if (option === undefined) {
        const names = Array.from(known.keys(), (other) => `--${other}`)
        const meant = written.startsWith("--") ? await suggestion(written, names) : ""
        problems.push(usage(`There is no option ${written}; see hilok --help${meant}`))
      } else if (option.mode !== undefined) {
        given.push({ option, written, text: undefined })
        mode = option.mode
        withoutPath ??= written
        if (token.value !== undefined) add(token.value)
      } else if (option.value === undefined && token.value !== undefined) {
        problems.push(usage(`${written} takes no value`))
      } else if (option.value !== undefined && (token.value === undefined || isEnd(token))) {
        problems.push(usage(`${written} is followed by a value, which is missing`))
      } else given.push({ option, written, text: token.value })
    }
  }
  if (withoutPath !== undefined) {
    problems.push(usage(`${withoutPath} is the mode of the paths that follow it, and none does`))
  }
  return { name, given, targets, rest, problem: problems[0] }
}

/** The values of a command's options; a failure when one is wrong or is not this command's. */
const valuesOf = (given: ReadonlyArray<Given>, { name, options }: Command): Record<string, unknown> | Failure => {
  const keys = new Map(Object.entries(options).map(([key, option]) => [option.name, key]))
  const values = Object.fromEntries(Object.entries(options).map(([key, { otherwise }]) => [key, otherwise]))
  const texts = new Map<string, string>()
  for (const { option, text, written } of given) {
    const key = keys.get(option.name)
    if (key === undefined) return usage(`hilok ${name} has no option ${written}; see hilok ${name} --help`)
    if (option.value === undefined || text === undefined) {
      values[key] = true
      continue
    }
    const before = texts.get(key)
    const whole = option.adds && before !== undefined ? `${before},${text}` : text
    texts.set(key, whole)
    const value = option.value.parse(whole)
    if (value instanceof Problem) return usage(`--${option.name}: ${value.text}`)
    values[key] = value
  }
  return values
}

const countProblem = ({ args, name }: Command, count: number): Failure | undefined => {
  if (count > 0 && args === undefined) return usage(`hilok ${name} takes no arguments`)
  if (args === undefined) return undefined
  if (count < args.least) return usage(`hilok ${name} needs ${args.name}: ${args.about}`)
  return count > args.most
    ? usage(`hilok ${name} takes ${args.most === 1 ? "one argument" : `${args.most} arguments`}`)
    : undefined
}

export const parse = async (argv: ReadonlyArray<string>, grammar: Grammar): Promise<Line> => {
  const wrong = (failure: Failure): Line => ({ _tag: "Wrong", failure })
  const words = await read(argv, grammar)
  const { given, name, rest, targets } = words
  const general = new Map(given.map((one) => [one.option, one]))
  const { completions, help, version } = grammar.general
  const command = grammar.commands.find((one) => one.name === name)
  const unknown = async (word: string) =>
    wrong(
      usage(
        `There is no command ${JSON.stringify(word)}; see hilok --help` +
          (await suggestion(
            word,
            grammar.commands.map((one) => one.name)
          ))
      )
    )
  if (version !== undefined && general.has(version) && name === undefined) return { _tag: "Version" }
  const shell = completions && general.get(completions)?.text
  if (shell !== undefined) {
    const value = completions?.value?.parse(shell)
    return value instanceof Problem ? wrong(usage(`--completions: ${value.text}`)) : { _tag: "Completions", shell }
  }
  // Whoever asks for help is given it, whatever else is wrong.
  if (help !== undefined && general.has(help)) {
    return name === undefined || command !== undefined ? { _tag: "Help", command } : unknown(name)
  }
  if (words.problem !== undefined) return wrong(words.problem)
  if (name === undefined)
    return given[0] === undefined
      ? { _tag: "Help", command }
      : wrong(usage(`${given[0].written} needs a command; see hilok --help`))
  if (name === "help") {
    const about = targets[0]?.path
    if (about === undefined) return { _tag: "Help", command: undefined }
    const found = grammar.commands.find((one) => one.name === about)
    return found === undefined ? unknown(about) : { _tag: "Help", command: found }
  }
  if (command === undefined) return unknown(name)
  const values = valuesOf(given, command)
  if (values instanceof Error) return wrong(values)
  const problem = countProblem(command, targets.length)
  if (problem !== undefined) return wrong(problem)
  const input = { values, args: targets.map(({ path }) => path), targets, rest }
  return { _tag: "Run", command, input }
}
