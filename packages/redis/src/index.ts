/**
 * What tools for operators ask about a server.
 *
 * @since 0.1.0
 */
export * as RedisServer from "./RedisServer.ts"
/**
 * The Redis store of HiLok.
 *
 * @since 0.1.0
 */
export * as RedisStore from "./RedisStore.ts"
