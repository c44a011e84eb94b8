// Puts the files of packages/redis/lua together to one text, in packages/redis/src/internal/scripts.gen.ts: files that are read at
// run time break in bundlers, and tsc does not copy them. `--check` only tells whether the generated file is up to date.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { dirname, join, relative } from "node:path"
import { fileURLToPath } from "node:url"

/** The text of a file with each `--@include name` line replaced by name.lua, once. */
export const resolveIncludes = (file, read, seen = new Set()) =>
  read(file)
    .split(/\r?\n/)
    .flatMap((line) => {
      const name = /^\s*--@include\s+(\S+)\s*$/.exec(line)?.[1]
      if (name === undefined) return [line]
      if (seen.has(name)) return []
      seen.add(name)
      return resolveIncludes(`${name}.lua`, read, seen).split("\n")
    })
    .join("\n")

/** Drops the comments that fill whole lines, and blank lines: the server need not be sent them. */
export const stripComments = (lua) =>
  lua
    .replace(/^[ \t]*--\[(=*)\[[\s\S]*?\]\1\][ \t]*$/gm, "")
    .split("\n")
    .map((line) => line.trimEnd())
    .filter((line) => line !== "" && !/^\s*--/.test(line))
    .join("\n")

/** A template literal whose value is the text. */
export const templateLiteral = (text) => `\`${text.replace(/\\|`|\$\{/g, "\\$&")}\``

/** The generated module for the library in a folder. */
export const generate = (folder) => {
  const read = (file) => {
    const path = join(folder, file)
    if (!existsSync(path)) throw new Error(`${path} is included but does not exist`)
    return readFileSync(path, "utf8")
  }
  return `// Generated from packages/redis/lua by \`npm run codegen\`. Do not edit.

export const library: string = ${templateLiteral(stripComments(resolveIncludes("library.lua", read)))}
`
}

const main = (args) => {
  const root = fileURLToPath(new URL("..", import.meta.url))
  const folder = join(root, "packages/redis/lua")
  const target = join(root, "packages/redis/src/internal/scripts.gen.ts")
  if (!existsSync(folder)) return 0
  const generated = generate(folder)
  const current = existsSync(target) ? readFileSync(target, "utf8") : undefined
  if (generated === current) return 0
  if (args.includes("--check")) {
    console.error(`${relative(root, target)} is out of date: run \`npm run codegen\` and commit it.`)
    return 1
  }
  mkdirSync(dirname(target), { recursive: true })
  writeFileSync(target, generated)
  return 0
}

if (process.argv[1] === fileURLToPath(import.meta.url)) process.exitCode = main(process.argv.slice(2))
