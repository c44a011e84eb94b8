// Checks the TypeScript in README.md and docs/*.md. Every `ts` block is a module of its own and must type-check; what a
// `ts run` block prints must be what the next block says.
import { execFileSync } from "node:child_process"
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join, relative } from "node:path"
import { fileURLToPath } from "node:url"
import { typeCheck } from "./compile.mjs"

const root = fileURLToPath(new URL("..", import.meta.url))

/** The fenced blocks of a file, in order. */
const blocksOf = (file) => {
  const blocks = []
  let open
  readFileSync(file, "utf8")
    .split("\n")
    .forEach((text, index) => {
      if (open === undefined && text.startsWith("```")) open = { info: text.slice(3).trim(), line: index + 1, code: "" }
      else if (open !== undefined && text.startsWith("```")) open = void blocks.push(open)
      else if (open !== undefined) open.code += `${text}\n`
    })
  return blocks
}

const files = ["README.md", ...readdirSync(join(root, "docs")).map((name) => `docs/${name}`)].filter((name) =>
  name.endsWith(".md")
)
const modules = new Map()
const runs = []
for (const file of files) {
  const blocks = blocksOf(join(root, file))
  blocks.forEach(({ info, line, code }, i) => {
    const [language, ...flags] = info.split(" ")
    if (language !== "ts") return
    // Blank lines in front make the lines of a message those of the Markdown file.
    modules.set(join(root, `${file}.${line}.ts`), "\n".repeat(line) + code)
    if (flags.includes("run")) runs.push({ where: `${file}:${line}`, code, expected: blocks[i + 1]?.code })
  })
}

const problems = []
const wrongTypes = typeCheck(modules)
if (wrongTypes !== undefined) problems.push(wrongTypes)

const scratch = join(root, "node_modules/.hilok-docs")
for (const { where, code, expected } of runs) {
  mkdirSync(scratch, { recursive: true })
  const file = join(scratch, "example.mts")
  writeFileSync(file, code)
  const printed = execFileSync(
    process.execPath,
    ["--import", import.meta.resolve("tsx"), "--conditions", "@hilok/source", file],
    { cwd: root, encoding: "utf8", stdio: ["ignore", "pipe", "inherit"], timeout: 60_000 }
  )
  if (printed !== expected) problems.push(`${where} prints\n${printed}where the next block says\n${expected}`)
}
rmSync(scratch, { recursive: true, force: true })

for (const problem of problems) console.error(problem)
console.log(
  `${modules.size} TypeScript blocks in ${files.map((file) => relative(root, join(root, file))).join(", ")}, ` +
    `${runs.length} of them run: ${problems.length === 0 ? "all as they say" : "see above"}`
)
process.exitCode = problems.length === 0 ? 0 : 1
