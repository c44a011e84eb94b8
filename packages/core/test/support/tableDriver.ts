import { assert } from "@effect/vitest"
import { LockPath, LockTable, type Target } from "@hilok/core"
import { Command, Reference, Session } from "@hilok/testing"

export interface Options {
  /** How long a request stays in the queue; for ever when absent. */
  readonly waitTtl?: number
}

/**
 * Steps a lock table and the reference side by side. Unlike a store, a table lets all that is due expire at one time.
 */
export class TableDriver {
  readonly table = new LockTable.LockTable()
  readonly model = new Reference.Reference()
  private readonly waitTtl: number
  private lastId = 0
  private lastToken = 0
  private readonly tokens = new Map<string, number>()

  constructor(options?: Options) {
    this.waitTtl = options?.waitTtl ?? Number.POSITIVE_INFINITY
  }

  step(command: Command.Command): void {
    this.run(command)
    this.compare()
  }

  /** Lets all finish, as clients would: first those inside of which nobody waits. */
  finish(): void {
    for (;;) {
      const done = this.model.held.find(({ id }) => this.model.waitsFor(id).length === 0)
      if (done === undefined) break
      this.step({ op: "release", by: "owner", pick: this.model.held.indexOf(done) })
    }
    assert.deepStrictEqual(
      this.model.entries.map(({ id }) => id),
      [],
      "no cycle of requests went unnoticed"
    )
    assert.strictEqual(this.table.size, 0)
    assert.strictEqual(this.table.queueLength, 0)
    assert.isUndefined(this.table.nextDeadline)
  }

  private run(command: Command.Command): void {
    const { model, table } = this
    const now = model.now
    switch (command.op) {
      case "acquire":
      case "try": {
        const request = {
          id: `${++this.lastId}`,
          targets: command.targets,
          within: Command.enclosing(model, command.inside),
          ttl: command.ttl * 1000,
          waitTtl: this.waitTtl,
          holder: {}
        }
        const blockers = model.blockers(request)
        const outcome = command.op === "try" ? table.tryAcquire(request, now) : table.acquire(request, now)
        if (blockers.length === 0) {
          model.arrive(request)
          assert.deepStrictEqual(model.grant(), [request.id])
          assert.isTrue(
            outcome._tag === "Granted" && outcome.deadline === now + request.ttl,
            "a free request is granted"
          )
          if (outcome._tag === "Granted") this.noteGrant(request.id, outcome.token)
        } else if (command.op === "try") {
          assert.strictEqual(outcome._tag, "Refused")
          this.assertBlocker(outcome, blockers)
        } else {
          model.arrive(request)
          if (outcome._tag === "Deadlock") this.deadlock(request.id, outcome.cycle)
          else this.assertBlocker(outcome, blockers)
        }
        return
      }
      case "advance":
        model.now += command.seconds * 1000
        return this.expire()
      case "stranger": {
        const id = "stranger"
        assert.deepStrictEqual(
          [
            table.release(id, now),
            table.downgrade(id, now),
            table.breakLease(id, now),
            table.refresh(id, 1, now),
            table.restore(id, 1, now, id),
            table.giveBack(id, now, id)
          ],
          [false, false, false, undefined, false, false]
        )
        return
      }
    }
    const entry = Command.chosen(model, command)
    if (entry === undefined) return
    const { id, owner } = entry
    const name = "by" in command ? Command.nameOf(entry, command.by) : owner
    const isDone = name === undefined || name === owner
    switch (command.op) {
      case "again": {
        const request = { ...entry, waitTtl: this.waitTtl, holder: {} }
        for (const outcome of [table.acquire(request, now), table.tryAcquire(request, now)]) {
          assert.deepStrictEqual(outcome, {
            _tag: "Granted",
            token: this.tokens.get(id) ?? 0,
            deadline: entry.deadline
          })
        }
        return
      }
      case "cancel":
        assert.isTrue(table.release(id, now, owner))
        return model.remove(id)
      case "release":
        assert.strictEqual(table.release(id, now, name), isDone)
        if (name === undefined) this.ended.push(`${id} of ${owner} held released`)
        return isDone ? model.remove(id) : undefined
      case "downgrade":
        assert.strictEqual(table.downgrade(id, now, name), isDone)
        return isDone ? model.downgrade(id) : undefined
      case "break":
        assert.isTrue(table.breakLease(id, now))
        model.remove(id)
        this.ended.push(`${id} of ${owner} held broken`)
        return
      case "expire":
        table.refresh(id, 1, now, owner)
        model.refresh(id, 1, owner)
        model.now += 1
        return this.expire()
      case "refresh": {
        const deadline = table.refresh(id, command.ttl * 1000, now, name)
        if (isDone) model.refresh(id, command.ttl * 1000, name)
        assert.strictEqual(deadline, isDone ? model.find(id)?.deadline : undefined)
        return
      }
      case "restore": {
        const next = command.by === "owner" ? owner : `${id}.${++this.lastOwner}`
        assert.isTrue(table.restore(id, command.ttl * 1000, now, next))
        if (next !== owner) this.ended.push(`${id} of ${owner} held taken`)
        return model.restore(id, command.ttl * 1000, next)
      }
      case "giveBack": {
        const isUndone = isDone && entry.former !== undefined
        assert.strictEqual(table.giveBack(id, now, name!), isUndone)
        if (isUndone) model.giveBack(id)
        return this.expire()
      }
    }
  }

