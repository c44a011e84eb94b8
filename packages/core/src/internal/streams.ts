/**
 * Streams under locks, and of locks.
 */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { Lease } from "../Lease.ts"
import * as LockDuration from "../LockDuration.ts"
import type { LockEntry } from "../LockEntry.ts"
import { InvalidOptions, type InvalidPath, type LockError, type StoreError } from "../LockError.ts"
import * as LockOptions from "../LockOptions.ts"
import type * as LockPath from "../LockPath.ts"
import type { Target } from "../Target.ts"
import type { ChangesOptions } from "./operations.ts"

type AnyStream = Stream.Stream<unknown, unknown, unknown>

const isStream = (value: unknown): value is AnyStream =>
  typeof value === "object" && value !== null && Stream.StreamTypeId in value

const refuse = (option: string, reason: string) => Stream.fail(new InvalidOptions({ option, reason }))

/** Takes the stream first or last, as `eitherOrder` of the service does for effects. */
export const eitherOrder =
  (run: (stream: AnyStream, what: never, options: never) => AnyStream) =>
  (first: unknown, second?: unknown, third?: unknown) => {
    if (isStream(first)) return run(first, second as never, third as never)
    if (isStream(second) || isStream(third)) {
      return refuse("options", "the stream comes before the targets, or in a call or pipe of its own")
    }
    return (stream: unknown) =>
      isStream(stream)
        ? run(stream, first as never, second as never)
        : refuse("stream", "what is put under locks is a stream")
  }

export const streamLocks = (
  locks: (
    targets: ReadonlyArray<Target>,
    options: LockOptions.AcquireOptions
  ) => Effect.Effect<Lease, LockError, Scope.Scope>
) =>
  eitherOrder((stream, targets, options: LockOptions.StreamOptions = {}) =>
    Stream.unwrapScoped(
      Effect.gen(function* () {
        yield* LockOptions.checkNames(options, LockOptions.names.stream)
        const { lost } = yield* locks(targets, { ...options, onLost: "signal" })
        // A stream whose last step could not be interrupted must not seem to have held its locks either.
        const lostMeanwhile = Effect.raceFirst(lost, Effect.void)
        return Stream.concat(Stream.interruptWhen(stream, lost), Stream.execute(lostMeanwhile))
      })
    )
  )

/** All of an entry but what changes as time goes by, and when it ends, if that matters. */
const essence =
  (withEnd: boolean) =>
  ({ age, timeLeft, ...rest }: LockEntry): string =>
    JSON.stringify(withEnd && timeLeft !== undefined ? [rest, Math.round(rest.since + age + timeLeft)] : rest)

export const changes =
  (inspect: (path?: LockPath.Input) => Effect.Effect<ReadonlyArray<LockEntry>, InvalidPath | StoreError>) =>
  (
    path?: LockPath.Input,
    options: ChangesOptions = {}
  ): Stream.Stream<ReadonlyArray<LockEntry>, InvalidPath | InvalidOptions | StoreError> =>
    Stream.unwrap(
      Effect.gen(function* () {
        yield* LockOptions.checkNames(options, { every: true, refreshes: true })
        const every = yield* Either.mapLeft(
          LockDuration.decode(options.every ?? "1 second", { zero: false, infinite: false }),
          (reason) => new InvalidOptions({ option: "every", reason })
        )
        return Stream.repeatEffectWithSchedule(inspect(path), Schedule.spaced(every)).pipe(
          Stream.map((entries) => ({ entries, essence: entries.map(essence(options.refreshes ?? false)).join("\n") })),
          Stream.changesWith((one, other) => one.essence === other.essence),
          Stream.map(({ entries }) => entries)
        )
      })
    )
