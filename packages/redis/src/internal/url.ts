/**
 * The URL of a server. Nothing here shows one: it may hold a password.
 */
import * as Either from "effect/Either"
import type { RedisOptions } from "ioredis"

type Parsed = Either.Either<RedisOptions, string>

/** What may stand behind the question mark. redis-py takes the first three there, and ioredis all of them. */
const parameters = ["db", "username", "password", "family", "connectionName", "keyPrefix"] as const

const malformed = "a % in it must be followed by two hexadecimal digits, and what it encodes must be UTF-8"

const decode = (text: string): Either.Either<string, string> =>
  Either.try({ try: () => decodeURIComponent(text), catch: () => malformed })

const number = (what: string, text: string): Either.Either<number, string> =>
  /^\d{1,9}$/.test(text) ? Either.right(Number(text)) : Either.left(`${what} must be a whole number, zero or more`)

const query = (text: string): Parsed =>
  Either.gen(function* () {
    yield* decode(text)
    const found: Record<string, string> = {}
    for (const [name, value] of new URLSearchParams(text)) {
      if (!parameters.some((known) => known === name)) {
        return yield* Either.left(`its parameters may only be ${parameters.join(", ")}`)
      }
      found[name] = value
    }
    const { db, family, ...rest } = found
    return {
      ...rest,
      ...(db === undefined ? {} : { db: yield* number("the number of the database", db) }),
      ...(family === undefined ? {} : { family: yield* number("the family of addresses", family) })
    }
  })

/** Of `user:password`, either of which may be missing. */
const credentials = (username: string, password: string): Parsed =>
  Either.gen(function* () {
    return {
      ...(username === "" ? {} : { username: yield* decode(username) }),
      ...(password === "" ? {} : { password: yield* decode(password) })
    }
  })

/** Splits off what stands behind the question mark. */
const split = (text: string): readonly [before: string, behind: string] => {
  const at = text.indexOf("?")
  return at === -1 ? [text, ""] : [text.slice(0, at), text.slice(at + 1)]
}

const parsePath = (text: string): Parsed => {
  const [path, rest] = split(text)
  return Either.map(query(rest), (options) => ({ ...options, path }))
}

const parseUnix = (text: string): Parsed =>
  Either.gen(function* () {
    const [before, rest] = split(text.slice("unix://".length))
    const [, user = "", password = "", path = ""] = /^(?:([^@:/]*)(?::([^@/]*))?@)?(\/.+)$/.exec(before) ?? []
    if (path === "") return yield* Either.left("after unix:// there must be the path of a socket, which begins with /")
    return { ...(yield* query(rest)), ...(yield* credentials(user, password)), path: yield* decode(path) }
  })

const parseTcp = (text: string): Parsed =>
  Either.gen(function* () {
    const url = yield* Either.try({ try: () => new URL(text), catch: () => "it is not a URL" })
    if (url.hostname === "") return yield* Either.left("it has no host")
    const db = url.pathname.replace(/^\//, "")
    if (!/^\d{0,9}$/.test(db)) {
      return yield* Either.left("after the host there may only be the number of a database")
    }
    return {
      ...(yield* query(url.search.slice(1))),
      ...(yield* credentials(url.username, url.password)),
      // An address of IPv6 stands in brackets.
      host: (yield* decode(url.hostname)).replace(/^\[(.*)\]$/, "$1"),
      ...(url.port === "" ? {} : { port: Number(url.port) }),
      ...(db === "" ? {} : { db: Number(db) }),
      ...(url.protocol === "rediss:" ? { tls: {} } : {})
    }
  })

/** The options of ioredis that a URL stands for, or what is wrong with it. */
export const parse = (url: string): Parsed => {
  if (url.startsWith("/")) return parsePath(url)
  if (/^unix:\/\//.test(url)) return parseUnix(url)
  if (/^rediss?:\/\//.test(url)) return parseTcp(url)
  return Either.left(`it must begin with "redis://", "rediss://", "unix://" or, for a unix socket, with "/"`)
}

/** The address for people: without user, password and parameters. */
export const address = (url: string): string =>
  Either.match(parse(url), {
    onLeft: () => "a URL that is not valid",
    onRight: ({ db, host, path, port, tls }) => {
      if (path !== undefined) return db === undefined ? path : `${path}, database ${db}`
      const name = host?.includes(":") ? `[${host}]` : host
      return `${tls === undefined ? "redis" : "rediss"}://${name}${port === undefined ? "" : `:${port}`}${db === undefined ? "" : `/${db}`}`
    }
  })
