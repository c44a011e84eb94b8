/**
 * Random commands for the scripts. They are plain data, so that a failing run can be read and shrunk: what they apply to
 * is a number, by which one of those that are live is chosen. Most are simple: one target, not nested.
 */
import { FastCheck } from "effect"

/** A mode, as the scripts have it. */
type Letter = "R" | "W" | "r" | "w"

interface Asked {
  readonly targets: ReadonlyArray<{ readonly mode: Letter; readonly path: string | null }>
  /** The lease that encloses it: every other time one that somebody waits for. */
  readonly inside: number | null
  /** Wait, or be refused. */
  readonly queues: boolean
  /** Has the id of the one before in the same call, or of one that is there. */
  readonly again: "last" | number | null
}

/** Of leases, those that somebody waits for come first; `any` may be nobody at all. */
type Chosen = "wanted" | "held" | "waiting" | "any"

/** By whom something is done: the owner, whoever gives an order, or one who is not the owner. */
export type By = "owner" | "hand" | "other"

export type Command =
  | { readonly op: "acquire"; readonly requests: ReadonlyArray<Asked>; readonly ttl: number }
  | { readonly op: "release"; readonly picks: ReadonlyArray<number>; readonly of: Chosen; readonly by: By }
  | {
      readonly op: "refresh" | "look" | "restore"
      readonly picks: ReadonlyArray<number>
      readonly ttl: number
      readonly by: By
    }
  | { readonly op: "downgrade" | "break" | "lookup" | "give_back"; readonly pick: number; readonly by: By }
  | { readonly op: "inspect"; readonly path: string }
  /** The clock goes on to the earliest deadline, or is set back by so many seconds. */
  | { readonly op: "expire" }
  | { readonly op: "back"; readonly seconds: number }

export interface Step {
  readonly command: Command
  readonly client: 0 | 1
  /** Microseconds that go by before it. */
  readonly passes: number
  readonly isLate: boolean
}

const pick = FastCheck.nat({ max: 50 })
const letter = FastCheck.constantFrom<Array<Letter>>("R", "W", "r", "w")
const paths = ["", "a/", "a/b/", "a/b/c/", "a/c/", "ab/", "a b/", "a%2Fb/", "a/é/"]
// Milliseconds: so different that the expiry of the keys is now moved on, now not.
const ttl = FastCheck.constantFrom(1000, 30_000, 60_000, 100_000, 600_000)

/** `null` is a path of its own. */
const target = (among: ReadonlyArray<string | null>, modes: FastCheck.Arbitrary<Letter>) =>
  FastCheck.record({ mode: modes, path: FastCheck.constantFrom(...among) })

const again: FastCheck.Arbitrary<Asked["again"]> = FastCheck.oneof(
  { weight: 40, arbitrary: FastCheck.constant(null) },
  { weight: 1, arbitrary: FastCheck.constant("last" as const) },
  { weight: 1, arbitrary: pick }
)

const simple = (
  among: ReadonlyArray<string | null>,
  modes: FastCheck.Arbitrary<Letter> = letter
): FastCheck.Arbitrary<Asked> =>
  FastCheck.tuple(target(among, modes), again).map(([one, again]) => ({
    targets: [one],
    inside: null,
    queues: true,
    again
  }))

const special = (among: ReadonlyArray<string>, modes = letter): FastCheck.Arbitrary<Asked> =>
  FastCheck.record({
    targets: FastCheck.oneof(
      { weight: 1, arbitrary: FastCheck.array(target(among, modes), { minLength: 1, maxLength: 3 }) },
      { weight: 1, arbitrary: target(among, modes).map((only) => [only]) }
    ),
    inside: FastCheck.option(pick, { freq: 2 }),
    queues: FastCheck.boolean(),
    again
  })

const acquire = (requests: FastCheck.Arbitrary<ReadonlyArray<Asked>>): FastCheck.Arbitrary<Command> =>
  FastCheck.record({ op: FastCheck.constant("acquire" as const), requests, ttl })
const one = (request: FastCheck.Arbitrary<Asked>) => acquire(request.map((only) => [only]))
const some = (request: FastCheck.Arbitrary<Asked>, minLength: number, maxLength: number) =>
  acquire(FastCheck.array(request, { minLength, maxLength }))

const by = FastCheck.oneof(
  { weight: 1, arbitrary: FastCheck.constant<By>("owner") },
  { weight: 1, arbitrary: FastCheck.constantFrom<Array<By>>("hand", "other") }
)
const almostAlwaysTheOwner = FastCheck.oneof(
  { weight: 40, arbitrary: FastCheck.constant<By>("owner") },
  { weight: 1, arbitrary: FastCheck.constantFrom<Array<By>>("hand", "other") }
)

