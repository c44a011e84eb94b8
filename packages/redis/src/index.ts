/**
 * The Redis store of HiLok, and what tools for operators ask about a server.
 *
 * @module @hilok/redis
 * @since 0.1.0
 */
export * as RedisServer from "./RedisServer.ts"
export * as RedisStore from "./RedisStore.ts"
