/**
 * What the program writes.
 *
 * It writes to the file descriptors themselves: Node's streams make them non-blocking, which a child that shares them
 * would not expect, and end later than `process.exit`.
 */
import { writeSync } from "node:fs"
import { isatty } from "node:tty"
import { stripVTControlCharacters } from "node:util"
import * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"
import { exitCode } from "./signals.ts"

type Descriptor = 1 | 2

const pause = new Int32Array(new SharedArrayBuffer(4))

/** Writes all of it. A reader that has gone ends the process, as it ends any other in a pipe. */
const writeAll = (descriptor: Descriptor, text: string): void => {
  let rest = Buffer.from(text)
  while (rest.length > 0) {
    try {
      rest = rest.subarray(writeSync(descriptor, rest))
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code
      // Another process has made the descriptor non-blocking, and its buffer is full.
      if (code === "EAGAIN") Atomics.wait(pause, 0, 0, 5)
      else if (code === "EPIPE" && descriptor === 1) process.exit(exitCode("SIGPIPE"))
      else return
    }
  }
}

/** Are colours wanted there? */
export const colours = (descriptor: Descriptor): boolean => isatty(descriptor) && !process.env.NO_COLOR

export const isTerminal = (descriptor: 0 | Descriptor): boolean => isatty(descriptor)

/** Writes to the standard output as it is. */
export const write = (text: string): void => writeAll(1, text)

export const line = (text: string): void => write(`${text}\n`)

/** A word of our own, on standard error. Control characters in names of others are not let through to a terminal. */
export const note = (text: string): void => writeAll(2, `hilok: ${visible(text)}\n`)

// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const controls = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g

/** The text without what could move the cursor, change colours or turn the direction of writing. */
export const visible = (text: string): string => text.replace(controls, "\ufffd")

const plainUnless = (wanted: boolean, text: string): string => (wanted ? text : stripVTControlCharacters(text))

/** What `@effect/cli` says of every value of a kind, which says nothing. */
const filler = /^ *(?:A user-defined piece of text|A true or false value)\.\n\n/gm

const tidy = (text: string): string =>
  text
    .replace(filler, "")
    .replace(/^\$ (?!hilok)/m, "$ hilok ")
    .replace(/\n{3,}/g, "\n\n")
    .replace(/\s*$/, "\n")

/** What is logged goes to standard error, one line each: standard output belongs to what was asked for. */
const logger = Logger.make(({ message }) => note((Array.isArray(message) ? message : [message]).map(String).join(" ")))

/** The console of `@effect/cli` (help on standard output, mistakes on standard error, colours where wanted) and the log. */
export const withOutput = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.consoleWith((console) =>
    Effect.withConsole(effect, {
      ...console,
      log: (...args) => Effect.sync(() => write(tidy(plainUnless(colours(1), args.join(" "))))),
      error: (...args) => Effect.sync(() => note(plainUnless(false, args.join(" ")).trim()))
    })
  ).pipe(Effect.provide(Logger.replace(Logger.defaultLogger, logger)))