const release = (of: Chosen, maxLength: number): FastCheck.Arbitrary<Command> =>
  FastCheck.record({
    op: FastCheck.constant("release" as const),
    picks: FastCheck.array(pick, { minLength: 1, maxLength }),
    of: FastCheck.constant(of),
    by: almostAlwaysTheOwner
  })

/** After which no lease is young. */
const long: FastCheck.Arbitrary<Command> = FastCheck.oneof(
  { weight: 4, arbitrary: one(special(paths)) },
  { weight: 2, arbitrary: some(FastCheck.oneof(special(paths), simple(paths)), 2, 4) },
  { weight: 2, arbitrary: release("waiting", 1) },
  { weight: 1, arbitrary: release("any", 3) },
  { weight: 2, arbitrary: release("any", 1) },
  {
    weight: 8,
    arbitrary: FastCheck.record({
      op: FastCheck.constantFrom("restore" as const, "restore" as const, "refresh" as const),
      picks: FastCheck.array(pick, { minLength: 1, maxLength: 3 }),
      ttl,
      by
    })
  },
  {
    weight: 3,
    arbitrary: FastCheck.record({
      op: FastCheck.constantFrom("refresh" as const, "look" as const, "restore" as const),
      picks: FastCheck.array(pick, { minLength: 1, maxLength: 3 }),
      ttl,
      by
    })
  },
  {
    weight: 3,
    arbitrary: FastCheck.record({
      op: FastCheck.constantFrom("downgrade" as const, "break" as const, "lookup" as const, "give_back" as const),
      pick,
      by
    })
  },
  {
    weight: 1,
    arbitrary: FastCheck.record({
      op: FastCheck.constant("inspect" as const),
      path: FastCheck.constantFrom(...paths)
    })
  },
  { weight: 2, arbitrary: FastCheck.constant<Command>({ op: "expire" }) },
  {
    weight: 1,
    arbitrary: FastCheck.record({
      op: FastCheck.constant("back" as const),
      seconds: FastCheck.integer({ min: 0, max: 5 })
    })
  }
)

const run = (
  commands: FastCheck.Arbitrary<Command>,
  first: FastCheck.Arbitrary<Command> = commands
): FastCheck.Arbitrary<ReadonlyArray<Step>> => {
  const step = (command: FastCheck.Arbitrary<Command>): FastCheck.Arbitrary<Step> =>
    FastCheck.record({
      command,
      client: FastCheck.constantFrom(0 as const, 1 as const),
      passes: FastCheck.constantFrom(0, 1, 700, 5000, 400_000),
      isLate: FastCheck.nat({ max: 40 }).map((n) => n === 0)
    })
  return FastCheck.tuple(step(first), FastCheck.array(step(commands), { maxLength: 100, size: "max" })).map(
    ([head, rest]) => [head, ...rest]
  )
}

/** More of the simple ones the greater the number. */
const often = <A>(times: number, ...arbitraries: ReadonlyArray<FastCheck.Arbitrary<A>>) =>
  arbitraries.map((arbitrary) => ({ weight: times, arbitrary }))

const exclusive = FastCheck.constantFrom<Array<Letter>>("W", "w")
const hot = simple(["a/b/"], FastCheck.constantFrom<Array<Letter>>("W", "W", "W", "w"))

export const runs: FastCheck.Arbitrary<ReadonlyArray<Step>> = FastCheck.oneof(
  // Few at a time, on paths that meet.
  run(
    FastCheck.oneof(
      { weight: 1, arbitrary: long },
      ...often(6, one(simple(["a/", "a/b/", "a/b/c/", "a/c/"])), one(simple(paths))),
      ...often(12, release("wanted", 1)),
      ...often(2, some(simple(paths), 2, 3), release("held", 1), release("held", 4))
    )
  ),
  // A queue for one node, and others beside.
  run(
    FastCheck.oneof(
      { weight: 1, arbitrary: long },
      ...often(20, one(hot), release("wanted", 1)),
      ...often(1, one(simple(["a/c/", null, "ab/"], exclusive)), one(simple([...paths, null]))),
      ...often(1, one(special(["a/", "a/b/", "a/b/c/"])), release("held", 1), release("waiting", 1))
    ),
    // Eight are young at most.
    FastCheck.oneof(some(simple([null]), 8, 8), some(simple([null]), 1, 12))
  ),
  // Many at once, apart from each other for the most part.
  run(
    FastCheck.oneof(
      { weight: 1, arbitrary: long },
      ...often(4, some(simple([null]), 1, 4), some(simple([null]), 6, 12)),
      ...often(2, some(simple([null, null, null, null, ...paths]), 2, 5)),
      ...often(6, one(simple(paths)), release("wanted", 1), release("wanted", 12)),
      ...often(1, release("any", 30))
    )
  )
)
