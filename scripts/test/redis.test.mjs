import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, assert, beforeEach, describe, it } from "vitest"
import { ensureRedisServer } from "../redis.mjs"

describe("ensureRedisServer", () => {
  let folder

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "hilok-path-"))
  })

  afterEach(() => rmSync(folder, { recursive: true }))

  const install = (name, banner) => {
    const path = join(folder, name)
    writeFileSync(path, `#!/bin/sh\necho '${banner}'\n`, { mode: 0o755 })
    return path
  }

  const message = async (env) => {
    try {
      await ensureRedisServer(env)
    } catch (error) {
      return error.message
    }
    return assert.fail("a server was found")
  }

  it("REDIS_URL comes before a server on the PATH", async () => {
    install("redis-server", "Redis server v=7.0.15")
    const server = await ensureRedisServer({ PATH: folder, REDIS_URL: "redis://example.test:1" })
    assert.deepStrictEqual(server, { kind: "url", url: "redis://example.test:1" })
  })

  it("redis-server on the PATH comes before valkey-server", async () => {
    const valkey = install("valkey-server", "Valkey server v=8.1.1 sha=00000000")
    assert.deepStrictEqual(await ensureRedisServer({ PATH: folder }), { kind: "binary", path: valkey })
    const redis = install("redis-server", "Redis server v=6.2.0 sha=00000000")
    assert.deepStrictEqual(await ensureRedisServer({ PATH: folder }), { kind: "binary", path: redis })
  })

  it("a server that is too old is refused", async () => {
    install("redis-server", "Redis server v=6.0.16 sha=00000000")
    assert.match(await message({ PATH: folder }), /version 6\.0, HiLok needs 6\.2/)
  })

  it("without a server or a package manager the message names the three ways out", async () => {
    const text = await message({ PATH: folder })
    for (const way of ["REDIS_URL", "valkey-server", "docker compose up"]) assert.include(text, way)
  })
})
