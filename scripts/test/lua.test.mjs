import { assert, describe, it } from "vitest"
import { format, problems } from "../lua.mjs"

describe("the check of the Lua library", () => {
  it("finds a name that is not defined, also one that is assigned", () => {
    assert.deepStrictEqual(problems("local a = b\nc = a\nreturn a.d, { e = f }"), [
      '1: "b" is not defined',
      '2: "c" is not defined',
      '3: "f" is not defined'
    ])
  })

  it("finds a local that nobody reads, wherever it is, but no parameter and no name that begins with _", () => {
    const text = `local function unused(x) local y = 1 end
local _, third = 1, 2
for i = 1, 2 do local z = third end
if third then local w end`
    assert.deepStrictEqual(problems(text), [
      '1: nothing reads "y"',
      '3: nothing reads "i"',
      '3: nothing reads "z"',
      '4: nothing reads "w"',
      '1: nothing reads "unused"'
    ])
  })

  it("a local is defined behind its statement, and a local function within itself", () => {
    assert.deepStrictEqual(problems("local a = a\nreturn a"), ['1: "a" is not defined'])
    assert.deepStrictEqual(problems("local function f() return f() end\nreturn f"), [])
    assert.deepStrictEqual(problems("local f\nfunction f() return redis.call('TIME') end\nreturn f"), [])
  })

  it("what cannot be parsed is an error", () => {
    assert.throws(() => problems("local = 1"), /expected/)
  })

  it("short statements stand on one line", () => {
    assert.strictEqual(format('if a then\n  return "b"\nend\n'), "if a then return 'b' end\n")
  })
})
