/**
 * The commands of `hilok`: their options, arguments and examples. Nothing else knows them.
 */
import {
  choice,
  command,
  defaulted,
  duration,
  filled,
  flag,
  type Input,
  mode,
  type Options,
  option,
  type Section,
  text,
  type Values,
  wholeNumber
} from "./description.ts"
import { exitCode } from "./failure.ts"
import { program } from "./load.ts"
import type { Grammar } from "./parse.ts"

export const about = "Hierarchical read-write locks on Redis: run commands under them, see who holds what."

const server = {
  url: option(
    "url",
    text("URL"),
    "The server: redis://, rediss:// or a unix socket. Default: $REDIS_URL, else redis://127.0.0.1:6379.",
    {
      short: "u"
    }
  ),
  sentinel: option(
    "sentinel",
    filled("HOST:PORT"),
    "A Sentinel to ask where the server is; several, with commas or the option again. Default: $HILOK_SENTINEL.",
    { adds: true }
  ),
  master: option("master", filled("NAME"), "The name by which Sentinels know the server. Default: $HILOK_MASTER."),
  cluster: option(
    "cluster",
    filled("HOST:PORT"),
    "A node of a Redis Cluster; several, with commas or the option again. Default: $REDIS_CLUSTER_NODES.",
    { adds: true }
  ),
  tls: flag("tls", "Encrypt the connection, as rediss:// does."),
  cacert: option(
    "cacert",
    filled("FILE", "file"),
    "The certificates to trust, for TLS. Default: $HILOK_CACERT, else the system's."
  ),
  cert: option("cert", filled("FILE", "file"), "The certificate to show, for TLS. Default: $HILOK_CERT."),
  key: option("key", filled("FILE", "file"), "The key of that certificate. Default: $HILOK_KEY."),
  namespace: option("namespace", text("NAME"), "The set of locks. Default: $HILOK_NAMESPACE, else default."),
  keyPrefix: option(
    "key-prefix",
    text("PREFIX"),
    "The first part of every key. Default: $HILOK_KEY_PREFIX, else hilok."
  ),
  partitions: option(
    "partitions",
    wholeNumber("N", 64),
    "In how many partitions the locks are, as all clients say. Default: $HILOK_PARTITIONS, else 1."
  )
}

/** What the command line says of the server; the environment has the rest. */
export type ServerOptions = Values<typeof server>

/** The names of the options about the server, which the help shows apart from the others. */
export const isAboutServer = (name: string): boolean => Object.values(server).some((one) => one.name === name)

const json = flag("json", "Print JSON.")

const ttl = option(
  "ttl",
  duration(),
  "How long the lease lasts after it was last refreshed. Default: $HILOK_TTL, else 10s."
)

const request = {
  write: mode("write", "write", "The paths that follow: exclusive, with everything below. The default.", "x"),
  read: mode("read", "read", "The paths that follow: shared, with everything below.", "s"),
  writeNode: mode("write-node", "writeNode", "The paths that follow: exclusive, the node alone."),
  readNode: mode("read-node", "readNode", "The paths that follow: shared, the node alone."),
  nonblock: flag("nonblock", "Do not wait for a lock that is not free.", "n"),
  wait: option("wait", duration("zero"), "How long to wait for the lock; 0 is as -n. Default: forever.", {
    short: "w"
  }),
  conflictExitCode: defaulted(
    option(
      "conflict-exit-code",
      wholeNumber("NUMBER", 255),
      `The exit code when the lock was not free (in time). Default: ${exitCode.conflict}.`,
      { short: "E" }
    ),
    exitCode.conflict
  ),
  ttl,
  reason: option("reason", text("TEXT"), "Why the lock is taken, for people."),
  label: option("label", text("NAME"), "Who takes it, for people. Default: $HILOK_LABEL; for run, else the command."),
  verbose: flag("verbose", "Tell what it waits for, how long the wait was, and the token, on standard error.", "v"),
  quiet: flag("quiet", "Say nothing of a lock that is not free: the exit code tells.", "q")
}

/** What `run` and `acquire` ask for. */
export type RequestOptions = Values<typeof request> & ServerOptions

const paths = {
  name: "PATH",
  about: "a path to lock, such as db/users/42",
  least: 1,
  most: Number.POSITIVE_INFINITY,
  completes: "path"
} as const
const id = {
  name: "ID",
  about: "the id of a lease, or its first characters",
  least: 1,
  most: 1,
  completes: "id"
} as const

const codes = (...known: ReadonlyArray<readonly [code: string, about: string]>): Section => ({
  title: "Exit codes",
  rows: [
    ...known,
    [String(exitCode.usage), "wrong use"],
    [String(exitCode.unavailable), "the server is not available"],
    [String(exitCode.internal), "an error in hilok itself, or its output cannot be written"]
  ]
})

