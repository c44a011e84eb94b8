// What the users of the library see of its types: in the editor, in their own declaration files, in an error.
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import ts from "typescript"
import { expect, test } from "vitest"
import { compile } from "../compile.mjs"

const root = fileURLToPath(new URL("../..", import.meta.url))

const users = {
  library: `
    const targets = [Target.read("a")]
    export const plain = HierarchicalLock.write("a")
    export const timed = HierarchicalLock.write("a", { timeout: "1 second" })
    export const byHand = HierarchicalLock.acquire(targets, { block: false })
    export const around = HierarchicalLock.withWrite(Effect.succeed(1), "a", { timeout: "1 second" })
    export const piped = Effect.succeed(1).pipe(HierarchicalLock.withLocks(targets, { block: false }))
    export const bare = Effect.succeed(1).pipe(HierarchicalLock.withReadNode("a"))
    export const open = (options: { readonly timeout?: number }) => HierarchicalLock.write("a", options)`,
  wrongOrder: `
    export const program = Effect.gen(function* () {
      yield* HierarchicalLock.withWrite("a", (lease) => Effect.succeed(lease.id))
      yield* HierarchicalLock.withWrite("a", Effect.void)
      yield* HierarchicalLock.withWrite("a", Effect.void, { timeout: 5 })
      yield* HierarchicalLock.withLocks([Target.read("a")], (lease) => Effect.succeed(lease.id))
    })`,
  misspelt: `
    export const one = HierarchicalLock.withWrite("a", { timeOut: 5 })
    export const two = HierarchicalLock.write("a", { timeOut: 5 })
    export const three = HierarchicalLock.withLocks([], { timeOut: 5 })`
}

const head = `import { HierarchicalLock, Target } from "@hilok/core"\nimport { Effect } from "effect"\n`
const fileOf = (name) => join(root, `${name}.ts`)

const { program } = compile(new Map(Object.entries(users).map(([name, code]) => [fileOf(name), head + code])), {
  noEmit: false,
  emitDeclarationOnly: true,
  declaration: true
})
const checker = program.getTypeChecker()

const problemsOf = (name) =>
  ts
    .getPreEmitDiagnostics(program, program.getSourceFile(fileOf(name)))
    .map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, "\n"))

/** The type arguments of an exported constant that is an effect, each a sorted list of what it is a union of. */
const partsOf = (name) => {
  const source = program.getSourceFile(fileOf("library"))
  const symbol = checker.getExportsOfModule(checker.getSymbolAtLocation(source)).find((one) => one.name === name)
  const type = checker.getTypeOfSymbol(symbol)
  const shown = checker.typeToString(type.getCallSignatures()[0]?.getReturnType() ?? type, source)
  return /^Effect\.Effect<(.*)>$/
    .exec(shown)[1]
    .split(", ")
    .map((part) => part.split(" | ").sort())
}

test("a hover shows the errors by their names, and only those that can come", () => {
  const always = ["Deadlock", "InvalidOptions", "InvalidPath", "StoreError"]
  const scoped = ["HierarchicalLock.HierarchicalLock", "Scope"]
  const service = ["HierarchicalLock.HierarchicalLock"]
  expect(problemsOf("library")).toEqual([])
  expect(partsOf("plain")).toEqual([["Lease"], always, scoped])
  expect(partsOf("timed")).toEqual([["Lease"], [...always, "LockTimeout"].sort(), scoped])
  expect(partsOf("byHand")).toEqual([["Lease"], [...always, "WouldBlock"].sort(), service])
  expect(partsOf("around")).toEqual([["number"], [...always, "LockLost", "LockTimeout"].sort(), service])
  expect(partsOf("piped")).toEqual([["number"], [...always, "LockLost", "WouldBlock"].sort(), service])
  expect(partsOf("bare")).toEqual([["number"], [...always, "LockLost"].sort(), service])
  expect(partsOf("open")).toEqual([["Lease"], [...always, "LockTimeout"].sort(), scoped])
})

test("a declaration file of a user names public modules, and no options", () => {
  let declarations = ""
  program.emit(program.getSourceFile(fileOf("library")), (_, text) => {
    declarations = text
  })
  const modules = [...declarations.matchAll(/import\("([^"]*)"\)/g)].map(([, name]) => name)
  expect([...new Set(modules)].sort()).toEqual(["@hilok/core/Lease", "@hilok/core/LockError", "effect/Scope"])
  for (const word of ["AcquireError", "1 second", "block"]) expect(declarations).not.toContain(word)
})

test("the path before the effect is one error, which says it", () => {
  const problems = problemsOf("wrongOrder")
  expect(problems).toHaveLength(4)
  for (const problem of problems) {
    expect(problem).toContain("the effect comes before the path or the targets, or in a pipe")
  }
})

test("an option that is misspelt is one error, which names the right one", () => {
  const problems = problemsOf("misspelt")
  expect(problems).toHaveLength(3)
  for (const problem of problems) {
    expect(problem).toContain("'timeOut' does not exist in type 'AcquireOptions'. Did you mean to write 'timeout'?")
    expect(problem).not.toContain("Overload 1")
  }
})

test("a hover on every function of the service shows its whole comment, with an example, also on a call", () => {
  const module = program.getSourceFile(join(root, "packages/core/src/HierarchicalLock.ts"))
  const functions = checker
    .getExportsOfModule(checker.getSymbolAtLocation(module))
    .map((symbol) => (symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol))
    .filter((symbol) => symbol.flags & ts.SymbolFlags.Variable)
  expect(functions.map(({ name }) => name)).toEqual(expect.arrayContaining(["read", "withWrite", "layerMemory", "Tag"]))
  for (const symbol of functions) {
    const signatures = checker.getTypeOfSymbol(symbol).getCallSignatures()
    // Where there are several, an editor shows the comment of the signature that is called, or else that of the first.
    for (const documented of signatures.length > 1 ? [symbol, signatures[0]] : [symbol]) {
      const text = ts.displayPartsToString(documented.getDocumentationComment(checker))
      const examples = documented.getJsDocTags(checker).filter(({ name }) => name === "example")
      expect([symbol.name, examples.length]).toEqual([symbol.name, 1])
      expect(text).not.toContain("Otherwise as")
      if (/^(read|write|locks|with|stream|restore)/.test(symbol.name)) {
        expect(text).toMatch(/fails (with|as)/i)
        expect(text).toMatch(/interrupt/)
        expect(text).toMatch(/\blos[st]\b/)
      }
    }
  }
})
