import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, assert, beforeEach, describe, it } from "vitest"
import { generate, stripComments, templateLiteral } from "../codegen.mjs"

describe("codegen", () => {
  let folder

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "hilok-codegen-"))
    mkdirSync(join(folder, "include"))
  })

  afterEach(() => rmSync(folder, { recursive: true }))

  const write = (file, text) => writeFileSync(join(folder, file), text)

  const load = async () => {
    const javascript = generate(folder).replaceAll(": string =", " =")
    return { ...(await import(/* @vite-ignore */ `data:text/javascript,${encodeURIComponent(javascript)}`)) }
  }

  it("a template literal has the value of the text", () => {
    // biome-ignore lint/suspicious/noTemplateCurlyInString: the placeholder is what must come through.
    const text = "a\\n `b` ${c} \\${d} \\\\` $ { $`{"
    assert.strictEqual(new Function(`return ${templateLiteral(text)}`)(), text)
  })

  it("the constants hold the scripts, sorted by name", async () => {
    write("try-acquire.lua", 'return "\\n" .. ARGV[1]')
    write("break_lease.lua", "return 1")
    const scripts = await load()
    assert.deepStrictEqual(scripts, { breakLease: "return 1", tryAcquire: 'return "\\n" .. ARGV[1]' })
    assert.isBelow(generate(folder).indexOf("breakLease"), generate(folder).indexOf("tryAcquire"))
  })

  it("an include stands where it is first asked for, and once", async () => {
    write("include/base.lua", "local base = 1\n")
    write("include/more.lua", "--@include base\nlocal more = base\n")
    write("acquire.lua", "--[[ purpose ]]\n--@include more\n--@include base\nreturn more\n")
    assert.deepStrictEqual(await load(), { acquire: "local base = 1\nlocal more = base\nreturn more" })
  })

  it("only comments that fill a line are dropped", () => {
    assert.strictEqual(
      stripComments('--[[ one\n  two ]]\n--[==[ a ]] b ]==]\n\n  -- three\nlocal a = "--[[" -- four\r\nreturn a  \n'),
      'local a = "--[[" -- four\nreturn a'
    )
  })

  it("a missing include is an error that names it", () => {
    write("acquire.lua", "--@include nowhere\n")
    assert.throws(() => generate(folder), /nowhere\.lua/)
  })

  it("a file named like a keyword is refused", () => {
    write("break.lua", "return 1")
    assert.throws(() => generate(folder), /break\.lua/)
  })
})
