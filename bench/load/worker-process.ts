import { fork, type ChildProcess } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { WorkerAnswer, WorkerCommand, WorkerSpec } from './worker.ts'

const PROGRAM = fileURLToPath(new URL('worker.ts', import.meta.url))

/** A load process of its own, told what to do one command after the other. */
export class WorkerProcess implements AsyncDisposable {
  readonly #child: ChildProcess
  readonly #name: string

  private constructor(spec: WorkerSpec) {
    this.#name = spec.role
    this.#child = fork(PROGRAM, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  }

  static async start(spec: WorkerSpec): Promise<WorkerProcess> {
    const worker = new WorkerProcess(spec)
    try {
      await worker.tell({ command: 'prepare', spec })
      return worker
    } catch (error) {
      // It would keep this process alive with it.
      await worker[Symbol.asyncDispose]()
      throw error
    }
  }

  get pid(): number {
    return this.#child.pid ?? 0
  }

  /** Sends a command and resolves with the result its answer holds, which the caller knows. */
  tell<Result>(command: WorkerCommand): Promise<Result> {
    return new Promise((resolve, reject) => {
      const ended = (): void => reject(new Error(`the ${this.#name} process ended`))
      this.#child.once('exit', ended)
      this.#child.once('message', (answer: WorkerAnswer) => {
        this.#child.off('exit', ended)
        if (answer.error === null) resolve(answer.result as Result)
        else reject(new Error(`${this.#name}: ${answer.error}`))
      })
      this.#child.send(command)
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    await new Promise((resolve) => {
      this.#child.once('exit', resolve)
      this.#child.kill('SIGKILL')
    })
  }
}
