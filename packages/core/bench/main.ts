/**
 * What an uncontended lock costs in one process: `npm run bench:core [-- --rounds 15]`.
 *
 * Every subject runs in the same process, in short slices that take turns, so that noise of the machine hits all of them
 * alike; the figure is the median over the rounds. The aim: `withWrite` over the memory store costs at most 5 times
 * `Effect.makeSemaphore(1).withPermits(1)`, however many other leases are held.
 */
import { parseArgs } from "node:util"
import { DelegatingStore, HierarchicalLock, LockPath, LockStore, LockTable, MemoryStore, Target } from "@hilok/core"
import { Duration, Effect, Either, STM, TReentrantLock } from "effect"

const { values } = parseArgs({
  options: { rounds: { type: "string", default: "15" }, slice: { type: "string", default: "15" } }
})
const rounds = Number(values.rounds)
const sliceMillis = Number(values.slice)

const depths = [1, 3, 12]
const populations = [0, 1_000, 100_000]

interface Subject {
  readonly name: string
  readonly depth?: number
  readonly others?: number
  /** Locks and unlocks so many times. */
  readonly run: (times: number) => Effect.Effect<void>
}

const repeat = (effect: Effect.Effect<unknown, unknown>) => (times: number) =>
  Effect.suspend(() => {
    let left = times
    return Effect.orDie(Effect.whileLoop({ while: () => left > 0, body: () => effect, step: () => left-- }))
  })

const pathOf = (depth: number) => Array.from({ length: depth }, (_, i) => `s${i}`).join("/")

const encode = (path: string) => Either.getOrThrow(LockPath.parse(path))

/** Other leases, half of them deeper in the tree and half right next to the path, but none in its way. */
const othersOf = (count: number) =>
  Array.from({ length: count }, (_, i) => (i % 2 === 0 ? `other/${i % 100}/${i}` : `other-${i}`))

const fill = (store: LockStore.LockStore["Type"], count: number) =>
  Effect.forEach(
    othersOf(count),
    (path, i) =>
      store.tryAcquire({
        id: `other-${i}`,
        targets: [{ mode: "write", path: encode(path) }],
        ttl: Duration.hours(100),
        within: [],
        holder: {}
      }),
    { discard: true }
  )

const viaService = (others: number, spans: boolean) =>
  Effect.gen(function* () {
    const store = yield* MemoryStore.make()
    yield* fill(store, others)
    const locks = yield* HierarchicalLock.make({ spans }).pipe(Effect.provideService(LockStore.LockStore, store))
    return depths.map((depth): Subject => {
      const path = pathOf(depth)
      return {
        name: `withWrite${spans ? ", spans on" : ""}`,
        depth,
        others,
        run: repeat(locks.withWrite(Effect.void, path))
      }
    })
  })

/** Under a delegation, or under a wide one of `s0`. */
const viaDelegate = (widen: boolean) =>
  Effect.gen(function* () {
    const below = yield* MemoryStore.make()
    const store = yield* Effect.provideService(DelegatingStore.make({ widen }), LockStore.LockStore, below)
    const locks = yield* HierarchicalLock.make({ spans: false }).pipe(Effect.provideService(LockStore.LockStore, store))
    if (widen) for (let i = 0; i < 4; i++) yield* locks.withWrite(Effect.void, `s0/${i}`)
    return depths
      .filter((depth) => depth > 1 || !widen)
      .map((depth): Subject => {
        const path = pathOf(depth)
        const name = widen ? "withWrite, below a delegation" : "withWrite, delegated"
        return { name, depth, others: 0, run: repeat(locks.withWrite(Effect.void, path)) }
      })
  })

const viaTable = (others: number): ReadonlyArray<Subject> => {
  const table = new LockTable.LockTable()
  const request = (id: string, path: string) => ({
    id,
    targets: [{ mode: "write" as const, path: encode(path) }],
    ttl: 360_000_000,
    waitTtl: Number.POSITIVE_INFINITY,
    within: [],
    holder: {}
  })
  for (const [i, path] of othersOf(others).entries()) table.acquire(request(`other-${i}`, path), 0)
  return depths.map((depth) => {
    const own = request("own", pathOf(depth))
    let last = 0
    return {
      name: "LockTable alone",
      depth,
      others,
      run: (times: number) =>
        Effect.sync(() => {
          for (let i = 0; i < times; i++) {
            const id = `own-${++last}`
            table.acquire({ ...own, id }, 1)
            table.release(id, 1, id)
          }
        })
    }
  })
}

