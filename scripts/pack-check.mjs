// Checks each public package as npm would publish it: what `exports` and `files` promise is in the tarball, npm's page has
// a README and its links, and nothing large is in it twice.
import { execFileSync } from "node:child_process"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { isDeepStrictEqual } from "node:util"
import { fieldsOf, isUndecided, publicPackages } from "./manifests.mjs"
import { runInForeground } from "./process.mjs"

const root = fileURLToPath(new URL("..", import.meta.url))
const tool = (name) => join(root, "node_modules/.bin", name)
const read = (...path) => readFileSync(join(root, ...path), "utf8")
const shared = JSON.parse(read("package.json"))

/** Texts that long are scripts and scenarios. */
const long = /`[^`]{5000,}`/gs

const problemsOf = (folder) => {
  const manifest = JSON.parse(read(folder, "package.json"))
  const [{ files }] = JSON.parse(
    execFileSync("npm", ["pack", "--dry-run", "--json", "--ignore-scripts"], {
      cwd: join(root, folder),
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"]
    })
  )
  const names = files.map((file) => file.path)
  const problems = ["README.md", "LICENSE"].filter((name) => !names.includes(name)).map((name) => `${name} is missing`)
  for (const [field, value] of Object.entries(fieldsOf(shared, folder))) {
    if (!isDeepStrictEqual(manifest[field], value)) {
      problems.push(`\`${field}\` is not ${JSON.stringify(value)}: run \`npm run codegen\``)
    }
  }
  const lines = names.includes("README.md") ? read(folder, "README.md").split("\n").length - 1 : 40
  if (lines < 40 || lines > 60) problems.push(`README.md has ${lines} lines, but should have 40 to 60`)
  const seen = new Map()
  for (const name of names.filter((name) => /\.[jt]s$/.test(name))) {
    for (const [text] of read(folder, name).matchAll(long)) {
      if (seen.has(text)) problems.push(`${name} has a long text that ${seen.get(text)} has, too`)
      seen.set(text, name)
    }
  }
  return problems.map((problem) => `${folder}: ${problem}`)
}

for (const folder of publicPackages(root)) {
  const problems = problemsOf(folder)
  for (const problem of problems) console.error(problem)
  const codes = [
    problems.length,
    await runInForeground(tool("publint"), ["run", folder, "--strict", "--pack", "npm"], {}, root),
    await runInForeground(tool("attw"), ["--pack", folder, "--profile", "esm-only"], {}, root)
  ]
  if (codes.some((code) => code !== 0)) process.exitCode = 1
}
if (isUndecided(shared.repository)) {
  console.log(`Before anything is published: \`repository\` in package.json still is ${shared.repository}`)
}
