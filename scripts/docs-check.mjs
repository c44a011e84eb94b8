// Checks the TypeScript in README.md, in docs/*.md and in the comments of the packages. Every `ts` block is a module of
// its own and must type-check. What a `ts run` block of Markdown prints must be what the next block says. The examples in
// comments are run, too, and must not fail: on the memory store, all in one process.
import { execFileSync } from "node:child_process"
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join, relative } from "node:path"
import { fileURLToPath, pathToFileURL } from "node:url"
import { typeCheck } from "./compile.mjs"

const root = fileURLToPath(new URL("..", import.meta.url))

/** The fenced blocks of a text, in order. */
const blocksOf = (text) => {
  const blocks = []
  let open
  text.split("\n").forEach((text, index) => {
    if (open === undefined && text.startsWith("```")) open = { info: text.slice(3).trim(), line: index + 1, code: "" }
    else if (open !== undefined && text.startsWith("```")) open = void blocks.push(open)
    else if (open !== undefined) open.code += `${text}\n`
  })
  return blocks
}

/** What the comments of a source say, on the lines where they say it. */
const commentsOf = (source) => source.replace(/^(?:\s*\* ?)?(.*)$/gm, (line, text) => (/^\s*\*/.test(line) ? text : ""))

const read = (file) => readFileSync(join(root, file), "utf8")

const filesBelow = (folder, ending) =>
  readdirSync(join(root, folder), { recursive: true })
    .filter((name) => name.endsWith(ending))
    .map((name) => join(folder, name))

const pages = ["README.md", ...filesBelow("docs", ".md")]
const sources = readdirSync(join(root, "packages"))
  .flatMap((name) => filesBelow(join("packages", name, "src"), ".ts"))
  .filter((name) => !name.endsWith(".gen.ts"))

const modules = new Map()
const runs = []
const examples = []
for (const file of [...pages, ...sources]) {
  const isPage = file.endsWith(".md")
  const blocks = blocksOf(isPage ? read(file) : commentsOf(read(file)))
  blocks.forEach(({ info, line, code }, i) => {
    const [language, ...flags] = info.split(" ")
    if (language !== "ts") return
    const where = `${file}:${line}`
    // Blank lines in front make the lines of a message those of the file.
    modules.set(join(root, `${file}.${line}.ts`), "\n".repeat(line) + code)
    if (flags.includes("run")) runs.push({ where, code, expected: blocks[i + 1]?.code })
    // What defines tests is run by a test runner.
    else if (!isPage && !/from "(@effect\/vitest|@hilok\/testing)"/.test(code)) examples.push({ where, code })
  })
}

const problems = []
const wrongTypes = typeCheck(modules)
if (wrongTypes !== undefined) problems.push(wrongTypes)

const scratch = join(root, "node_modules/.hilok-docs")
mkdirSync(scratch, { recursive: true })

const write = (name, code) => {
  const file = join(scratch, name)
  writeFileSync(file, code)
  return file
}

const run = (file) =>
  execFileSync(process.execPath, ["--import", import.meta.resolve("tsx"), "--conditions", "@hilok/source", file], {
    cwd: root,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"],
    timeout: 60_000
  })

for (const { where, code, expected } of runs) {
  const printed = run(write("page.mts", code))
  if (printed !== expected) problems.push(`${where} prints\n${printed}where the next block says\n${expected}`)
}

const imports = examples.map(({ code, where }, i) => [where, pathToFileURL(write(`example${i}.mts`, code)).href])
const runAll = `import { writeFileSync } from "node:fs"
const failures = []
for (const [where, file] of ${JSON.stringify(imports)}) {
  await import(file).catch((error) => failures.push(where + " fails\\n" + (error.stack ?? error)))
}
writeFileSync(${JSON.stringify(join(scratch, "failures.json"))}, JSON.stringify(failures))
`
run(write("all.mts", runAll))
problems.push(...JSON.parse(readFileSync(join(scratch, "failures.json"), "utf8")))
rmSync(scratch, { recursive: true, force: true })

for (const problem of problems) console.error(problem)
console.log(
  `${modules.size} TypeScript blocks in ${pages.map((file) => relative(root, join(root, file))).join(", ")} and the ` +
    `comments of ${sources.length} sources, ${runs.length + examples.length} of them run: ` +
    `${problems.length === 0 ? "all as they say" : "see above"}`
)
process.exitCode = problems.length === 0 ? 0 : 1
