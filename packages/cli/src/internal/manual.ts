/**
 * The manual page, from the description of the commands: in the `man` macros, which every formatter knows.
 */
import * as commands from "./commands.ts"
import type { Command, Section } from "./description.ts"
import { optionRows, optionsOf, usageOf } from "./help.ts"

/** Text as roff takes it: a backslash, a dash that is to stay one, a dot or a quote at the start of a line. */
const escape = (text: string): string =>
  text
    .replaceAll("\\", "\\e")
    .replaceAll("-", "\\-")
    .replaceAll("…", "...")
    .replace(/^([.'])/gm, "\\&$1")

const rows = (pairs: Section["rows"]): ReadonlyArray<string> =>
  pairs.flatMap(([name, about]) => [".TP", `\\fB${escape(name.trim())}\\fR`, escape(about)])

const examples = ({ examples: all }: Command): ReadonlyArray<string> =>
  all.flatMap(([line, about]) => [".PP", escape(`${about}:`), ".PP", ".RS 4", ".nf", escape(line), ".fi", ".RE"])

const ofCommand = (command: Command): ReadonlyArray<string> => {
  const { own } = optionsOf(command.options)
  return [
    `.SH ${command.name.toUpperCase()}`,
    `\\fB${escape(usageOf(command))}\\fR`,
    ".PP",
    escape(command.about),
    ...rows(optionRows(own)),
    ...command.sections.flatMap(({ rows: pairs, title }) => [`.SS "${title}"`, ...rows(pairs)]),
    '.SS "Examples"',
    ...examples(command)
  ]
}

export const manual = (version: string): string => {
  const { commands: all, general } = commands.grammar
  const { server } = optionsOf(all[0]!.options)
  return [
    `.TH HILOK 1 "" "hilok ${version}" "User Commands"`,
    ".SH NAME",
    escape(`hilok - ${commands.about.replace(/\.$/, "")}`),
    ".SH SYNOPSIS",
    ...all.flatMap((command) => [`\\fB${escape(usageOf(command))}\\fR`, ".br"]),
    "\\fBhilok help\\fR [COMMAND]",
    ".SH COMMANDS",
    ...rows(all.map(({ name, summary }) => [name, summary])),
    ".SH OPTIONS",
    ...rows(optionRows(Object.values(general))),
    '.SH "THE SERVER"',
    "Every command that talks to the server has these options.",
    ...rows(optionRows(server)),
    ".SH ENVIRONMENT",
    "Durations are written as in options, but a bare number is milliseconds.",
    ...rows(commands.environment.rows),
    ...all.flatMap(ofCommand),
    ""
  ].join("\n")
}
