/**
 * Programs that the tests need and that a machine may lack.
 */
import { spawnSync } from "node:child_process"

/** By name: what has it print its version, and so shows that it is there. */
const tools = { tmux: "-V", openssl: "version" } as const

const isThere = (name: keyof typeof tools): boolean => spawnSync(name, [tools[name]]).error === undefined

/** Installs a program where it is missing and may be installed; else says what to do. It may take a minute. */
export const ensure = (name: keyof typeof tools): void => {
  if (isThere(name)) return
  const root = process.getuid?.() === 0 ? "" : "sudo -n "
  const installers = [
    `${root}apt-get update; ${root}apt-get -o DPkg::Lock::Timeout=120 install -y --no-install-recommends ${name}`,
    `${root}apk add --no-cache ${name}`,
    `brew install ${name}`
  ]
  let said = ""
  for (const installer of installers) {
    const { stderr } = spawnSync("sh", ["-c", installer], {
      encoding: "utf8",
      env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" }
    })
    if (isThere(name)) return
    said += stderr
  }
  throw new Error(`These tests need ${name}: install it, so that it is on the PATH\n${said}`)
}
