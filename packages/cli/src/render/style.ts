/**
 * Colours, as far as they are wanted.
 */

const codes = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33 } as const

export type Style = keyof typeof codes

export type Paint = (style: Style | undefined, text: string) => string

export const plain: Paint = (_, text) => text

export const coloured: Paint = (style, text) =>
  style === undefined || text.trim() === "" ? text : `\x1b[${codes[style]}m${text}\x1b[0m`
