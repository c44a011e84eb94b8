import { describe, expect, it } from "@effect/vitest"
import { grammar } from "../src/internal/commands.ts"
import { duration, Problem } from "../src/internal/description.ts"
import * as help from "../src/internal/help.ts"
import { type Line, parse } from "../src/internal/parse.ts"

const read = (...argv: ReadonlyArray<string>): Promise<Line> => parse(argv, grammar)

/** The values that were given, the paths with their modes, and what follows `--`. */
const input = async (...argv: ReadonlyArray<string>) => {
  const line = await read(...argv)
  if (line._tag !== "Run") throw new Error(line._tag === "Wrong" ? line.failure.message : line._tag)
  const { rest, targets, values } = line.input
  const given = Object.entries(values).filter(([, value]) => value !== undefined && value !== false)
  return {
    command: line.command.name,
    values: Object.fromEntries(given),
    targets: targets.map(({ mode, path }) => `${mode} ${path}`),
    rest
  }
}

const problem = async (...argv: ReadonlyArray<string>): Promise<string> => {
  const line = await read(...argv)
  if (line._tag !== "Wrong") throw new Error(`${argv.join(" ")} is not wrong`)
  expect(line.failure.code).toBe(64)
  return line.failure.message
}

describe("the command line", () => {
  it("an option stands anywhere, with its value in the next word, behind = or in the same word", async () => {
    const wanted = { command: "ls", values: { output: "json", url: "redis://x" }, targets: ["write db"] }
    expect(await input("ls", "-o", "json", "-u", "redis://x", "db")).toMatchObject(wanted)
    expect(await input("ls", "-ojson", "db", "-uredis://x")).toMatchObject(wanted)
    expect(await input("ls", "db", "--output=json", "--url=redis://x")).toMatchObject(wanted)
    expect(await input("-u", "redis://x", "ls", "db", "-o", "json")).toMatchObject(wanted)
  })

  it("letters may be joined, the last of them with its value", async () => {
    const values = { read: true, nonblock: true, wait: 200, conflictExitCode: 9, killAfter: 5_000 }
    const wanted = { command: "run", values, targets: ["read a"], rest: ["x"] }
    expect(await input("run", "-snw200ms", "a", "-E9", "--", "x")).toEqual(wanted)
    expect(await input("run", "-sn", "-w", "200ms", "-E", "9", "a", "--", "x")).toEqual(wanted)
  })

  it("a bare number is seconds, as for flock, sleep and timeout", async () => {
    const { values } = await input("run", "-w", "5", "--ttl", "1.5", "--kill-after=.5", "--max-hold", "2h", "a")
    expect(values).toMatchObject({ wait: 5_000, ttl: 1_500, killAfter: 500, maxHold: 7_200_000 })
    expect((await input("run", "-w0", "a")).values).toMatchObject({ wait: 0 })
  })

  it("the value of an option may look like an option", async () => {
    expect((await input("run", "--reason", "-sn", "--label=a=b", "a")).values).toMatchObject({
      reason: "-sn",
      label: "a=b"
    })
  })

  it("the last of two that are the same counts; Sentinels add up", async () => {
    const { values } = await input("run", "-w", "1s", "a", "--wait=2s", "--sentinel", "a:1", "--sentinel", "b,c:3")
    expect(values).toMatchObject({ wait: 2_000, sentinel: "a:1,b,c:3" })
  })

  it("a mode is for the paths that follow it", async () => {
    expect((await input("run", "a", "-s", "b", "c", "--write-node=d", "e", "--read-node", "f")).targets).toEqual([
      ...["write a", "read b", "read c", "writeNode d", "writeNode e", "readNode f"]
    ])
    expect((await input("acquire", "-s", "--", "a", "-x")).targets).toEqual(["read a", "read -x"])
  })

  it("what follows -- is left as it is for the command that is run, and is arguments elsewhere", async () => {
    expect(await input("run", "a", "--", "-n", "--", "x", "")).toMatchObject({
      targets: ["write a"],
      rest: ["-n", "--", "x", ""]
    })
    expect((await input("show", "--", "-id")).targets).toEqual(["write -id"])
  })

  it("tells what is wrong", async () => {
    expect(await problem("run", "a", "--ttl", "--", "x")).toBe("--ttl is followed by a value, which is missing")
    expect(await problem("ls", "-o")).toBe("-o is followed by a value, which is missing")
    expect(await problem("run", "a", "-s", "--", "x")).toContain("-s is the mode of the paths that follow it")
    expect(await problem("run", "", "--", "x")).toContain("empty")
    expect(await problem("run", "--", "x")).toContain("PATH")
    expect(await problem("break", "--all=", "--yes")).toContain("empty")
    expect(await problem("run", "--ttl", "0", "a")).toContain("more than zero")
    expect(await problem("run", "-w", "3x", "a")).toContain('it is "3x", but must be a duration')
    expect(await problem("run", "-E", "256", "a")).toContain("0 to 255")
    expect(await problem("ls", "-o", "xml")).toContain("tree, table, json")
    expect(await problem("ls", "--json=yes")).toBe("--json takes no value")
    expect(await problem("ls", "a", "b")).toBe("hilok ls takes one argument")
    expect(await problem("doctor", "a")).toBe("hilok doctor takes no arguments")
    expect(await problem("ls", "-w", "5")).toContain("hilok ls has no option -w")
    expect(await problem("run", "-z5", "a")).toContain("There is no option -z")
    expect(await problem("run", "--wiat", "5", "a")).toContain("Did you mean --wait?")
    expect(await problem("rnu", "a")).toContain("Did you mean run?")
    expect(await problem("--json")).toContain("needs a command")
    expect(await problem("help", "nonsense")).toContain("nonsense")
  })

  it("help and the version may be asked for in each of the usual ways", async () => {
    for (const argv of [["--help"], ["-h"], ["help"], []]) {
      expect(await read(...argv)).toEqual({ _tag: "Help", command: undefined })
    }
    // Whatever else is wrong.
    for (const argv of [
      ["help", "run"],
      ["run", "--help"],
      ["run", "-s", "--nonsense", "-h"]
    ]) {
      expect(await read(...argv)).toMatchObject({ _tag: "Help", command: { name: "run" } })
    }
    for (const argv of [["--version"], ["-V"]]) expect(await read(...argv)).toEqual({ _tag: "Version" })
    expect(await read("--completions", "fish")).toEqual({ _tag: "Completions", shell: "fish" })
    expect(await problem("--completions", "tcsh")).toContain("bash, zsh, fish")
  })
})

