/**
 * The command line before `@effect/cli` sees it.
 *
 * Three things are beyond its parser: what follows the first `--` is the child's, character by character; a mode holds
 * for the paths after it (`--read a b --write c`); and options may stand anywhere, in clusters or not. So here the line
 * is put in one plain form, `command --option value … -- argument …`, which it parses and checks, and the targets of
 * locks are kept aside.
 */
import * as Context from "effect/Context"
import * as Either from "effect/Either"

/** As in `@hilok/core`. */
export type Mode = "read" | "write" | "readNode" | "writeNode"

export interface Target {
  readonly mode: Mode
  readonly path: string
}

/** What was taken out of the command line. */
export class Invocation extends Context.Tag("@hilok/cli/Invocation")<
  Invocation,
  {
    readonly targets: ReadonlyArray<Target>
    /** What follows the first `--`, when there is one. */
    readonly child: ReadonlyArray<string> | undefined
  }
>() {}

export interface Normalized {
  readonly args: ReadonlyArray<string>
  readonly invocation: Invocation["Type"]
}

/** The options that name targets, as one writes them. */
export const modes = {
  write: { name: "write", alias: "x" },
  read: { name: "read", alias: "s" },
  readNode: { name: "read-node", alias: undefined },
  writeNode: { name: "write-node", alias: undefined }
} as const satisfies Record<Mode, { readonly name: string; readonly alias: string | undefined }>

type Kind = { readonly name: string; readonly is: "flag" | "value" | "builtIn" | "builtInValue" | "mode" }

const kinds = new Map<string, Kind>()

/** Makes an option known, by its name and its one-letter alias. The same name is the same kind in every command. */
export const know = (name: string, alias: string | undefined, is: Kind["is"]): void => {
  const kind = { name, is }
  kinds.set(`--${name}`, kind)
  if (alias !== undefined) kinds.set(`-${alias}`, kind)
}

const allowed = new Map<string, ReadonlySet<string>>()

/** Says which options a command takes. */
export const allow = (command: string, names: ReadonlyArray<string>): void => void allowed.set(command, new Set(names))

export const isCommand = (word: string): boolean => allowed.has(word)

know("help", "h", "builtIn")
know("version", undefined, "builtIn")
know("wizard", undefined, "builtIn")
know("completions", undefined, "builtInValue")
know("log-level", undefined, "builtInValue")
for (const { alias, name } of Object.values(modes)) know(name, alias, "mode")

/** The commands that take locks: their arguments are paths with modes. */
const locking = ["run", "acquire"]

const modeOf = (name: string): Mode => (Object.keys(modes) as Array<Mode>).find((mode) => modes[mode].name === name)!

const cluster = /^-([^-].+)$/s
const long = /^(--[^=]+)=(.*)$/s

class Normalizer {
  readonly builtIns: Array<string> = []
  readonly options: Array<string> = []
  readonly operands: Array<string> = []
  readonly targets: Array<Target> = []
  private readonly used = new Map<string, string>()
  command: string | undefined
  private problem: string | undefined
  private mode: Mode | undefined
  private bareMode: string | undefined
  private readonly words: Array<string>

  constructor(words: ReadonlyArray<string>) {
    this.words = Array.from(words)
  }

  run(): string | undefined {
    for (let word = this.words.shift(); word !== undefined; word = this.words.shift()) this.take(word)
    if (this.problem !== undefined) return this.problem
    const command = this.command
    const taken = allowed.get(command ?? "")
    const wrong = Array.from(this.used).find(([name]) => taken?.has(name) === false)
    if (wrong !== undefined) return `hilok ${command} takes no option ${wrong[1]}`
    return this.bareMode === undefined
      ? undefined
      : `no path follows ${this.bareMode}: a mode holds for the paths after it`
  }

  private take(word: string): void {
    const [, name, value] = long.exec(word) ?? [undefined, word, undefined]
    const kind = kinds.get(name!)
    if (kind !== undefined) this.option(kind, name!, value)
    else if (word.startsWith("--")) this.problem ??= `the option ${name} is not known`
    else if (cluster.test(word)) this.short(word)
    else this.operand(word)
  }

  /** `-nw30s`: flags first; what follows an option with a value is the value. */
  private short(word: string): void {
    for (let i = 1; i < word.length; i++) {
      const name = `-${word[i]}`
      const kind = kinds.get(name)
      if (kind === undefined) {
        this.problem ??= `the option ${name} is not known`
        return
      }
      if (kind.is === "value") {
        const value = word.slice(i + 1).replace(/^=/, "")
        return this.option(kind, name, value === "" ? undefined : value)
      }
      this.option(kind, name, undefined)
    }
  }

  private option(kind: Kind, written: string, given: string | undefined): void {
    const name = `--${kind.name}`
    if (kind.is !== "builtIn" && kind.is !== "builtInValue") this.used.set(kind.name, written)
    switch (kind.is) {
      case "mode": {
        const mode = modeOf(kind.name)
        if (given !== undefined) {
          this.targets.push({ mode, path: given })
          return
        }
        this.mode = mode
        this.bareMode = written
        return
      }
      case "flag":
        this.options.push(name, given ?? "true")
        return
      case "builtIn":
        this.builtIns.push(name)
        return
      case "value":
      case "builtInValue": {
        const value = given ?? this.words.shift()
        const into = kind.is === "value" ? this.options : this.builtIns
        if (value === undefined) this.problem ??= `no value follows ${written}`
        // Joined, since a value that looks like an option might be taken for one.
        else if (/^--?[^\n]+$/.test(value)) into.push(`${name}=${value}`)
        else into.push(name, value)
      }
    }
  }

  private operand(word: string): void {
    if (this.command === undefined) {
      this.command = word
    } else if (locking.includes(this.command)) {
      this.targets.push({ mode: this.mode ?? "write", path: word })
      this.bareMode = undefined
    } else {
      this.operands.push(word)
    }
  }
}

/** Puts the words that follow the program's name in the plain form, or says what is wrong with them. */
export const normalize = (words: ReadonlyArray<string>): Either.Either<Normalized, string> => {
  const at = words.indexOf("--")
  const own = at === -1 ? words : words.slice(0, at)
  const rest = at === -1 ? undefined : words.slice(at + 1)
  const found = new Normalizer(own)
  const problem = found.run()
  const command = found.command === undefined ? [] : [found.command]
  const invocation = { targets: found.targets, child: rest }
  // Who asks for help need not have the rest in order.
  if (found.builtIns.length > 0) {
    const setsLog = found.builtIns.every(
      (word, i) => /^--log-level/.test(word) || found.builtIns[i - 1] === "--log-level"
    )
    if (!setsLog) return Either.right({ args: [...command, ...found.builtIns], invocation })
  }
  if (problem !== undefined) return Either.left(problem)
  const operands = [...found.operands, ...(rest === undefined || locking.includes(found.command ?? "") ? [] : rest)]
  return Either.right({
    args: [...command, ...found.builtIns, ...found.options, ...(operands.length === 0 ? [] : ["--", ...operands])],
    invocation
  })
}
