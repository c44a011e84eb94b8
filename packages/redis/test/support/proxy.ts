/**
 * A TCP proxy between a store and a server that can be told to disturb: to cut connections, before a reply for
 * instance, to refuse new ones, and to lose, double or keep back what the server sends.
 */
import { createConnection, createServer, type Socket } from "node:net"
import { Deferred, Effect, type Scope } from "effect"
import { libraryName, type Script, scriptSha } from "../../src/internal/script.ts"

/** The connections for commands, those that listen, or those that wait for replicas. */
type Kind = "commands" | "listening" | "waiting"

/** What becomes of the data that the server sends. */
type Passage = "pass" | "drop" | "twice" | "hold"

export interface Proxy {
  /** For the store. */
  readonly url: string
  /** The unix socket of the server to connect to from now on. */
  target: string
  /** What the server sends to the connections for commands, and to those that listen. */
  readonly setReplies: (passage: Passage) => void
  readonly setMessages: (passage: Passage) => void
  /** Closes all connections, or those of one kind, as a network failure does. */
  readonly cut: (which?: Kind) => void
  /**
   * The connections that there are, or those of one kind, stay open, but nothing comes through any more; with `newOnes`, the
   * next are as mute.
   */
  readonly silence: (newOnes: boolean, which?: Kind) => void
  /** Closes new connections at once, or does so no more. */
  readonly refuse: (refuses: boolean) => void
  /** The number of connections that were refused. */
  readonly refused: () => number
  /** Cuts the connection when the next command with this script has been carried out, and its reply is on its way. */
  readonly cutBeforeReply: (script: Script) => Effect.Effect<Cut>
  /** Cuts the connection instead of sending the next command with this script to the server. */
  readonly cutBeforeCommand: (script: Script) => Effect.Effect<Cut>
  /** How many commands with this script have passed, and how many answers to any have been sent on. */
  readonly sent: (script: Script) => number
  readonly answers: () => number
  /** How many messages (or other data for those that listen) the server has sent, whatever became of them. */
  readonly messages: () => number
}

/** `happened` waits until it did. */
interface Cut {
  readonly happened: Effect.Effect<void>
}

interface Link {
  readonly client: Socket
  readonly server: Socket
  kind: Kind
  silent: boolean
  /** Called instead of sending the next data of the server on. */
  beforeReply: (() => void) | undefined
  held: Array<Buffer>
}

interface Trap {
  readonly script: Script
  readonly when: "command" | "reply"
  readonly done: () => void
}

/** The operations in what is sent, called as functions or in the script: there the name follows the three keys. */
const operations = new RegExp(
  `\\r\\nfcall\\r\\n\\$\\d+\\r\\n${libraryName}_([a-z_]+)\\r\\n` +
    `|\\r\\nevalsha\\r\\n\\$40\\r\\n${scriptSha}\\r\\n\\$1\\r\\n3\\r\\n(?:\\$\\d+\\r\\n[^\\r]*\\r\\n){3}\\$\\d+\\r\\n([a-z_]+)\\r\\n`,
  "g"
)

export const start = (target: string): Effect.Effect<Proxy, never, Scope.Scope> =>
  Effect.gen(function* () {
    const links = new Set<Link>()
    const traps = new Set<Trap>()
    const sent = new Map<string, number>()
    let replies: Passage = "pass"
    let messages: Passage = "pass"
    let refuses = false
    let mute = false
    let refused = 0
    let answers = 0
    let received = 0

    const isOf = (link: Link, which: Kind | undefined): boolean => which === undefined || link.kind === which

    const close = (link: Link): void => {
      links.delete(link)
      link.client.destroy()
      link.server.destroy()
    }

    const up = (link: Link, data: Buffer): void => {
      if (link.silent) return
      const text = data.toString("latin1")
      if (/\r\nsubscribe\r\n/i.test(text)) link.kind = "listening"
      if (/\r\nwait\r\n/i.test(text)) link.kind = "waiting"
      const names = Array.from(text.matchAll(operations), ([, called, run]) => (called ?? run)!)
      for (const name of names) sent.set(name, (sent.get(name) ?? 0) + 1)
      for (const trap of traps) {
        if (!names.includes(trap.script.name)) continue
        traps.delete(trap)
        const spring = () => {
          close(link)
          trap.done()
        }
        if (trap.when === "command") return spring()
        link.beforeReply = spring
      }
      link.server.write(data)
    }

    const down = (link: Link, data: Buffer): void => {
      if (link.silent) return
      if (link.beforeReply !== undefined) return link.beforeReply()
      const listens = link.kind === "listening"
      if (listens) received++
      const passage = listens ? messages : replies
      if (passage === "drop") return
      if (passage === "hold") return void link.held.push(data)
      if (!listens) answers++
      link.client.write(data)
      if (passage === "twice") link.client.write(data)
    }

    const flush = (listens: boolean): void => {
      for (const link of links) {
        if ((link.kind === "listening") !== listens) continue
        const held = link.held
        link.held = []
        for (const data of held) down(link, data)
      }
    }

    const proxy: Proxy = {
      url: "",
      target,
      setReplies: (passage) => {
        replies = passage
        if (passage !== "hold") flush(false)
      },
      setMessages: (passage) => {
        messages = passage
        if (passage !== "hold") flush(true)
      },
      cut: (which) => {
        for (const link of Array.from(links)) if (isOf(link, which)) close(link)
      },
      silence: (newOnes, which) => {
        mute = newOnes
        for (const link of links) if (isOf(link, which)) link.silent = true
      },
      refuse: (value) => {
        refuses = value
      },
      refused: () => refused,
      cutBeforeReply: (script) => trap(script, "reply"),
      cutBeforeCommand: (script) => trap(script, "command"),
      sent: ({ name }) => sent.get(name) ?? 0,
      answers: () => answers,
      messages: () => received
    }

    const trap = (script: Script, when: Trap["when"]): Effect.Effect<Cut> =>
      Effect.map(Deferred.make<void>(), (happened) => {
        traps.add({ script, when, done: () => Deferred.unsafeDone(happened, Effect.void) })
        return { happened: Deferred.await(happened) }
      })

    const listener = createServer({ noDelay: true }, (client) => {
      client.on("error", () => undefined)
      if (refuses) {
        refused++
        client.resetAndDestroy()
        return
      }
      const server = createConnection(proxy.target)
      const link: Link = { client, server, kind: "commands", silent: mute, beforeReply: undefined, held: [] }
      links.add(link)
      server.on("error", () => undefined)
      client.on("data", (data: Buffer) => up(link, data))
      server.on("data", (data: Buffer) => down(link, data))
      client.on("close", () => close(link))
      server.on("close", () => close(link))
    })

    yield* Effect.acquireRelease(
      Effect.async<void>((resume) => void listener.listen(0, "127.0.0.1", () => resume(Effect.void))),
      () =>
        Effect.async<void>((resume) => {
          listener.close(() => resume(Effect.void))
          proxy.cut()
        })
    )
    const address = listener.address()
    const port = typeof address === "object" && address !== null ? address.port : 0
    return Object.assign(proxy, { url: `redis://127.0.0.1:${port}` })
  })
