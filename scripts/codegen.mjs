// Makes the generated files. `--check` only tells whether they are up to date.
//
// - packages/redis/src/internal/scripts.gen.ts has the files of packages/redis/lua in one text: files that are read at run time
//   break in bundlers, and tsc does not copy them.
// - packages/core/src/internal/accessors.gen.ts: see accessors.mjs.
// - docs/modes-*.svg: see picture.mjs. The rights in docs/production.md: see acl.mjs.
// - package.json and README.md of the public packages, in part: see manifests.mjs.
import { existsSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { generateAccessors } from "./accessors.mjs"
import { withAcl } from "./acl.mjs"
import { manifests } from "./manifests.mjs"
import { pictures } from "./picture.mjs"

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

const root = fileURLToPath(new URL("..", import.meta.url))

/** Every generated file, and what it should hold. */
const outputs = () => ({
  "packages/redis/src/internal/scripts.gen.ts": generate(join(root, "packages/redis/lua")),
  "packages/core/src/internal/accessors.gen.ts": generateAccessors(
    readFileSync(join(root, "packages/core/src/internal/operations.ts"), "utf8")
  ),
  "docs/production.md": withAcl(readFileSync(join(root, "docs/production.md"), "utf8"), join(root, "packages/redis")),
  ...pictures,
  ...manifests(root)
})

const main = (args) => {
  let code = 0
  for (const [file, generated] of Object.entries(outputs())) {
    const target = join(root, file)
    if (existsSync(target) && readFileSync(target, "utf8") === generated) continue
    if (args.includes("--check")) {
      console.error(`${file} is out of date: run \`npm run codegen\` and commit it.`)
      code = 1
    } else writeFileSync(target, generated)
  }
  return code
}

if (process.argv[1] === fileURLToPath(import.meta.url)) process.exitCode = main(process.argv.slice(2))
