import { assert, describe, layer } from "@effect/vitest"
import { LockPath, LockStore, Target } from "@hilok/core"
import { RedisStore } from "@hilok/redis"
import { Command, Reference, Session } from "@hilok/testing"
import { Context, Duration, Effect, Either, FastCheck, Layer, Option, Runtime } from "effect"
import { Redis } from "ioredis"
import { type Fixture, leavesNothing, TestServer } from "./support/fixture.ts"
import * as layout from "./support/layout.ts"

const { read, write } = Target

/** What may happen: what the contract suite knows, and several leases or waiting requests that expire at once. */
type Step =
  | { readonly client: number; readonly command: Command.Command }
  | { readonly client: number; readonly overdue: ReadonlyArray<number>; readonly waiting: boolean }

const steps: FastCheck.Arbitrary<Array<Step>> = FastCheck.array(
  FastCheck.record({
    client: FastCheck.nat({ max: 1 }),
    commands: Command.commands({ time: false, maxLength: 1 }),
    overdue: FastCheck.option(FastCheck.uniqueArray(FastCheck.nat({ max: 20 }), { minLength: 1, maxLength: 6 }), {
      freq: 5
    }),
    waiting: FastCheck.boolean()
  }),
  { maxLength: 60, size: "max" }
).map((all) =>
  all.flatMap(({ client, commands: [command], overdue, waiting }): ReadonlyArray<Step> => {
    if (overdue !== null) return [{ client, overdue, waiting }]
    return command === undefined ? [] : [{ client, command }]
  })
)

const acquire = (client: number, target: Target.Target): Step => ({
  client,
  command: { op: "acquire", targets: [Session.region(target)], inside: null, ttl: 1 }
})

/** What chance seldom finds: the reader waits at the end, and is granted when the writer before it is cancelled. */
const freedByCancel: Array<Step> = [acquire(0, read("a")), acquire(1, write("a")), acquire(1, read("a/b"))]

const ttl = Duration.minutes(1)

/** A client that sends every command twice, as one does that was cut off before the reply. */
const stuttering = ({ namespace, server }: Fixture): ReturnType<Fixture["client"]> =>
  Effect.gen(function* () {
    const redis = yield* Effect.acquireRelease(
      Effect.sync(() => new Redis(server.url, { connectionName: namespace })),
      (redis) => Effect.sync(() => redis.disconnect())
    )
    const send = redis.sendCommand.bind(redis)
    redis.sendCommand = (command) => {
      const reply = send(command)
      if (command.name === "fcall" || command.name === "evalsha") {
        const again = new Redis.Command(command.name, [...command.args], { replyEncoding: "utf8" })
        ;(send(again) as Promise<unknown>).catch(() => undefined)
      }
      return reply
    }
    const layer = RedisStore.layerClient(redis, { namespace })
    const store = Context.get(yield* Layer.build(layer), LockStore.LockStore)
    return { store, session: yield* Session.make(store) }
  }).pipe(Effect.orDie)

