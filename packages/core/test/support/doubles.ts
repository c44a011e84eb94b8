import { LockError, LockStore } from "@hilok/core"
import { Effect } from "effect"

type Store = LockStore.LockStore["Type"]

/** The calls that a client makes of a store. Both ways to refresh a lease count as one. */
export type Method =
  | Exclude<keyof Store, "namespace" | "revocations" | "refreshAll" | "delegations">
  | "settle"
  | "refreshDelegation"

/** Stands between the service and its store: it gets each call, and answers in its place. */
export interface Around {
  <A, E>(method: Method, call: Effect.Effect<A, E>): Effect.Effect<A, E | LockError.StoreError>
}

export const around = (store: Store, double: Around): Store =>
  LockStore.LockStore.of({
    namespace: store.namespace,
    revocations: store.revocations,
    delegations: store.delegations && {
      settle: (settlement) => double("settle", store.delegations!.settle(settlement)),
      refresh: (id, ttl) => double("refreshDelegation", store.delegations!.refresh(id, ttl)),
      recalls: store.delegations.recalls
    },
    acquire: (request) => double("acquire", store.acquire(request)),
    tryAcquire: (request) => double("tryAcquire", store.tryAcquire(request)),
    restore: (id, ttl, owner) => double("restore", store.restore(id, ttl, owner)),
    giveBack: (id, owner) => double("giveBack", store.giveBack(id, owner)),
    refresh: (id, ttl, owner) => double("refresh", store.refresh(id, ttl, owner)),
    refreshAll: (leases) =>
      Effect.catchAll(double("refresh", store.refreshAll(leases)), (error) => Effect.succeed(leases.map(() => error))),
    release: (id, owner) => double("release", store.release(id, owner)),
    share: (id) => double("share", store.share(id)),
    downgrade: (id, owner) => double("downgrade", store.downgrade(id, owner)),
    breakLease: (id) => double("breakLease", store.breakLease(id)),
    inspect: (path) => double("inspect", store.inspect(path)),
    lookup: (id) => double("lookup", store.lookup(id)),
    blockers: (ids) => double("blockers", store.blockers(ids))
  })

export const down = (operation: string): LockError.StoreError =>
  new LockError.StoreError({ operation, reason: "the connection is down" })

/** A networked store: every call suspends on its way there and on its way back. */
export const remote: Around = (_, call) => Effect.zipRight(Effect.yieldNow(), Effect.zipLeft(call, Effect.yieldNow()))

/** What befalls a call. `lost`: it is carried out, but its reply never comes. `late`: the same, but it fails. */
export type Fault = "none" | "down" | "hangs" | "lost" | "late"

/** A double whose faults can be set, and that counts the calls. */
export class Faults {
  readonly calls = new Map<Method, number>()
  private readonly faults = new Map<Method, Fault>()

  set(method: Method, fault: Fault): void {
    this.faults.set(method, fault)
  }

  readonly around: Around = (method, call) =>
    Effect.suspend(() => {
      this.calls.set(method, (this.calls.get(method) ?? 0) + 1)
      switch (this.faults.get(method) ?? "none") {
        case "none":
          return call
        case "down":
          return Effect.fail(down(method))
        case "hangs":
          return Effect.never
        case "lost":
          return Effect.zipRight(call, Effect.never)
        case "late":
          return Effect.zipRight(call, Effect.fail(down(method)))
      }
    })
}
