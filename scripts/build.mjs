// Compiles packages into their `dist`: the one whose folder is given, with those it needs, or all.
import { chmodSync, existsSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { runInForeground } from "./process.mjs"

const root = fileURLToPath(new URL("..", import.meta.url))

/** Answers with the compiler's exit code. */
export const build = async (folder = ".") => {
  const tsc = join(root, "node_modules/typescript/bin/tsc")
  const code = await runInForeground(process.execPath, [tsc, "-b", join(root, folder, "tsconfig.build.json")])
  const bin = join(root, "packages/cli/dist/bin.js")
  if (existsSync(bin)) chmodSync(bin, 0o755)
  return code
}

if (process.argv[1] === fileURLToPath(import.meta.url)) process.exitCode = await build(process.argv[2])
