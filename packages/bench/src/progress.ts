/** One line that says what is going on, on a terminal only. */
const { stderr } = process

export const show = (text: string): void => {
  if (stderr.isTTY) stderr.write(`\r\x1b[K${text}`.slice(0, (stderr.columns ?? 80) - 1))
}

export const clear = (): void => {
  if (stderr.isTTY) stderr.write("\r\x1b[K")
}
