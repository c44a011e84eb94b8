// What a user on the server needs for the locks: the commands that the scripts in packages/redis/lua call, and those of the
// client. It stands in docs/production.md, and RedisStore.acl.test.ts runs the contract suite as such a user.
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"

/** What the client sends, besides what it listens by and what it looks at when it connects; and how its source says so. */
const ofClient = [
  ["eval", /"eval"/],
  ["evalsha", /"evalsha"/],
  ["fcall", /"fcall"/],
  ["function|load", /"FUNCTION", "LOAD"/],
  ["script|load", /script\("LOAD"|"SCRIPT", "LOAD"/]
]

/** In capitals in the scripts, but no commands. */
const words = ["LIMIT", "WITHSCORES"]

/** The commands of the scripts, in small letters. */
export const commandsOf = (lua) =>
  [...lua.matchAll(/(['"])([A-Z]{2,})\1/g)]
    .map(([, , word]) => word)
    .filter((word) => !words.includes(word))
    .map((word) => word.toLowerCase())

/** `commands` in lines of ` +name`, which a shell joins. */
const lines = (commands, width = 110) => {
  const all = [""]
  for (const command of commands) {
    if (all[all.length - 1].length + command.length + 2 > width) all.push("")
    all[all.length - 1] += ` +${command}`
  }
  return all.map((line) => ` ${line}`).join(" \\\n")
}

const region = /(<!-- acl: npm run codegen -->\n)[\s\S]*?(<!-- end of acl -->)/

/** The page with the line for the scripts that are in `lua` and the client in `src` of a package. */
export const withAcl = (page, folder) => {
  const source = readFileSync(join(folder, "src/internal/script.ts"), "utf8")
  const client = ofClient.filter(([, pattern]) => pattern.test(source)).map(([command]) => command)
  const lua = readdirSync(join(folder, "lua"), { recursive: true })
    .filter((file) => file.endsWith(".lua"))
    .map((file) => readFileSync(join(folder, "lua", file), "utf8").replace(/--\[(=*)\[[\s\S]*?\]\1\]|--.*$/gm, ""))
  const commands = [...new Set(lua.flatMap(commandsOf))].sort()
  if (!region.test(page)) throw new Error("docs/production.md has no place for the ACL line")
  return page.replace(
    region,
    `$1\`\`\`sh
redis-cli ACL SETUSER locks on '>a-long-password' '~hilok:*' '&hilok:*' \\
${lines([...client, "subscribe", "info"])} \\
${lines(commands)}
\`\`\`
$2`
  )
}
