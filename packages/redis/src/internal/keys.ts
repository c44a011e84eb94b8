/**
 * The names of everything the store touches in the server, in one place. The braces are a hash tag: all keys of a
 * namespace lie in one slot of a cluster.
 */
export interface Keys {
  /** In the order in which every script takes them: the table, the index, the deadlines. */
  readonly keys: readonly [string, string, string]
  /** The prefix of the clients' channels; the id of a client follows. */
  readonly channels: string
}

export const make = (prefix: string, namespace: string): Keys => {
  const base = `${prefix}:{${namespace}}:`
  return { keys: [`${base}table`, `${base}index`, `${base}deadlines`], channels: `${base}client:` }
}
