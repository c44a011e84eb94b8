// Checks each public package as npm would publish it: what `exports` and `files` promise must be in the tarball.
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { runInForeground } from "./process.mjs"

const root = fileURLToPath(new URL("..", import.meta.url))
const tool = (name) => join(root, "node_modules/.bin", name)

const packages = readdirSync(join(root, "packages"))
  .map((name) => join(root, "packages", name))
  .filter((folder) => !JSON.parse(readFileSync(join(folder, "package.json"), "utf8")).private)

for (const folder of packages) {
  const codes = [
    await runInForeground(tool("publint"), ["run", folder, "--strict", "--pack", "npm"]),
    await runInForeground(tool("attw"), ["--pack", folder, "--profile", "esm-only"])
  ]
  if (codes.some((code) => code !== 0)) process.exitCode = 1
}
