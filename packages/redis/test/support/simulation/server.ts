/**
 * A server: what arrives over its connections is done in order, unless something befalls it.
 */
import { allRules, Decisions, type Rules, type Witness } from "./decisions.ts"
import * as Protocol from "./protocol.ts"
import type { Random } from "./random.ts"
import type { Process, World } from "./world.ts"

/** A connection as the server sees it. */
export interface Caller {
  readonly process: Process
  readonly isOpen: boolean
  /** What is sent over a connection that is gone is lost. */
  readonly send: (frame: Frame) => void
}

export type Frame =
  | { readonly _tag: "reply"; readonly value: unknown }
  | { readonly _tag: "message"; readonly channel: string; readonly text: string }

export interface Command {
  readonly name: "hello" | "load" | "fcall" | "evalsha" | "eval" | "subscribe"
  readonly args: ReadonlyArray<string>
  /** When its client sent it first, in the time of the world. */
  readonly sentAt: number
}

export interface Observer extends Witness {
  /** What is held, or waited for, may end earlier than its holders know. */
  readonly disturbed: (waiting: ReadonlyArray<string>) => void
  /** What is late does not look late any more. */
  readonly setBack: () => void
}

export class Server {
  /** Whether it takes connections. */
  isUp = true
  private decisions: Decisions
  /** Has it functions, or are there none for its clients? */
  private readonly hasFunctions: boolean
  /** The library as it was given it. */
  private readonly loaded = { functions: false, script: false }
  private readonly listeners = new Map<string, Caller>()
  private backlog: Array<() => void> = []
  private stoppedUntil = Number.NEGATIVE_INFINITY
  private busyUntil = Number.NEGATIVE_INFINITY
  private ahead = 0
  private readonly world: World
  private readonly random: Random
  private readonly rules: Rules
  private readonly observer: Observer

  constructor(world: World, random: Random, rules: Partial<Rules>, hasFunctions: boolean, observer: Observer) {
    this.world = world
    this.random = random
    this.rules = { ...allRules, ...rules }
    this.observer = observer
    this.hasFunctions = hasFunctions
    this.decisions = new Decisions(random, this.rules, observer)
  }

  // -- For those who watch

  /** Its clock, in milliseconds. */
  get now(): number {
    return 1.75e12 + this.world.now + this.ahead
  }

  get requests(): Decisions["requests"] {
    return this.decisions.requests
  }

  get left(): ReadonlyArray<string> {
    return this.decisions.left(this.now)
  }

  isLive(id: string, token: number): boolean {
    return this.decisions.isLive(id, token, this.now)
  }

  // -- What befalls it

  /** It does nothing for a time, and then what has come meanwhile. */
  stop(millis: number): void {
    this.stoppedUntil = Math.max(this.stoppedUntil, this.world.now + millis)
    this.world.after(this.stoppedUntil - this.world.now, undefined, () => {
      if (this.world.now < this.stoppedUntil) return
      const backlog = this.backlog
      this.backlog = []
      for (const run of backlog) run()
    })
  }

  /** For a time it says that somebody's script runs. */
  beBusy(millis: number): void {
    this.busyUntil = this.world.now + millis
  }

  forgetScripts(): void {
    this.loaded.functions = false
    this.loaded.script = false
  }

  /** It ends, and is there again after a time. Connections are the caller's to cut. */
  restart(millis: number, keepsData: boolean): void {
    this.isUp = false
    this.backlog = []
    this.listeners.clear()
    this.forgetScripts()
    if (!keepsData) {
      this.observer.disturbed([])
      this.decisions = new Decisions(this.random, this.rules, this.observer)
    }
    this.world.after(millis, undefined, () => {
      this.isUp = true
    })
  }

  /** Its clock is set, forward or back. */
  setClock(by: number): void {
    if (by < 0) this.observer.setBack()
    else this.observer.disturbed(this.requests.filter(({ isHeld }) => !isHeld).map(({ id }) => id))
    this.ahead += by
  }

  // -- Commands

  receive(command: Command, caller: Caller): void {
    const run = () => caller.send({ _tag: "reply", value: this.perform(command, caller) })
    if (this.world.now < this.stoppedUntil) this.backlog.push(run)
    else run()
  }

  private perform(command: Command, caller: Caller): unknown {
    const { args, name } = command
    switch (name) {
      case "hello":
        return "OK"
      case "subscribe":
        this.listeners.set(args[0]!, caller)
        return 1
      case "load":
        Protocol.checkFunctions(args[0]!)
        this.loaded.functions = true
        return "OK"
      default:
        return this.run(name, command, caller)
    }
  }

  private run(name: "fcall" | "eval" | "evalsha", { args, sentAt }: Command, caller: Caller): unknown {
    if (name === "fcall" && !this.hasFunctions) return new Error("ERR unknown command 'fcall'")
    const call = Protocol.decode(name, args)
    this.world.note(caller.process, Protocol.show(call.operation))
    if (this.world.now < this.busyUntil) {
      return new Error("BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.")
    }
    if (name === "eval") this.loaded.script = true
    if (name === "fcall" && !this.loaded.functions) return new Error("ERR Function not found")
    if (name === "evalsha" && !this.loaded.script) return new Error("NOSCRIPT No matching script. Please use EVAL.")
    const publish = (channel: string, text: string) => this.publish(channel, text)
    const answer = this.decisions.perform(call, { process: caller.process, sentAt }, this.now, publish)
    this.world.note("server", Protocol.showAnswer(answer))
    return answer
  }

  private publish(channel: string, text: string): void {
    const listener = this.listeners.get(channel)
    if (listener?.isOpen !== true) return
    this.world.note("server", `tells ${listener.process.name}: ${text.replaceAll("\n", " | ")}`)
    if (this.rules.messages) listener.send({ _tag: "message", channel, text })
  }
}
