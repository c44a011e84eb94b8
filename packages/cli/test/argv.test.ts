import { describe, expect, it } from "@effect/vitest"
import * as argv from "../src/internal/argv.ts"
import { layout } from "../src/internal/help.ts"

const words = (...line: ReadonlyArray<string>) => argv.parse(line).words
const problem = (...line: ReadonlyArray<string>) => argv.parse(line).problem

describe("the command line", () => {
  it("an option stands anywhere, with its value in the next word, behind = or in the same word", () => {
    const wanted = ["ls", "--output", "json", "--url", "redis://x", "db"]
    expect(words("ls", "-o", "json", "-u", "redis://x", "db")).toEqual(wanted)
    expect(words("ls", "-ojson", "db", "-uredis://x")).toEqual(wanted)
    expect(words("ls", "db", "--output=json", "--url=redis://x")).toEqual(wanted)
  })

  it("letters may be joined, the last of them with its value", () => {
    const wanted = ["run", "--nonblock", "--wait", "200ms", "--conflict-exit-code", "75", "read\0a"]
    expect(words("run", "-snw200ms", "a", "-E75", "--", "x")).toEqual(wanted)
    expect(words("run", "-sn", "-w", "200ms", "-E", "75", "a")).toEqual(wanted)
  })

  it("the value of an option may look like an option", () => {
    expect(words("ls", "--reason", "-sn", "-w", "-1")).toEqual(["ls", "--reason", "-sn", "--wait", "-1"])
    expect(words("ls", "--reason=a=b")).toEqual(["ls", "--reason", "a=b"])
  })

  it("the last of two that are the same counts", () => {
    expect(words("run", "-w", "1s", "-n", "a", "--wait=2s", "-n")).toEqual([
      ...["run", "--wait", "2s", "--nonblock", "write\0a"]
    ])
  })

  it("a mode is for the paths that follow it", () => {
    expect(words("run", "a", "-s", "b", "c", "--write-node=d", "e")).toEqual([
      ...["run", "write\0a", "read\0b", "read\0c", "writeNode\0d", "writeNode\0e"]
    ])
    expect(words("acquire", "-s", "--", "a")).toEqual(["acquire", "read\0a"])
    expect(argv.decodeTarget("readNode\0a b")).toEqual({ mode: "readNode", path: "a b" })
  })

  it("what follows -- is left as it is", () => {
    expect(argv.parse(["run", "a", "--", "-n", "--", "x"])).toMatchObject({
      words: ["run", "write\0a"],
      rest: ["-n", "--", "x"]
    })
  })

  it("tells what is wrong, unless help is asked for", () => {
    expect(problem("run", "a", "--ttl", "--", "x")).toBe("--ttl is followed by a value, which is missing")
    expect(problem("ls", "-o")).toBe("-o is followed by a value, which is missing")
    expect(problem("run", "a", "-s", "--", "x")).toContain("-s is the mode of the paths that follow it")
    expect(problem("run", "", "--", "x")).toContain("empty")
    expect(problem("break", "--all=", "--yes")).toContain("empty")
    expect(problem("run", "-s", "--help")).toBeUndefined()
  })

  it("an option that does not exist is left to be refused by its name", () => {
    expect(words("run", "-z5", "-xz", "--nonsense=1", "a")).toEqual(["run", "-z5", "-z", "--nonsense=1", "write\0a"])
  })
})

describe("the help", () => {
  it("fits, without breaking what is in brackets", () => {
    const text = [
      ...[
        "USAGE",
        "",
        "$ run [(-u, --url text)] [(-w, --wait time)] <path>...",
        "",
        "OPTIONS",
        "",
        "(-w, --wait time)"
      ],
      ...[
        "",
        "  A user-defined piece of text.",
        "",
        "  How long to wait for the lock.",
        "",
        "  This setting is optional."
      ]
    ].join("\n")
    expect(layout(text, 30).split("\n")).toEqual([
      ...["USAGE", "", "$ hilok run [(-u, --url text)]", "    [(-w, --wait time)]", "    <path>... -- command args…"],
      ...["", "OPTIONS", "", "(-w, --wait time)", "  How long to wait for the", "  lock.", ""]
    ])
  })

  it("leaves all other text alone", () => {
    const script = `complete  ${"x".repeat(200)}`
    expect(layout(script, 80)).toBe(script)
  })
})
