/**
 * What befalls the network, the server and the processes, by the seed.
 */
import type { Weather, Wires } from "./network.ts"
import type { Random } from "./random.ts"
import type { Server } from "./server.ts"
import { inTicks, type Process, type World } from "./world.ts"

const kinds = [
  "cut",
  "silence",
  "partition",
  "slow",
  "stop",
  "restart",
  "loss",
  "scripts",
  "forward",
  "back",
  "busy",
  "pause"
] as const
export type Kind = (typeof kinds)[number]

export interface Place {
  readonly process: Process
  readonly wires: Wires
  readonly weather: Weather
}

/** Each of them may come, or most of them, or none at all. */
export const choose = (random: Random): ReadonlyArray<Kind> => {
  if (random.chance(0.1)) return []
  const share = random.pick([0.15, 0.4, 0.7])
  const chosen = kinds.filter(() => random.chance(share))
  // A table that is lost, and a clock that is set back: tokens may fall then.
  return chosen.includes("loss") ? chosen.filter((kind) => kind !== "back") : chosen
}

/** How long a fault lasts (milliseconds): mostly less than a ttl, or a time limit, now and then more. */
const duration = (random: Random): number =>
  inTicks(random.chance(0.7) ? random.between(5, 400) : random.between(400, 3000))

/** Lets something happen now and then, until the time has come. */
export const unleash = (
  world: World,
  random: Random,
  chosen: ReadonlyArray<Kind>,
  server: Server,
  places: ReadonlyArray<Place>,
  until: number
): void => {
  const strike = (): void => {
    const kind = random.pick(chosen)
    const { process, weather, wires } = random.pick(places)
    // What is wrong is over in time.
    const lasting = inTicks(Math.min(duration(random), until - world.now))
    world.note("fault", `${kind}, ${process.name}, ${lasting} ms`)
    switch (kind) {
      case "cut":
        if (random.chance(0.7)) wires.commands.cut()
        if (random.chance(0.5)) wires.listening.cut()
        break
      case "silence":
        random.pick([wires.commands, wires.listening]).silence(lasting, random.chance(0.5))
        break
      case "partition":
        weather.silentUntil = world.now + lasting
        break
      case "slow": {
        weather.slowness = inTicks(random.between(50, 800))
        world.after(lasting, undefined, () => {
          weather.slowness = 0
        })
        break
      }
      case "stop":
        server.stop(lasting)
        break
      case "restart":
      case "loss":
        server.restart(Math.min(lasting, 500), kind === "restart")
        for (const place of places) {
          place.wires.commands.cut()
          place.wires.listening.cut()
        }
        break
      case "scripts":
        server.forgetScripts()
        break
      case "forward":
        server.setClock(inTicks(random.between(1, 2000)))
        break
      case "back":
        server.setClock(-inTicks(random.between(1, 700)))
        break
      case "busy":
        server.beBusy(lasting)
        break
      case "pause":
        process.pausedUntil = Math.max(process.pausedUntil, world.now + lasting)
        break
    }
  }
  const next = (): void => {
    const wait = random.between(20, random.pick([150, 900]))
    if (chosen.length === 0 || world.now + wait >= until) return
    world.after(wait, undefined, () => {
      strike()
      next()
    })
  }
  next()
}
