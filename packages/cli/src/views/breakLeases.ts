/**
 * Ends leases by an operator's order.
 */
import { HierarchicalLock, LockEntry } from "@hilok/core"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Exit from "../internal/exit.ts"
import type { Connection } from "../internal/options.ts"
import * as Output from "../internal/output.ts"
import { withSession } from "../internal/session.ts"
import { find } from "./find.ts"

export interface Options<E, R> extends Connection {
  readonly ids: ReadonlyArray<string>
  readonly all: string | undefined
  readonly confirm: (question: string) => Effect.Effect<boolean, E, R>
}

const named = (ids: ReadonlyArray<string>) =>
  Effect.forEach(ids, (id) =>
    Effect.flatMap(find(id), (found) =>
      Option.match(found, {
        onNone: () => Effect.fail(Exit.stop(Exit.code.failed, `no lease is live with the id ${id}`)),
        onSome: (entry) =>
          entry.state === "held"
            ? Effect.succeed(entry)
            : Effect.fail(
                Exit.stop(
                  Exit.code.failed,
                  `${entry.id} holds nothing, it waits: \`hilok release ${entry.id}\` takes it out of the queue`
                )
              )
      })
    )
  )

const below = (path: string) =>
  HierarchicalLock.inspect(path).pipe(
    Effect.map((entries) => entries.filter(({ state }) => state === "held")),
    Effect.mapError((error) => Exit.fromLockError(error))
  )

export const breakLeases = <E, R>(options: Options<E, R>): Effect.Effect<void, E | Exit.Stop, R> =>
  withSession(
    options,
    {},
    Effect.gen(function* () {
      const leases = yield* options.all === undefined ? named(options.ids) : below(options.all)
      if (leases.length === 0) return Output.line("Nothing is held there.")
      const words = (lease: LockEntry.LockEntry) => Output.visible(LockEntry.format(lease))
      for (const lease of leases) Output.note(words(lease))
      const question = leases.length === 1 ? "Break this lease?" : `Break these ${leases.length} leases?`
      if (!(yield* options.confirm(question))) return yield* Exit.stop(Exit.code.failed, "nothing was broken")
      const gone = yield* Effect.filter(leases, (lease) =>
        Effect.map(HierarchicalLock.breakLease(lease.id), (broken) => {
          Output.line(`${broken ? "broken" : "gone already"}: ${lease.id}`)
          return !broken
        })
      ).pipe(Effect.mapError((error) => Exit.fromLockError(error)))
      if (gone.length === leases.length) return yield* Exit.stop(Exit.code.failed)
    })
  ) as Effect.Effect<void, E | Exit.Stop, R>