  private ended: Array<string> = []
  private lastOwner = 0

  private expire(): void {
    this.table.expire(this.model.now)
    this.ended.push(...this.model.expire().map(({ id, owner, state }) => `${id} of ${owner} ${state} expired`))
  }

  private deadlock(id: string, cycle: ReadonlyArray<string>): void {
    assert.strictEqual(cycle[0], id)
    assert.isTrue(this.model.isCycle(cycle), `each waits for the next: ${cycle.join(" -> ")}`)
    this.model.remove(id)
  }

  private noteGrant(id: string, token: number): void {
    assert.isAbove(token, this.lastToken)
    assert.isAtLeast(token, this.model.now * 1000)
    this.lastToken = token
    this.tokens.set(id, token)
  }

  private assertBlocker(outcome: LockTable.Outcome, blockers: ReadonlyArray<Reference.Entry>): void {
    const named = outcome._tag === "Waiting" || outcome._tag === "Refused" ? outcome.blocker : outcome._tag
    assert.include(
      blockers.map(({ id }) => id),
      named
    )
  }

  private compare(): void {
    const { model, table } = this
    const granted: Array<string> = []
    const ended: Array<string> = []
    const events = table.takeEvents()
    // The cycles are judged by what waited before anyone was let in.
    for (const event of events) {
      if (event._tag === "Deadlock") assert.isTrue(model.isCycle(event.cycle), event.cycle.join(" -> "))
    }
    for (const event of events) {
      if (event._tag === "Ended") ended.push(`${event.id} of ${event.owner} ${event.state} ${event.reason}`)
      else if (event._tag === "Deadlock") this.deadlockRemoved(event.id, event.cycle)
      else {
        if (event._tag !== "Granted") assert.fail(`${event._tag}, though there is no delegation`)
        granted.push(event.id)
        this.noteGrant(event.id, event.token)
      }
    }
    assert.deepStrictEqual(granted, model.grant(), "granted, in order")
    assert.sameMembers(ended, this.ended, "told to have ended")
    this.ended = []

    const shown = table.inspect(LockPath.root, model.now)
    assert.deepStrictEqual(
      shown.map(({ age, id, state, targets, timeLeft, token, within }) => {
        const regions = targets.map((target: Target.Target) => Session.region(target))
        return { id, state, targets: regions, within, token, since: model.now - age, deadline: timeLeft }
      }),
      model.entries.map(({ deadline, id, since, state, targets, within }) => ({
        id,
        state,
        targets: targets.slice(),
        within,
        token: this.tokens.get(id),
        since,
        deadline: deadline === Number.POSITIVE_INFINITY ? undefined : deadline - model.now
      })),
      "what the table shows"
    )
    for (const { blockedBy, id } of shown) {
      const entry = model.find(id)!
      const blockers = entry.state === "held" ? [undefined] : model.blockers(entry).map((blocker) => blocker.id)
      assert.include(blockers, blockedBy, `${id} is blocked by what blocks it`)
    }
    assert.strictEqual(table.size, model.entries.length)
    assert.strictEqual(table.queueLength, model.waiting.length)
    assert.strictEqual(table.nextDeadline ?? Number.POSITIVE_INFINITY, model.nextDeadline)
  }

  private deadlockRemoved(id: string, cycle: ReadonlyArray<string>): void {
    assert.strictEqual(cycle[0], id)
    this.model.remove(id)
  }
}
