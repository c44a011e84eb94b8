// Raises the versions by the files in .changeset, and writes the changelogs of the packages: `npm run versions`. Commit the
// result.
//
// To changesets, a peer below 1.0 whose minor version rises breaks the packages that name it, and makes 1.0.0 of all of
// them. They are always released together, so while it runs their ranges allow every version; afterwards they are those of
// the new ones.
import { execFileSync } from "node:child_process"
import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { publicPackages } from "./manifests.mjs"

const root = fileURLToPath(new URL("..", import.meta.url))
const run = (file, ...args) => execFileSync(file, args, { cwd: root, stdio: "inherit" })

for (const folder of publicPackages(root)) {
  const file = join(root, folder, "package.json")
  const manifest = JSON.parse(readFileSync(file, "utf8"))
  for (const name of Object.keys(manifest.peerDependencies ?? {})) {
    if (name.startsWith("@hilok/")) manifest.peerDependencies[name] = "*"
  }
  writeFileSync(file, `${JSON.stringify(manifest, null, 2)}\n`)
}
run(process.execPath, join(root, "node_modules/@changesets/cli/bin.js"), "version")
run(process.execPath, join(root, "scripts/codegen.mjs"))
run("npm", "install", "--package-lock-only", "--ignore-scripts", "--no-audit", "--no-fund")
