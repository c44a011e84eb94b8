// The entry of `npm test`, `npm run demo` and `npm run bench`. npm starts it before anything is installed, so it and
// what it imports use Node's own modules only.
import { existsSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { ensureDependencies } from "./dependencies.mjs"
import { runInForeground, runWithProgress, SetupError } from "./process.mjs"
import { ensureRedisServer } from "./redis.mjs"

const root = fileURLToPath(new URL("..", import.meta.url))

/** Runs the program of an example from its sources. */
const example = (name, args, env = {}) =>
  node(
    [
      "--import",
      import.meta.resolve("tsx"),
      "--conditions",
      "@hilok/source",
      join(root, "examples", name, "src/main.ts"),
      ...args
    ],
    env
  )

const redisEnvironment = async () => {
  const server = await ensureRedisServer()
  return server.kind === "url" ? { REDIS_URL: server.url } : { HILOK_TEST_REDIS_SERVER: server.path }
}

const node = (args, env) => runInForeground(process.execPath, args, env)

const commands = {
  test: async (args) =>
    node(
      [join(root, "node_modules/vitest/vitest.mjs"), "run", "--root", root, "--config", "vitest.workspace.ts", ...args],
      existsSync(join(root, "packages/redis/test")) ? await redisEnvironment() : {}
    ),
  demo: async (args) => {
    if (args[0] === "documents") return example("documents", args.slice(1))
    const at = args.indexOf("--redis")
    const url = args[at + 1]
    const namesServer = args.some((arg) => arg.startsWith("--redis=")) || (at !== -1 && url && !url.startsWith("-"))
    const wantsServer = at !== -1 || args.some((arg) => /^--processes(=|$)/.test(arg))
    return example("bank", args, wantsServer && !namesServer ? await redisEnvironment() : {})
  },
  // What is measured is what would be published, so it is compiled first. The server is always one of its own.
  bench: async (args) => {
    const tsc = join(root, "node_modules/typescript/bin/tsc")
    await runWithProgress("Compiling", process.execPath, [tsc, "-b", join(root, "packages/bench/tsconfig.build.json")])
    const { REDIS_URL: _, ...env } = process.env
    const { path } = await ensureRedisServer(env)
    return node([join(root, "packages/bench/dist/main.js"), ...args], { HILOK_TEST_REDIS_SERVER: path })
  }
}

const [name, ...args] = process.argv.slice(2)
try {
  if (!Object.hasOwn(commands, name ?? "")) {
    throw new SetupError(`Usage: node scripts/run.mjs ${Object.keys(commands).join("|")} [arguments]`)
  }
  await ensureDependencies(root)
  process.exitCode = await commands[name](args)
} catch (error) {
  if (!(error instanceof SetupError)) throw error
  console.error(error.message)
  process.exitCode = 1
}
