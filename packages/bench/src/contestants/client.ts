import { Redis, type RedisOptions } from "ioredis"

/** A connection to the server that is ready to be used. */
export const connect = async (port: number, options: RedisOptions = {}): Promise<Redis> => {
  const client = new Redis({ host: "127.0.0.1", port, lazyConnect: true, ...options })
  client.on("error", () => undefined)
  await client.connect()
  return client
}

// Commands that a client sends before it is ready are kept by ioredis, and pass here again when they are sent.
let sent = 0
const send = Redis.prototype.sendCommand
Redis.prototype.sendCommand = function (command, stream) {
  if (this.status === "ready" || this.status === "connect") sent++
  return send.call(this, command, stream)
}

/** How many commands this process has sent, over all its connections. */
export const commandsSent = (): number => sent
