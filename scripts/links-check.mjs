// Checks the links and pictures in the Markdown pages: each leads to a file of the repository that exists and, behind a `#`,
// to a heading there. Of addresses elsewhere, only those of the repository itself can be checked without a network.
import { existsSync, readFileSync, statSync } from "node:fs"
import { dirname, join, normalize, relative } from "node:path"
import { fileURLToPath } from "node:url"
import { pages } from "./pages.mjs"

const root = fileURLToPath(new URL("..", import.meta.url))
const { repository } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"))
const read = (file) => readFileSync(join(root, file), "utf8")

const withoutCode = (text) =>
  text.replace(/^```[\s\S]*?^```/gm, "").replace(/`[^`\n]*`/g, (code) => "x".repeat(code.length))

/** The anchors of a page, as GitHub makes them from its headings. */
const anchorsOf = (text) => {
  const seen = new Map()
  return [...text.replace(/^```[\s\S]*?^```/gm, "").matchAll(/^#{1,6} +(.*?) *$/gm)].map(([, heading]) => {
    const slug = heading
      .replace(/\[([^\]]*)\]\([^)]*\)/g, "$1")
      .toLowerCase()
      .replace(/[^\p{Letter}\p{Number}\p{Mark} _-]/gu, "")
      .replaceAll(" ", "-")
    const times = seen.get(slug) ?? 0
    seen.set(slug, times + 1)
    return times === 0 ? slug : `${slug}-${times}`
  })
}

/** Links, pictures, references and the addresses in HTML. */
const linksOf = (text) => [
  ...[...text.matchAll(/\]\(\s*<?([^)\s>]+)>?(?:\s+"[^"]*")?\s*\)/g)].map(([, to]) => to),
  ...[...text.matchAll(/^\[[^\]]+\]:\s*(\S+)/gm)].map(([, to]) => to),
  ...[...text.matchAll(/\b(?:src|srcset|href)="([^"]+)"/g)].map(([, to]) => to)
]

/** Where a link leads to in the repository, or `undefined` when that is elsewhere. */
const inRepository = (link, page) => {
  if (link === `${repository}#readme`) return ["README.md"]
  const own = [`${repository}/blob/main/`, `${repository}/tree/main/`].find((start) => link.startsWith(start))
  if (own === undefined && /^[a-z]+:/.test(link)) return undefined
  const [path, anchor] = (own === undefined ? link : link.slice(own.length)).split("#")
  if (own !== undefined) return [path, anchor]
  return [path === "" ? page : relative(".", normalize(join(dirname(page), path))), anchor]
}

const problems = []
let count = 0
for (const page of pages(root)) {
  for (const link of linksOf(withoutCode(read(page)))) {
    count += 1
    const [path, anchor] = inRepository(link, page) ?? []
    if (path === undefined) {
      if (!link.startsWith("https://")) problems.push(`${page}: ${link} is not https`)
    } else if (path.startsWith("..") || !existsSync(join(root, path))) problems.push(`${page}: ${link} leads nowhere`)
    else if (anchor !== undefined && statSync(join(root, path)).isFile() && !anchorsOf(read(path)).includes(anchor)) {
      problems.push(`${page}: ${link}: there is no such heading`)
    }
  }
}
for (const problem of problems) console.error(problem)
console.log(`${count} links: ${problems.length === 0 ? "all lead somewhere" : "see above"}`)
process.exitCode = problems.length === 0 ? 0 : 1
