/**
 * The options of ioredis that the options of a store stand for.
 */
import { LockError } from "@hilok/core"
import * as Either from "effect/Either"
import * as Redacted from "effect/Redacted"
import type { RedisOptions } from "ioredis"
import type { Options } from "../RedisStore.ts"
import * as Url from "./url.ts"

/** `database`: the name of the option that says which database. */
interface Source {
  readonly _tag: "Own"
  readonly options: RedisOptions
  readonly database: string
}

const reveal = (secret: string | Redacted.Redacted<string>): string =>
  Redacted.isRedacted(secret) ? Redacted.value(secret) : secret

export const make = ({ password, redis, url, username }: Options): Either.Either<Source, LockError.InvalidOptions> =>
  Either.gen(function* () {
    const found =
      url === undefined
        ? {}
        : yield* Either.mapLeft(
            Url.parse(reveal(url)),
            (reason) => new LockError.InvalidOptions({ option: "url", reason })
          )
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

/** The address for people: without user, password and parameters. */
export const address = (url: string | Redacted.Redacted<string>): string => Url.address(reveal(url))
