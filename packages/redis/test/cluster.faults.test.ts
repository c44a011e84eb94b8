/**
 * What becomes of locks when a Redis Cluster changes: a slot moves, another node takes over or leaves.
 */
import { assert, layer } from "@effect/vitest"
import { Target } from "@hilok/core"
import { Effect, Fiber, type Scope } from "effect"
import { type ClusterFixture, leavesNothing, TestCluster } from "./support/clusterFixture.ts"
import { assertRising, hold, type Locks, open, soon, timeLimit, until, watch } from "./support/faults.ts"
import * as History from "./support/history.ts"

const r = [Target.write("r")]
const x = [Target.write("x")]

const test = (body: (fixture: ClusterFixture) => Effect.Effect<void, unknown, Scope.Scope>) => () => leavesNothing(body)

/** Another primary than that which serves the slot of the namespace. */
const another = ({ cluster, primary }: ClusterFixture) =>
  Effect.map(
    Effect.forEach(
      cluster.nodes.filter(({ admin }) => admin.status === "ready"),
      (node) => Effect.promise(async () => (/^role:master/m.test(await node.admin.info("replication")) ? [node] : []))
    ),
    (found) => found.flat().find((node) => node !== primary)!
  )

/** Waits until the replica has all that was written so far. */
const copied = ({ key, primary }: ClusterFixture) =>
  Effect.promise(async () => {
    const last = key.replace(/:table$/, ":last")
    await primary.admin.set(last, "x")
    await primary.admin.del(last)
    assert.isAtLeast(await primary.admin.wait(1, 20_000), 1)
  })

/** Clients that take the same lock again and again; `end` stops them, and checks that no two of them held it at once. */
const work = (all: ReadonlyArray<Locks>) =>
  Effect.gen(function* () {
    const holds: Array<History.Hold> = []
    const fibers: Array<Fiber.RuntimeFiber<void>> = []
    let isOver = false
    for (const [i, locks] of all.entries()) {
      const once = (n: number) =>
        locks.withLocks((lease) => {
          const entered = History.now()
          const name = `${i} ${n}`
          return Effect.map(Effect.sleep("2 millis"), () => {
            const left = History.now()
            holds.push({ name, token: lease.token, targets: r, entered, left, isSure: true, outcome: "done" })
          })
        }, r)
      const loop = (n: number): Effect.Effect<void> =>
        Effect.suspend(() => (isOver ? Effect.void : Effect.zipRight(Effect.orDie(once(n)), loop(n + 1))))
      fibers.push(yield* Effect.forkScoped(loop(0)))
    }
    const count = () => holds.length
    /** Waits until each has had its turn since then. */
    const goOn = Effect.suspend(() => {
      const before = count()
      return until(
        Effect.sync(() => {
          const since = new Set(holds.slice(before).map(({ name }) => name.split(" ")[0]))
          return since.size === all.length
        }),
        "work that goes on"
      )
    })
    return {
      goOn,
      end: Effect.gen(function* () {
        isOver = true
        yield* soon(Fiber.joinAll(fibers), "the end of the work")
        assert.deepStrictEqual(History.violations(History.check(holds)), [])
      })
    }
  })

