/** The processes of the contestants. */
import { type ChildProcess, fork } from "node:child_process"
import { setTimeout as delay } from "node:timers/promises"
import { fileURLToPath } from "node:url"
import type { TaskName, TaskResult, TaskSpec } from "./tasks/index.ts"
import type { Answer, Message } from "./worker.ts"

const file = fileURLToPath(new URL("./worker.js", import.meta.url))

/** How long a task may take beyond what it was asked to take (milliseconds). */
const patience = 20_000

type Waiting = { readonly resolve: (value: unknown) => void; readonly reject: (error: Error) => void }
type Unnumbered<M> = M extends unknown ? Omit<M, "id"> : never

const about = (message: Unnumbered<Message>) => (message.op === "open" ? "open" : message.name)

export class Worker {
  private readonly child: ChildProcess
  private readonly waiting = new Map<number, Waiting>()
  private last = 0
  private ended: string | undefined = undefined

  constructor() {
    this.child = fork(file, {
      execArgv: ["--expose-gc"],
      serialization: "advanced",
      stdio: ["ignore", "ignore", "pipe", "ipc"]
    })
    let said = ""
    this.child.stderr?.on("data", (chunk) => {
      said = (said + chunk).slice(-2_000)
    })
    this.child.on("message", (answer: Answer) => {
      const waiting = this.waiting.get(answer.id)
      this.waiting.delete(answer.id)
      if ("error" in answer) waiting?.reject(new Error(answer.error))
      else waiting?.resolve(answer.value)
    })
    this.child.on("close", (code, signal) => {
      const reason = said.split("\n").find((line) => /Error/.test(line)) ?? `exit ${code ?? signal}`
      this.fail(`its process ended: ${reason.trim()}`)
    })
  }

  private fail(reason: string): void {
    this.ended ??= reason
    for (const { reject } of this.waiting.values()) reject(new Error(this.ended))
    this.waiting.clear()
  }

  private async ask(message: Unnumbered<Message>, millis: number): Promise<unknown> {
    if (this.ended !== undefined) throw new Error(this.ended)
    const id = ++this.last
    const answered = new Promise((resolve, reject) => this.waiting.set(id, { resolve, reject }))
    this.child.send({ ...message, id })
    const patient = new AbortController()
    const tooLate = delay(millis + patience, undefined, { signal: patient.signal }).then(
      () => {
        this.fail(`no answer to ${about(message)} after ${Math.round((millis + patience) / 1_000)} s`)
        this.end()
      },
      () => undefined
    )
    try {
      return await Promise.race([answered, tooLate])
    } finally {
      patient.abort()
    }
  }

  async open(contestant: string, port: number): Promise<void> {
    await this.ask({ op: "open", contestant, port }, 0)
  }

  /** Does a task. `millis`: how long it should take. */
  async run<K extends TaskName>(name: K, spec: TaskSpec<K>, millis: number): Promise<TaskResult<K>> {
    return (await this.ask({ op: "task", name, spec }, millis)) as TaskResult<K>
  }

  end(): void {
    this.child.kill("SIGKILL")
  }
}

export class Pool {
  private readonly workers = new Map<string, Promise<Worker>>()
  private readonly all = new Set<Worker>()
  private readonly port: number

  constructor(port: number) {
    this.port = port
  }

  /** The process of a contestant; it is started when it is first asked for. */
  get(contestant: string, index = 0): Promise<Worker> {
    const key = `${contestant} ${index}`
    const known = this.workers.get(key)
    if (known !== undefined) return known
    const worker = new Worker()
    this.all.add(worker)
    const opened = worker.open(contestant, this.port).then(() => worker)
    this.workers.set(key, opened)
    return opened
  }

  /** Ends the processes of a contestant; it gets new ones when it is asked for again. */
  drop(contestant: string): void {
    for (const key of Array.from(this.workers.keys()).filter((key) => key.startsWith(`${contestant} `))) {
      void this.workers.get(key)?.then(
        (worker) => worker.end(),
        () => undefined
      )
      this.workers.delete(key)
    }
  }

  end(): void {
    for (const worker of this.all) worker.end()
    this.all.clear()
    this.workers.clear()
  }
}
