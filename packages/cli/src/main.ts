/**
 * The program: from the command line to an exit code.
 */
import { grammar } from "./internal/commands.ts"
import { complete } from "./internal/complete.ts"
import { script } from "./internal/completions.ts"
import { exitCode, say } from "./internal/failure.ts"
import * as help from "./internal/help.ts"
import { keep, program } from "./internal/load.ts"
import { columnsOf, write } from "./internal/output.ts"
import { type Line, parse } from "./internal/parse.ts"

/** The bundler writes it. */
declare const VERSION: string

/** The streams belong to others, who may close them. */
const listenToStreams = (): void => {
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    // A reader that has seen enough, such as `head`.
    if (error.code === "EPIPE") process.exit(0)
    say(`Nothing can be written: ${error.message}`)
    process.exit(exitCode.internal)
  })
  // Nobody listens any more; the work goes on.
  process.stderr.on("error", () => undefined)
}

const answer = async (line: Line): Promise<number> => {
  switch (line._tag) {
    case "Run": {
      const { execute } = program()
      return execute(line.command.run(line.input))
    }
    case "Help": {
      const columns = Math.min(columnsOf(process.stdout), 100)
      await write(line.command === undefined ? help.ofProgram(VERSION, columns) : help.ofCommand(line.command, columns))
      return 0
    }
    case "Version":
      await write([VERSION])
      return 0
    case "Completions":
      await write([script(line.shell)])
      return 0
    case "Wrong":
      say(line.failure.message)
      return line.failure.code
  }
}

export const main = async (args: ReadonlyArray<string>): Promise<void> => {
  listenToStreams()
  const code = args[0] === "__complete" ? await complete(args.slice(1)) : await answer(await parse(args, grammar))
  keep()
  process.exit(code)
}
