import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'

const READY_TIMEOUT_MS = 30_000
const STOP_TIMEOUT_MS = 10_000

/** A broker in a process of its own, with an empty store below the folder for temporary files. */
export class ChildBroker implements AsyncDisposable {
  /** By the names of listeners, as `HOST:PORT`. */
  readonly listeners: Readonly<Record<string, string>>
  readonly #child: ChildProcess
  readonly #folder: string

  private constructor(
    child: ChildProcess,
    folder: string,
    listeners: Readonly<Record<string, string>>,
  ) {
    this.#child = child
    this.#folder = folder
    this.listeners = listeners
  }

  /** `program` is what this command line was started by. */
  static async start(program: string, listeners: readonly string[]): Promise<ChildBroker> {
    const folder = mkdtempSync(path.join(tmpdir(), 'waystation-bench-'))
    const off = ['amqp', 'http', 'mqtt', 'mqtt-ws', 'kafka', 'rpc', 'rpc-ws']
    const listen = off.flatMap((name) => {
      return ['--listen', `${name}=${listeners.includes(name) ? '0' : 'off'}`]
    })
    const args = [program, 'start', '--data', path.join(folder, 'data'), ...listen]
    const own = Object.entries(process.env).filter(([name]) => !name.startsWith('WAYSTATION_'))
    const child = spawn(
      process.execPath,
      [...args, '--log-format', 'json', '--log-level', 'warn'],
      {
        stdio: ['ignore', 'pipe', 'pipe'],
        env: Object.fromEntries(own),
      },
    )
    try {
      return new ChildBroker(child, folder, await readyOf(child))
    } catch (error) {
      child.kill('SIGKILL')
      rmSync(folder, { recursive: true, force: true })
      throw error
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const child = this.#child
    if (child.exitCode === null && child.signalCode === null) {
      await new Promise<void>((resolve) => {
        child.once('exit', () => resolve())
        child.kill('SIGTERM')
        setTimeout(() => child.kill('SIGKILL'), STOP_TIMEOUT_MS).unref()
      })
    }
    rmSync(this.#folder, { recursive: true, force: true })
  }
}

function readyOf(child: ChildProcess): Promise<Readonly<Record<string, string>>> {
  return new Promise((resolve, reject) => {
    let text = ''
    const fail = (why: string): void => reject(new Error(`the broker ${why}\n${text}`.trimEnd()))
    const timer = setTimeout(() => fail('is not ready after 30 s'), READY_TIMEOUT_MS)
    child.stderr?.on('data', (chunk: Buffer) => (text += chunk.toString()))
    child.stdout?.on('data', (chunk: Buffer) => {
      text += chunk.toString()
      const line = text
        .split('\n')
        .find((one) => one.includes('"msg":"ready"') && one.endsWith('}'))
      if (line === undefined) return
      clearTimeout(timer)
      text = ''
      const { listeners } = JSON.parse(line) as { readonly listeners: Record<string, string> }
      resolve(listeners)
    })
    child.once('error', reject)
    child.once('exit', () => {
      clearTimeout(timer)
      fail('did not start')
    })
  })
}