const conflict = [
  String(exitCode.conflict),
  "the lock was not free, or not in time, or the wait would never have ended; -E changes it"
] as const

const runOptions = {
  ...request,
  maxHold: option("max-hold", duration(), "Ends the lock, and the command, when it is held longer."),
  killAfter: defaulted(
    option(
      "kill-after",
      duration("zero"),
      "When the lock is lost: how long the command has from TERM to KILL. Default: 5s."
    ),
    5_000
  ),
  noWatch: flag("no-watch", "Start no watcher, which ends the command when hilok itself is killed."),
  ...server
}
export type RunInput = Input<typeof runOptions>

const run = command({
  name: "run",
  summary: "Runs a command under a lock.",
  about:
    "Takes the lock, runs the command, releases the lock, and exits with the command's code. A mode option (-x, -s, …) " +
    "is for the paths that follow it; all of them are granted together. When the lock is lost, the command is ended.",
  options: runOptions,
  args: paths,
  takesCommand: true,
  sections: [
    codes(
      ["the command's", "it ended by itself, or on a signal that was passed on to it"],
      ["128 + n", "signal n ended the command, or hilok while it waited"],
      conflict,
      [String(exitCode.lost), "the lock was lost; also when the command exits with 0 after that"],
      [`${exitCode.notExecutable}, ${exitCode.notFound}`, "the command cannot be executed; is not found"]
    ),
    {
      title: "Environment of the command",
      rows: [
        ["HILOK_ID", "the id of the lease"],
        ["HILOK_TOKEN", "its fencing token"],
        ["HILOK_PATHS", "its paths, one per line"],
        ["HILOK_WITHIN", "the leases that the command runs in, for a hilok run inside it"]
      ]
    }
  ],
  examples: [
    ["hilok run db/users -- ./migrate.sh", "one at a time, on all machines; waits for its turn"],
    ["hilok run -n jobs/nightly -- ./backup.sh", "does not wait: exit code 75 when it runs already"],
    ["hilok run -s db -x cache/users -- ./warm.sh", "reads below db, writes below cache/users: both or none"],
    ["hilok run -q -w 30 jobs/mail -- ./send.sh", "for cron: waits 30 seconds, and says nothing if that was not enough"]
  ],
  run: (input) => program().run(input)
})

const acquireOptions = { ...request, json, ...server }
export type AcquireInput = Input<typeof acquireOptions>

const acquire = command({
  name: "acquire",
  summary: "Takes a lock for a script, and prints the id of its lease.",
  about:
    "Takes a lock and prints the id of its lease, which nobody refreshes but you: it ends --ttl after it was acquired or last refreshed.",
  options: acquireOptions,
  args: paths,
  sections: [codes(conflict)],
  examples: [
    ["id=$(hilok acquire db/users --ttl 10m -w 30) || exit", "waits for 30 seconds at most"],
    ["hilok acquire -s db --ttl 1h --json", "with the token and the targets"]
  ],
  run: (input) => program().acquire(input)
})

const refreshOptions = { ttl, json, ...server }
export type RefreshInput = Input<typeof refreshOptions>
const lost = [String(exitCode.lost), "the lease was not held any more"] as const

const refresh = command({
  name: "refresh",
  summary: "Makes a lease last longer.",
  about: "Moves the end of a lease to --ttl from now, unless it lasts longer anyway.",
  options: refreshOptions,
  args: id,
  sections: [codes(lost)],
  examples: [[`hilok refresh "$id" --ttl 10m`, "for ten minutes from now"]],
  run: (input) => program().refresh(input)
})

const releaseOptions = { json, ...server }
export type ReleaseInput = Input<typeof releaseOptions>

const release = command({
  name: "release",
  summary: "Ends a lease.",
  about: "Ends a lease that was taken by hand.",
  options: releaseOptions,
  args: id,
  sections: [codes(lost)],
  examples: [[`hilok release "$id"`, "what hilok acquire printed"]],
  run: (input) => program().release(input)
})

const lsOptions = {
  output: defaulted(
    option("output", choice("FORMAT", ["tree", "table", "json"]), "tree, table or json. Default: tree.", {
      short: "o"
    }),
    "tree"
  ),
  json: flag("json", "As -o json."),
  wide: flag("wide", "Do not cut lines to the width of the terminal; show whole ids."),
  watch: flag("watch", "Keep it on the screen, up to date, until Ctrl-C."),
  olderThan: option("older-than", duration(), "Only what is held, or waits, for longer than this."),
  ...server
}
export type LsInput = Input<typeof lsOptions>

