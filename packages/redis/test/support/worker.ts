/**
 * A process that takes locks. It does as it is told by the process that started it (workers.ts), and ends with it.
 */
import { closeSync, existsSync, openSync, writeSync } from "node:fs"
import { DelegatingStore, HierarchicalLock, type Lease, Target } from "@hilok/core"
import { RedisStore } from "@hilok/redis"
import * as Cause from "effect/Cause"
import type * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as History from "./history.ts"

export type Command =
  /** Opens a store and a lock service; with `delegates` with delegations. */
  | {
      readonly what: "open"
      readonly url: string
      readonly namespace: string
      readonly ttl: number
      readonly delegates: boolean
    }
  /** Asks for a lock and holds it. With `blockUntil` nothing else can run in the process until that file exists. */
  | {
      readonly what: "hold"
      readonly name: string
      readonly targets: ReadonlyArray<Target.Target>
      readonly blockUntil?: string
    }
  | { readonly what: "leave"; readonly name: string }
  | { readonly what: "break"; readonly id: string }
  /** Takes locks at random, for some milliseconds and so many times at least, in each of so many fibers. */
  | {
      readonly what: "work"
      readonly seed: number
      readonly millis: number
      readonly rounds: number
      readonly fibers: number
      /** Also takes over leases of other processes, and ends them; downgrades its own, and leaves some to others. */
      readonly mixed?: boolean
      /** Where it writes down what it held. */
      readonly file: string
    }
  | { readonly what: "close" }

export type Event =
  | { readonly what: "ready" | "opened" | "worked" | "closed" }
  | {
      readonly what: "entered"
      readonly name: string
      readonly id: string
      readonly token: number
      readonly at: number
    }
  /** With `blockUntil`: it is about to block, and has done the work that it came for. */
  | { readonly what: "wrote"; readonly name: string; readonly token: number; readonly at: number }
  | { readonly what: "ended"; readonly name: string; readonly outcome: string; readonly at: number }
  | { readonly what: "broke"; readonly live: boolean }

type Locks = Context.Context<HierarchicalLock.HierarchicalLock>

let opened: { readonly scope: Scope.CloseableScope; readonly locks: Locks } | undefined
const gates = new Map<string, Deferred.Deferred<void>>()

const tell = (event: Event) => {
  process.send?.(event)
}

const inLocks = <A, E>(effect: Effect.Effect<A, E, HierarchicalLock.HierarchicalLock>) =>
  opened === undefined ? Effect.dieMessage("no store is open") : Effect.provide(effect, opened.locks)

/** What became of it, in a word: `done`, the tag of the error and its reason, or `interrupted`. A defect in full. */
const outcome = (exit: Exit.Exit<unknown, { readonly _tag: string; readonly reason?: string }>): string => {
  if (Exit.isSuccess(exit)) return "done"
  if (Cause.isDie(exit.cause)) return Cause.pretty(exit.cause)
  return Option.match(Cause.failureOption(exit.cause), {
    onSome: (error) => (error._tag === "LockLost" ? `LockLost ${error.reason}` : error._tag),
    onNone: () => (Cause.isInterrupted(exit.cause) ? "interrupted" : Cause.pretty(exit.cause))
  })
}

const block = (file: string) => {
  const cell = new Int32Array(new SharedArrayBuffer(4))
  while (!existsSync(file)) Atomics.wait(cell, 0, 0, 2)
}

const hold = ({ blockUntil, name, targets }: Command & { readonly what: "hold" }) =>
  Effect.gen(function* () {
    const gate = yield* Deferred.make<void>()
    gates.set(name, gate)
    const inside = ({ id, token }: Lease.Lease) => {
      tell({ what: "entered", name, id, token, at: History.now() })
      if (blockUntil === undefined) return Deferred.await(gate)
      return Effect.flatMap(
        // A moment for the word to get out.
        Effect.sleep("5 millis"),
        () => {
          block(blockUntil)
          tell({ what: "wrote", name, token, at: History.now() })
          return Deferred.await(gate)
        }
      )
    }
    const exit = yield* Effect.exit(HierarchicalLock.withLocks(inside, targets, { reason: name }))
    tell({ what: "ended", name, outcome: outcome(exit), at: History.now() })
  })

// -- Work at random

