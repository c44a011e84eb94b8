// Runs the commands that README.md names for a clone in a fresh one, of the last commit: what is not committed, or only
// generated here, is not there. Each must print what the block after the commands says, as far as its first word. The
// dependencies are those that are installed here, so that no network is needed; with `--install` npm installs them.
import { execFileSync } from "node:child_process"
import { readFileSync, rmSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("..", import.meta.url))
// On the same disk, so that files can be linked.
const clone = join(root, ".clone-check")
const run = (file, args, cwd = root) =>
  execFileSync(file, args, { cwd, encoding: "utf8", stdio: ["ignore", "pipe", "inherit"], timeout: 300_000 })

rmSync(clone, { recursive: true, force: true })
try {
  run("git", ["clone", "--quiet", "--depth", "1", `file://${root}`, clone])
  if (!process.argv.includes("--install")) {
    run("cp", ["-a", "--link", join(root, "node_modules"), clone])
    const nested = run("git", ["ls-files", "packages/*/package.json"]).trim().split("\n")
    for (const folder of nested.map((file) => join(file, "../node_modules"))) {
      run("sh", ["-c", 'test ! -d "$1" || cp -a --link "$1" "$2"', "sh", join(root, folder), join(clone, folder, "..")])
    }
  }
  const readme = readFileSync(join(clone, "README.md"), "utf8")
  const [, commands = "", output = ""] =
    /^## See it work\n[\s\S]*?```sh\n([\s\S]*?)```\n\n```text\n([\s\S]*?)```/m.exec(readme) ?? []
  const words = output.split("\n").map((line) => line.split(" ")[0])
  const all = commands.trim().split("\n")
  for (const [i, line] of all.entries()) {
    const command = line.replace(/\s*#.*$/, "")
    const printed = run("sh", ["-c", command], clone)
    if (!words[i] || !printed.includes(words[i])) throw new Error(`${command} does not print ${words[i]}:\n${printed}`)
    console.log(`${command}: ${words[i]}`)
  }
} finally {
  rmSync(clone, { recursive: true, force: true })
}
