/**
 * A process that ends the command when `hilok` has ended without doing so: by `kill -9`, or for want of memory.
 *
 * It waits at the end of a pipe, which closes however `hilok` ends. It is a shell, as that is small, starts in a moment, and
 * is everywhere. It has a session of its own, so that nothing a terminal sends reaches it.
 */
import { type ChildProcess, spawn } from "node:child_process"
import { say } from "./failure.ts"

/**
 * `$1`: tenths of a second from TERM to KILL. `$2`: `group` when the command has a process group of its own; else the command
 * and all that it has started are looked for, in /proc or by ps(1). `$3`: the id of the lease. The pipe says `watch PID` when
 * the command has been started, and `end` when all is well. If `hilok` was killed in between, the command is known by its
 * environment, where there is a /proc.
 */
export const script = `
pid=
while read -r word value; do
  case $word in
    watch) pid=$value ;;
    end) exit 0 ;;
  esac
done
left=$1
mode=$2
if [ -z "$pid" ]; then
  for file in /proc/[0-9]*/environ; do
    if tr '\\0' '\\n' 2>/dev/null <"$file" | grep -qx "HILOK_ID=$3"; then
      read -r line <"\${file%environ}stat"
      set -- \${line##*) }
      pid=\${file%/environ}
      pid=\${pid#/proc/}
      [ "$mode" = group ] && pid=$3
      break
    fi
  done 2>/dev/null
fi
[ -n "$pid" ] || exit 0
echo "hilok: killed; ending the command, as its lock will end" >&2

parents() {
  if [ -r /proc/self/stat ]; then
    for file in /proc/[0-9]*/stat; do
      { read -r line <"$file"; } 2>/dev/null || continue
      set -- \${line##*) }
      [ "$1" = Z ] || echo "\${line%% *} $2"
    done
  else
    ps -A -o pid= -o ppid=
  fi
}
family() {
  list=$(parents)
  new=$members
  while [ -n "$new" ]; do
    next=
    while read -r child parent; do
      case " $new " in *" $parent "*) case " $members $next " in *" $child "*) ;; *) next="$next $child" ;; esac ;; esac
    done <<END
$list
END
    members="$members$next"
    new=$next
  done
}
members=$pid
to() {
  if [ "$mode" = group ]; then kill -s "$1" -- "-$pid" 2>/dev/null; return; fi
  some=1
  for member in $members; do kill -s "$1" "$member" 2>/dev/null && some=0; done
  return $some
}
[ "$mode" = group ] || family
to TERM
to CONT
while [ "$left" -gt 0 ] && to 0; do
  sleep 0.1 2>/dev/null || { sleep 1; left=$((left - 9)); }
  left=$((left - 1))
  [ "$mode" = group ] || family
done
to KILL
`

export interface Watcher {
  readonly watch: (pid: number) => void
  /** The command has ended, or is being ended. */
  readonly end: () => void
}

/** For those who want none. */
export const none: Watcher = { watch: () => undefined, end: () => undefined }

const started = (child: ChildProcess): Watcher => {
  let isOver = false
  child.on("error", (error) => {
    say(
      `No watcher could be started (${error.message}): if hilok is killed, the command goes on. --no-watch says that this is known`
    )
  })
  // A watcher that is gone is no reason to end.
  child.stdin?.on("error", () => undefined)
  child.unref()
  const tell = (line: string): void => {
    if (!isOver) child.stdin?.write(`${line}\n`)
  }
  return {
    watch: (pid) => tell(`watch ${pid}`),
    end: () => {
      tell("end")
      isOver = true
    }
  }
}

/** Starts the watcher; from `watch` on, it ends that command, within so many milliseconds, when this process ends. */
export const start = (patience: number, mode: "group" | "family", id: string): Watcher => {
  const tenths = String(Math.max(0, Math.floor(patience / 100)))
  try {
    return started(
      spawn("/bin/sh", ["-c", script, "hilok-watch", tenths, mode, id], {
        // The environment of the command may be large, and is none of its business.
        env: { PATH: process.env.PATH },
        stdio: ["pipe", "ignore", "inherit"],
        detached: true
      })
    )
  } catch (error) {
    say(`No watcher could be started (${error instanceof Error ? error.message : String(error)})`)
    return none
  }
}
