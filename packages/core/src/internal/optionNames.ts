/**
 * Options that do not exist. The types refuse most of them; JavaScript, a spread and a value of a wider type do not, and
 * a request that is to have a `timeout` must not wait forever because it was written `time`.
 */
import { InvalidOptions } from "../LockError.ts"

/** How many letters have to be added, dropped or replaced to make the one word the other (Levenshtein). */
const distance = (one: string, other: string): number => {
  let row = Array.from({ length: other.length + 1 }, (_, i) => i)
  for (let i = 0; i < one.length; i++) {
    const next = [i + 1]
    for (let j = 0; j < other.length; j++) {
      next.push(Math.min(next[j]! + 1, row[j + 1]! + 1, row[j]! + (one[i] === other[j] ? 0 : 1)))
    }
    row = next
  }
  return row[other.length]!
}

/** The word that was most likely meant: the beginning of it, or it with less than half of its letters wrong. */
const nearest = (name: string, names: ReadonlyArray<string>): string | undefined => {
  const wanted = name.toLowerCase()
  const [best] = names
    .map((candidate) => {
      const word = candidate.toLowerCase()
      const begins = wanted.length > 1 && (word.startsWith(wanted) || wanted.startsWith(word))
      return { candidate, wrong: begins ? 0 : distance(wanted, word) / word.length }
    })
    .sort((a, b) => a.wrong - b.wrong)
  return best !== undefined && best.wrong < 0.5 ? best.candidate : undefined
}

/** What is wrong with the names of these options, if anything. Whether the values are right is another question. */
export const problem = (options: unknown, names: Readonly<Record<string, true>>): InvalidOptions | undefined => {
  if (typeof options !== "object" || options === null || Array.isArray(options)) {
    const shown = typeof options === "function" ? "a function" : JSON.stringify(options)
    return new InvalidOptions({ option: "options", reason: `they are ${shown}, but must be an object` })
  }
  for (const name in options) {
    if (Object.hasOwn(names, name)) continue
    const all = Object.keys(names)
    const meant = nearest(name, all)
    const question = meant === undefined ? "" : `; did you mean \`${meant}\`?`
    return new InvalidOptions({
      option: name,
      reason: `there is no such option${question === "" ? "." : question} Allowed are ${all.map((one) => `\`${one}\``).join(", ")}`
    })
  }
  return undefined
}
