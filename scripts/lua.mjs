// Looks at the library in packages/redis/lua: StyLua has the last word on its format, and nothing in it is undefined or without
// use. `--write` formats it.
import { readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join, relative } from "node:path"
import { fileURLToPath } from "node:url"
import * as stylua from "@johnnymorganz/stylua"
import luaparse from "luaparse"
import { resolveIncludes } from "./codegen.mjs"

/** What is there in the server. */
const globals = new Set(
  "KEYS ARGV redis cmsgpack cjson string table math pairs next tonumber tostring type unpack error".split(" ")
)

const style = () => {
  const config = stylua.Config.new()
  config.syntax = stylua.LuaVersion.Lua51
  config.column_width = 120
  config.indent_type = stylua.IndentType.Spaces
  config.indent_width = 2
  config.quote_style = stylua.QuoteStyle.AutoPreferSingle
  config.collapse_simple_statement = stylua.CollapseSimpleStatement.Always
  return config
}

/** The text as StyLua writes it. */
export const format = (text) => stylua.formatCode(text, style(), undefined, stylua.OutputVerification.None)

/** What is wrong with a text: names that are not defined, and locals that nobody reads. A name that begins with _ needs no reader. */
export const problems = (text) => {
  const found = []
  const scopes = []
  const declare = (name, line, isParameter = false) => scopes.at(-1).set(name, { line, isRead: false, isParameter })
  const lookUp = (name) => scopes.findLast((scope) => scope.has(name))?.get(name)
  const within = (body) => {
    scopes.push(new Map())
    body()
    for (const [name, { isParameter, isRead, line }] of scopes.pop()) {
      if (!isRead && !isParameter && !name.startsWith("_")) found.push(`${line}: nothing reads "${name}"`)
    }
  }
  const read = (node) => {
    const local = lookUp(node.name)
    if (local !== undefined) local.isRead = true
    else if (!globals.has(node.name)) found.push(`${node.loc.start.line}: "${node.name}" is not defined`)
  }
  const visitAll = (nodes) => {
    for (const node of nodes) visit(node)
  }
  const block = (nodes, names = [], isParameter = false) =>
    within(() => {
      for (const { loc, name } of names) if (name !== undefined) declare(name, loc.start.line, isParameter)
      visitAll(nodes)
    })
  const visit = (node) => {
    switch (node.type) {
      case "LocalStatement":
        visitAll(node.init)
        for (const { loc, name } of node.variables) declare(name, loc.start.line)
        return
      case "FunctionDeclaration":
        if (node.identifier?.type === "Identifier") {
          if (node.isLocal) declare(node.identifier.name, node.loc.start.line)
          else if (lookUp(node.identifier.name) === undefined) read(node.identifier)
        } else if (node.identifier) visit(node.identifier)
        return block(node.body, node.parameters, true)
      case "AssignmentStatement":
        visitAll(node.init)
        for (const variable of node.variables) {
          if (variable.type !== "Identifier") visit(variable)
          else if (lookUp(variable.name) === undefined) read(variable)
        }
        return
      case "ForNumericStatement":
        visitAll([node.start, node.end, node.step].filter((part) => part !== null))
        return block(node.body, [node.variable])
      case "ForGenericStatement":
        visitAll(node.iterators)
        return block(node.body, node.variables, true)
      case "IfStatement":
        for (const clause of node.clauses) {
          if (clause.condition) visit(clause.condition)
          block(clause.body)
        }
        return
      case "WhileStatement":
        visit(node.condition)
        return block(node.body)
      case "RepeatStatement":
        return within(() => visitAll([...node.body, node.condition]))
      case "DoStatement":
        return block(node.body)
      case "MemberExpression":
        return visit(node.base)
      case "TableKeyString":
        return visit(node.value)
      case "Identifier":
        return read(node)
      default:
        for (const value of Object.values(node)) {
          if (Array.isArray(value)) visitAll(value)
          else if (value !== null && typeof value === "object" && "type" in value) visit(value)
        }
    }
  }
  block(luaparse.parse(text, { luaVersion: "5.1", locations: true, comments: false }).body)
  return found
}

const main = (args) => {
  const root = fileURLToPath(new URL("..", import.meta.url))
  const folder = join(root, "packages/redis/lua")
  const read = (file) => readFileSync(join(folder, file), "utf8")
  let failed = false
  for (const file of readdirSync(folder)) {
    const text = read(file)
    const formatted = format(text)
    if (text === formatted) continue
    if (args.includes("--write")) writeFileSync(join(folder, file), formatted)
    else {
      console.error(`${relative(root, join(folder, file))} is not formatted: run \`npm run format\`.`)
      failed = true
    }
  }
  // As one text, since a file uses what is in those before it. The last function is called by what `script.ts` adds.
  const whole = `${resolveIncludes("library.lua", read)}\nreturn perform`
  const lines = whole.split("\n")
  for (const problem of problems(whole)) {
    console.error(`packages/redis/lua, ${problem}: ${lines[Number.parseInt(problem, 10) - 1].trim()}`)
    failed = true
  }
  return failed ? 1 : 0
}

if (process.argv[1] === fileURLToPath(import.meta.url)) process.exitCode = main(process.argv.slice(2))
