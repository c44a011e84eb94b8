import type { Contestant } from "./contestant.ts"
import { effectDistributedLock, effectDistributedLockPolling } from "./effectDistributedLock.ts"
import {
  hilok,
  hilokCluster1,
  hilokCluster3,
  hilokCluster8,
  hilokCluster48,
  hilokDelegated,
  hilokLingering,
  hilokReplicas
} from "./hilok.ts"
import { limit } from "./limit.ts"
import { memoryAsyncMutex, memoryHilok, memoryReentrantLock, memorySemaphore } from "./memory.ts"
import { redisSemaphore } from "./redisSemaphore.ts"
import { redlock, redlockUsing } from "./redlock.ts"
import { setNx, setNxEffect, setNxPipelined } from "./setNx.ts"
import { tokenQueue } from "./tokenQueue.ts"

export const contestants: ReadonlyMap<string, Contestant> = new Map(
  [
    limit,
    setNx,
    setNxPipelined,
    setNxEffect,
    redlock,
    redlockUsing,
    redisSemaphore,
    effectDistributedLock,
    effectDistributedLockPolling,
    tokenQueue,
    hilok,
    hilokDelegated,
    hilokLingering,
    hilokCluster1,
    hilokCluster3,
    hilokCluster8,
    hilokCluster48,
    hilokReplicas,
    memorySemaphore,
    memoryReentrantLock,
    memoryAsyncMutex,
    memoryHilok
  ].map((contestant) => [contestant.name, contestant])
)
