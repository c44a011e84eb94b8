/**
 * The locks of the server that the options and the environment name.
 */
import { HierarchicalLock, type LockError, LockOptions, type LockStore } from "@hilok/core"
import { RedisStore } from "@hilok/redis"
import * as Config from "effect/Config"
import type * as ConfigError from "effect/ConfigError"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"

/** What the command line says; the environment has the rest. */
export interface ServerOptions {
  readonly url: Option.Option<string>
  readonly namespace: Option.Option<string>
  readonly keyPrefix: Option.Option<string>
}

const setting = (given: Option.Option<string>, variable: string): Effect.Effect<string | undefined> =>
  Effect.map(Effect.option(Config.nonEmptyString(variable)), (found) =>
    Option.getOrUndefined(Option.orElse(given, () => found))
  )

/** Where the server is and which locks are meant. */
export const settings = (options: ServerOptions) =>
  Effect.all({
    url: Effect.map(setting(options.url, "REDIS_URL"), (url) => url ?? "redis://127.0.0.1:6379"),
    namespace: setting(options.namespace, "HILOK_NAMESPACE"),
    keyPrefix: setting(options.keyPrefix, "HILOK_KEY_PREFIX")
  })

/** The address for people: without user and password. */
export const address = (url: string): string => {
  try {
    const { host, pathname, protocol } = new URL(url)
    return `${protocol}//${host}${pathname}`
  } catch {
    return url
  }
}

/** The service and its store. The time limits, the separator and the label may come from the environment. */
export const layer = (
  options: ServerOptions
): Layer.Layer<
  HierarchicalLock.HierarchicalLock | LockStore.LockStore,
  LockError.StoreError | LockError.InvalidOptions | ConfigError.ConfigError
> =>
  Layer.provideMerge(
    HierarchicalLock.layerConfig,
    Layer.unwrapEffect(Effect.map(settings(options), (found) => RedisStore.layer(found)))
  )

/** What stands between the segments of a path. */
export const separator = Effect.map(
  LockOptions.config,
  (options) => options.separator ?? LockOptions.defaults.separator
)
