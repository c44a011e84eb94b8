// TypeScript modules that exist in memory only, compiled with the options of the repository.
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import ts from "typescript"

const root = fileURLToPath(new URL("..", import.meta.url))

/** A program of modules, given as a map from file names to texts. `more` are compiler options besides. */
export const compile = (modules, more = {}) => {
  const config = ts.readConfigFile(join(root, "tsconfig.json"), ts.sys.readFile).config
  const parsed = ts.parseJsonConfigFileContent(config, ts.sys, root)
  const options = { ...parsed.options, noUnusedLocals: false, noUnusedParameters: false, ...more }
  const host = ts.createCompilerHost(options)
  const { fileExists, getSourceFile, readFile } = host
  host.fileExists = (file) => modules.has(file) || fileExists(file)
  host.readFile = (file) => modules.get(file) ?? readFile(file)
  host.getSourceFile = (file, languageVersion, ...rest) =>
    modules.has(file)
      ? ts.createSourceFile(file, modules.get(file), languageVersion, true)
      : getSourceFile(file, languageVersion, ...rest)
  return { host, program: ts.createProgram([...modules.keys()], options, host) }
}

/** What is wrong with them, as the compiler prints it, or `undefined`. */
export const typeCheck = (modules) => {
  const { host, program } = compile(modules)
  const problems = ts.getPreEmitDiagnostics(program)
  return problems.length === 0 ? undefined : ts.formatDiagnostics(problems, host)
}
