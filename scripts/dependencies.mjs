import { existsSync, readFileSync } from "node:fs"
import { basename, join } from "node:path"
import { runWithProgress } from "./process.mjs"

const readLock = (file) => JSON.parse(readFileSync(file, "utf8")).packages

/**
 * Whether node_modules holds what the lock file asks for. npm keeps a list of what it installed in
 * node_modules/.package-lock.json and writes it last, so that an interrupted install is not mistaken for a whole one.
 */
export const isInstalled = (root) => {
  const record = join(root, "node_modules/.package-lock.json")
  if (!existsSync(record)) return false
  const installed = readLock(record)
  return Object.entries(readLock(join(root, "package-lock.json"))).every(([path, wanted]) => {
    if (!path.includes("node_modules/")) return true
    const found = installed[path]
    return found === undefined ? wanted.optional === true : found.version === wanted.version
  })
}

/** Installs the dependencies when they are missing or not those of the lock file. */
export const ensureDependencies = async (root) => {
  if (isInstalled(root)) return
  const npm = process.env.npm_execpath
  const [command, args] = npm !== undefined && basename(npm) === "npm-cli.js" ? [process.execPath, [npm]] : ["npm", []]
  await runWithProgress("Installing dependencies", command, [
    ...args,
    "ci",
    "--prefix",
    root,
    "--ignore-scripts",
    "--no-audit",
    "--no-fund"
  ])
}
