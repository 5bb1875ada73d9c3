import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'

const PEERS = path.join(import.meta.dirname, 'peers')
/** For a process to start on a machine that is busy. */
const READY_WITHIN_MS = 60_000

export type PeerName = 'own' | 'grpc-js' | 'nats' | 'amqp' | 'socket'

/** The processes and folders of one measurement; all end with it. */
export class Processes implements AsyncDisposable {
  readonly #all = new AsyncDisposableStack()

  async peer(name: PeerName, ...args: readonly string[]): Promise<string> {
    return this.line(peerCommand(name, args))
  }

  /** Resolves with the first line that a program prints. */
  async line([command = '', ...args]: readonly string[], seconds = 0): Promise<string> {
    const child = this.start(command, args)
    const called = [path.basename(command), ...args].join(' ')
    return new Promise((resolve, reject) => {
      const fail = (what: string): void => reject(new Error(`${called} ${what}`))
      const timer = setTimeout(() => fail('said nothing'), READY_WITHIN_MS + seconds * 2000)
      child.once('error', reject)
      child.once('exit', () => fail('ended without a word'))
      child.stdout!.once('data', (bytes: Buffer) => {
        clearTimeout(timer)
        resolve(bytes.toString('utf8').trim())
      })
    })
  }

  start(command: string, args: readonly string[]): ChildProcess {
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'inherit'] })
    const ended = new Promise<void>((resolve) => void child.once('close', () => resolve()))
    this.#all.defer(async () => {
      child.kill('SIGKILL')
      await ended
    })
    return child
  }

  folder(): string {
    const folder = mkdtempSync(path.join(tmpdir(), 'waystation-bench-'))
    this.#all.defer(() => rmSync(folder, { recursive: true, force: true }))
    return folder
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#all.disposeAsync()
  }
}

export function peerCommand(name: PeerName, args: readonly string[]): readonly string[] {
  return [process.execPath, path.join(PEERS, `${name}.ts`), ...args]
}
