/**
 * The way between a process and the server: what is sent takes its time, stays in order on one connection, and may be lost
 * with the connection. And the end of it in the process, which behaves as a client of ioredis does.
 */
import { EventEmitter } from "node:events"
import { Effect } from "effect"
import type { Redis } from "ioredis"
import type { Connection } from "../../../src/internal/connection.ts"
import type { Random } from "./random.ts"
import type { Caller, Command, Frame, Server } from "./server.ts"
import { inTicks, Phase, type Process, type World } from "./world.ts"

/** How long one way takes at least: longer than a timer may be late, so that what is checked can be checked to the letter. */
const shortest = 3
const longest = 8

/** How the connections of one process fare at the moment. */
export class Weather {
  /** One way takes so much longer, at most (milliseconds). */
  slowness = 0
  /** Until then what is sent is on its way. */
  silentUntil = Number.NEGATIVE_INFINITY
}

/** One direction of a connection. */
class Pipe<A> {
  private readonly frames: Array<{ readonly at: number; readonly frame: A }> = []
  private last = 0
  private readonly session: Session
  private readonly process: Process | undefined
  private readonly deliver: (frame: A) => void

  constructor(session: Session, process: Process | undefined, deliver: (frame: A) => void) {
    this.session = session
    this.process = process
    this.deliver = deliver
  }

  push(frame: A): void {
    const { peer, silentUntil } = this.session
    const { weather, world } = peer
    const taken =
      peer.random.between(shortest, longest) + (peer.random.chance(0.2) ? peer.random.between(0, weather.slowness) : 0)
    const at = Math.max(this.last, Math.max(world.now, silentUntil, weather.silentUntil) + inTicks(taken))
    this.last = at
    this.frames.push({ at, frame })
    // All that has come is read at once.
    world.after(at - world.now, this.process, () => {
      while (this.frames[0] !== undefined && this.frames[0].at <= world.now) this.deliver(this.frames.shift()!.frame)
    })
  }
}

/** One connection, from its beginning to its end. */
class Session implements Caller {
  readonly peer: Peer
  readonly process: Process
  /** Until then what is sent is on its way. */
  silentUntil = Number.NEGATIVE_INFINITY
  /** When the ends learn that it is no more. */
  gone = { client: Number.POSITIVE_INFINITY, server: Number.POSITIVE_INFINITY }
  private readonly up: Pipe<Command>
  private readonly down: Pipe<Frame>

  constructor(peer: Peer, server: Server) {
    this.peer = peer
    this.process = peer.process
    this.up = new Pipe(this, undefined, (command) => {
      if (this.isOpen && server.isUp) server.receive(command, this)
      else peer.world.note(this.process, `${command.name} is lost on its way to the server`)
    })
    this.down = new Pipe(this, peer.process, (frame) => {
      if (peer.world.now < this.gone.client) peer.onFrame(this, frame)
    })
  }

  get isOpen(): boolean {
    return this.peer.world.now < this.gone.server
  }

  request(command: Command): void {
    this.up.push(command)
  }

  send(frame: Frame): void {
    if (this.isOpen) this.down.push(frame)
  }

  /** Ends it: each end learns so after a time, and gets what comes until then. */
  cut(client: number, server: number): void {
    const { now } = this.peer.world
    this.gone = {
      client: Math.min(this.gone.client, now + inTicks(client)),
      server: Math.min(this.gone.server, now + inTicks(server))
    }
    this.peer.world.after(client, this.process, () => this.peer.onClose(this))
  }
}

interface Pending extends Command {
  readonly resolve: (value: unknown) => void
  readonly reject: (error: Error) => void
}

/** What a client of ioredis does when the connection is lost: it asks anew what was not answered, or fails it. */
export type Habit = "resends" | "fails"

const reconnectDelay = (attempts: number): number => Math.min(attempts * 50, 1000)
const connectTimeout = 10_000

class Peer extends EventEmitter {
  status: "connecting" | "ready" | "reconnecting" | "end" = "connecting"
  readonly options = {}
  readonly world: World
  readonly process: Process
  readonly random: Random
  readonly weather: Weather
  readonly name: string
  private readonly server: Server
  private readonly habit: Habit
  private session: Session
  private sent: Array<Pending> = []
  private unfulfilled: Array<Pending> = []
  private offline: Array<Pending> = []
  private attempts = 0

  constructor(process: Process, name: string, server: Server, random: Random, weather: Weather, habit: Habit) {
    super()
    this.world = process.world
    this.process = process
    this.name = name
    this.server = server
    this.random = random
    this.weather = weather
    this.habit = habit
    this.session = this.connect()
  }

  // -- As the store sees it

  fcall(...args: ReadonlyArray<string>): Promise<unknown> {
    return this.ask({ name: "fcall", args })
  }

