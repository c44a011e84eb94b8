/**
 * Loads the part of the program that talks to the server. It is a file of its own, so that the help needs none of it, and it
 * is large: compiling it takes a third of the time of a start. So what is compiled is kept for the next one.
 *
 * Node 22.1 does that by itself. For older versions it is done here, and better than `v8-compile-cache` does: that keeps only
 * what is compiled when a file is loaded, not the functions that a run has needed (20 ms of a start, measured).
 */
import { createHash, randomUUID } from "node:crypto"
import {
  closeSync,
  fstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync
} from "node:fs"
import * as module from "node:module"
import { homedir } from "node:os"
import { join } from "node:path"
import * as vm from "node:vm"

/** The program's file, and what tells it from those of other builds: the bundler writes both. */
declare const PROGRAM: { readonly file: string; readonly build: string }

type Program = typeof import("./program.ts")

/** Code that is run must not be somebody else's: this folder and what is in it are only used when they are ours. */
const folder = (): string | undefined => {
  const base = process.env.XDG_CACHE_HOME || homedir()
  return statSync(base).uid === process.getuid?.()
    ? join(process.env.XDG_CACHE_HOME || join(base, ".cache"), "hilok")
    : undefined
}

/** V8 does not check it, and code that is not whole makes the process crash: a machine may have lost its power. */
const checksum = (data: Buffer): Buffer => createHash("sha1").update(data).digest()
const checksumLength = 20

const name = (): string => `${PROGRAM.build}-${process.version}-${process.arch}`

const read = (): Buffer | undefined => {
  try {
    const at = folder()
    if (at === undefined) return undefined
    const file = openSync(join(at, name()), "r")
    const { mode, uid } = fstatSync(file)
    const isOurs = uid === process.getuid?.() && (mode & 0o022) === 0
    const found = isOurs ? readFileSync(file) : Buffer.alloc(0)
    closeSync(file)
    const data = found.subarray(0, -checksumLength)
    return checksum(data).equals(found.subarray(-checksumLength)) ? data : undefined
  } catch {
    // There is none yet, or there is no place for it.
    return undefined
  }
}

const write = (data: Buffer): void => {
  try {
    const at = folder()
    if (at === undefined) return
    mkdirSync(at, { recursive: true, mode: 0o700 })
    for (const old of readdirSync(at)) if (!old.startsWith(PROGRAM.build)) rmSync(join(at, old), { force: true })
    // The folder may be that of several machines or containers, in which others have the same process id.
    const temporary = join(at, `${name()}.${randomUUID()}`)
    writeFileSync(temporary, Buffer.concat([data, checksum(data)]), { mode: 0o600 })
    renameSync(temporary, join(at, name()))
  } catch {
    // Without it, the next start takes as long as this one.
  }
}

let fresh: vm.Script | undefined
let loaded: Program | undefined

const load = (): Program => {
  const filename = join(__dirname, PROGRAM.file)
  if ("enableCompileCache" in module && typeof module.enableCompileCache === "function") {
    module.enableCompileCache()
    return require(filename) as Program
  }
  const cachedData = read()
  const source = readFileSync(filename, "utf8")
  const script = new vm.Script(`(function (exports, require, module, __filename, __dirname) {${source}\n})`, {
    filename,
    ...(cachedData && { cachedData })
  })
  if (script.cachedDataRejected !== false) fresh = script
  const made = { exports: {} }
  script.runInThisContext()(made.exports, require, made, filename, __dirname)
  return made.exports as Program
}

export const program = (): Program => {
  loaded ??= load()
  return loaded
}

/** Keeps what was compiled, for the next start: to be called when all is done. */
export const keep = (): void => {
  if (fresh !== undefined) write(fresh.createCachedData())
}