describe("durations", () => {
  it("are read as people write them", () => {
    const all = { "500ms": 500, "30s": 30_000, "1.5m": 90_000, "2h": 7_200_000, "1d": 86_400_000, "10 seconds": 10_000 }
    const { parse } = duration("zero")
    for (const [text, millis] of Object.entries({ ...all, "1 minute": 60_000, " 0 ": 0, "5": 5000, ".5": 500 })) {
      expect(parse(text)).toBe(millis)
    }
    for (const text of ["", "-1", "5x", "s", "1 2s", "1e3", "Infinity"]) expect(parse(text)).toBeInstanceOf(Problem)
  })
})

describe("the help", () => {
  it("has every option, an example for each command, and fits", () => {
    for (const columns of [80, 100]) {
      expect(Math.max(...help.ofProgram("1.2.3", columns).map((line) => line.length))).toBeLessThanOrEqual(columns)
      for (const command of grammar.commands) {
        const lines = help.ofCommand(command, columns)
        const text = lines.join("\n")
        for (const { name } of Object.values(command.options)) expect(text).toContain(`--${name}`)
        expect(text).toContain("EXAMPLES\n  # ")
        const prose = lines.filter((line) => !line.startsWith("  hilok ") && !line.startsWith("  id="))
        expect(Math.max(...prose.map((line) => line.length))).toBeLessThanOrEqual(columns)
      }
    }
  })

  it("names one option the same everywhere", () => {
    const known = new Map<string, string>()
    for (const option of grammar.commands.flatMap(({ options }) => Object.values(options))) {
      const shape = `${option.short} ${option.value?.name}`
      expect(known.get(option.name) ?? shape).toBe(shape)
      known.set(option.name, shape)
    }
  })
})
