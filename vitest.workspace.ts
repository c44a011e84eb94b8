import { existsSync, readdirSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { defineConfig } from "vitest/config"
import { BaseSequencer } from "vitest/node"

// Tests resolve the packages to their sources, so that none has to be built first.
const conditions = ["@hilok/source"]

const roots = ["packages", "examples"]
  .flatMap((group) => readdirSync(new URL(group, import.meta.url)).map((name) => `${group}/${name}`))
  .concat("scripts")
  .filter((root) => existsSync(new URL(`${root}/test`, import.meta.url)))

/**
 * Some files mostly wait: for leases to expire, for servers. They come one at a time, between the others, so that meanwhile another worker
 * has something to do.
 */
class Alternating extends BaseSequencer {
  override async sort(files: Parameters<BaseSequencer["sort"]>[0]) {
    const sorted = await super.sort(files)
    const waits = ({ moduleId }: (typeof sorted)[number]) =>
      /\.(?:contract|suite)\.|\/(?:cluster|faults)\./.test(moduleId)
    const [waiting, busy] = [sorted.filter(waits), sorted.filter((file) => !waits(file))]
    const each = Math.max(1, Math.floor(busy.length / (waiting.length + 1)))
    return waiting
      .flatMap((file, i) => [file, ...busy.slice(i * each, (i + 1) * each)])
      .concat(busy.slice(waiting.length * each))
  }
}

export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  test: {
    // As many as the smallest machine has cores. No more elsewhere: most files start processes of their own.
    maxWorkers: 2,
    sequence: { sequencer: Alternating },
    // Far longer than a test takes, so that it does not depend on how fast a machine is.
    testTimeout: 30_000,
    hookTimeout: 30_000,
    projects: [
      ...roots.map((root) => ({
        extends: true as const,
        test: {
          name: root.slice(root.indexOf("/") + 1),
          root,
          include: ["test/**/*.test.{ts,mjs}"],
          globalSetup: [`${root}/test/globalSetup.ts`]
            .map((file) => fileURLToPath(new URL(file, import.meta.url)))
            .filter(existsSync)
        }
      })),
      {
        // The store's library is a script where the server has no functions.
        extends: true as const,
        test: {
          name: "redis-script",
          root: "packages/redis",
          env: { HILOK_TEST_LOADER: "script" },
          include: [
            "RedisStore.{contract,scripts,model,cost,trouble}.test.ts",
            "faults.{connection,failover,processes,server}.test.ts"
          ].map((file) => `test/${file}`)
        }
      },
      {
        // The store takes two majors of ioredis.
        extends: true as const,
        resolve: { alias: { ioredis: "ioredis6" } },
        test: {
          name: "ioredis6",
          root: "packages/redis",
          env: { HILOK_TEST_IOREDIS: "6" },
          include: ["contract", "layers", "options", "scripts", "trouble"]
            .map((part) => `test/RedisStore.${part}.test.ts`)
            .concat("test/cluster.faults.test.ts")
        }
      }
    ]
  }
})