layer(TestCluster.layer(), { excludeTestServices: true })("on a Redis Cluster", (it) => {
  const changes: ReadonlyArray<
    readonly [what: string, change: (fixture: ClusterFixture) => Effect.Effect<unknown, unknown, Scope.Scope>]
  > = [
    [
      "the slot moves to another primary",
      (fixture) =>
        Effect.flatMap(another(fixture), (to) => fixture.cluster.moveSlot(fixture.key, to, Effect.sleep("200 millis")))
    ],
    [
      "the slot moves to a primary that lacks the library",
      (fixture) =>
        Effect.gen(function* () {
          const to = yield* another(fixture)
          if (process.env.HILOK_TEST_LOADER !== "script")
            yield* Effect.promise(() => to.admin.call("FUNCTION", "FLUSH"))
          yield* Effect.promise(() => to.admin.script("FLUSH"))
          yield* fixture.cluster.moveSlot(fixture.key, to)
        })
    ],
    [
      "a replica takes over as it is told to",
      ({ cluster, key, primary, replica }) =>
        Effect.gen(function* () {
          yield* Effect.promise(() => replica.admin.cluster("FAILOVER"))
          const isOver = Effect.map(cluster.serving(key), (now) => now.primary !== primary)
          yield* until(isOver, "the failover")
        })
    ]
  ]
  for (const [what, change] of changes) {
    it.effect(
      `when ${what}, those who hold, wait and ask go on, and no lock is granted twice`,
      test((fixture) =>
        Effect.gen(function* () {
          const all = yield* Effect.replicateEffect(open(fixture, { ttl: 20_000, refreshInterval: 100 }), 3)
          const [one, other] = [all[0]!, all[1]!]
          const holder = yield* hold(one, x)
          const before = yield* holder.entered
          const waiter = yield* hold(other, x)
          const { waiting } = yield* watch(fixture)
          const busy = yield* work(all)
          yield* busy.goOn
          yield* change(fixture)
          yield* busy.goOn
          yield* fixture.cluster.settled(fixture.key)
          yield* busy.goOn
          assert.isTrue(holder.isIn())
          assert.isFalse(waiter.isIn())
          yield* busy.end
          yield* waiting(1)
          assert.strictEqual(yield* holder.leave, "done")
          const after = yield* waiter.entered
          assertRising(before.lease.token, after.lease.token)
          assert.strictEqual(yield* waiter.leave, "done")
        })
      ),
      timeLimit
    )
  }

  /** Holds a lock for which somebody waits, and has all of that copied. */
  const heldAndCopied = (fixture: ClusterFixture) =>
    Effect.gen(function* () {
      const options = { ttl: 25_000, refreshInterval: 200, store: { commandTimeout: 1000 } }
      const locks = yield* open(fixture, options)
      const other = yield* open(fixture, options)
      const holder = yield* hold(locks, x)
      const { lease } = yield* holder.entered
      const waiter = yield* hold(other, x)
      const { waiting } = yield* watch(fixture)
      yield* waiting(1)
      yield* copied(fixture)
      return {
        other,
        /** Who holds still does, and is followed by whoever waits. */
        check: Effect.gen(function* () {
          assert.isTrue(holder.isIn())
          assert.isFalse(waiter.isIn())
          assert.strictEqual(yield* holder.leave, "done")
          const after = yield* waiter.entered
          assertRising(lease.token, after.lease.token)
          assert.strictEqual(yield* waiter.leave, "done")
        })
      }
    })

  const becomesPrimary = ({ replica }: ClusterFixture) =>
    until(
      Effect.promise(async () => /^role:master/m.test(await replica.admin.info("replication"))),
      "the failover"
    )

  it.effect(
    "when the primary is killed, what the replica has lives on: who holds, holds, and who waits is let in",
    test((fixture) =>
      Effect.gen(function* () {
        const { check, other } = yield* heldAndCopied(fixture)
        yield* fixture.primary.kill
        // Nobody serves the slot for now.
        const asked = yield* hold(other, r)
        yield* asked.entered
        assert.strictEqual(yield* asked.leave, "done")
        yield* check
      })
    ),
    timeLimit
  )

  it.effect(
    "when the primary says nothing any more, and another one takes over, so it is, too",
    test((fixture) =>
      Effect.gen(function* () {
        const { check, other } = yield* heldAndCopied(fixture)
        yield* Effect.acquireRelease(fixture.primary.stop, () => fixture.primary.goOn)
        yield* becomesPrimary(fixture)
        // What was sent to the former one ends as with any server that does not answer.
        const isFree = Effect.isSuccess(other.withLocks(Effect.void, r))
        yield* until(isFree, "a lock")
        yield* check
        yield* fixture.primary.goOn
        const isReplica = Effect.promise(async () =>
          (await fixture.primary.admin.info("replication")).includes("master_link_status:up")
        )
        yield* until(isReplica, "the former primary as a replica")
      })
    ),
    timeLimit
  )

  it.effect(
    "a grant that the replica does not have is lost with its primary: the next one has a greater token, and the loser learns in time",
    test((fixture) =>
      Effect.gen(function* () {
        const ttl = 6000
        const locks = yield* open(fixture, { ttl, refreshInterval: 200, store: { commandTimeout: 1000 } })
        const other = yield* open(fixture, { ttl, store: { commandTimeout: 1000 } })
        const { primary, replica } = fixture
        yield* Effect.acquireRelease(replica.stop, () => replica.goOn)
        yield* Effect.promise(() => primary.admin.client("KILL", "TYPE", "replica"))
        const loser = yield* hold(locks, x)
        const { lease } = yield* loser.entered
        yield* primary.kill
        const killed = History.now()
        yield* replica.goOn
        const winner = yield* hold(other, x)
        const after = yield* winner.entered
        assertRising(lease.token, after.lease.token)
        assert.match(yield* loser.outcome, /^LockLost/)
        assert.isBelow(loser.interrupted()! - killed, (ttl + 2000) * 1000)
        assert.isTrue(winner.isIn())
        assert.strictEqual(yield* winner.leave, "done")
      })
    ),
    timeLimit
  )

  it.effect(
    "when the node leaves the Cluster, those who hold, wait and ask go on at another one",
    test((fixture) =>
      Effect.gen(function* () {
        const { cluster, key, primary } = fixture
        const to = yield* another(fixture)
        const { check, other } = yield* heldAndCopied(fixture)
        yield* cluster.moveSlot(key, to)
        yield* cluster.leave(primary, to)
        const asked = yield* hold(other, r)
        yield* asked.entered
        assert.strictEqual(yield* asked.leave, "done")
        yield* check
      })
    ),
    timeLimit
  )
})
