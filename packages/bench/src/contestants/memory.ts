/** Locks of one process, for the memory store. */
import { HierarchicalLock, MemoryStore } from "@hilok/core"
import { Mutex } from "async-mutex"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as STM from "effect/STM"
import * as TReentrantLock from "effect/TReentrantLock"
import { type Contestant, loopOf } from "./contestant.ts"
import * as effects from "./effects.ts"

const nothing = async () => undefined

export const memoryHilok: Contestant = {
  name: "memory-hilok",
  open: async () => {
    // A longer ttl than the default: 100,000 leases that are refreshed every 3 s take most of a core.
    const runtime = ManagedRuntime.make(
      Layer.provide(HierarchicalLock.layer({ spans: false, ttl: "1 minute" }), MemoryStore.layer())
    )
    await runtime.runtime()
    return {
      loop: (hooks) =>
        runtime.runPromise(effects.loopOf(hooks, ({ path }, use) => HierarchicalLock.withWrite(path)(use))),
      close: () => runtime.dispose()
    }
  }
}

export const memorySemaphore: Contestant = {
  name: "effect-semaphore",
  open: async () => {
    const semaphore = await Effect.runPromise(Effect.makeSemaphore(1))
    return {
      loop: (hooks) => Effect.runPromise(effects.loopOf(hooks, (_, use) => semaphore.withPermits(1)(use))),
      close: nothing
    }
  }
}

export const memoryReentrantLock: Contestant = {
  name: "effect-treentrantlock",
  open: async () => {
    const lock = await Effect.runPromise(STM.commit(TReentrantLock.make))
    return {
      loop: (hooks) => Effect.runPromise(effects.loopOf(hooks, (_, use) => TReentrantLock.withWriteLock(use, lock))),
      close: nothing
    }
  }
}

export const memoryAsyncMutex: Contestant = {
  name: "async-mutex",
  open: async () => {
    const mutex = new Mutex()
    return {
      loop: loopOf(
        () => mutex.acquire(),
        async (release) => release()
      ),
      close: nothing
    }
  }
}
