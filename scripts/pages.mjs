import { existsSync, readdirSync } from "node:fs"
import { join } from "node:path"

const markdownIn = (root, folder) =>
  readdirSync(join(root, folder))
    .filter((name) => name.endsWith(".md"))
    .map((name) => (folder === "." ? name : `${folder}/${name}`))

/** The Markdown pages for people, by their paths from the root. */
export const pages = (root) => [
  ...markdownIn(root, "."),
  ...markdownIn(root, "docs"),
  ...readdirSync(join(root, "packages"))
    .map((name) => `packages/${name}/README.md`)
    .filter((file) => existsSync(join(root, file)))
]
