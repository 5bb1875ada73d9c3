/**
 * A Waystation of the test's own, as a child process: the command a user would type, on a free
 * port, in a temporary data directory.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { keepOutput, noteSecret } from '../../tools/secret-scan.ts'
import { BROKER_MAIN } from '../../tools/test-broker.ts'

const READY_WITHIN_MS = 20_000
const STOPPED_WITHIN_MS = 15_000
const OUTPUT_CHARS_KEPT = 20_000

export interface BrokerProcessOptions {
  /** Default: a new temporary directory, removed by `dispose`. */
  readonly dataDir?: string
  /** Added behind `start --data DIR` and a free port for each protocol. */
  readonly args?: readonly string[]
  /** Given to Node itself. */
  readonly nodeFlags?: readonly string[]
}

/** One broker process at a time on one data directory; it may be stopped, killed and started again. */
export class BrokerProcess implements AsyncDisposable {
  readonly dataDir: string
  readonly #ownsDataDir: boolean
  readonly #args: readonly string[]
  readonly #nodeFlags: readonly string[]
  #child: ChildProcess | null = null
  #output = ''
  /** Where it listens: what it writes later pushes the names out of `#output`. */
  #readyOutput = ''
  #port = 0

  constructor(options: BrokerProcessOptions = {}) {
    this.#ownsDataDir = options.dataDir === undefined
    this.dataDir = options.dataDir ?? mkdtempSync(path.join(tmpdir(), 'waystation-broker-'))
    this.#args = options.args ?? []
    this.#nodeFlags = options.nodeFlags ?? []
  }

  /** The port of AMQP; a new one after each start. */
  get port(): number {
    return this.#port
  }

  /** The port of MQTT; a new one after each start. */
  get mqttPort(): number {
    return portOf('mqtt', this.#readyOutput) ?? 0
  }

  /** The port of the HTTP API; a new one after each start. */
  get httpPort(): number {
    return portOf('http', this.#readyOutput) ?? 0
  }

  /** The port of Kafka; a new one after each start. */
  get kafkaPort(): number {
    return portOf('kafka', this.#readyOutput) ?? 0
  }

  get rpcPort(): number {
    return portOf('rpc', this.#readyOutput) ?? 0
  }

  /** The port of Kafka over TLS, where `args` ask for it. */
  get kafkaTlsPort(): number {
    return portOf('kafkas', this.#readyOutput) ?? 0
  }

  get pid(): number | undefined {
    return this.#child?.pid
  }

  /** What the process has written so far, both streams, the end of it if it is long. */
  get output(): string {
    return this.#output
  }

  /** Resolves when AMQP accepts connections; rejects with the output when the process ends first. */
  async start(): Promise<void> {
    const listen = ['amqp', 'http', 'kafka', 'mqtt', 'mqtt-ws', 'rpc', 'rpc-ws'].flatMap((name) => [
      '--listen',
      `${name}=127.0.0.1:0`,
    ])
    const command = [BROKER_MAIN, 'start', '--data', this.dataDir, ...listen, ...this.#args]
    const child = spawn(process.execPath, [...this.#nodeFlags, ...command], {
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    this.#child = child
    this.#output = ''
    this.#readyOutput = ''
    const collect = (chunk: Buffer): void => {
      const text = chunk.toString()
      this.#output = (this.#output + text).slice(-OUTPUT_CHARS_KEPT)
      keepOutput(`broker-${child.pid}`, text)
    }
    child.stdout.on('data', collect)
    child.stderr.on('data', collect)
    const deadlineMs = performance.now() + READY_WITHIN_MS
    for (;;) {
      const port = portOf('amqp', this.#output)
      if (port !== null && (await accepts(port))) {
        this.#port = port
        this.#readyOutput = this.#output
        this.#noteToken()
        return
      }
      if (hasEnded(child)) throw new Error(`the broker ended before it was ready:\n${this.#output}`)
      if (performance.now() > deadlineMs) {
        child.kill('SIGKILL')
        throw new Error(`the broker named no AMQP port in ${READY_WITHIN_MS} ms:\n${this.#output}`)
      }
      await sleep(10)
    }
  }

  /** The token of its data directory must be in none of its words. */
  #noteToken(): void {
    const file = path.join(this.dataDir, 'admin.json')
    if (!existsSync(file)) return
    noteSecret((JSON.parse(readFileSync(file, 'utf8')) as { readonly token: string }).token)
  }

  /** SIGTERM, and the exit code; fails when the process does not end in time. */
  async stop(): Promise<number | null> {
    const child = this.#child
    this.#child = null
    if (child === null || hasEnded(child)) return child?.exitCode ?? null
    child.kill('SIGTERM')
    const ended = await Promise.race([
      once(child, 'exit').then(() => true),
      sleep(STOPPED_WITHIN_MS, false, { ref: false }),
    ])
    if (!ended) {
      child.kill('SIGKILL')
      throw new Error(`the broker did not stop in ${STOPPED_WITHIN_MS} ms:\n${this.#output}`)
    }
    return child.exitCode
  }

  /** SIGKILL, as a crash of the process. */
  async kill(): Promise<void> {
    const child = this.#child
    this.#child = null
    if (child === null || hasEnded(child)) return
    const ended = once(child, 'exit')
    child.kill('SIGKILL')
    await ended
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill()
    if (this.#ownsDataDir) rmSync(this.dataDir, { recursive: true, force: true })
  }
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null
}

/** Finds a listener and its address in the start screen or in the log lines. */
function portOf(name: string, output: string): number | null {
  // Other lines may name a listener and an address too, such as one that is taken.
  const match = new RegExp(`(?:"${name}":"| ${name}  )127\\.0\\.0\\.1:(\\d+)`).exec(output)
  const port = Number(match?.[1] ?? 0)
  return port > 0 ? port : null
}

async function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => {
      resolve(false)
    })
  })
}