/** Two clients of one namespace, and the rules beside them. */
const drive = ({ admin, keys }: Fixture, client: () => ReturnType<Fixture["client"]>, run: ReadonlyArray<Step>) =>
  Effect.gen(function* () {
    // A run that failed has left something.
    yield* Effect.promise(() => admin.del(...keys))
    const clients = [yield* client(), yield* client()] as const
    const model = new Reference.Reference()
    /** Which client asked for it, or has this name. */
    const clientOf = new Map<string, number>()
    /** Grants that the rules have given since the last comparison. */
    const expected: Array<string> = []
    const tickets = (store: LockStore.LockStore["Type"]) =>
      Effect.map(store.inspect(LockPath.root), (entries) => new Map(entries.map(({ id, ticket }) => [id, ticket])))

    const compare = Effect.gen(function* () {
      const [first, second] = [yield* clients[0].session.observe, yield* clients[1].session.observe]
      const { entries } = second
      for (const { cycle } of [...first.deadlocks, ...second.deadlocks]) {
        assert.isTrue(model.isCycle(cycle), `each in the reported cycle waits for the next: ${cycle.join(" -> ")}`)
      }
      for (const { cycle } of [...first.deadlocks, ...second.deadlocks]) model.remove(cycle[0]!)
      const token = (id: string) => entries.find((entry) => entry.id === id)?.token ?? 0
      const granted = [...first.granted, ...second.granted].sort((a, b) => token(a) - token(b))
      assert.deepStrictEqual(granted, [...expected, ...model.grant()], "the requests that are granted, in order")
      expected.length = 0
      assert.deepStrictEqual(
        entries.map(({ id, state, targets, within }) => ({ id, state, targets: targets.map(Session.region), within })),
        model.entries.map(({ id, state, targets, within }) => ({ id, state, targets, within })),
        "what the store shows"
      )
      for (const entry of entries) {
        if (entry.state === "held") continue
        const blockers = model.blockers(model.find(entry.id)!).map(({ id }) => id)
        assert.include(blockers, entry.blockedBy, `${entry.id} is said to be blocked by what blocks it`)
      }
      yield* layout.check(admin, keys)
    })

    const told = (leases: ReadonlyArray<Reference.Entry>, reason: LockStore.Revocation["reason"]) =>
      Effect.forEach(clients, ({ session }, at) =>
        Effect.gen(function* () {
          const its = leases.filter(({ owner }) => clientOf.get(owner) === at)
          const revoked = yield* Effect.forEach(its, () => session.revocation)
          assert.sameDeepMembers(
            [...revoked],
            its.map(({ id, owner }) => ({ id, owner, reason })),
            "what a client is told of its leases"
          )
        })
      )

    const step = (step: Step): Effect.Effect<void, unknown> =>
      Effect.gen(function* () {
        const { session, store } = clients[step.client]!
        if ("overdue" in step) {
          // A nested request that queues anew may close a cycle at once; those are left alone.
          const among = step.waiting ? model.waiting.filter(({ within }) => within.length === 0) : model.held
          const ids = among.filter((_, at) => step.overdue.includes(at)).map(({ id }) => id)
          if (ids.length === 0) return
          const before = yield* tickets(store)
          yield* (step.waiting ? layout.expireWaiting : layout.expire)(admin, keys, ids)
          // Any script finds them.
          yield* store.lookup("nobody")
          const dropped = ids.flatMap((id) => model.find(id) ?? [])
          for (const id of ids) model.remove(id)
          if (!step.waiting) return void (yield* told(dropped, "expired"))
          // Their clients are there, so they queue anew, in whichever order, behind those who then wait.
          expected.push(...model.grant())
          const queuedAnew = Effect.map(tickets(store), (after) =>
            ids.every((id) => (after.get(id) ?? before.get(id)) !== before.get(id))
          )
          yield* Session.eventually(queuedAnew, "a place in the queue for what was dropped")
          const after = yield* tickets(store)
          for (const request of dropped.sort((a, b) => after.get(a.id)! - after.get(b.id)!)) {
            model.arrive(request)
            expected.push(...model.grant())
          }
          return
        }
        const { command } = step
        switch (command.op) {
          case "acquire":
          case "try": {
            const within = Command.enclosing(model, command.inside)
            const targets = command.targets.map(({ mode, path }) => ({ mode, path: LockPath.toInput(path) }))
            const request = session.request(targets, { within, ttl })
            const modelled = { ...request, ttl: Duration.toMillis(ttl), waitTtl: undefined }
            clientOf.set(request.id, step.client)
            if (command.op === "acquire") {
              yield* session.ask(request)
              return model.arrive(modelled)
            }
            const answer = yield* session.attempt(request)
            const blockers = model.blockers(modelled)
            assert.strictEqual(
              Either.isRight(answer),
              blockers.length === 0,
              `${request.id} is granted when it is free`
            )
            if (Either.isLeft(answer))
              return assert.include(
                blockers.map(({ id }) => id),
                answer.left.id
              )
            model.arrive(modelled)
            return assert.deepStrictEqual(model.grant(), [request.id])
          }
          case "advance":
          case "stranger":
            return
        }
        const entry = Command.chosen(model, command)
        if (entry === undefined) return
        const { id } = entry
        const name = "by" in command ? Command.nameOf(entry, command.by) : entry.owner
        const isDone = name === undefined || name === entry.owner
        switch (command.op) {
          case "again": {
            const request: LockStore.LockRequest = {
              id,
              targets: [entry.targets[0]!, ...entry.targets.slice(1)],
              ttl,
              within: entry.within,
              holder: {}
            }
            yield* Session.due(store.acquire(request), `the repeated answer to ${id}`)
            return
          }
          case "cancel":
            yield* clients[clientOf.get(id)!]!.session.cancel(id)
            return model.remove(id)
          case "release":
            // Also by a client that is not the owner's, and twice in one command.
            assert.deepStrictEqual(
              (yield* Effect.all([store.release(id, name), store.release(id, name)], {
                concurrency: "unbounded"
              })).filter(Boolean),
              isDone ? [true] : [],
              `the release of ${id} by ${name}`
            )
            if (isDone) model.remove(id)
            return name === undefined ? void (yield* told([entry], "released")) : undefined
          case "downgrade":
            assert.strictEqual(yield* store.downgrade(id, name), isDone, `the downgrade of ${id} by ${name}`)
            return isDone ? model.downgrade(id) : undefined
          case "break":
            assert.isTrue(yield* store.breakLease(id), `${id} can be broken`)
            model.remove(id)
            return void (yield* told([entry], "broken"))
          case "expire":
            yield* layout.expire(admin, keys, [id])
            assert.isTrue(Option.isNone(yield* store.refresh(id, ttl, entry.owner)), `${id} has expired`)
            model.remove(id)
            return void (yield* told([entry], "expired"))
          case "refresh":
            assert.strictEqual(Option.isSome(yield* store.refresh(id, ttl, name)), isDone, `${id} by ${name}`)
            return isDone ? model.refresh(id, 1, name) : undefined
          case "restore": {
            const owner = command.by === "owner" ? entry.owner : `${id}.${clientOf.size}`
            const lease = Option.getOrUndefined(yield* store.restore(id, ttl, owner))
            assert.deepStrictEqual(lease?.targets.slice(), entry.targets.slice(), `the targets of ${id}`)
            model.restore(id, 1, owner)
            if (owner !== entry.owner) yield* told([entry], "taken")
            clientOf.set(owner, step.client)
            return
          }
          case "giveBack": {
            const isBack = isDone && entry.former !== undefined
            const returned = yield* store.giveBack(id, name ?? "")
            assert.strictEqual(returned, isBack, `the return of ${id} by ${name}`)
            return isBack ? model.giveBack(id) : undefined
          }
        }
      })

    for (const one of run) {
      yield* step(one)
      yield* compare
    }
    for (const { session } of clients) assert.strictEqual(yield* session.pendingRevocations, 0)
    yield* Effect.forEach(model.waiting, ({ id }) => clients[clientOf.get(id)!]!.session.cancel(id))
    // One that waited behind another may have been granted when that was cancelled, before its own turn came.
    yield* Effect.forEach(model.entries, ({ id, owner }) => clients[0].store.release(id, owner))
    yield* Effect.forEach(clients, ({ session }) => session.end)
  })

/** The library is the same one, however it is loaded: as a script it is given fewer of what chance finds. */
const share = process.env.HILOK_TEST_LOADER === "script" ? 0.4 : 1

describe("RedisStore", () => {
  layer(TestServer.layer, { excludeTestServices: true })("beside the rules", (it) => {
    const holds = (runs: number, client: (fixture: Fixture) => ReturnType<Fixture["client"]>) =>
      leavesNothing((fixture) =>
        Effect.gen(function* () {
          const runPromise = Runtime.runPromise(yield* Effect.runtime())
          const property = FastCheck.asyncProperty(steps, (run) =>
            runPromise(Effect.scoped(drive(fixture, () => client(fixture), run)))
          )
          yield* Effect.promise(() =>
            FastCheck.assert(property, { numRuns: runs * share, examples: [[freedByCancel]] })
          )
        })
      )

    it.effect(
      "two clients get what the rules say, whatever expires at once, and the keys hold nothing else",
      () => holds(200, ({ client }) => client()),
      60_000
    )

    it.effect("a command that is run twice changes nothing more", () => holds(100, stuttering), 60_000)
  })
})
