/**
 * What a description of commands and options is made of. From it come the parser, the help, the completions and the manual.
 */
import { LockDuration, type LockMode } from "@hilok/core"
import * as Duration from "effect/Duration"
import type { Effect } from "effect/Effect"
import * as Either from "effect/Either"

/** What stands where a value may be completed: what the server knows, files, or one of some words. */
export type Completion = "path" | "id" | "id or path" | "file" | ReadonlyArray<string>

/** What is wrong with a value, as the end of a sentence that begins with the option. */
export class Problem {
  readonly text: string

  constructor(text: string) {
    this.text = text
  }
}

/** The value of an option. */
export interface Value<out A> {
  /** As the help names it. */
  readonly name: string
  readonly parse: (text: string) => A | Problem
  readonly completes: Completion | undefined
}

export interface Option<out A> {
  /** The long name, without `--`. */
  readonly name: string
  readonly short: string | undefined
  readonly about: string
  /** `undefined`: it is there or not. */
  readonly value: Value<A> | undefined
  /** The mode of the paths that follow it. */
  readonly mode: LockMode.LockMode | undefined
  /** Given again, it adds to the value with a comma, where others replace it. */
  readonly adds: boolean
  /** What holds when it is not given. */
  readonly otherwise: A
}

export type Options = Readonly<Record<string, Option<unknown>>>

/** The values of a command's options, under the same names. */
export type Values<O extends Options> = { readonly [K in keyof O]: O[K] extends Option<infer A> ? A : never }

/** A path of the command line, with the mode it is to be locked in. */
export interface Target {
  readonly mode: LockMode.LockMode
  readonly path: string
}

export interface Input<O extends Options> {
  readonly values: Values<O>
  readonly args: ReadonlyArray<string>
  /** The arguments again, for the commands that lock them. */
  readonly targets: ReadonlyArray<Target>
  /** What follows the first `--`, as it is; `undefined` when there is no `--`. */
  readonly rest: ReadonlyArray<string> | undefined
}

/** The arguments of a command that are not options. */
interface Arguments {
  readonly name: string
  readonly about: string
  readonly least: number
  readonly most: number
  readonly completes: Completion
}

/** Rows of a table in the help: exit codes, variables. */
export interface Section {
  readonly title: string
  readonly rows: ReadonlyArray<readonly [name: string, about: string]>
}

export interface Command<O extends Options = Options> {
  readonly name: string
  /** In a few words, for lists. */
  readonly summary: string
  readonly about: string
  readonly options: O
  readonly args: Arguments | undefined
  /** A command that is run follows `--`. */
  readonly takesCommand: boolean
  readonly sections: ReadonlyArray<Section>
  readonly examples: ReadonlyArray<readonly [line: string, about: string]>
  /** Does it, and answers with the exit code. What it needs is loaded when it is asked for. */
  readonly run: (input: Input<O>) => Effect<number, unknown>
}

/** A command, whose options give its input its type. */
export const command = <O extends Options>(
  fields: Omit<Command<O>, "takesCommand" | "sections" | "args"> & Partial<Command<O>>
): Command => ({ takesCommand: false, sections: [], args: undefined, ...fields }) as unknown as Command

const base = { short: undefined, mode: undefined, adds: false, value: undefined } as const

export const flag = (name: string, about: string, short?: string): Option<boolean> => ({
  ...base,
  name,
  short,
  about,
  otherwise: false
})

export const mode = (name: string, of: LockMode.LockMode, about: string, short?: string): Option<boolean> => ({
  ...flag(name, about, short),
  mode: of
})

export const option = <A>(
  name: string,
  value: Value<A>,
  about: string,
  more?: { readonly short?: string; readonly adds?: boolean }
): Option<A | undefined> => ({ ...base, name, value, about, ...more, otherwise: undefined })

/** An option with a default. */
export const defaulted = <A>(option: Option<A | undefined>, otherwise: A): Option<A> =>
  ({ ...option, otherwise }) as Option<A>

export const text = (name: string, completes?: Completion): Value<string> => ({
  name,
  parse: (value) => value,
  completes
})

export const filled = (name: string, completes?: Completion): Value<string> => ({
  ...text(name, completes),
  parse: (value) => (value === "" ? new Problem("it is empty") : value)
})

/** Milliseconds. A bare number is seconds, as for flock(1), sleep(1) and timeout(1). */
export const duration = (least: "zero" | "more than zero" = "more than zero"): Value<number> => ({
  name: "TIME",
  completes: [],
  parse: (value) =>
    Either.match(LockDuration.decode(value, { bare: "seconds", zero: least === "zero", infinite: false }), {
      onLeft: (problem) => new Problem(problem),
      onRight: Duration.toMillis
    })
})

export const wholeNumber = (name: string, most: number): Value<number> => ({
  name,
  completes: [],
  parse: (value) =>
    /^\d{1,9}$/.test(value) && Number(value) <= most
      ? Number(value)
      : new Problem(`it must be a whole number from 0 to ${most}`)
})

export const choice = <const A extends string>(name: string, choices: ReadonlyArray<A>): Value<A> => ({
  name,
  completes: choices,
  parse: (value) =>
    choices.find((known) => known === value) ??
    new Problem(`${JSON.stringify(value)} is not known: it is one of ${choices.join(", ")}`)
})