const paths = ["", "r", "r/a", "r/a", "r/a/a", "r/a/a", "r/a/b", "r/b", "r/b/a", "r/b/a", "r/b/b", "r/b/b"]

const random = (seed: number) => {
  let state = seed
  return (below: number): number => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 4294967296) * below)
  }
}

/** What happens to the leases of other processes, and what is left to them. */
const meddle = (below: (n: number) => number, name: string, write: (line: History.Line) => void) =>
  Effect.gen(function* () {
    const entries = yield* HierarchicalLock.inspect()
    // The test itself holds what all wait for to begin.
    const own = [process.pid, process.ppid]
    const others = entries.filter(({ pid, state }) => state === "held" && !own.includes(pid ?? 0))
    const other = others[below(others.length)]
    const inside = ({ id, targets, token }: Lease.Lease, isShort = false) =>
      Effect.gen(function* () {
        write({ what: "enter", hold: name, at: History.now(), token, targets, id, ...(isShort ? { isShort } : {}) })
        yield* Effect.sleep(below(4))
        write({ what: "leave", hold: name, at: History.now() })
      })
    const what = below(8)
    if (what === 0) {
      // By hand, for whoever takes it over before it expires.
      const target = Target.make(below(2) === 0 ? "write" : "read", paths[1 + below(paths.length - 1)]!)
      const ttl = 300
      const askedAt = History.now()
      const lease = yield* HierarchicalLock.acquire([target], { ttl, timeout: 50 })
      yield* inside(lease, true)
      const isLive = History.now() < askedAt + ttl * 1000
      write({ what: "end", hold: name, outcome: isLive ? "done" : "perhaps expired" })
      return
    }
    if (other === undefined) return
    if (what === 3) return yield* HierarchicalLock.refresh(other.id, { ttl: 400 })
    write({ what: "order", id: other.id, hold: name, at: History.now() })
    if (what === 1) return yield* Effect.asVoid(HierarchicalLock.breakLease(other.id))
    if (what === 2) return yield* Effect.asVoid(HierarchicalLock.release(other.id))
    let entered = false
    const taken = Effect.scoped(
      Effect.flatMap(HierarchicalLock.restore(other.id), (lease) => {
        entered = true
        return inside(lease)
      })
    )
    // Some give up on it, wherever they are. A loss interrupts the fiber that has restored it.
    const fiber = yield* Effect.fork(below(4) === 0 ? Effect.timeout(taken, below(4)) : taken)
    const exit = yield* Fiber.await(fiber)
    if (entered) write({ what: "end", hold: name, outcome: `restored: ${outcome(exit)}` })
  }).pipe(Effect.exit, Effect.asVoid)

