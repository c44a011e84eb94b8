import { readdirSync, readFileSync } from "node:fs"
import { assert, describe, it } from "vitest"

const root = new URL("../../", import.meta.url)
const page = readFileSync(new URL("docs/troubleshooting.md", root), "utf8")

// Without what a formatter puts between the parts of a message.
const sources = ["core", "redis"]
  .flatMap((name) => {
    const folder = new URL(`packages/${name}/src/`, root)
    return readdirSync(folder, { recursive: true })
      .filter((file) => file.endsWith(".ts"))
      .map((file) => readFileSync(new URL(file, folder), "utf8"))
  })
  .join("\n")
  .replace(/["`] \+\s*["`]/g, "")
  .replaceAll("\\`", "`")

describe("docs/troubleshooting.md", () => {
  it("quotes messages as they are in the sources", () => {
    const [, ...chapters] = page.split("\n## ").slice(1)
    const headings = chapters.flatMap((chapter) => [...chapter.matchAll(/^### (.*)$/gm)].map(([, heading]) => heading))
    assert.isAbove(headings.length, 30)
    const missing = headings
      .flatMap((heading) => heading.split("…"))
      .map((part) => part.replace(/^[\s:]+|[\s:]+$/g, ""))
      .filter((part) => part.length > 3 && !sources.includes(part))
    assert.deepStrictEqual(missing, [])
  })
})
