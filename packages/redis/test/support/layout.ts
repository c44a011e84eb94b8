/**
 * The three keys of a namespace, read as `lua/table.lua`, `sets.lua` and `young.lua` describe them, and held to it: everything in them
 * follows from the records.
 */
import { assert } from "@effect/vitest"
import { Effect } from "effect"
import type { Redis } from "ioredis"

type Keys = readonly [table: string, index: string, deadlines: string]

const read = `
local fields, hash = redis.call('HGETALL', KEYS[1]), {}
for i = 1, #fields, 2 do
  hash[#hash + 1] = { fields[i], cmsgpack.unpack(fields[i + 1]) }
end
-- All in the same millisecond.
local ttls = {}
repeat
  for i = 1, 3 do
    ttls[i] = redis.call('PTTL', KEYS[i])
  end
until redis.call('PTTL', KEYS[1]) == ttls[1]
return { hash, redis.call('ZRANGE', KEYS[2], 0, -1), redis.call('ZRANGE', KEYS[3], 0, -1, 'WITHSCORES'), ttls }`

const head = [
  ...(["layout", "token", "ticket", "shared", "exclusive", "waits", "nested", "pending", "due", "keep"] as const),
  ...(["deep", "kept"] as const)
] as const

interface Record {
  readonly id: string
  readonly state: string
  readonly ticket: string
  /** Whose it is: the client, and the name of the owner. */
  readonly client: string
  readonly owner: string
  readonly blocker: string
  readonly targets: ReadonlyArray<string>
  readonly within: ReadonlyArray<string>
  /** For a delegation: whose it is. */
  readonly delegate: string | undefined
  /** All of it, as it is stored. */
  readonly values: ReadonlyArray<unknown>
}

/** What the keys hold. */
export interface Table {
  /** Empty when there is none. */
  readonly head: ReadonlyArray<unknown>
  readonly records: ReadonlyArray<Record>
  readonly nodes: ReadonlyMap<string, ReadonlyArray<number>>
  /** The sorted sets, without the members that are always there. */
  readonly index: ReadonlyArray<string>
  readonly scored: ReadonlyMap<string, number>
  /** Whether both have the stamp that says whose they are. */
  readonly isStamped: boolean
  /** The last ticket that was given, 0 without a table. */
  readonly lastTicket: number
  /** The deadlines of young leases, which are among the records, but not entered in the nodes and the sorted sets. */
  readonly young: ReadonlyMap<string, number>
  /** Of each key: what is left to it (milliseconds), -1 when it does not expire, -2 when it is not there. */
  readonly ttls: ReadonlyArray<number>
}

const parseRecord = (id: string, values: ReadonlyArray<unknown>): Record => {
  const words = (text: unknown, by: string) => (text === undefined || text === "" ? [] : String(text).split(by))
  return {
    id,
    state: String(values[0]),
    ticket: String(values[1]),
    client: String(values[5]),
    owner: String(values[10] || id),
    blocker: String(values[8] ?? ""),
    targets: words(values[7], "\0"),
    within: words(values[9], " "),
    delegate: typeof values[12] === "string" ? values[12] : undefined,
    values
  }
}

/** Young leases, as the records that would be made of them, and their deadlines. */
const parseYoung = ([, , , , ...rest]: ReadonlyArray<unknown>) => {
  const records: Array<Record> = []
  const deadlines = new Map<string, number>()
  for (let at = 0; at < rest.length; at += 7) {
    const [id, target, ticket, token, ttl, client, holder] = rest.slice(at, at + 7)
    const record = ["h", String(ticket).padStart(16, "0"), token, token, ttl, client, holder, target]
    records.push(parseRecord(String(id), record))
    deadlines.set(`h${id}`, Number(token) + Number(ttl) * 1000)
  }
  return { records, deadlines }
}

const above = (path: string): ReadonlyArray<string> =>
  path
    .split("/")
    .slice(0, -1)
    .map((_, depth, segments) =>
      segments
        .slice(0, depth)
        .map((s) => `${s}/`)
        .join("")
    )

