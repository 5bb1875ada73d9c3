/**
 * The `waystation` command as a user would type it: a child process in a folder of its own, with
 * an environment that sets nothing.
 */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { keepOutput, noteSecret } from '../../tools/secret-scan.ts'
import { tmpdir } from 'node:os'
import path from 'node:path'

const ROOT = path.join(import.meta.dirname, '../..')
const MAIN = path.join(ROOT, 'src/cli/main.ts')

/** Without TLS, all there are: two brokers at a time would fight for the standard ports. */
const LISTENERS = ['amqp', 'http', 'mqtt', 'mqtt-ws', 'kafka', 'rpc', 'rpc-ws']

/** What a command left behind. */
export interface Outcome {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

/** The line that a broker writes when it is ready. */
export interface Ready {
  readonly listeners: Readonly<Record<string, string>>
  readonly data: string
  readonly pid: number
  readonly readyMs: number
}

export interface CommandOptions {
  /** What standard input has. Default nothing. */
  readonly input?: string
  readonly environment?: Readonly<Record<string, string>>
}

/** A folder for the commands of one test file; everything in it goes at the end. */
export class CommandFolder implements Disposable {
  readonly path: string = mkdtempSync(path.join(tmpdir(), 'waystation-command-'))
  #directoryCount = 0

  /** The path of a data directory that does not exist yet. */
  freshDirectory(): string {
    return path.join(this.path, `data-${this.#directoryCount++}`)
  }

  /** Writes a file in the folder; returns its path. */
  write(name: string, text: string): string {
    const file = path.join(this.path, name)
    writeFileSync(file, text)
    return file
  }

  open(args: readonly string[], options: CommandOptions = {}): Command {
    return new Command(args, this.path, options)
  }

  /** Waits for its end. */
  async run(args: readonly string[], options: CommandOptions = {}): Promise<Outcome> {
    await using command = this.open(args, options)
    return await command.ended
  }

  /** `start` on free ports. */
  start(data: string, ...args: readonly string[]): Command {
    const listen = LISTENERS.flatMap((name) => ['--listen', `${name}=0`])
    return this.open(['start', '--data', data, ...listen, ...args])
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true })
  }
}

/** A running command, killed when it is disposed of. */
export class Command implements AsyncDisposable {
  readonly #child
  readonly #ended: Promise<Outcome>
  #stdout = ''
  #stderr = ''
  #onOutput: () => void = () => undefined

  constructor(args: readonly string[], folder: string, options: CommandOptions) {
    // Passwords are asked for on standard input, or are in the environment.
    noteSecret((options.input ?? '').split('\n', 1)[0] ?? '')
    noteSecret(options.environment?.['WAYSTATION_PASSWORD'] ?? '')
    const env = { PATH: process.env['PATH'], XDG_DATA_HOME: folder, ...options.environment }
    this.#child = spawn(process.execPath, [MAIN, ...args], { env, cwd: folder })
    this.#child.stdout.on('data', (chunk: Buffer) => {
      this.#stdout += chunk.toString()
      keepOutput(`command-${this.#child.pid}`, chunk.toString())
      this.#onOutput()
    })
    this.#child.stderr.on('data', (chunk: Buffer) => {
      this.#stderr += chunk.toString()
      keepOutput(`command-${this.#child.pid}`, chunk.toString())
    })
    this.#child.stdin.on('error', () => undefined)
    this.#child.stdin.end(options.input ?? '')
    this.#ended = new Promise((resolve, reject) => {
      this.#child.once('error', reject)
      this.#child.once('close', (code, signal) => {
        resolve({ code, signal, stdout: this.#stdout, stderr: this.#stderr })
        this.#onOutput()
      })
    })
  }

  /** What it said until now. */
  get stdout(): string {
    return this.#stdout
  }

  get ended(): Promise<Outcome> {
    return this.#ended
  }

  /** The line that says where it listens; fails when the process ends before. */
  async ready(): Promise<Ready> {
    for (;;) {
      const line = this.#stdout.split('\n').find((text) => text.includes('"msg":"ready"'))
      if (line !== undefined) return JSON.parse(line) as Ready
      if (this.#child.exitCode !== null) assert.fail(`it ended:\n${this.#stdout}${this.#stderr}`)
      await new Promise<void>((resolve) => {
        this.#onOutput = resolve
      })
    }
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.kill('SIGKILL')
    await this.#ended
  }
}
