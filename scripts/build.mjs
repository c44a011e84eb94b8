// Builds packages into their `dist`: the libraries by the compiler, the command line as a bundle. What is generated is made
// first. All, or, with the argument `packages/cli`, the command line alone, which is made from the sources of all.
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { runInForeground } from "./process.mjs"

const root = fileURLToPath(new URL("..", import.meta.url))
const only = process.argv[2]

const steps = [
  ...(only === undefined
    ? [
        [join(root, "scripts/codegen.mjs")],
        [join(root, "node_modules/typescript/bin/tsc"), "-b", join(root, "tsconfig.build.json")]
      ]
    : []),
  [join(root, "packages/cli/scripts/bundle.mjs")]
]
for (const step of steps) process.exitCode ||= await runInForeground(process.execPath, step)
