/**
 * A way to the server that takes longer, as to another machine: a process of its own that passes on what it gets some time later. Its
 * arguments are the port of the server, and the milliseconds each way; it says on which port it listens.
 */
import { type ChildProcess, fork } from "node:child_process"
import { connect, createServer, type Socket } from "node:net"
import { setTimeout as delay } from "node:timers/promises"
import { fileURLToPath } from "node:url"

const file = fileURLToPath(import.meta.url)

export interface Way {
  readonly port: number
  readonly stop: () => void
}

/** Starts the process. */
export const start = async (port: number, millis: number): Promise<Way> => {
  const child: ChildProcess = fork(file, [String(port), String(millis)], {
    stdio: ["ignore", "ignore", "inherit", "ipc"]
  })
  const stop = () => void child.kill("SIGKILL")
  process.once("exit", stop)
  const listening = await new Promise<number>((resolve, reject) => {
    child.once("message", (at) => resolve(Number(at)))
    child.once("exit", (code) => reject(new Error(`the process on the way to the server ended with exit code ${code}`)))
  })
  return { port: listening, stop }
}

const passOn = (from: Socket, to: Socket, millis: number): void => {
  from.setNoDelay(true)
  from.on("data", (chunk) => void delay(millis).then(() => to.write(chunk)))
  from.on("close", () => to.destroy())
  from.on("error", () => to.destroy())
}

const serve = (port: number, millis: number): void => {
  const server = createServer((client) => {
    const upstream = connect(port, "127.0.0.1")
    passOn(client, upstream, millis)
    passOn(upstream, client, millis)
  })
  server.listen(0, "127.0.0.1", () => {
    const address = server.address()
    process.send?.(typeof address === "object" && address !== null ? address.port : 0)
  })
  // Whoever started it is gone.
  process.once("disconnect", () => process.exit())
}

if (process.argv[1] === file) serve(Number(process.argv[2]), Number(process.argv[3]))
