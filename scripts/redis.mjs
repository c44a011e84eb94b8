import { execFileSync } from "node:child_process"
import { accessSync, constants, statSync } from "node:fs"
import { delimiter, join } from "node:path"
import { runWithProgress, SetupError } from "./process.mjs"

const oldest = [6, 2]

const waysOut = `There are three ways to go on:
  1. point REDIS_URL at a Redis (>= ${oldest.join(".")}) or Valkey server whose data may be thrown away:
       REDIS_URL=redis://localhost:6379 npm test
  2. install redis-server or valkey-server, so that it is on the PATH
  3. use Docker:
       docker compose up -d && REDIS_URL=redis://localhost:6379 npm test`

const isExecutable = (file) => {
  try {
    accessSync(file, constants.X_OK)
    return statSync(file).isFile()
  } catch {
    return false
  }
}

const onPath = (name, env) =>
  (env.PATH ?? "")
    .split(delimiter)
    .filter((folder) => folder !== "")
    .map((folder) => join(folder, name))
    .find(isExecutable)

const findBinary = (env) => onPath("redis-server", env) ?? onPath("valkey-server", env)

const checkVersion = (path) => {
  const banner = execFileSync(path, ["--version"], { encoding: "utf8" })
  const [major, minor] = /v=(\d+)\.(\d+)/.exec(banner)?.slice(1).map(Number) ?? []
  if (major === undefined) throw new SetupError(`${path} does not tell its version: ${banner.trim()}\n${waysOut}`)
  if (major < oldest[0] || (major === oldest[0] && minor < oldest[1])) {
    throw new SetupError(`${path} is version ${major}.${minor}, HiLok needs ${oldest.join(".")} or newer.\n${waysOut}`)
  }
  return path
}

// Debian's package starts a service and enables it at boot. The tests start a server of their own, so while the package
// is installed a policy forbids starting services, and afterwards the service is disabled.
const aptInstall = `set -e
export DEBIAN_FRONTEND=noninteractive
policy=/usr/sbin/policy-rc.d
apt-get update || true
if [ ! -e $policy ]; then
  trap 'rm -f $policy' EXIT
  trap 'exit 130' INT TERM HUP
  printf '#!/bin/sh\\nexit 101\\n' > $policy
  chmod +x $policy
fi
apt-get -o DPkg::Lock::Timeout=120 install -y --no-install-recommends redis-server
if [ -d /run/systemd/system ]; then systemctl disable redis-server || true; fi`

/** A prefix that makes a command run as root, or `undefined` where that needs a password. */
const asRoot = () => {
  if (process.getuid?.() === 0) return []
  try {
    execFileSync("sudo", ["-n", "true"], { stdio: "ignore" })
    return ["sudo", "-n"]
  } catch {
    return undefined
  }
}

/** The command that installs a server on this system, or `undefined` where none may be run. */
const installer = (env) => {
  if (onPath("apt-get", env) !== undefined) return asRoot()?.concat("sh", "-c", aptInstall)
  if (onPath("apk", env) !== undefined) return asRoot()?.concat("apk", "add", "--no-cache", "redis")
  if (onPath("brew", env) !== undefined) return ["brew", "install", "redis"]
}

/**
 * A Redis server for the tests and the demo: the one REDIS_URL names, else a binary on the PATH, else a binary that the
 * system's package manager installs. Throws a `SetupError` that names the ways out when there is none.
 *
 * @returns {Promise<{ kind: "url", url: string } | { kind: "binary", path: string }>}
 */
export const ensureRedisServer = async (env = process.env) => {
  if (env.REDIS_URL) return { kind: "url", url: env.REDIS_URL }
  const found = findBinary(env)
  if (found !== undefined) return { kind: "binary", path: checkVersion(found) }
  const command = installer(env)
  if (command === undefined) {
    throw new SetupError(`No Redis server was found, and none can be installed here without a password.\n${waysOut}`)
  }
  try {
    await runWithProgress("Installing a Redis server", command[0], command.slice(1))
  } catch (error) {
    throw new SetupError(`${error.message}\n\nNo Redis server could be installed.\n${waysOut}`)
  }
  const installed = findBinary(env)
  if (installed === undefined) {
    throw new SetupError(`The Redis server that was installed is not on the PATH.\n${waysOut}`)
  }
  return { kind: "binary", path: checkVersion(installed) }
}