/** What the index and the counts of the nodes must be. */
const derive = (records: ReadonlyArray<Record>) => {
  const index = new Set<string>()
  const nodes = new Map<string, Array<number>>()
  const totals = { shared: 0, exclusive: 0, waits: 0, nested: 0, kept: 0 }
  const count = (path: string, slot: number) => {
    const counts = nodes.get(path) ?? Array<number>(8).fill(0)
    counts[slot] = (counts[slot] ?? 0) + 1
    nodes.set(path, counts)
  }
  for (const { blocker, delegate, id, state, targets, ticket, within } of records) {
    for (const target of targets) {
      const [mode, path] = [target.slice(0, 1), target.slice(1)]
      const exclusive = mode === "W" || mode === "w"
      const alone = mode === "r" || mode === "w" ? 1 : 0
      const mark = alone === 1 ? "/n" : "/s"
      if (state === "h") {
        totals[exclusive ? "exclusive" : "shared"]++
        if (delegate !== undefined) totals.kept++
        const list = delegate === undefined ? "h" : "d"
        index.add(`${list}${exclusive ? "w" : "r"}${path}${mark}${ticket}${id}`)
        count(path, delegate === undefined ? (exclusive ? 2 : 0) + alone : 8)
        continue
      }
      const kind = exclusive ? "qw" : "qr"
      index.add(`${kind}${path}${mark}${ticket}${id}`)
      count(path, (exclusive ? 6 : 4) + alone)
      for (const higher of above(path)) index.add(`${kind}${higher}/b${ticket}${id}`)
    }
    if (state === "h") continue
    totals.waits++
    if (within.length > 0) totals.nested++
    index.add(`w${blocker}/${ticket}${id}`)
    for (const lease of within) index.add(`n${lease}/${id}`)
  }
  return { index: Array.from(index).sort(), nodes, totals }
}

/** Reads the keys, and changes nothing. */
export const look = (admin: Redis, keys: Keys): Effect.Effect<Table> =>
  Effect.promise(async () => {
    const [hash, index, scored, ttls] = (await admin.eval(read, 3, ...keys)) as [
      ReadonlyArray<ReadonlyArray<unknown>>,
      ReadonlyArray<string>,
      ReadonlyArray<string>,
      ReadonlyArray<number>
    ]
    // The server lists the fields of a hash in another order when it has made the hash larger or smaller.
    const fields = hash
      .map(([field, ...values]) => [String(field), values] as const)
      .sort(([one], [other]) => (one < other ? -1 : 1))
    const m = fields.find(([field]) => field === "m")?.[1] ?? []
    const deadlines = new Map<string, number>()
    for (let i = 0; i < scored.length; i += 2) deadlines.set(scored[i]!, Number(scored[i + 1]))
    const stamp = `!${keys[0]}`
    const isStamped = [index.includes(stamp), deadlines.delete(stamp)]
    const value = fields.find(([field]) => field === "s")?.[1]
    const young = parseYoung(value ?? [])
    return {
      head: m,
      records: [
        ...fields.flatMap(([field, values]) => (field.startsWith("r") ? [parseRecord(field.slice(1), values)] : [])),
        ...young.records
      ],
      nodes: new Map(
        fields.flatMap(([field, values]) =>
          field.startsWith("n") ? [[field.slice(1), values.map(Number)] as const] : []
        )
      ),
      index: index.filter((member) => member !== stamp),
      scored: deadlines,
      isStamped: isStamped.every(Boolean),
      lastTicket: Math.max(Number(value?.[2] ?? 0), Number(m[head.indexOf("ticket")] ?? 0)),
      young: young.deadlines,
      ttls
    }
  })

/** The deadlines of all that is live, as the deadlines' key would name them: `h` or `q`, then the id. */
export const deadlines = ({ scored, young }: Table): ReadonlyMap<string, number> => new Map([...scored, ...young])

/** The nodes, in an order of their own. */
const nodes = (map: Table["nodes"]): { readonly [path: string]: ReadonlyArray<number> } =>
  Object.fromEntries(Array.from(map).sort())

