/**
 * The scripts as the server gets them, run by hand: with a clock that stands still unless the test moves it, and with
 * what each of them did beside its answer. One set is as the store sends it. From the other the short ways are cut out: it
 * is what they must not differ from.
 */
import { createHash } from "node:crypto"
import { readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { Effect, type Scope } from "effect"
import type { Fixture } from "./fixture.ts"
import * as layout from "./layout.ts"

const codegen = (await import(new URL("../../../../scripts/codegen.mjs", import.meta.url).href)) as {
  readonly resolveIncludes: (file: string, read: (file: string) => string) => string
  readonly stripComments: (lua: string) => string
}

const names = [
  "acquire",
  "release",
  "refresh",
  "look",
  "restore",
  "give-back",
  "downgrade",
  "break-lease",
  "lookup",
  "inspect"
] as const
export type Name = (typeof names)[number]

/**
 * `KEYS[4]` is the time (microseconds): no script has a fourth key, and arguments are counted. What is short, in an answer
 * or a message, is written out as the rest of the script would.
 */
const instrumented = (name: Name, lua: string) => `
local server, commands, messages = redis, {}, {}
local redis = setmetatable({}, { __index = server })
function redis.call(name, ...)
  commands[#commands + 1] = name
  if name == 'TIME' then
    local time = tonumber(KEYS[4])
    return { math.floor(time / 1000000), time % 1000000 }
  elseif name == 'PUBLISH' then
    messages[#messages + 1] = table.concat({ ... }, '\\n')
  end
  return server.call(name, ...)
end
local function script()
${lua}
end
local function in_full(events)
  local lines = {}
  for line in string.gmatch(events, '[^\\n]+') do
    local id, token, deadline = string.match(line, '^g (%S+) ?(%S*) ?(%S*)$')
    if id and deadline == '' then
      local record = { cmsgpack.unpack(server.call('HGET', KEYS[1], 'r' .. id)) }
      line = string.format('g %s %.0f %.0f', id, record[3], KEYS[4] + record[5] * 1000)
      assert(token == '' and record[3] == tonumber(KEYS[4]) or tonumber(token) == record[3])
    end
    lines[#lines + 1] = line
  end
  return table.concat(lines, '\\n')
end
local answer = script()
if type(answer) == 'string' then
  local first, events = string.match(answer .. '\\n', '^([^\\n]*)\\n(.-)\\n?$')
  local seconds, micros, token = string.match(first, '^(%d+) (%d+) ?(%d*)$')
  assert(seconds * 1000000 + micros == tonumber(KEYS[4]))
  answer = { tonumber(KEYS[4]), 0, in_full(events) }
  for at = ${name === "acquire" ? "6, #ARGV, 2" : "4, #ARGV"} do
    answer[#answer + 1] = 1${
      name === "acquire"
        ? `
    answer[#answer + 1] = (tonumber(token) or tonumber(KEYS[4])) + (at - 6) / 2
    answer[#answer + 1] = KEYS[4] + ARGV[5] * 1000`
        : ""
    }
  end
elseif type(answer[3]) == 'string' then
  answer[3] = in_full(answer[3])
end
for i = 1, #messages do
  local channel, time, events = string.match(messages[i], '^([^\\n]*)\\n([^\\n]*)\\n(.*)$')
  messages[i] = channel .. '\\n' .. time .. '\\n' .. in_full(events)
end
return answer.err and answer or { answer, messages, commands }`

const shortWays = /^--@include (?:free|queue|hand-over)$/gm

const read = (file: string) => readFileSync(fileURLToPath(new URL(`../../lua/${file}`, import.meta.url)), "utf8")
const scripts = (change: (lua: string) => string) => {
  const make = (name: Name) => {
    const lua = instrumented(
      name,
      codegen.stripComments(codegen.resolveIncludes(`${name}.lua`, (file) => change(read(file))))
    )
    return { lua, sha: createHash("sha1").update(lua).digest("hex") }
  }
  return Object.fromEntries(names.map((name) => [name, make(name)])) as {
    readonly [_ in Name]: { readonly lua: string; readonly sha: string }
  }
}
const variants = { short: scripts((lua) => lua), long: scripts((lua) => lua.replace(shortWays, "")) }

/** What a script did. */
export interface Ran {
  readonly answer: ReadonlyArray<unknown>
  /** For each message the channel, the time, and what is told, by line. */
  readonly messages: ReadonlyArray<string>
  /** The names of the commands it called, in order. */
  readonly commands: ReadonlyArray<string>
}

/** Who runs a script, when (microseconds), from when on it is late, and above which token it is to grant. */
export interface Call {
  readonly client: string
  readonly time: number
  readonly late?: number | undefined
  readonly floor?: number | undefined
}

/** A namespace that is used by hand. */
export interface Raw {
  readonly keys: Fixture["keys"]
  /** Runs a script, with its arguments from the fourth on. */
  readonly run: (name: Name, call: Call, args: ReadonlyArray<string>) => Effect.Effect<Ran>
  readonly look: Effect.Effect<layout.Table>
  readonly clear: Effect.Effect<void>
}

/** A namespace with the short ways, or one without. */
export const make = (
  { admin, keys, namespace }: Fixture,
  variant: keyof typeof variants
): Effect.Effect<Raw, never, Scope.Scope> =>
  Effect.gen(function* () {
    const scripts = variants[variant]
    for (const { lua } of Object.values(scripts)) yield* Effect.promise(() => admin.script("LOAD", lua))
    const [table, index, deadlines] = keys.map((key) => key.replace(namespace, `${namespace}-${variant}`))
    const own = [table!, index!, deadlines!] as const
    const clear = Effect.promise(() => admin.del(...own))
    yield* Effect.addFinalizer(() => clear)
    return {
      keys: own,
      run: (name, { client, floor, late = Number.MAX_SAFE_INTEGER, time }, args) =>
        Effect.promise(async () => {
          const limits = floor === undefined ? `${late}` : `${late} ${floor}`
          const all = [...own, `${time}`, client, "to-", limits, ...args]
          const [answer, messages, commands] = (await admin.evalsha(scripts[name].sha, 4, ...all)) as [
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
