/**
 * The help, from the description of the commands.
 */
import * as commands from "./commands.ts"
import type { Command, Option, Options, Section } from "./description.ts"
import { bold } from "./output.ts"

/** Breaks text between words. The first line has so much room less, as something stands before it. */
const wrap = (text: string, columns: number): ReadonlyArray<string> => {
  const lines: Array<string> = []
  for (const word of text.split(" ")) {
    const last = lines.at(-1)
    if (last === undefined || last.length + 1 + word.length > columns) lines.push(word)
    else lines[lines.length - 1] = `${last} ${word}`
  }
  return lines
}

const indent = 2

/** Two columns: names, and what is said about them; under the name where that is too long. */
const rows = (pairs: Section["rows"], columns: number): ReadonlyArray<string> => {
  const longest = Math.max(...pairs.map(([name]) => name.length))
  const at = Math.min(longest, 24) + 2 * indent
  return pairs.flatMap(([name, about]) => {
    const text = wrap(about, columns - at)
    const head = `${" ".repeat(indent)}${name}`
    const first = head.length + indent <= at ? [head.padEnd(at) + text[0]] : [head, " ".repeat(at) + text[0]]
    return [...first, ...text.slice(1).map((line) => " ".repeat(at) + line)]
  })
}

/** `-w, --wait TIME`. */
const nameOf = ({ name, short, value }: Option<unknown>): string =>
  `${short === undefined ? "    " : `-${short}, `}--${name}${value === undefined ? "" : ` ${value.name}`}`

export const optionRows = (options: ReadonlyArray<Option<unknown>>): Section["rows"] =>
  options.map((option) => [nameOf(option), option.about])

export const usageOf = ({ args, name, options, takesCommand }: Command): string => {
  const many = args !== undefined && args.most > 1 ? "…" : ""
  const shown = args === undefined ? "" : args.least === 0 ? ` [${args.name}${many}]` : ` ${args.name}${many}`
  const choices = Object.keys(options).length === 0 ? "" : " [options]"
  return `hilok ${name}${choices}${shown}${takesCommand ? " -- command args…" : ""}`
}

export const optionsOf = (options: Options): Record<"own" | "server", ReadonlyArray<Option<unknown>>> => {
  const all = Object.values(options)
  return {
    own: all.filter(({ name }) => !commands.isAboutServer(name)),
    server: all.filter(({ name }) => commands.isAboutServer(name))
  }
}

const block = (title: string, lines: ReadonlyArray<string>): ReadonlyArray<string> =>
  lines.length === 0 ? [] : [bold(title.toUpperCase()), ...lines, ""]

const table = (title: string, pairs: Section["rows"], columns: number): ReadonlyArray<string> =>
  pairs.length === 0 ? [] : block(title, rows(pairs, columns))

const examples = ({ examples }: Command): ReadonlyArray<string> =>
  examples.flatMap(([line, about]) => [`  # ${about}`, `  ${line}`])

export const ofCommand = (command: Command, columns: number): ReadonlyArray<string> => {
  const { own, server } = optionsOf(command.options)
  return [
    ...block("Usage", [`  ${usageOf(command)}`]),
    ...wrap(command.about, columns),
    "",
    ...table("Options", optionRows(own), columns),
    ...table("The server", optionRows(server), columns),
    ...command.sections.flatMap(({ rows: pairs, title }) => table(title, pairs, columns)),
    ...block("Examples", examples(command))
  ].slice(0, -1)
}

export const ofProgram = (version: string, columns: number): ReadonlyArray<string> => {
  const { commands: all, general } = commands.grammar
  return [
    ...wrap(`hilok ${version}: ${commands.about}`, columns),
    "",
    ...block("Usage", ["  hilok COMMAND [options] …", "  hilok help [COMMAND]"]),
    ...table(
      "Commands",
      all.map(({ name, summary }) => [name, summary]),
      columns
    ),
    ...table("Options", optionRows(Object.values(general)), columns),
    ...table(commands.environment.title, commands.environment.rows, columns),
    ...block(
      "Examples",
      all.slice(0, 4).flatMap((command) => examples(command).slice(0, 2))
    )
  ].slice(0, -1)
}
