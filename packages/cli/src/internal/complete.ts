/**
 * What may stand at the end of a command line: what the shells' completion scripts ask for.
 *
 * The answer is a line that says how to go on (`:`, `:nospace` when more may follow without a space, `:files` when it is the
 * name of a file), then a line for each candidate, with what it is behind a tabulator.
 */
import { parseArgs } from "node:util"
import { clean } from "./clean.ts"
import { grammar, isAboutServer, type ServerOptions } from "./commands.ts"
import type { Command, Completion, Option } from "./description.ts"
import { program } from "./load.ts"
import { write } from "./output.ts"
import { parse } from "./parse.ts"

interface Answer {
  readonly how: ":" | ":nospace" | ":files"
  readonly candidates: ReadonlyArray<readonly [word: string, about: string]>
}

const all = (command: Command | undefined): ReadonlyArray<Option<unknown>> => [
  ...Object.values(command?.options ?? {}),
  ...Object.values(grammar.general)
]

/** The option that the word ends with, if it is followed by its value: `--wait`, `-w`, `-nw`. */
const awaiting = (word: string, options: ReadonlyArray<Option<unknown>>): Option<unknown> | undefined => {
  const option = word.startsWith("--")
    ? options.find(({ name }) => `--${name}` === word)
    : /^-[^-]/.test(word)
      ? options.find(({ short }) => short === word.at(-1))
      : undefined
  return option?.value === undefined ? undefined : option
}

/** The arguments among the words, the command first. */
const positionals = (words: ReadonlyArray<string>): ReadonlyArray<string> => {
  const everywhere = grammar.commands.flatMap((command) => all(command))
  return words.filter((word, i) => !word.startsWith("-") && awaiting(words[i - 1] ?? "", everywhere) === undefined)
}

/** The server that the options on the line name. */
const serverOf = async (words: ReadonlyArray<string>): Promise<ServerOptions | undefined> => {
  const options = Object.values(grammar.commands[0]!.options).filter(({ name }) => isAboutServer(name))
  const { tokens } = parseArgs({
    args: [...words],
    strict: false,
    tokens: true,
    options: Object.fromEntries(
      options.map(({ name, short, value }) => [
        name,
        { type: value === undefined ? ("boolean" as const) : ("string" as const), ...(short ? { short } : {}) }
      ])
    )
  })
  const given = tokens.flatMap((token) =>
    token.kind === "option" && isAboutServer(token.name)
      ? [`--${token.name}`, ...(token.value ? [token.value] : [])]
      : []
  )
  const line = await parse(["ls", ...given], grammar)
  return line._tag === "Run" ? (line.input.values as ServerOptions) : undefined
}

const known = async (
  what: "path" | "id" | "id or path",
  start: string,
  words: ReadonlyArray<string>
): Promise<Answer["candidates"]> => {
  const server = await serverOf(words)
  if (server === undefined) return []
  return program().candidates(what, start, server)
}

const completed = async (
  completes: Completion | undefined,
  start: string,
  words: ReadonlyArray<string>
): Promise<Answer> => {
  if (completes === "file") return { how: ":files", candidates: [] }
  if (typeof completes === "string") {
    return { how: completes === "id" ? ":" : ":nospace", candidates: await known(completes, start, words) }
  }
  return { how: ":", candidates: (completes ?? []).map((word) => [word, ""]) }
}

const optionsFor = (command: Command | undefined): Answer => ({
  how: ":",
  candidates: all(command).map(({ about, name }) => [`--${name}`, about])
})

const answerTo = async (words: ReadonlyArray<string>): Promise<Answer> => {
  const start = words.at(-1) ?? ""
  // A shell may give `--output=js` as three words.
  const before = words.slice(0, -1).filter((word) => word !== "=")
  const [name, ...args] = positionals(before)
  const command = grammar.commands.find((one) => one.name === name)
  const options = all(command)
  const waiting = awaiting(before.at(-1) ?? "", options)
  if (waiting?.value !== undefined) return completed(waiting.value.completes, start === "=" ? "" : start, words)
  const [, long, value] = /^--([^=]+)=(.*)$/s.exec(start) ?? []
  if (long !== undefined && value !== undefined) {
    const { candidates, how } = await completed(
      options.find((option) => option.name === long)?.value?.completes,
      value,
      words
    )
    return { how, candidates: candidates.map(([word, about]) => [`--${long}=${word}`, about]) }
  }
  if (start.startsWith("-")) return optionsFor(command)
  const commands = grammar.commands.map((one) => [one.name, one.summary] as const)
  if (name === undefined) return { how: ":", candidates: [...commands, ["help", "Shows the help of a command."]] }
  if (name === "help") return { how: ":", candidates: args.length === 0 ? commands : [] }
  if (command?.args === undefined || args.length >= command.args.most) return { how: ":", candidates: [] }
  return completed(command.args.completes, start, words)
}

/** Answers for the words of a command line, the last of which is to be completed. */
export const complete = async (words: ReadonlyArray<string>): Promise<number> => {
  const { candidates, how } = await answerTo(words)
  const start = words.at(-1) ?? ""
  const fitting = candidates.filter(([word]) => start === "=" || word.startsWith(start))
  await write([how, ...fitting.map(([word, about]) => `${clean(word)}\t${clean(about)}`)])
  return 0
}
