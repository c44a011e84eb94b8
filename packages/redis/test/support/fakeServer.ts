/**
 * A server that says what a test wants it to say, in the protocol of Redis.
 */
import { createServer, type Socket } from "node:net"
import { Effect, type Scope } from "effect"

/** Answers a command with a reply in the protocol, or with nothing. */
export type Answers = (command: string, args: ReadonlyArray<string>) => string | undefined

/** What a server answers to the script by which a store finds out whether its client passes on answers as they are. */
const probe = "*3\r\n:1\r\n$1\r\n1\r\n*2\r\n:2\r\n$0\r\n\r\n"

const bulk = (text: string): string => `$${Buffer.byteLength(text)}\r\n${text}\r\n`

/** What an ordinary server says when a client connects. */
export const info = (lines: Record<string, string>): string =>
  bulk(
    [
      "# Server",
      ...Object.entries({ redis_version: "7.0.15", role: "master", ...lines }).map(([k, v]) => `${k}:${v}`),
      ""
    ].join("\r\n")
  )

/** The commands in what has arrived, and what is left of an incomplete one. Every client here sends arrays of texts. */
const parse = (text: string): { readonly commands: ReadonlyArray<ReadonlyArray<string>>; readonly rest: string } => {
  const commands: Array<ReadonlyArray<string>> = []
  let at = 0
  for (;;) {
    const lines: Array<string> = []
    let from = at
    const line = () => {
      const end = text.indexOf("\r\n", from)
      if (end === -1) return undefined
      const found = text.slice(from, end)
      from = end + 2
      return found
    }
    const count = Number(line()?.slice(1))
    for (let i = 0; i < count; i++) {
      if (line() === undefined) break
      const value = line()
      if (value !== undefined) lines.push(value)
    }
    if (!(count > 0) || lines.length < count) return { commands, rest: text.slice(at) }
    commands.push(lines)
    at = from
  }
}

/** Starts one, and answers with its URL. */
export const start = (answers: Answers): Effect.Effect<string, never, Scope.Scope> =>
  Effect.gen(function* () {
    const sockets = new Set<Socket>()
    const server = createServer((socket) => {
      let rest = ""
      sockets.add(socket)
      socket.on("error", () => undefined)
      socket.on("close", () => sockets.delete(socket))
      socket.on("data", (data) => {
        const parsed = parse(rest + data.toString("utf8"))
        rest = parsed.rest
        for (const [command = "", ...args] of parsed.commands) {
          const isProbe = /^(?:fcall|eval)/i.test(command) && args[1] === "0"
          const reply = isProbe ? probe : answers(command.toLowerCase(), args)
          if (reply !== undefined) socket.write(reply)
        }
      })
    })
    yield* Effect.acquireRelease(
      Effect.async<void>((resume) => void server.listen(0, "127.0.0.1", () => resume(Effect.void))),
      () =>
        Effect.async<void>((resume) => {
          server.close(() => resume(Effect.void))
          for (const socket of sockets) socket.destroy()
        })
    )
    const address = server.address()
    return `redis://127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}`
  })
