/**
 * Options as the commands declare them: for `@effect/cli`, and for what reads the line before it.
 */
import * as HelpDoc from "@effect/cli/HelpDoc"
import * as Options from "@effect/cli/Options"
import * as ValidationError from "@effect/cli/ValidationError"
import * as Config from "effect/Config"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import { allow, know, modes } from "../Argv.ts"
import * as time from "./time.ts"

interface Declared {
  readonly description: string
  readonly alias?: string
  /** What the help calls the value. */
  readonly value?: string
}

const declare = <A>(options: Options.Options<A>, { alias, description, value }: Declared): Options.Options<A> => {
  const shown = value === undefined ? options : Options.withPseudoName(options, value)
  const described = Options.withDescription(shown, description)
  return alias === undefined ? described : Options.withAlias(described, alias)
}

const names = new WeakMap<object, string>()

const named = <O extends object>(name: string, options: O): O => {
  names.set(options, name)
  return options
}

/** The configuration of a command, whose options are made known as those that it takes. */
export const of = <const C extends Record<string, object>>(command: string, config: C): C => {
  allow(
    command,
    Object.values(config).flatMap((options) => names.get(options) ?? [])
  )
  return config
}

/** An option that is given or not. */
export const flag = (name: string, declared: Declared): Options.Options<boolean> => {
  know(name, declared.alias, "flag")
  return named(name, declare(Options.boolean(name), declared))
}

interface Valued extends Declared {
  /** The environment variable that stands in for the option. */
  readonly variable?: string
}

const valued = <A>(name: string, options: Options.Options<A>, declared: Valued): Options.Options<A> => {
  know(name, declared.alias, "value")
  return declare(options, declared)
}

const orUndefined = <A>(name: string, options: Options.Options<A>): Options.Options<A | undefined> =>
  named(name, Options.map(Options.optional(options), Option.getOrUndefined))

const refuse = (message: string): ValidationError.ValidationError => ValidationError.invalidValue(HelpDoc.p(message))

export const text = (name: string, declared: Valued): Options.Options<string | undefined> => {
  const option = valued(name, Options.text(name), { value: "TEXT", ...declared })
  return orUndefined(
    name,
    declared.variable === undefined ? option : Options.withFallbackConfig(option, Config.string(declared.variable))
  )
}

export const choice = <const A extends string>(
  name: string,
  choices: ReadonlyArray<A>,
  otherwise: A,
  declared: Declared
): Options.Options<A> =>
  named(name, Options.withDefault(valued(name, Options.choice(name, choices), declared), otherwise))

// For the library digits alone are milliseconds, and the variables are the library's.
const variable = (name: string): Config.Config<string> =>
  Config.map(Config.string(name), (value) => (/^\d+(?:\.\d+)?$/.test(value) ? `${value}ms` : value))

/** A duration; unless `zero`, more than none. */
export const duration = (
  name: string,
  declared: Valued & { readonly zero?: boolean }
): Options.Options<Duration.Duration | undefined> => {
  const plain = valued(name, Options.text(name), { ...declared, value: "DURATION" })
  const option =
    declared.variable === undefined ? plain : Options.withFallbackConfig(plain, variable(declared.variable))
  const orVariable = declared.variable === undefined ? "" : ` (or ${declared.variable})`
  return orUndefined(
    name,
    Options.mapEffect(option, (given) => {
      const wrong = (what: string) =>
        refuse(`The option --${name}${orVariable} is ${JSON.stringify(given)}, but must be ${time.allowed}${what}`)
      return Option.match(time.parse(given), {
        onNone: () => Effect.fail(wrong("")),
        onSome: (value) =>
          (declared.zero === true || Duration.toMillis(value) > 0) && Duration.isFinite(value)
            ? Effect.succeed(value)
            : Effect.fail(wrong(", more than zero and finite"))
      })
    })
  )
}

export const integer = (
  name: string,
  limits: { readonly min: number; readonly max: number },
  declared: Declared
): Options.Options<number | undefined> =>
  orUndefined(
    name,
    Options.mapEffect(valued(name, Options.text(name), { ...declared, value: "NUMBER" }), (given) =>
      /^\d+$/.test(given) && Number(given) >= limits.min && Number(given) <= limits.max
        ? Effect.succeed(Number(given))
        : Effect.fail(
            refuse(
              `The option --${name} is ${JSON.stringify(given)}, but must be a number from ${limits.min} to ${limits.max}`
            )
          )
    )
  )

/** Where the server is, and which locks are meant. Every command takes these. */
export const connection = {
  url: orUndefined(
    "url",
    Options.map(
      Options.withFallbackConfig(
        valued("url", Options.text("url"), {
          alias: "u",
          value: "URL",
          description:
            "The Redis server, redis://user:password@host:port/db, rediss://… or the path of a socket. " +
            "Default REDIS_URL, which keeps a password out of the list of processes, else redis://127.0.0.1:6379."
        }),
        Config.string("REDIS_URL")
      ),
      (url) => Redacted.make(url)
    )
  ),
  namespace: text("namespace", {
    description: "The set of locks that clients share. Default HILOK_NAMESPACE, else default.",
    variable: "HILOK_NAMESPACE"
  }),
  keyPrefix: text("key-prefix", {
    description: "The first part of every key. Default HILOK_KEY_PREFIX, else hilok.",
    variable: "HILOK_KEY_PREFIX"
  }),
  separator: text("separator", {
    description: "Between the segments of a path. Default HILOK_SEPARATOR, else /.",
    variable: "HILOK_SEPARATOR"
  }),
  connectTimeout: duration("connect-timeout", {
    description: "How long to wait for the server. Default HILOK_CONNECT_TIMEOUT, else 5s.",
    variable: "HILOK_CONNECT_TIMEOUT"
  })
}

export type Connection = {
  readonly [K in keyof typeof connection]: (typeof connection)[K] extends Options.Options<infer A> ? A : never
}

const paths = (name: string, alias: string | undefined, description: string): Options.Options<ReadonlyArray<string>> =>
  named(
    name,
    Options.repeated(
      declare(Options.text(name), { description, value: "PATH", ...(alias === undefined ? {} : { alias }) })
    )
  )

/** What a request for a lock takes. */
export const request = {
  write: paths(
    "write",
    modes.write.alias,
    "Locks the paths that follow, and all below them, for writing (the default)."
  ),
  read: paths("read", modes.read.alias, "Locks the paths that follow, and all below them, for reading."),
  readNode: paths("read-node", undefined, "Locks the paths that follow for reading, not what is below them."),
  writeNode: paths("write-node", undefined, "Locks the paths that follow for writing, not what is below them."),
  nonblock: flag("nonblock", { alias: "n", description: "Does not wait when the lock is not free." }),
  wait: duration("wait", { alias: "w", description: "How long to wait at most; 0 is --nonblock.", zero: true }),
  conflictExitCode: integer(
    "conflict-exit-code",
    { min: 0, max: 255 },
    { alias: "E", description: "The exit code when the lock is not free, or not in time. Default 75." }
  ),
  ttl: duration("ttl", {
    description: "How long a lease lasts after its holder was last heard of. Default HILOK_TTL, else 10s.",
    variable: "HILOK_TTL"
  }),
  reason: text("reason", { description: "Why, for people who look." }),
  label: text("label", {
    description: "Who, for people who look. Default HILOK_LABEL, else the name of the command.",
    variable: "HILOK_LABEL"
  })
}

export const json = flag("json", { description: "Prints JSON." })
