import { spawn } from "node:child_process"
import { constants } from "node:os"

const exitCode = (code, signal) => code ?? 128 + constants.signals[signal]

/** Runs a command to its end, hands on the signals that are meant for it, and answers with its exit code. */
const run = (command, args, options, onSpawn = () => {}) =>
  new Promise((resolve, reject) => {
    const child = spawn(command, args, options)
    const forward = (signal) => {
      // A terminal sends Ctrl-C to the whole process group: the child has it already.
      if (signal !== "SIGINT" || !process.stdin.isTTY) child.kill(signal)
    }
    const signals = ["SIGINT", "SIGTERM", "SIGHUP"]
    for (const signal of signals) process.on(signal, forward)
    const settle = (then) => (value, signal) => {
      for (const name of signals) process.off(name, forward)
      then(value, signal)
    }
    child.once(
      "close",
      settle((code, signal) => resolve(exitCode(code, signal)))
    )
    child.once("error", settle(reject))
    onSpawn(child)
  })

/** Runs a command that talks to the user itself. */
export const runInForeground = (command, args, env = {}, cwd = undefined) =>
  run(command, args, { stdio: "inherit", env: { ...process.env, ...env }, cwd })

/**
 * Runs a command of the set-up behind one progress line. Its output is shown only when it fails, and then the end of
 * it, in the message of the error.
 */
export const runWithProgress = async (title, command, args, env = {}) => {
  const tty = process.stderr.isTTY
  const started = performance.now()
  const line = (text) => process.stderr.write(tty ? `\r\x1b[K${title}: ${text}` : `${title}: ${text}\n`)
  const report = () => line(`${Math.round((performance.now() - started) / 1000)} s`)
  if (tty) report()
  else line("started")
  const timer = setInterval(report, tty ? 1_000 : 15_000)
  let output = ""
  const keepTail = (chunk) => {
    output = (output + chunk).slice(-20_000)
  }
  let code
  try {
    code = await run(command, args, { stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, ...env } }, (child) => {
      child.stdout.on("data", keepTail)
      child.stderr.on("data", keepTail)
    })
  } finally {
    clearInterval(timer)
  }
  line(`${code === 0 ? "done" : "failed"} after ${Math.round((performance.now() - started) / 1000)} s`)
  if (tty) process.stderr.write("\n")
  if (code !== 0) {
    const tail = output.trimEnd().split("\n").slice(-40).join("\n")
    throw new SetupError(`${title} failed with exit code ${code}:\n${tail}`)
  }
}

/** A set-up step that did not work, with a message for the user. */
export class SetupError extends Error {}
