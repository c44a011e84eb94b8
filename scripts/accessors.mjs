// Makes the accessors of `HierarchicalLock` from the interfaces of packages/core/src/internal/operations.ts: a hover on
// one shows its whole comment, which stands there once.
import ts from "typescript"

const service = "HierarchicalLock"

/** The paragraphs of a comment, without its stars. */
const paragraphsOf = (comment) =>
  comment
    .replace(/^\/\*\*|\*\/$/g, "")
    .split("\n")
    .map((line) => line.replace(/^\s*\* ?/, "").trimEnd())
    .join("\n")
    .trim()
    .split("\n\n")

const commentOf = (text, indent) =>
  [`${indent}/**`, ...text.split("\n").map((line) => `${indent} * ${line}`.trimEnd()), `${indent} */`].join("\n")

const isTag = (paragraph) => paragraph.startsWith("@")

/** Replaces "Otherwise as `x`." by what is said of `x` after its first paragraph. */
const resolve = (name, comments) => {
  const paragraphs = comments.get(name)
  const first = paragraphs[0]
  const other = /\s+Otherwise as `(\w+)`\.$/.exec(first)
  if (other === null) return paragraphs
  const from = comments.get(other[1])
  if (from === undefined) throw new Error(`The comment of \`${name}\` refers to \`${other[1]}\`, which has none`)
  const prose = from.slice(1, from.findIndex(isTag))
  return [first.slice(0, other.index), ...prose, ...paragraphs.slice(1)]
}

/** The generated module for the text of operations.ts. */
export const generateAccessors = (text) => {
  const source = ts.createSourceFile("operations.ts", text, ts.ScriptTarget.Latest, true)
  const interfaces = new Map(source.statements.filter(ts.isInterfaceDeclaration).map((node) => [node.name.text, node]))
  const members = ["Operations", "Layers"].flatMap((owner) =>
    interfaces.get(owner).members.map((member) => ({ owner, member, name: member.name.getText() }))
  )
  const comments = new Map()
  for (const { member, name } of members) {
    const [comment] = ts.getJSDocCommentsAndTags(member)
    if (comment === undefined) throw new Error(`\`${name}\` has no comment`)
    comments.set(name, paragraphsOf(comment.getText()))
  }

  /** The type, and for one with several signatures these with the comment: a hover on a call shows only that of a signature. */
  const typeOf = ({ member, name, owner }, comment) => {
    const reference = member.type
    const declaration = ts.isTypeReferenceNode(reference) ? interfaces.get(reference.typeName.getText()) : undefined
    if (declaration === undefined || declaration.members.length < 2) return `${owner}<${service}>["${name}"]`
    const parameters = declaration.typeParameters.map((parameter) => parameter.name.text)
    const given = reference.typeArguments.map((argument) => (argument.getText() === "R" ? service : argument.getText()))
    const signatures = declaration.members.map((signature) =>
      parameters
        .reduce(
          (code, parameter, i) => code.replace(new RegExp(`\\b${parameter}\\b`, "g"), given[i]),
          signature.getText()
        )
        .replace(/^/gm, "  ")
        .replace(/^ {4}/gm, "  ")
    )
    return `{\n${commentOf(comment, "  ")}\n${signatures.join("\n")}\n}`
  }

  const accessors = members.map((one) => {
    const comment = resolve(one.name, comments).join("\n\n")
    return `${commentOf(comment, "")}\nexport const ${one.name}: ${typeOf(one, comment)} = accessors.${one.name}\n`
  })
  const code = accessors.join("\n")

  // Those of the imports of operations.ts that are needed.
  const imports = source.statements.filter(ts.isImportDeclaration).flatMap((node) => {
    const from = node.moduleSpecifier.text
    const { name, namedBindings } = node.importClause
    if (name !== undefined) throw new Error(`Import ${from} by names`)
    if (ts.isNamespaceImport(namedBindings)) {
      return uses(code, namedBindings.name.text) ? [`import type * as ${namedBindings.name.text} from "${from}"`] : []
    }
    const names = namedBindings.elements.map((element) => element.getText()).filter((one) => uses(code, one))
    return names.length === 0 ? [] : [`import type { ${names.join(", ")} } from "${from}"`]
  })
  const own = [...source.statements]
    .filter((node) => ts.isInterfaceDeclaration(node) || ts.isTypeAliasDeclaration(node))
    .map((node) => node.name.text)
    .filter((name) => uses(code, name))
  return [
    "// Generated from operations.ts by `npm run codegen`. Do not edit.",
    ...imports,
    `import type { ${service} } from "../HierarchicalLock.ts"`,
    `import { accessors } from "./accessors.ts"`,
    `import type { ${own.join(", ")} } from "./operations.ts"`,
    "",
    code
  ].join("\n")
}

/** Is the name used as a type, and not only in a comment? */
const uses = (code, name) => new RegExp(`\\b${name}\\b[.<\\[| ,)>]`).test(code.replace(/^\s*\/?\*.*$/gm, ""))
