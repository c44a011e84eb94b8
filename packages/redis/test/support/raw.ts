/**
 * The library as the server gets it, run by hand: with a clock that stands still unless the test moves it, and with what each
 * operation did beside its answer. In one variant leases can be young. In the other they cannot: that is what the first must not
 * differ from.
 */
import { createHash } from "node:crypto"
import { Effect, type Scope } from "effect"
import { library } from "../../src/internal/scripts.gen.ts"
import type { Fixture } from "./fixture.ts"
import * as layout from "./layout.ts"

export type Name =
  | "acquire"
  | "release"
  | "refresh"
  | "look"
  | "restore"
  | "settle"
  | "give_back"
  | "downgrade"
  | "break"
  | "lookup"
  | "inspect"

/**
 * `KEYS[4]` is the time (microseconds): no operation has a fourth key. What is short, in an answer or a message, is written out.
 */
const instrumented = (library: string) => `
local server, commands, messages = redis, {}, {}
local redis = setmetatable({}, { __index = server })
function redis.call(name, ...)
  commands[#commands + 1] = name
  if name == 'TIME' then
    local time = tonumber(KEYS[4])
    return { math.floor(time / 1000000), time % 1000000 }
  elseif name == 'PEXPIRE' then
    local key, left = ...
    return server.call('PEXPIREAT', key, string.format('%.0f', KEYS[4] / 1000 + left))
  elseif name == 'PUBLISH' then
    messages[#messages + 1] = table.concat({ ... }, '\\n')
  end
  return server.call(name, ...)
end
local name = table.remove(ARGV, 1)
local function run()
${library}
if name ~= 'acquire' then
  server.call('HDEL', KEYS[1], '')
end
return perform(name, KEYS, ARGV)
end
local function in_full(events)
  local lines = {}
  for line in string.gmatch(events, '[^\\n]+') do
    local letter, id, token = string.match(line, '^([gG]) (%S+) ?(%S*)$')
    if id then
      -- (One that ended in the same call is not there any more.)
      local stored = server.call('HGET', KEYS[1], 'r' .. id)
      local record = stored and { cmsgpack.unpack(stored) } or { 0, 0, token == '' and KEYS[4] or token, 0, 0 }
      line = string.format('%s %s %.0f %.0f', letter, id, tonumber(record[3]), KEYS[4] + record[5] * 1000)
      assert(token == '' and tonumber(record[3]) == tonumber(KEYS[4]) or tonumber(token) == tonumber(record[3]))
    end
    lines[#lines + 1] = line
  end
  return table.concat(lines, '\\n')
end
local answer = run()
if type(answer) == 'string' then
  local first, events = string.match(answer .. '\\n', '^([^\\n]*)\\n(.-)\\n?$')
  local seconds, micros, token = string.match(first, '^(%d+) (%d+) ?(%d*)$')
  assert(seconds * 1000000 + micros == tonumber(KEYS[4]))
  answer = { tonumber(KEYS[4]), 0, in_full(events) }
  local at = name == 'acquire' and 6 or 4
  while at <= #ARGV do
    answer[#answer + 1] = 1
    if name ~= 'acquire' then
      at = at + 1
    else
      token = #answer > 4 and token + 1 or tonumber(token) or tonumber(KEYS[4])
      answer[#answer + 1], answer[#answer + 2] = token, KEYS[4] + ARGV[5] * 1000
      if ARGV[at] ~= '' then
        at = at + 2
      else
        answer[#answer] = KEYS[4] + ARGV[at + 2] * 1000
        at = at + 6 + ARGV[at + 5]
        at = at + ARGV[at] + 1
      end
    end
  end
elseif type(answer[3]) == 'string' then
  answer[3] = in_full(answer[3])
end
for i = 1, #messages do
  local channel, time, events = string.match(messages[i], '^([^\\n]*)\\n([^\\n]*)\\n(.*)$')
  messages[i] = channel .. '\\n' .. time .. '\\n' .. in_full(events)
end
return answer.err and answer or { answer, messages, commands }`

const variant = (change: (library: string) => string) => {
  const lua = instrumented(change(library))
  return { lua, sha: createHash("sha1").update(lua).digest("hex") }
}
const variants = {
  young: variant((library) => library),
  entered: variant((library) => library.replace(/^local few\b.*$/m, (line) => line.replace("= 8", "= 0")))
}

/** What an operation did. */
export interface Ran {
  readonly answer: ReadonlyArray<unknown>
  /** For each message the channel, the time, and what is told, by line. */
  readonly messages: ReadonlyArray<string>
  /** The names of the commands it called, in order. */
  readonly commands: ReadonlyArray<string>
}

/** Who runs an operation, when (microseconds), from when on it is late, and above which token it is to grant. */
export interface Call {
  readonly client: string
  readonly time: number
  readonly late?: number | undefined
  readonly floor?: number | undefined
}

/** A namespace that is used by hand. */
export interface Raw {
  readonly keys: Fixture["keys"]
  /** Runs an operation, with its arguments from the fourth on. */
  readonly run: (name: Name, call: Call, args: ReadonlyArray<string>) => Effect.Effect<Ran>
  readonly look: Effect.Effect<layout.Table>
  readonly clear: Effect.Effect<void>
}

/** A namespace in which leases are young as long as they can be, or one in which they never are. */
export const make = (
  { admin, keys, namespace }: Fixture,
  variant: keyof typeof variants
): Effect.Effect<Raw, never, Scope.Scope> =>
  Effect.gen(function* () {
    const { lua, sha } = variants[variant]
    yield* Effect.promise(() => admin.script("LOAD", lua))
    const [table, index, deadlines] = keys.map((key) => key.replace(namespace, `${namespace}-${variant}`))
    const own = [table!, index!, deadlines!] as const
    const clear = Effect.promise(() => admin.del(...own))
    yield* Effect.addFinalizer(() => clear)
    return {
      keys: own,
      run: (name, { client, floor, late = Number.MAX_SAFE_INTEGER, time }, args) =>
        Effect.promise(async () => {
          const limits = floor === undefined ? `${late}` : `${late} ${floor}`
          const all = [...own, `${time}`, name, client, "to-", limits, ...args]
          const [answer, messages, commands] = (await admin.evalsha(sha, 4, ...all)) as [
            ReadonlyArray<unknown>,
            ReadonlyArray<string>,
            ReadonlyArray<string>
          ]
          return { answer, messages, commands }
        }),
      look: layout.look(admin, own),
      clear
    }
  })

/** The time of the server (microseconds), an hour ahead: no key expires, wherever a test moves its clock. */
export const start = ({ admin }: Fixture): Effect.Effect<number> =>
  Effect.promise(async () => {
    const [seconds] = (await admin.time()) as unknown as [string]
    return (Number(seconds) + 3600) * 1_000_000
  })