const ls = command({
  name: "ls",
  summary: "Shows who holds what, and who waits for it.",
  about: "Shows what is held and who waits, in the order of their turns: all of it, or what is at a path or below it.",
  options: lsOptions,
  args: { name: "PREFIX", about: "only what is at this path or below it", least: 0, most: 1, completes: "path" },
  sections: [codes()],
  examples: [
    ["hilok ls --watch", "on the screen, until Ctrl-C"],
    ["hilok ls db/users -o table --wide", "a line for each lock, nothing cut off"],
    ["hilok ls --json --older-than 1h", "for scripts: what is held or waits for more than an hour"]
  ],
  run: (input) => program().ls(input)
})

const showOptions = { json, ...server }
export type ShowInput = Input<typeof showOptions>

const show = command({
  name: "show",
  summary: "Shows all that is known of a lease or a path.",
  about: "Shows all that is known of one lease or waiting request, or of those at a path or below it.",
  options: showOptions,
  args: {
    name: "ID|PATH",
    about: "an id, its first characters, or a path",
    least: 1,
    most: 1,
    completes: "id or path"
  },
  sections: [codes([String(exitCode.negative), "there is none"])],
  examples: [
    ["hilok show c15da806", "one, by the first characters of its id"],
    ["hilok show db/users --json", "all at db/users and below it"]
  ],
  run: (input) => program().show(input)
})

const breakOptions = {
  all: option("all", filled("PREFIX", "path"), "All leases at or below the path; / is all of the tree."),
  yes: flag("yes", "Do not ask."),
  json: flag("json", "Print the leases and whether each was broken as JSON; needs --yes."),
  ...server
}
export type BreakInput = Input<typeof breakOptions>

const breakLeases = command({
  name: "break",
  summary: "Ends leases of others.",
  about:
    "Ends leases, whoever holds them, after it has listed them and asked. Their holders learn at once that the lock is lost.",
  options: breakOptions,
  args: {
    name: "ID",
    about: "the id of a lease, or its first characters",
    least: 0,
    most: Number.POSITIVE_INFINITY,
    completes: "id"
  },
  sections: [codes([String(exitCode.negative), "an id is not held, or the answer was no"])],
  examples: [
    ["hilok break c15da806", "one, by the first characters of its id"],
    ["hilok break --all db/users --yes", "all at db/users and below it, without asking"]
  ],
  run: (input) => program().breakLeases(input)
})

const doctorOptions = { json, ...server }
export type DoctorInput = Input<typeof doctorOptions>

const doctor = command({
  name: "doctor",
  summary: "Checks whether the server is fit for locks.",
  about: "Checks whether the server is fit for locks, and says what to do where it is not.",
  options: doctorOptions,
  sections: [codes([String(exitCode.negative), "something is not in order"])],
  examples: [
    ["hilok doctor -u rediss://locks.example.com", "a server other than that of $REDIS_URL"],
    ["hilok doctor --cluster redis-1:6379,redis-2:6379", "a Redis Cluster, with a line for each of its nodes"]
  ],
  run: (input) => program().doctor(input)
})

const general = {
  help: flag("help", "Show the help of hilok or of a command, as hilok help does.", "h"),
  version: flag("version", "Show the version.", "V"),
  completions: option(
    "completions",
    choice("SHELL", ["bash", "zsh", "fish"]),
    "Print what makes a shell complete commands, options, paths and ids."
  )
} satisfies Options

export const grammar: Grammar = { commands: [run, ls, show, breakLeases, acquire, refresh, release, doctor], general }

/** The variables that stand in for options. Durations are as in options, but a bare number is milliseconds. */
export const environment: Section = {
  title: "Environment",
  rows: [
    ["REDIS_URL", "--url"],
    ["REDIS_CLUSTER_NODES", "--cluster"],
    ["REDIS_USERNAME, REDIS_PASSWORD", "who connects, unless the URL says so"],
    ["HILOK_SENTINEL, HILOK_MASTER", "--sentinel, --master"],
    ["REDIS_SENTINEL_USERNAME, REDIS_SENTINEL_PASSWORD", "who connects to the Sentinels"],
    ["HILOK_CACERT, HILOK_CERT, HILOK_KEY", "--cacert, --cert, --key"],
    ["HILOK_NAMESPACE, HILOK_KEY_PREFIX", "--namespace, --key-prefix"],
    ["HILOK_PARTITIONS", "--partitions"],
    ["HILOK_LABEL", "--label"],
    ["HILOK_TTL, HILOK_MAX_HOLD", "--ttl, --max-hold"],
    ["HILOK_REFRESH_INTERVAL", "how often a lease is refreshed; a third of its ttl"],
    ["HILOK_CONNECT_TIMEOUT", "how long to wait for a server that does not answer; 5s"],
    ["HILOK_COMMAND_TIMEOUT", "how long a request may take; 3s"],
    ["HILOK_SEPARATOR", "what stands between the segments of a path; /"],
    ["NO_COLOR", "no colours, whatever its value"]
  ]
}
