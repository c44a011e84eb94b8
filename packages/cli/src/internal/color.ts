/** Are colours wanted there? Only in a terminal, and not with `NO_COLOR`. */
export const isColored = (stream: NodeJS.WriteStream): boolean =>
  stream.isTTY && !process.env.NO_COLOR && process.env.TERM !== "dumb"
