import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, assert, beforeEach, describe, it } from "vitest"
import { generate, stripComments, templateLiteral } from "../codegen.mjs"

describe("codegen", () => {
  let folder

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "hilok-codegen-"))
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

  it("the text has each file where it is first asked for, and once", async () => {
    write("base.lua", "local base = 1\n")
    write("more.lua", "--@include base\nlocal more = base\n")
    write("library.lua", '--[[ purpose ]]\n--@include more\n--@include base\nreturn more .. "\\n"\n')
    assert.deepStrictEqual(await load(), { library: 'local base = 1\nlocal more = base\nreturn more .. "\\n"' })
  })

  it("only comments that fill a line are dropped", () => {
    assert.strictEqual(
      stripComments('--[[ one\n  two ]]\n--[==[ a ]] b ]==]\n\n  -- three\nlocal a = "--[[" -- four\r\nreturn a  \n'),
      'local a = "--[[" -- four\nreturn a'
    )
  })

  it("a missing include is an error that names it", () => {
    write("library.lua", "--@include nowhere\n")
    assert.throws(() => generate(folder), /nowhere\.lua/)
  })
})
