// Installs the command line from its tarball, as npm would publish it, into an empty folder, and starts it by npx.
import { execFileSync } from "node:child_process"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("..", import.meta.url))
const folder = mkdtempSync(join(tmpdir(), "hilok-packed-"))

const npm = (cwd, ...args) =>
  execFileSync("npm", args, { cwd, encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] }).trim()

try {
  // It needs no other package.
  const [{ filename }] = JSON.parse(
    npm(root, "pack", "--json", "--workspace", "@hilok/cli", "--pack-destination", folder)
  )
  writeFileSync(join(folder, "package.json"), JSON.stringify({ private: true }))
  const quiet = ["--no-audit", "--no-fund", "--ignore-scripts", "--prefer-offline", "--loglevel", "error"]
  npm(folder, "install", ...quiet, `./${filename}`)
  const version = npm(folder, "exec", "--offline", "--", "@hilok/cli", "--version")
  const wanted = npm(root, "pkg", "get", "version", "--workspace", "@hilok/cli")
  if (!wanted.includes(`"${version}"`)) throw new Error(`npx @hilok/cli --version prints ${version}, not ${wanted}`)
  const help = npm(folder, "exec", "--offline", "--", "hilok", "run", "--help")
  if (!help.includes("--kill-after")) throw new Error(`npx hilok run --help prints ${help}`)
  console.log(`npx @hilok/cli from its tarball: version ${version}`)
} finally {
  rmSync(folder, { recursive: true, force: true })
}
