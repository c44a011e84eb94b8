/**
 * The help of `@effect/cli`, made to fit: without the sentences that say nothing, and in lines that are not too long.
 */
import { stripVTControlCharacters } from "node:util"

const idle =
  /^\s*(?:A user-defined piece of text|A true or false value|An integer|This setting is optional|One of the following: .*|This argument (?:is optional|must be repeated at least 1 times|may be repeated zero or more times))\.?$/

const widthOf = (text: string): number => stripVTControlCharacters(text).length

/** Breaks a line between words. Those that follow the first line are indented like it, or by `hanging`. */
const wrap = (line: string, columns: number, hanging = 0, words = line.trim().split(" ")): ReadonlyArray<string> => {
  const indent = /^ */.exec(line)?.[0] ?? ""
  const lines: Array<string> = []
  let current = indent
  for (const word of words) {
    const isFirst = current.trim() === ""
    if (!isFirst && widthOf(current) + 1 + widthOf(word) > columns) {
      lines.push(current)
      current = " ".repeat(Math.max(indent.length, hanging)) + word
    } else current += isFirst ? word : ` ${word}`
  }
  return [...lines, current]
}

/** `- name [options] <arguments>      description` becomes `name  description`. */
const command = /^\s*- (\S+)(?: .*?)?\s{2,}(\S.*)$/
const nameColumns = 12

const usage = (line: string, columns: number): ReadonlyArray<string> => {
  const whole = line.replace(/^\$ (?!hilok)/, "$ hilok ") + (line.startsWith("$ run") ? " -- command args…" : "")
  return wrap(whole, columns, 4, whole.match(/\[.*?\]|\S+/g) ?? [])
}

export const layout = (text: string, columns: number): string => {
  if (!/^USAGE$/m.test(stripVTControlCharacters(text))) return text
  const lines: Array<string> = []
  for (const line of text.split("\n")) {
    const bare = stripVTControlCharacters(line)
    if (idle.test(bare) || (bare.trim() === "" && lines.at(-1) === "")) continue
    // What is indented belongs to what is above it.
    if (bare.startsWith("  ") && lines.at(-1) === "" && !isHeading(lines.at(-2))) lines.pop()
    const [, name, description] = command.exec(bare) ?? []
    if (name !== undefined) {
      lines.push(...wrap(`  ${name.padEnd(nameColumns - 2)}${description}`, columns, nameColumns))
    } else if (bare.startsWith("$ ")) lines.push(...usage(bare, columns))
    else lines.push(...wrap(line.trimEnd(), columns))
  }
  return lines.join("\n")
}

const isHeading = (line = ""): boolean => /^[A-Z]+$/.test(stripVTControlCharacters(line))