/** Has a script left something for the next ones to do? */
export const isPending = ({ head: values }: Table): boolean => Number(values[head.indexOf("pending")] ?? 0) > 0

/** Checks the keys. */
export const check = (admin: Redis, keys: Keys): Effect.Effect<void> =>
  Effect.flatMap(look(admin, keys), (table) => checkTable(admin, table))

const checkDerived = (
  { index, nodes: counts }: Table,
  { exclusive, kept, nested, shared, waits }: { [_ in (typeof head)[number]]: number },
  must: ReturnType<typeof derive>
): void => {
  assert.deepStrictEqual([...index].sort(), must.index, "the index is what the records say")
  assert.deepStrictEqual(nodes(counts), nodes(must.nodes), "the counts of the nodes are what the records say")
  assert.deepStrictEqual({ shared, exclusive, waits, nested, kept }, must.totals, "the totals are what the records say")
}

/** Checks what was read of the keys. */
export const checkTable = (admin: Redis, table: Table): Effect.Effect<void> =>
  Effect.promise(async () => {
    const { records, scored, ttls, young } = table
    const is = Object.fromEntries(head.map((name, i) => [name, Number(table.head[i] ?? 0)])) as {
      [_ in (typeof head)[number]]: number
    }
    const must = derive(records.filter(({ id }) => !young.has(`h${id}`)))
    assert.strictEqual(is.pending, 0, "nothing is left to look at")
    assert.isAtMost(young.size, 8, "few leases are young")
    checkDerived(table, is, must)
    assert.deepStrictEqual(
      Array.from(deadlines(table).keys()).sort(),
      records.map(({ id, state }) => state + id).sort(),
      "each lease and waiting request has a deadline, and nothing else"
    )
    if (records.length === 0) return
    if (scored.size > 0) assert.isTrue(table.isStamped, "the sorted sets say whose they are")
    const all = Array.from(deadlines(table).values())
    if (scored.size > 0)
      assert.isAtMost(is.due, Math.min(...scored.values()), "the earliest deadline is not later than it is noted")
    const last = Math.max(...all)
    const [seconds, micros] = (await admin.time()) as unknown as [string, string]
    const now = Number(seconds) * 1e6 + Number(micros)
    for (const [i, ttl] of ttls.entries()) {
      if (i > 0 && scored.size === 0) assert.strictEqual(ttl, -2, `key ${i + 1} of 3 is not there`)
      else assert.isAbove(ttl * 1000, last - now, `key ${i + 1} of 3 disappears, but not before the last deadline`)
    }
  })

const overdue = `
local young, stored = redis.call('HGET', KEYS[1], 's'), redis.call('HGET', KEYS[1], 'm')
local values, head = young and { cmsgpack.unpack(young) } or {}, stored and { cmsgpack.unpack(stored) }
for i = 1, #ARGV do
  for at = 5, #values, 7 do
    if 'h' .. values[at] == ARGV[i] then
      values[at + 4] = (i - values[at + 3]) / 1000
    end
  end
  redis.call('ZADD', KEYS[2], 'XX', i, ARGV[i])
end
if young then
  redis.call('HSET', KEYS[1], 's', cmsgpack.pack(unpack(values)))
end
if head then
  head[9] = 1
  redis.call('HSET', KEYS[1], 'm', cmsgpack.pack(unpack(head)))
end`

/** Moves the deadlines of leases into the past, so that the next script finds them expired, in this order. */
export const expire = (admin: Redis, [table, , deadlines]: Keys, ids: ReadonlyArray<string>): Effect.Effect<void> =>
  Effect.promise(() => admin.eval(overdue, 2, table, deadlines, ...ids.map((id) => `h${id}`)))

/** The same for waiting requests. */
export const expireWaiting = (
  admin: Redis,
  [table, , deadlines]: Keys,
  ids: ReadonlyArray<string>
): Effect.Effect<void> => Effect.promise(() => admin.eval(overdue, 2, table, deadlines, ...ids.map((id) => `q${id}`)))