const now = () => Number(process.hrtime.bigint()) / 1e3

const timed = (subject: Subject, times: number) =>
  Effect.gen(function* () {
    const started = now()
    yield* subject.run(times)
    return (now() - started) / times
  })

const median = (numbers: ReadonlyArray<number>) => {
  const sorted = [...numbers].sort((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN
}

const progress = (text: string) => process.stderr.write(process.stderr.isTTY ? `\r\u001b[K${text}` : `${text}\n`)

const program = Effect.gen(function* () {
  progress("Setting up: up to 100,000 leases held …")
  const semaphore = yield* Effect.makeSemaphore(1)
  const reentrant = yield* STM.commit(TReentrantLock.make)
  const service: Array<Subject> = []
  for (const others of populations) service.push(...(yield* viaService(others, false)))
  const several = yield* Effect.gen(function* () {
    const store = yield* MemoryStore.make()
    const locks = yield* HierarchicalLock.make({ spans: false }).pipe(Effect.provideService(LockStore.LockStore, store))
    const targets = [Target.write("a/b/c"), Target.write("d/e/f")]
    return { name: "withLocks, two paths", depth: 3, others: 0, run: repeat(locks.withLocks(Effect.void, targets)) }
  })
  const subjects: ReadonlyArray<Subject> = [
    { name: "Semaphore.withPermits(1)", run: repeat(semaphore.withPermits(1)(Effect.void)) },
    { name: "TReentrantLock.withWriteLock", run: repeat(TReentrantLock.withWriteLock(Effect.void, reentrant)) },
    ...service,
    ...(yield* viaService(0, true)),
    ...(yield* viaDelegate(false)),
    ...(yield* viaDelegate(true)),
    several,
    ...populations.flatMap(viaTable)
  ]

  // Warm up, and find out how many times fit into a slice.
  const times = new Map<Subject, number>()
  for (const subject of subjects) {
    progress(`Warming up: ${subject.name}`)
    yield* timed(subject, 5_000)
    const micros = yield* timed(subject, 5_000)
    times.set(subject, Math.max(10, Math.round((sliceMillis * 1000) / micros)))
  }
  const results = new Map<Subject, Array<number>>()
  for (let round = 1; round <= rounds; round++) {
    progress(`Round ${round} of ${rounds}`)
    for (const subject of subjects) {
      const found = results.get(subject) ?? []
      found.push(yield* timed(subject, times.get(subject)!))
      results.set(subject, found)
    }
  }
  progress("")

  const base = median(results.get(subjects[0]!)!)
  const rows = subjects.map((subject) => {
    const micros = median(results.get(subject)!)
    return [
      subject.name,
      subject.depth?.toString() ?? "",
      subject.others?.toLocaleString("en") ?? "",
      micros.toFixed(2),
      (micros / base).toFixed(2)
    ]
  })
  const header = ["lock and unlock", "depth", "other leases", "µs", "× semaphore"]
  const widths = header.map((title, i) => Math.max(title.length, ...rows.map((row) => row[i]!.length)))
  const line = (cells: ReadonlyArray<string>) =>
    cells.map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!))).join("  ")
  console.log([line(header), widths.map((width) => "-".repeat(width)).join("  "), ...rows.map(line)].join("\n"))

  const ratios = service.map((subject) => median(results.get(subject)!) / base)
  console.log(
    `\nNode ${process.version}, medians of ${rounds} rounds. withWrite, spans off: ` +
      `${Math.min(...ratios).toFixed(1)} to ${Math.max(...ratios).toFixed(1)} times the semaphore (aim: at most 5).`
  )
}).pipe(Effect.scoped)

await Effect.runPromise(program)
