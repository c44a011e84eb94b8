// Checks the libraries with the lowest versions of their peers: copies them to a temporary folder, installs there the
// lowest that each range in `peerDependencies` allows, type-checks what is published, and runs the tests of `core` and the
// main ones of `redis`. With `--highest`, the highest that are published (of ioredis, of its first major). `npm test` runs
// with those of the lock file. Needs the npm registry.
import { execFileSync } from "node:child_process"
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { runInForeground } from "./process.mjs"
import { ensureRedisServer } from "./redis.mjs"

const root = fileURLToPath(new URL("..", import.meta.url))
const packages = ["packages/core", "packages/testing", "packages/redis"]
const files = ["docs", "vitest.workspace.ts", "tsconfig.base.json", "tsconfig.build.json", ".npmrc", "scripts"]

const readJson = (file) => JSON.parse(readFileSync(join(root, file), "utf8"))

const wanted = process.argv[2] === "--highest" ? "highest" : "lowest"

/** `^3.19.19 || ^4.0.0` → `3.19.19`, or, for the highest, `^3.19.19`. */
const versionOf = (range) => (wanted === "highest" ? range.split("||")[0].trim() : /\d+\.\d+\.\d+/.exec(range)[0])

const folder = mkdtempSync(join(tmpdir(), `hilok-${wanted}-`))
const run = (args, env) => runInForeground(process.execPath, args, env, folder)

try {
  const versions = {}
  for (const name of packages) {
    const manifest = readJson(`${name}/package.json`)
    for (const [peer, range] of Object.entries(manifest.peerDependencies)) {
      if (!peer.startsWith("@hilok/")) versions[peer] = versionOf(range)
    }
    cpSync(join(root, name), join(folder, name), {
      recursive: true,
      filter: (file) => !/[\\/](node_modules|dist)([\\/]|$)/.test(file)
    })
    // Of what the tests run with here, only further versions under names of their own.
    const aliases = Object.entries(manifest.devDependencies ?? {}).filter(([, version]) => version.startsWith("npm:"))
    writeFileSync(
      join(folder, name, "package.json"),
      JSON.stringify({ ...manifest, devDependencies: Object.fromEntries(aliases) })
    )
  }
  // The configuration of the tests looks for some here.
  mkdirSync(join(folder, "examples"))
  for (const file of files) cpSync(join(root, file), join(folder, file), { recursive: true })
  const { devDependencies, ...manifest } = readJson("package.json")
  const tools = Object.fromEntries(["@types/node", "typescript", "vitest"].map((name) => [name, devDependencies[name]]))
  writeFileSync(
    join(folder, "package.json"),
    JSON.stringify({ ...manifest, workspaces: packages, devDependencies: { ...tools, ...versions } })
  )
  console.log(
    `The ${wanted}: ${Object.entries(versions)
      .map(([name, version]) => `${name} ${version}`)
      .join(", ")}`
  )
  execFileSync("npm", ["install", "--ignore-scripts", "--no-audit", "--no-fund", "--prefer-offline"], {
    cwd: folder,
    stdio: ["ignore", "inherit", "inherit"]
  })
  const server = await ensureRedisServer()
  const env = server.kind === "url" ? { REDIS_URL: server.url } : { HILOK_TEST_REDIS_SERVER: server.path }
  const vitest = [
    join(folder, "node_modules/vitest/vitest.mjs"),
    "run",
    "--root",
    folder,
    "--config",
    "vitest.workspace.ts"
  ]
  const redisTests = ["contract", "layers", "scripts", "trouble"].map((part) => `RedisStore.${part}`)
  // One test looks at the version that ioredis tells the server, which the lowest does not tell.
  const told = ["-t", "^(?!.*by the ioredis that is installed)"]
  const codes = [
    await run([join(folder, "node_modules/typescript/bin/tsc"), "-b", "tsconfig.build.json"]),
    await run([...vitest, "--project", "core"]),
    await run([...vitest, "--project", "redis", ...redisTests, ...told], env)
  ]
  if (codes.some((code) => code !== 0)) process.exitCode = 1
} finally {
  rmSync(folder, { recursive: true, force: true })
}