  /** Of those that ioredis has no method for, the store only loads functions. */
  call(...[, , text]: readonly ["FUNCTION", "LOAD", string]): Promise<unknown> {
    return this.ask({ name: "load", args: [text] })
  }

  evalsha(...args: ReadonlyArray<string>): Promise<unknown> {
    return this.ask({ name: "evalsha", args })
  }

  eval(...args: ReadonlyArray<string>): Promise<unknown> {
    return this.ask({ name: "eval", args })
  }

  subscribe(channel: string): Promise<unknown> {
    return this.ask({ name: "subscribe", args: [channel] })
  }

  /** Closes the connection, and makes another. What is on its way to the server may still arrive. */
  disconnect(reconnects = false): void {
    this.world.note(this.process, `gives its connection for ${this.name} up`)
    const { session } = this
    session.cut(0, this.random.chance(0.5) ? this.random.between(0, 50) : this.random.between(50, 2000))
    if (!reconnects) this.status = "end"
    this.onClose(session)
  }

  private ask(command: Omit<Command, "sentAt">): Promise<unknown> {
    const sentAt = this.world.now
    return new Promise((resolve, reject) => this.dispatch({ ...command, sentAt, resolve, reject }))
  }

  private dispatch(pending: Pending): void {
    if (this.status === "end") return pending.reject(new Error("Connection is closed."))
    if (this.status !== "ready") {
      this.offline.push(pending)
      return
    }
    this.sent.push(pending)
    this.session.request(pending)
  }

  // -- Its connection

  private connect(): Session {
    const session = new Session(this, this.server)
    this.session = session
    this.status = "connecting"
    if (this.server.isUp) {
      session.request({ name: "hello", args: [], sentAt: this.world.now })
      this.world.after(connectTimeout, this.process, () => {
        if (session === this.session && this.status === "connecting") session.cut(0, 0)
      })
    } else session.cut(shortest, 0)
    return session
  }

  /** The network ends its connection. */
  cut(): void {
    this.world.note(this.process, `its connection for ${this.name} is cut`)
    this.session.cut(this.random.between(0, 30), this.random.between(0, 30))
  }

  /** Its connection carries nothing for a time, and then goes on or is no more. */
  silence(millis: number, isEnd: boolean): void {
    this.world.note(this.process, `its connection for ${this.name} is silent for ${millis.toFixed(0)} ms`)
    const { session } = this
    session.silentUntil = Math.max(session.silentUntil, this.world.now + inTicks(millis))
    if (isEnd) session.cut(millis, millis)
  }

  onFrame(session: Session, frame: Frame): void {
    if (session !== this.session) return
    if (frame._tag === "message") {
      this.emit("message", frame.channel, frame.text)
      return
    }
    if (this.status === "connecting") return this.onReady()
    const pending = this.sent.shift()
    if (frame.value instanceof Error) pending?.reject(frame.value)
    else pending?.resolve(frame.value)
  }

  private onReady(): void {
    this.world.note(this.process, `is connected for ${this.name}`)
    this.status = "ready"
    this.attempts = 0
    const again = [...this.unfulfilled, ...this.offline]
    this.unfulfilled = []
    this.offline = []
    for (const pending of again) this.dispatch(pending)
    process.nextTick(() => this.emit("ready"))
  }

  onClose(session: Session): void {
    if (session !== this.session || this.status === "reconnecting") return
    const { sent } = this
    this.sent = []
    if (this.status === "end" || this.habit === "fails") {
      const failed = [...this.unfulfilled, ...sent, ...this.offline]
      this.unfulfilled = []
      this.offline = []
      for (const { reject } of failed) reject(new Error("Connection is closed."))
    } else this.unfulfilled.push(...sent)
    if (this.status === "end") return
    this.status = "reconnecting"
    this.emit("close")
    this.world.after(
      reconnectDelay(++this.attempts),
      this.process,
      () => {
        if (this.status === "reconnecting") this.connect()
      },
      Phase.timers
    )
  }
}

/** Both connections of a process, as the store has them. */
export interface Wires {
  readonly commands: Peer
  readonly listening: Peer
  readonly connection: Connection
}

export const open = (process: Process, server: Server, random: Random, weather: Weather, habit: Habit): Wires => {
  const commands = new Peer(process, "commands", server, random, weather, habit)
  // Nobody would hear of a subscription that failed.
  const listening = new Peer(process, "listening", server, random, weather, "resends")
  return {
    commands,
    listening,
    connection: {
      client: commands as unknown as Redis,
      subscriber: listening as unknown as Redis,
      openSubscriber: Effect.void,
      renew: () => {
        if (commands.status === "ready") commands.disconnect(true)
      }
    }
  }
}
