/**
 * The names of everything the store touches in the server, in one place. The braces are a hash tag: all keys of a
 * namespace, or of one of its partitions, lie in one slot of a cluster.
 */
export interface Keys {
  /** In the order in which every script takes them: the table, the index, the deadlines. */
  readonly keys: readonly [string, string, string]
  /** The prefix of the clients' channels; the id of a client follows. */
  readonly channels: string
}

const from = (base: string): Keys => ({
  keys: [`${base}table`, `${base}index`, `${base}deadlines`],
  channels: `${base}client:`
})

export const make = (prefix: string, namespace: string): Keys => from(`${prefix}:{${namespace}}:`)

/**
 * Of one of several partitions of a namespace, in a slot of its own. What stands behind the braces keeps it apart from the keys of a
 * namespace that has this name.
 */
export const makePartition = (prefix: string, namespace: string, at: number, count: number): Keys =>
  from(`${prefix}:{${namespace}:${at}}/${count}:`)
