/**
 * The options of ioredis that the options of a store stand for.
 */
import { LockError } from "@hilok/core"
import * as Either from "effect/Either"
import * as Redacted from "effect/Redacted"
import type { ClusterOptions, RedisOptions } from "ioredis"
import type { ClusterNode, Options } from "../RedisStore.ts"
import type { Address } from "./cluster.ts"
import * as Url from "./url.ts"

/** `database`: the name of the option that says which database. */
interface Single {
  readonly _tag: "Own"
  readonly options: RedisOptions
  readonly database: string
}

interface Cluster {
  readonly _tag: "Cluster"
  readonly nodes: ReadonlyArray<Address>
  readonly options: ClusterOptions
}

type Result<A> = Either.Either<A, LockError.InvalidOptions>

const refuse = (option: string, reason: string) => new LockError.InvalidOptions({ option, reason })

const reveal = (secret: string | Redacted.Redacted<string>): string =>
  Redacted.isRedacted(secret) ? Redacted.value(secret) : secret

const single = ({ password, redis, url, username }: Options): Result<Single> =>
  Either.gen(function* () {
    const found =
      url === undefined ? {} : yield* Either.mapLeft(Url.parse(reveal(url)), (reason) => refuse("url", reason))
    return {
      _tag: "Own",
      options: {
        ...redis,
        ...found,
        ...(found.tls && redis?.tls ? { tls: redis.tls } : {}),
        ...(username === undefined ? {} : { username }),
        ...(password === undefined ? {} : { password: reveal(password) })
      },
      database: found.db === undefined ? "redis.db" : "url"
    }
  })

const onlyDatabase = "a Redis Cluster has no database but 0"

const isDatabase = (db: unknown): boolean => db === undefined || Number(db) === 0

const plain = /^(?:\[([^\]\s]+)\]|([^:@/[\]\s]+))(?::(\d{1,5}))?$/

const isPort = (port: unknown): port is number => Number.isInteger(port) && Number(port) > 0 && Number(port) < 65_536

const nodeForms = 'it must be "host:port", redis://user:password@host:port, rediss://… for TLS, or { host, port }'

/** Of a text or an object. What is wrong with it is told without it: it may have a password. */
const parseNode = (node: ClusterNode): Either.Either<RedisOptions & Address, string> =>
  Either.gen(function* () {
    const text = typeof node === "string" || Redacted.isRedacted(node) ? reveal(node).trim() : undefined
    let found: RedisOptions
    if (text === undefined) {
      const { db, host, port } = (node ?? {}) as Partial<Address> & { readonly db?: unknown }
      if (!isDatabase(db)) return yield* Either.left(onlyDatabase)
      found = { ...(host === undefined ? {} : { host }), ...(port === undefined ? {} : { port }) }
    } else if (text.includes("://")) {
      found = yield* Url.parse(text)
      if (found.path !== undefined) return yield* Either.left("the nodes of a Redis Cluster have no unix socket")
      if (!isDatabase(found.db)) return yield* Either.left(onlyDatabase)
    } else {
      const match = plain.exec(text)
      if (match === null) return yield* Either.left(nodeForms)
      found = { host: match[1] ?? match[2]!, ...(match[3] === undefined ? {} : { port: Number(match[3]) }) }
    }
    const { host, port = 6379 } = found
    if (typeof host !== "string" || host === "") return yield* Either.left(nodeForms)
    if (!isPort(port)) return yield* Either.left("the port must be a whole number from 1 to 65535")
    return { ...found, host, port }
  })

/** What a URL of one node says of user, password and TLS holds for all: the others are found by it. */
const cluster = ({ cluster: given, password, redis, url, username }: Options): Result<Cluster> =>
  Either.gen(function* () {
    const option = "cluster"
    if (url !== undefined || redis !== undefined) {
      const other = url === undefined ? "redis" : "url"
      return yield* Either.left(
        refuse(
          option,
          `it cannot stand beside ${other}, as both say where the locks are; what connections to nodes need is said in cluster.options.redisOptions`
        )
      )
    }
    const nodes: unknown = given?.nodes
    if (!Array.isArray(nodes) || nodes.length === 0) {
      return yield* Either.left(
        refuse(option, `nodes must be a list of one or more of the Cluster's nodes; each ${nodeForms.slice(3)}`)
      )
    }
    const found: Array<RedisOptions & Address> = []
    for (const [i, node] of (nodes as ReadonlyArray<ClusterNode>).entries()) {
      const describe = (problem: string) => refuse(option, `node ${i + 1} of ${nodes.length}: ${problem}`)
      found.push(yield* Either.mapLeft(parseNode(node), describe))
    }
    const options = given?.options ?? {}
    const common: RedisOptions = options.redisOptions ?? {}
    if (!isDatabase(common.db)) return yield* Either.left(refuse(option, `${onlyDatabase}: not ${common.db}`))
    const credentials = found.find((one) => one.password !== undefined || one.username !== undefined)
    return {
      _tag: "Cluster",
      nodes: found.map(({ host, port }) => ({ host, port })),
      options: {
        ...options,
        redisOptions: {
          ...common,
          ...(found.some(({ tls }) => tls !== undefined) && common.tls === undefined ? { tls: {} } : {}),
          ...(credentials?.username === undefined ? {} : { username: credentials.username }),
          ...(credentials?.password === undefined ? {} : { password: credentials.password }),
          ...(username === undefined ? {} : { username }),
          ...(password === undefined ? {} : { password: reveal(password) })
        }
      }
    }
  })

export const make = (options: Options): Result<Single | Cluster> =>
  options.cluster === undefined ? single(options) : cluster(options)

/** The address for people: without user, password and parameters. */
export const address = (url: string | Redacted.Redacted<string>): string => Url.address(reveal(url))