const work = ({ fibers, file, millis, mixed = false, rounds, seed }: Command & { readonly what: "work" }) =>
  Effect.gen(function* () {
    const journal = openSync(file, "a")
    const write = (line: History.Line) => {
      writeSync(journal, `${JSON.stringify(line)}\n`)
    }
    const end = History.now() + millis * 1000
    let last = 0

    /** Holds a lock for a moment, and something inside it now and then: its name says in what. */
    const once = (
      below: (n: number) => number,
      outer?: string
    ): Effect.Effect<void, never, HierarchicalLock.HierarchicalLock> =>
      Effect.suspend(() => {
        const name = History.nameWithin(outer, `${++last}`)
        let entered = false
        let downgraded: string | undefined
        const path = paths[below(paths.length)]!
        // Near the root most are readers, so that there is something to share.
        const exclusive = below(path.length + 2) > 1
        const one = { mode: below(2) === 0 ? "" : "Node", path }
        const target = Target.make(`${exclusive ? "write" : "read"}${one.mode}` as Target.Target["mode"], path)
        const targets = below(6) === 0 ? [target, Target.make("readNode", paths[below(paths.length)]!)] : [target]
        const inside = (lease: Lease.Lease) =>
          Effect.gen(function* () {
            const { id, token } = lease
            const short = options !== undefined && "maxHold" in options ? { isShort: true } : {}
            entered = true
            write({ what: "enter", hold: name, at: History.now(), token, targets, ...short, ...(mixed ? { id } : {}) })
            // Long enough for others to find it.
            const pause = below(mixed ? 15 : 5)
            if (pause > 2) yield* Effect.sleep(pause - 2)
            else if (pause > 0) yield* Effect.yieldNow()
            if (outer === undefined && below(8) === 0) yield* once(below, name)
            write({ what: "leave", hold: name, at: History.now() })
            if (!mixed || below(6) > 0) return
            // From here on it is another hold, of what is left to it.
            const { targets: shared } = yield* HierarchicalLock.downgrade(lease)
            downgraded = `${name}'`
            write({ what: "enter", hold: downgraded, at: History.now(), token, targets: shared, id, ...short })
            yield* Effect.sleep(below(3))
            write({ what: "leave", hold: downgraded, at: History.now() })
          })
        const options =
          outer !== undefined || below(6) === 0
            ? { timeout: 1 + below(20) }
            : below(8) === 0
              ? ({ block: false } as const)
              : mixed && below(6) === 0
                ? { maxHold: 2 + below(20) }
                : undefined
        const held =
          targets.length > 1
            ? HierarchicalLock.withLocks(inside, targets, options)
            : {
                read: () => HierarchicalLock.withRead(inside, path, options),
                write: () => HierarchicalLock.withWrite(inside, path, options),
                readNode: () => HierarchicalLock.withReadNode(inside, path, options),
                writeNode: () => HierarchicalLock.withWriteNode(inside, path, options)
              }[target.mode]()
        // Some are interrupted from outside, wherever they are.
        const perhaps = below(10) === 0 ? Effect.interruptible(Effect.timeout(held, below(8))) : held
        // A fiber that is interrupted runs nothing more than its finalizers, and the hold may be inside one that is.
        return perhaps.pipe(
          Effect.onExit((exit) =>
            Effect.sync(() => {
              if (entered) write({ what: "end", hold: name, outcome: outcome(exit) })
              if (downgraded !== undefined) write({ what: "end", hold: downgraded, outcome: outcome(exit) })
            })
          ),
          Effect.exit,
          Effect.asVoid
        )
      })

    const loop = (
      below: (n: number) => number,
      left: number
    ): Effect.Effect<void, never, HierarchicalLock.HierarchicalLock> =>
      Effect.suspend(() =>
        left > 0 || History.now() < end
          ? Effect.zipRight(
              mixed && below(2) === 0 ? meddle(below, `${++last}`, write) : once(below),
              loop(below, left - 1)
            )
          : Effect.void
      )

    yield* Effect.all(
      Array.from({ length: fibers }, (_, i) => loop(random(seed * 100 + i), rounds)),
      { concurrency: "unbounded", discard: true }
    )
    closeSync(journal)
    tell({ what: "worked" })
  })

const obey = (command: Command): Effect.Effect<unknown, unknown> => {
  switch (command.what) {
    case "open":
      return Effect.gen(function* () {
        const { delegates, namespace, ttl, url } = command
        const redis = RedisStore.layer({ url, namespace, redis: { connectionName: namespace } })
        const store = delegates ? Layer.provide(DelegatingStore.layer({ widen: true }), redis) : redis
        const scope = yield* Scope.make()
        const locks = yield* Layer.buildWithScope(Layer.provide(HierarchicalLock.layer({ ttl }), store), scope)
        opened = { scope, locks }
        tell({ what: "opened" })
        // Each loss is a warning.
      }).pipe(Logger.withMinimumLogLevel(LogLevel.Error))
    case "hold":
      return inLocks(hold(command))
    case "leave":
      return Effect.suspend(() => {
        const gate = gates.get(command.name)
        return gate === undefined ? Effect.void : Deferred.succeed(gate, undefined)
      })
    case "break":
      return Effect.map(inLocks(HierarchicalLock.breakLease(command.id)), (live) => tell({ what: "broke", live }))
    case "work":
      return inLocks(work(command))
    case "close":
      return Effect.suspend(() => {
        const last = opened
        opened = undefined
        gates.clear()
        return Effect.map(last === undefined ? Effect.void : Scope.close(last.scope, Exit.void), () =>
          tell({ what: "closed" })
        )
      })
  }
}

process.on("disconnect", () => process.exit(0))
process.on("message", (command: Command) => {
  Effect.runFork(
    Effect.tapErrorCause(obey(command), (cause) =>
      Effect.sync(() => {
        console.error(Cause.pretty(cause))
        process.exit(1)
      })
    )
  )
})
tell({ what: "ready" })
