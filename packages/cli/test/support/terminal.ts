/**
 * A real terminal: a session of tmux.
 */
import { execFile } from "node:child_process"
import { randomUUID } from "node:crypto"
import { Effect, type Scope } from "effect"
import { until } from "./hilok.ts"

export interface Terminal {
  /** What is on the screen. */
  readonly screen: Effect.Effect<string>
  /** Waits until it is on the screen. */
  readonly shows: (what: RegExp) => Effect.Effect<string>
  /** Types keys, by the names tmux gives them. */
  readonly type: (...keys: ReadonlyArray<string>) => Effect.Effect<void>
  readonly resize: (columns: number, rows: number) => Effect.Effect<void>
  readonly isCursorShown: Effect.Effect<boolean>
}

/** A shell in a terminal of its own. */
export const open = (env: NodeJS.ProcessEnv): Effect.Effect<Terminal, never, Scope.Scope> =>
  Effect.gen(function* () {
    const socket = `hilok-${randomUUID()}`
    const tmux = (...args: ReadonlyArray<string>) =>
      Effect.async<string>((resume) => {
        execFile("tmux", ["-L", socket, "-f", "/dev/null", ...args], { env }, (error, stdout) =>
          resume(error === null ? Effect.succeed(stdout) : Effect.die(error))
        )
      })
    yield* Effect.acquireRelease(tmux("new-session", "-d", "-x", "150", "-y", "20", "PS1='$ ' sh"), () =>
      Effect.ignore(Effect.sandbox(tmux("kill-server")))
    )
    const screen = tmux("capture-pane", "-p", "-e")
    return {
      screen,
      shows: (what) => until(screen, (text) => what.test(text)),
      type: (...keys) => Effect.asVoid(tmux("send-keys", ...keys)),
      resize: (columns, rows) => Effect.asVoid(tmux("resize-window", "-x", String(columns), "-y", String(rows))),
      isCursorShown: Effect.map(tmux("display-message", "-p", "#{cursor_flag}"), (flag) => flag.trim() === "1")
    }
  })
