// What the public packages have in common stands once, in the root's package.json: author and repository. From there it is
// written into their package.json and the links of their README.md. A peer of theirs that lives here has the range of its
// version.
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"

const readJson = (file) => JSON.parse(readFileSync(file, "utf8"))

/** The address that stands for one that is not decided yet. */
export const isUndecided = (repository) => repository.includes("/OWNER/")

/** The folders of the packages that are published, such as `packages/core`. */
export const publicPackages = (root) =>
  readdirSync(join(root, "packages"))
    .map((name) => `packages/${name}`)
    .filter((folder) => existsSync(join(root, folder, "package.json")))
    .filter((folder) => !readJson(join(root, folder, "package.json")).private)

/** The fields of a package in the folder. */
export const fieldsOf = ({ author, repository }, folder) => ({
  author,
  homepage: `${repository}/tree/main/${folder}#readme`,
  repository: { type: "git", url: `git+${repository}.git`, directory: folder },
  bugs: `${repository}/issues`
})

const withFields = (manifest, fields) => {
  const { author, bugs, homepage, license, repository, ...rest } = manifest
  const entries = Object.entries(rest)
  const at = entries.findIndex(([name]) => name === "type")
  return Object.fromEntries([
    ...entries.slice(0, at),
    ["license", license],
    ...Object.entries(fields),
    ...entries.slice(at)
  ])
}

/** Every file of the public packages that has to do with this, and what it should hold. */
export const manifests = (root) => {
  const shared = readJson(join(root, "package.json"))
  const folders = publicPackages(root)
  const own = folders.map((folder) => ({ folder, manifest: readJson(join(root, folder, "package.json")) }))
  const ranges = Object.fromEntries(own.map(({ manifest }) => [manifest.name, `^${manifest.version}`]))
  const outputs = {}
  for (const { folder, manifest } of own) {
    const next = withFields(manifest, fieldsOf(shared, folder))
    for (const name of Object.keys(next.peerDependencies ?? {}))
      next.peerDependencies[name] = ranges[name] ?? next.peerDependencies[name]
    outputs[`${folder}/package.json`] = `${JSON.stringify(next, null, 2)}\n`
    const readme = join(root, folder, "README.md")
    const before = /^git\+(.*)\.git$/.exec(manifest.repository?.url ?? "")?.[1]
    if (existsSync(readme)) {
      const text = readFileSync(readme, "utf8")
      outputs[`${folder}/README.md`] = before === undefined ? text : text.replaceAll(before, shared.repository)
    }
  }
  return outputs
}
