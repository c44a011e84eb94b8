/**
 * The client as it is, several times, against a server that decides by `LockTable`, over a network of the seed's. All of it
 * follows from the seed, so one that fails can be run again.
 */
import { createHash } from "node:crypto"
import { HierarchicalLock, LockStore } from "@hilok/core"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import * as Supervisor from "effect/Supervisor"
import { make } from "../../../src/internal/client.ts"
import * as Keys from "../../../src/internal/keys.ts"
import { Checker } from "./checker.ts"
import type { Rules } from "./decisions.ts"
import * as Faults from "./faults.ts"
import * as Internals from "./internals.ts"
import * as Network from "./network.ts"
import { Random } from "./random.ts"
import { Server } from "./server.ts"
import { type Style, Workload } from "./workload.ts"
import { Process, World } from "./world.ts"

export interface Options {
  /** Rules of the server that are switched off. */
  readonly rules?: Partial<Rules>
  /** Whether leases are taken over, and released by hand behind the back of who works under them. */
  readonly ownership?: boolean
  /** How many milliseconds later than asked for a `LockTimeout` may come. */
  readonly lateness?: number
}

export interface Result {
  readonly seed: number
  /** What was wrong. */
  readonly violation: string | undefined
  readonly trace: ReadonlyArray<string>
  /** The same for the same run. */
  readonly hash: string
  readonly faults: ReadonlyArray<Faults.Kind>
  readonly outcomes: ReadonlyMap<string, number>
  readonly grants: number
}

/** A process with a service in it. */
interface Client extends Faults.Place {
  readonly stop: Deferred.Deferred<void>
  readonly main: Fiber.RuntimeFiber<void, unknown>
  readonly locks: () => HierarchicalLock.Operations<never> | undefined
}

const begin = (world: World, server: Server, random: Random, name: string, style: Style): Client => {
  const supervisor = Effect.runSync(Supervisor.track)
  const process = new Process(world, name, random.fork(), supervisor)
  const weather = new Network.Weather()
  const wires = Network.open(process, server, random.fork(), weather, random.pick(["resends", "fails"]))
  const stop = Deferred.unsafeMake<void>(FiberId.none)
  let locks: HierarchicalLock.Operations<never> | undefined
  const main = process.fork(
    Effect.gen(function* () {
      const store = yield* make(wires.connection, {
        namespace: "simulation",
        keys: Keys.make("hilok", "simulation"),
        connectTimeout: Duration.seconds(5),
        commandTimeout: Duration.millis(style.commandTimeout),
        lazyListening: false,
        replicas: undefined
      })
      locks = yield* Effect.provideService(
        HierarchicalLock.make({ ttl: style.ttl, spans: false }),
        LockStore.LockStore,
        store
      )
      yield* Deferred.await(stop)
    }).pipe(Effect.scoped)
  )
  return { process, weather, wires, stop, main, locks: () => locks }
}

/** What the client waits for besides, when it takes a request back: who is in the way (100 ms), and the release (1 s). */
const slack = 1200

const chooseStyle = (random: Random, { lateness, ownership = false }: Options): Style => {
  const ttl = random.pick([400, 800, 1500])
  const commandTimeout = random.pick([200, 600, 1500])
  return {
    ttl,
    commandTimeout,
    hold: random.pick([20, 150, ttl]),
    pause: random.pick([30, 250]),
    workers: random.pick([1, 1, 2]),
    interruptions: random.pick([0, 0.1, 0.4]),
    orders: random.pick([0, 0, 0.1]),
    restores: ownership ? random.pick([0, 0.1, 0.2]) : 0,
    ownership,
    lateness: lateness ?? slack + commandTimeout
  }
}

/** When it begins to go wrong, and how long that lasts at least (milliseconds). */
const beginning = 200
const disorder = 800
/** Whatever it is that a process waits for, it does not wait for longer. */
const patience = 60_000
/** After the last operation, what is on its way has arrived. */
const aftermath = 500

export const simulate = async (seed: number, options: Options = {}): Promise<Result> => {
  const random = new Random(seed)
  const world = new World()
  const style = chooseStyle(random.fork(), options)
  const checker = new Checker(world, style.commandTimeout)
  const server = new Server(world, random.fork(), options.rules ?? {}, seed % 2 === 0, checker)
  const faults = Faults.choose(random.fork())
  const workload = new Workload(world, server, checker, random.fork(), style)
  world.note("seed", `${seed} ${JSON.stringify(style)}; faults: ${faults.join(", ") || "none"}`)
  world.onMoment = () => checker.check(server)

  const internals = new Internals.Internals()
  await world.inPlaceOfNode(() =>
    internals.watch(async () => {
      const clients = Array.from({ length: random.pick([3, 3, 3, 4]) }, (_, i) =>
        begin(world, server, random, `p${i}`, style)
      )
      const isReady = await world.run(() => clients.every(({ locks }) => locks() !== undefined), beginning)
      if (!isReady) return checker.violated("the stores were not opened in time")

      const end = world.now + disorder + random.between(0, 1200)
      const workers = clients.flatMap(({ locks, process }) =>
        Array.from({ length: style.workers }, () => process.fork(workload.work(process, locks()!)))
      )
      if (faults.length === 0) checker.calmSince = world.now
      Faults.unleash(world, random.fork(), faults, server, clients, end)
      await world.run(() => false, end)

      // What was left behind in disorder is over when order has lasted for so long.
      const calm = end + 1500 + 3 * style.ttl + style.commandTimeout
      checker.calmSince = Math.min(checker.calmSince, calm)
      world.note("world", "nothing goes wrong any more")
      workload.isResting = true
      await world.run(() => false, calm - 1000)
      workload.isResting = false
      await world.run(() => false, calm + 300)
      workload.isOver = true
      world.note("world", "nothing more is begun")
      const isDone = () => workers.every((fiber) => fiber.unsafePoll() !== null)
      if (!(await world.run(isDone, world.now + patience))) {
        return checker.violated(`they wait in vain: ${Array.from(workload.underWay).join(", ")}`)
      }
      await world.run(() => false, world.now + aftermath)
      if (server.left.length > 0) checker.violated(`there is left in the server: ${server.left.join("; ")}`)
      for (const problem of internals.problems) checker.violated(problem)

      for (const { process, stop } of clients) {
        world.after(0, process, () => Deferred.unsafeDone(stop, Effect.void))
      }
      const isClosed = () => clients.every(({ main }) => main.unsafePoll() !== null)
      if (!(await world.run(isClosed, world.now + patience))) return checker.violated("a store does not close")
      for (const { process } of clients) {
        const fibers = Effect.runSync(process.supervisor.value).length
        if (process.timers > 0) checker.violated(`${process.name} has ${process.timers} timers left`)
        if (fibers > 0) checker.violated(`${process.name} has ${fibers} fibers left`)
      }
    })
  )
  const hash = createHash("sha256").update(world.trace.join("\n")).digest("hex")
  const violation = checker.violation ?? world.failure
  return { seed, violation, trace: world.trace, hash, faults, outcomes: workload.outcomes, grants: checker.grants }
}
