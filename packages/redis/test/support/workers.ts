/**
 * Processes that take locks (worker.ts), as a test sees them. Starting one takes a while, so those that a test leaves
 * alive serve the next one.
 */
import { type ChildProcess, spawn } from "node:child_process"
import { createRequire } from "node:module"
import { fileURLToPath, pathToFileURL } from "node:url"
import { assert } from "@effect/vitest"
import { Context, Effect, Layer, type Scope } from "effect"
import { soon } from "./faults.ts"
import type { Fixture } from "./fixture.ts"
import type { Command, Event } from "./worker.ts"

type Named<What extends Event["what"]> = Extract<Event, { readonly what: What }>

export interface Worker {
  readonly pid: number
  readonly tell: (command: Command) => Effect.Effect<void>
  /** Waits for the next event of a kind, of a hold of this name. Each event is handed out once. */
  readonly next: <const What extends Event["what"]>(what: What, name?: string) => Effect.Effect<Named<What>>
  /** Has there been such an event that was not handed out? */
  readonly has: (what: Event["what"], name?: string) => boolean
  readonly stop: Effect.Effect<void>
  readonly goOn: Effect.Effect<void>
  /** Ends the process as by kill -9, and waits until it is gone. */
  readonly kill: Effect.Effect<void>
}

interface Child extends Worker {
  readonly ended: Effect.Effect<void>
  readonly isAlive: () => boolean
}

const worker = fileURLToPath(new URL("worker.ts", import.meta.url))
const loader = pathToFileURL(createRequire(import.meta.url).resolve("tsx")).href

/** So many are kept ready. */
const spare = 2

const isGone = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return false
  } catch {
    return true
  }
}

const start = (): Child => {
  const child: ChildProcess = spawn(
    process.execPath,
    ["--import", loader, "--conditions", "@hilok/source", worker],
    // The process ends when this channel closes, so it never outlives the test.
    { stdio: ["ignore", "inherit", "inherit", "ipc"], env: { PATH: process.env.PATH } }
  )
  const pid = child.pid!
  const events: Array<Event> = []
  const listeners = new Set<() => void>()
  const wake = () => {
    for (const listener of Array.from(listeners)) listener()
  }
  child.on("message", (event: Event) => {
    events.push(event)
    wake()
  })
  let alive = true
  child.on("exit", () => {
    alive = false
    wake()
  })
  child.on("error", () => undefined)
  const find = (what: Event["what"], name?: string) =>
    events.findIndex((event) => event.what === what && (name === undefined || ("name" in event && event.name === name)))
  const ended = soon(
    Effect.async<void>((resume) => {
      const look = () => {
        if (alive) return
        listeners.delete(look)
        resume(Effect.void)
      }
      listeners.add(look)
      look()
    }),
    "the end of a process"
  )
  const next: Worker["next"] = (what, name) => {
    const wait = Effect.async<Event>((resume) => {
      const look = () => {
        const at = find(what, name)
        if (at === -1 && alive) return
        listeners.delete(look)
        if (at === -1) resume(Effect.dieMessage(`process ${pid} ended before it ${what} ${name ?? ""}`))
        else resume(Effect.succeed(events.splice(at, 1)[0]!))
      }
      listeners.add(look)
      look()
      return Effect.sync(() => listeners.delete(look))
    })
    return soon(wait, `that process ${pid} ${what} ${name ?? ""}`) as Effect.Effect<never>
  }
  const signal = (name: NodeJS.Signals) => Effect.sync(() => void (alive && child.kill(name)))
  return {
    pid,
    tell: (command) => Effect.sync(() => void child.send(command)),
    next,
    has: (what, name) => find(what, name) !== -1,
    stop: signal("SIGSTOP"),
    goOn: signal("SIGCONT"),
    kill: Effect.zipRight(signal("SIGKILL"), ended),
    ended,
    isAlive: () => alive
  }
}

export interface Options {
  readonly ttl: number
  /** Has it delegations? */
  readonly delegates?: boolean
  /** Where the server is, if not where it really is. */
  readonly url?: string
}

export class Workers extends Context.Tag("@hilok/redis/test/Workers")<
  Workers,
  {
    /** A process with an open store on the test's namespace. It is closed, or dead, when the scope is. */
    readonly open: (fixture: Fixture, options: Options) => Effect.Effect<Worker, never, Scope.Scope>
  }
>() {
  /** Starts so many, and one more for each that is killed or missing. None is left in the end. */
  static readonly layer = (count: number): Layer.Layer<Workers> =>
    Layer.scoped(
      Workers,
      Effect.gen(function* () {
        const all: Array<Child> = []
        const add = () => {
          const child = start()
          all.push(child)
          return child
        }
        yield* Effect.addFinalizer(() =>
          Effect.gen(function* () {
            yield* Effect.forEach(all, (child) => child.kill, { concurrency: "unbounded" })
            assert.deepStrictEqual(
              all.filter(({ pid }) => !isGone(pid)).map(({ pid }) => pid),
              [],
              "no process is left"
            )
          })
        )
        const idle = Array.from({ length: count }, add)
        const isReady = new Set<Child>()

        const open = (fixture: Fixture, { delegates = false, ttl, url = fixture.server.url }: Options) =>
          Effect.acquireRelease(
            Effect.sync(() => idle.shift() ?? add()),
            (child) =>
              Effect.gen(function* () {
                // The next test does not have to wait for a new one.
                if (!child.isAlive()) return void (idle.length < spare && idle.push(add()))
                yield* child.goOn
                yield* child.tell({ what: "close" })
                yield* Effect.asVoid(child.next("closed"))
                idle.push(child)
              })
          ).pipe(
            Effect.tap((child) =>
              Effect.gen(function* () {
                if (!isReady.has(child)) yield* Effect.asVoid(child.next("ready"))
                isReady.add(child)
                yield* child.tell({ what: "open", url, namespace: fixture.namespace, ttl, delegates })
                yield* Effect.asVoid(child.next("opened"))
              })
            )
          )
        return { open }
      })
    )
}
