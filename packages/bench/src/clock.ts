const systemMillis = () => {
  const [seconds, nanos] = process.hrtime()
  return seconds * 1_000 + nanos / 1e6
}

// `performance.now()` counts the same monotonic clock from the start of the process, and is quicker to ask. The two
// are read one after the other, so the greatest difference is the truest.
let offset = 0
for (let i = 0; i < 1_000; i++) offset = Math.max(offset, systemMillis() - performance.now())

/** Milliseconds on the monotonic clock that all processes of a machine share. */
export const now = (): number => offset + performance.now()
