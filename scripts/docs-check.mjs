// Checks the TypeScript in the Markdown pages and in the comments of the packages. Every `ts` block is a module of its own,
// which must type-check and must not fail when it is run (to the end: with `await`). When a `text` block follows it in a
// page, that is what it prints.
// What defines tests is run by vitest, and the tests must pass. `REDIS_URL` is the address of a server.
import { execFileSync, spawn } from "node:child_process"
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath, pathToFileURL } from "node:url"
import { typeCheck } from "./compile.mjs"
import { pages } from "./pages.mjs"
import { ensureRedisServer } from "./redis.mjs"

const root = fileURLToPath(new URL("..", import.meta.url))

/** The fenced blocks of a text, in order. `lead` is what stands between a block and the one before. */
const blocksOf = (text) => {
  const blocks = []
  let open
  let lead = ""
  text.split("\n").forEach((text, index) => {
    if (open === undefined && text.startsWith("```")) {
      open = { info: text.slice(3).trim(), line: index + 1, code: "", lead: lead.trim() }
    } else if (open !== undefined && text.startsWith("```")) {
      blocks.push(open)
      open = undefined
      lead = ""
    } else if (open !== undefined) open.code += `${text}\n`
    else lead += `${text}\n`
  })
  return blocks
}

/** What the comments of a source say, on the lines where they say it. */
const commentsOf = (source) => source.replace(/^(?:\s*\* ?)?(.*)$/gm, (line, text) => (/^\s*\*/.test(line) ? text : ""))

const sources = readdirSync(join(root, "packages"))
  .flatMap((name) =>
    readdirSync(join(root, "packages", name, "src"), { recursive: true }).map((file) => `packages/${name}/src/${file}`)
  )
  .filter((name) => name.endsWith(".ts") && !name.endsWith(".gen.ts"))

const modules = new Map()
/** Those that may end the process have one of their own. */
const alone = []
const together = []
const tests = []
for (const file of [...pages(root), ...sources]) {
  const isPage = file.endsWith(".md")
  const text = readFileSync(join(root, file), "utf8")
  const blocks = blocksOf(isPage ? text : commentsOf(text))
  blocks.forEach(({ info, line, code }, i) => {
    if (info !== "ts") return
    const example = { where: `${file}:${line}`, code }
    // Blank lines in front make the lines of a message those of the file.
    modules.set(join(root, `${file}.${line}.ts`), "\n".repeat(line) + code)
    const next = blocks[i + 1]
    const output = isPage && next?.info === "text" && next.lead === "" ? next.code : undefined
    if (/from "(@effect\/vitest|@hilok\/testing)"/.test(code)) tests.push(example)
    else if (/runMain/.test(code)) alone.push(example)
    else together.push({ ...example, output })
  })
}

const problems = []
const wrongTypes = typeCheck(modules)
if (wrongTypes !== undefined) problems.push(wrongTypes)

// Not below node_modules, where vitest looks for no tests.
const scratch = join(root, ".docs-check")
rmSync(scratch, { recursive: true, force: true })
mkdirSync(scratch)

/** The address of a server, which ends with this process. */
const startServer = async () => {
  const server = await ensureRedisServer()
  if (server.kind === "url") return { url: server.url, stop: () => {} }
  const folder = mkdtempSync(join(tmpdir(), "hilok-docs-"))
  const url = join(folder, "redis.sock")
  const child = spawn(server.path, ["--port", "0", "--unixsocket", url, "--save", "", "--dir", folder], {
    stdio: "ignore"
  })
  while (!existsSync(url) && child.exitCode === null) await new Promise((resolve) => setTimeout(resolve, 10))
  return {
    url,
    stop: () => {
      child.kill("SIGKILL")
      rmSync(folder, { recursive: true, force: true })
    }
  }
}
const server = await startServer()

const write = (name, code) => {
  const file = join(scratch, name)
  writeFileSync(file, code)
  return file
}

const run = (args) =>
  execFileSync(process.execPath, args, {
    cwd: root,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"],
    timeout: 240_000,
    env: { ...process.env, REDIS_URL: server.url, NO_COLOR: "1" }
  })

const runModule = (file) => run(["--import", import.meta.resolve("tsx"), "--conditions", "@hilok/source", file])

/** What goes wrong, or `undefined`. */
const attempt = (where, action) => {
  try {
    return action()
  } catch (error) {
    problems.push(`${where} fails\n${error.stdout ?? ""}${error.message}`)
  }
}

for (const { where, code } of alone) attempt(where, () => runModule(write("alone.mts", code)))

const examples = together.map(({ code, output, where }, i) => ({
  where,
  output,
  file: pathToFileURL(write(`example${i}.mts`, code)).href
}))
const report = join(scratch, "report.json")
const all = `import { writeFileSync } from "node:fs"
const problems = []
const write = process.stdout.write
for (const { file, output, where } of ${JSON.stringify(examples)}) {
  let printed = ""
  process.stdout.write = (chunk) => ((printed += chunk), true)
  await import(file).catch((error) => problems.push(where + " fails\\n" + (error.stack ?? error)))
  process.stdout.write = write
  if (output !== undefined && printed !== output) {
    problems.push(where + " prints\\n" + printed + "where the next block says\\n" + output)
  }
}
writeFileSync(${JSON.stringify(report)}, JSON.stringify(problems))
`
attempt("An example", () => runModule(write("all.mts", all)))
problems.push(...(existsSync(report) ? JSON.parse(readFileSync(report, "utf8")) : []))

// The contract suite takes long and is run elsewhere: of that, a few tests are enough to see that the call is right.
const conditions = `{ conditions: ["@hilok/source"] }`
for (const [folder, isSuite, filter] of [
  ["tests", false, []],
  ["suites", true, ["-t", "inspect"]]
]) {
  mkdirSync(join(scratch, folder))
  tests
    .filter(({ code }) => /^suite\(/m.test(code) === isSuite)
    .forEach(({ code, where }, i) => {
      write(`${folder}/example${i}.test.ts`, `// ${where}\n${code}`)
    })
  const config = write(
    `${folder}/vitest.config.mjs`,
    `export default { resolve: ${conditions}, ssr: { resolve: ${conditions} } }\n`
  )
  const vitest = [join(root, "node_modules/vitest/vitest.mjs"), "run", "--testTimeout", "30000", ...filter]
  attempt("A test in the documentation", () => run([...vitest, "--root", join(scratch, folder), "--config", config]))
}

server.stop()
rmSync(scratch, { recursive: true, force: true })

for (const problem of problems) console.error(problem.replaceAll(`${root}`, ""))
console.log(
  `${modules.size} TypeScript blocks in ${pages(root).length} pages and the comments of ${sources.length} sources, ` +
    `all compiled and run, ${tests.length} of them as tests: ${problems.length === 0 ? "all as they say" : "see above"}`
)
process.exitCode = problems.length === 0 ? 0 : 1
