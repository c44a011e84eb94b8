/** A Redis Cluster of the benchmark's own, on the loopback interface, no persistence. */
import { setTimeout as delay } from "node:timers/promises"
import type { Redis } from "ioredis"
import { type Server, start as startServer } from "./server.ts"

export interface Cluster {
  readonly primaries: ReadonlyArray<Server>
  readonly stop: () => void
}

const slots = 16_384

const until = async (isSo: () => Promise<boolean>): Promise<void> => {
  for (let left = 600; !(await isSo()); left--) {
    if (left === 0) throw new Error("the nodes of the cluster do not find each other")
    await delay(50)
  }
}

const everywhere = async (nodes: ReadonlyArray<Redis>, test: (info: string) => boolean): Promise<boolean> =>
  (await Promise.all(nodes.map(async (node) => test(String(await node.cluster("INFO")))))).every(Boolean)

/** Starts so many primaries, and so many replicas of each. `pin` is put in front of each command. */
export const start = async (pin: ReadonlyArray<string>, primaries: number, replicas: number): Promise<Cluster> => {
  const servers: Array<Server> = []
  const stop = () => {
    for (const server of servers) server.stop()
  }
  try {
    for (let i = 0; i < primaries * (1 + replicas); i++) {
      servers.push(await startServer(pin, ["--cluster-enabled", "yes", "--repl-diskless-sync-delay", "0"]))
    }
    const nodes = servers.map(({ admin }) => admin)
    for (const [i, node] of nodes.entries()) {
      await node.cluster("SET-CONFIG-EPOCH", i + 1)
      if (i >= primaries) continue
      const [from, to] = [i, i + 1].map((part) => Math.floor((part * slots) / primaries)) as [number, number]
      await node.cluster("ADDSLOTS", ...Array.from({ length: to - from }, (_, n) => from + n))
    }
    for (const node of nodes) await node.cluster("MEET", "127.0.0.1", servers[0]!.port)
    await until(() => everywhere(nodes, (info) => info.includes(`cluster_known_nodes:${nodes.length}`)))
    await until(async () => {
      const views = await Promise.all(nodes.map(async (node) => String(await node.cluster("NODES"))))
      return views.every((view) => !/handshake|disconnected/.test(view))
    })
    for (const [i, node] of nodes.slice(primaries).entries()) {
      await node.cluster("REPLICATE", String(await nodes[i % primaries]!.cluster("MYID")))
    }
    await until(async () => {
      const infos = await Promise.all(nodes.slice(primaries).map((node) => node.info("replication")))
      return infos.every((info) => info.includes("master_link_status:up"))
    })
    await until(() => everywhere(nodes, (info) => info.includes("cluster_state:ok")))
    return { primaries: servers.slice(0, primaries), stop }
  } catch (error) {
    stop()
    throw error
  }
}
