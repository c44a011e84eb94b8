/**
 * Writes the session in docs/cli.md anew: a server, commands under locks, and what `hilok ls` says of them.
 */
import { execFile } from "node:child_process"
import { readFileSync, writeFileSync } from "node:fs"
import { hostname } from "node:os"
import { fileURLToPath } from "node:url"
import { Effect } from "effect"
import { start } from "../../redis/test/support/server.ts"
import { bin, launch, site, until } from "../test/support/hilok.ts"

const manual = fileURLToPath(new URL("../../../docs/cli.md", import.meta.url))
const marks = ["<!-- session: npm run record -->\n", "<!-- end of session -->\n"] as const

/** What the shell prints, standard error included. */
const shell = (command: string, env: NodeJS.ProcessEnv): Effect.Effect<string> =>
  Effect.async((resume) => {
    const script = `hilok() { "${bin}" "$@"; }; ${command}`
    execFile("sh", ["-c", `{ ${script}\n} 2>&1`], { env }, (_, stdout) => resume(Effect.succeed(stdout)))
  })

const background = [
  ["run", "-s", "db/orders", "--label", "report", "--reason", "monthly figures", "--", "sleep", "600"],
  ["run", "-s", "db/orders/2024", "--", "sleep", "600"],
  ["run", "db/users/42", "--reason", "move to another shard", "--", "sleep", "600"],
  ["run", "db/orders", "--label", "migration", "--", "sleep", "600"],
  ["run", "-s", "db", "--label", "backup", "--", "sleep", "600"]
]

const session = Effect.gen(function* () {
  const server = yield* start()
  const { env, locks } = yield* site(server)
  for (const [i, args] of background.entries()) {
    yield* launch(args, env)
    yield* until(locks.inspect(), ({ length }) => length === i + 1)
  }
  const entries = yield* locks.inspect()
  const blocker = entries.find(({ label }) => label === "report")?.id ?? ""
  const short = blocker.slice(0, 8)
  const commands = [
    ...background.map((args) => [`hilok ${args.map((arg) => (arg.includes(" ") ? `"${arg}"` : arg)).join(" ")} &`]),
    ...["hilok ls", "hilok ls db/users -o table", "hilok run -w 1s db/users -- true; echo $?"],
    ...[`hilok show ${short}`, `hilok break ${short} --yes`, "hilok ls db/orders", "hilok doctor"]
  ]
  let text = ""
  for (const command of commands) {
    // What runs in the background has been started.
    text += typeof command === "string" ? `$ ${command}\n${yield* shell(command, env)}` : `$ ${command[0]}\n`
  }
  return text.replaceAll(hostname(), "host-1").replace(/redis:\/\/\S*|\/\S*redis\.sock/g, "redis://127.0.0.1:6379")
})

const text = await Effect.runPromise(Effect.scoped(session))
const [head, rest] = readFileSync(manual, "utf8").split(marks[0])
const tail = rest?.split(marks[1])[1]
if (head === undefined || tail === undefined) throw new Error(`${manual} has no ${marks.join("… ")}`)
writeFileSync(manual, `${head}${marks[0]}\`\`\`console\n${text}\`\`\`\n${marks[1]}${tail}`)
