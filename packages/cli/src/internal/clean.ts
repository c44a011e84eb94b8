/**
 * Text of others, on its way to a terminal. Labels, reasons, hosts and paths are whatever somebody has written there.
 */

// Control characters (C0, DEL, C1), line separators, and the marks that change the direction of text.
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const unsafe = /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g

const escaped = (character: string): string => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`

/** Shows what a terminal would obey as `\u001b`. The result is one line. */
export const clean = (text: string): string => text.replace(unsafe, escaped)

/** JSON without a character that a terminal would obey: they are escaped, which JSON allows. */
export const json = (value: unknown, indent?: number): string =>
  JSON.stringify(value, undefined, indent).split("\n").map(clean).join("\n")
