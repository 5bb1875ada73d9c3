import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { nowMs, sleep } from './clock.ts'
import { Connection, type Endpoint } from './connection.ts'

/** In order, or as a crash would. */
export type StopSignal = 'stop' | 'kill'

/** A broker that the bench runs or, with no process id, one it was pointed at. */
export interface Server extends AsyncDisposable {
  readonly endpoint: Endpoint
  readonly pid: number | null
  readonly dataDirectory: string | null
  /** The ways to end it that `stop` offers. */
  readonly stopSignals: readonly StopSignal[]
  /** Starts it on what its data directory holds; resolves when a channel can be opened. */
  start(): Promise<void>
  stop(signal: StopSignal): Promise<void>
  /** The last warnings and errors it logged, to print beside a failure. */
  logTail(): string
}

const REPOSITORY = fileURLToPath(new URL('../..', import.meta.url))
const RABBITMQ_SCRIPT = join(REPOSITORY, 'tools/rabbitmq.sh')
const LOG_TAIL_LINES = 5
const READY_TIMEOUT_MS = 120_000

/** Resolves with the server's product and version when a channel can be opened on it. */
export async function waitReady(endpoint: Endpoint, alive: () => boolean): Promise<string> {
  const deadline = nowMs() + READY_TIMEOUT_MS
  for (;;) {
    try {
      const connection = await Connection.open(endpoint)
      await connection.close()
      return connection.serverVersion
    } catch (cause) {
      if (!alive()) throw new Error('the broker ended while starting', { cause })
      if (nowMs() > deadline) throw new Error('the broker does not get ready', { cause })
      await sleep(5)
    }
  }
}

/** A broker that already runs elsewhere; it can be loaded, but not measured or restarted. */
export function externalServer(endpoint: Endpoint): Server {
  const refuse = (): Promise<void> => Promise.reject(new Error('not started by this bench'))
  return {
    endpoint,
    pid: null,
    dataDirectory: null,
    stopSignals: [],
    start: refuse,
    stop: refuse,
    logTail: () => '',
    [Symbol.asyncDispose]: () => Promise.resolve(),
  }
}

/** Any broker that is one Node program, with a fresh data directory below the temporary one. */
export class NodeServer implements Server {
  readonly endpoint: Endpoint
  readonly dataDirectory: string
  readonly stopSignals: readonly StopSignal[] = ['stop', 'kill']
  readonly #directory: string = mkdtempSync(join(tmpdir(), 'waystation-bench-'))
  readonly #logFile: string = join(this.#directory, 'broker.log')
  readonly #args: readonly string[]
  #child: ChildProcess | null = null

  private constructor(port: number, args: readonly string[]) {
    this.endpoint = { host: '127.0.0.1', port }
    this.dataDirectory = join(this.#directory, 'data')
    this.#args = args
    mkdirSync(this.dataDirectory)
  }

  static async waystation(): Promise<NodeServer> {
    const program = join(REPOSITORY, 'src/cli/main.ts')
    const quiet = ['--log-level', 'warn', '--listen', 'http=off', '--listen', 'mqtt=off']
    const server = new NodeServer(await freePort(), [program, 'start', ...quiet])
    await server.start()
    return server
  }

  /** No broker at all: shows how much this load program can drive. */
  static async sink(): Promise<NodeServer> {
    const program = fileURLToPath(new URL('sink.ts', import.meta.url))
    const server = new NodeServer(await freePort(), [program])
    await server.start()
    return server
  }

  logTail(): string {
    return readFileSync(this.#logFile, 'utf8')
      .trimEnd()
      .split('\n')
      .slice(-LOG_TAIL_LINES)
      .join('\n')
  }

  get pid(): number | null {
    return this.#child?.pid ?? null
  }

  async start(): Promise<void> {
    const listen = `amqp=${this.endpoint.host}:${this.endpoint.port}`
    const args = [...this.#args, '--data', this.dataDirectory, '--listen', listen]
    const log = openSync(this.#logFile, 'a')
    const child = spawn(process.execPath, args, { stdio: ['ignore', log, log] })
    closeSync(log)
    this.#child = child
    await waitReady(this.endpoint, () => child.exitCode === null && child.signalCode === null)
  }

  async stop(signal: StopSignal): Promise<void> {
    const child = this.#child
    this.#child = null
    if (child === null || child.exitCode !== null || child.signalCode !== null) return
    await new Promise((resolve) => {
      child.once('exit', resolve)
      child.kill(signal === 'kill' ? 'SIGKILL' : 'SIGTERM')
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop('stop')
    rmSync(this.#directory, { recursive: true, force: true })
  }
}

/** The RabbitMQ that tools/rabbitmq.sh installed, with a fresh data directory. */
export class RabbitServer implements Server {
  readonly endpoint: Endpoint
  readonly dataDirectory: string = mkdtempSync(join(tmpdir(), 'rabbitmq-bench-'))
  readonly stopSignals: readonly StopSignal[] = ['stop']
  #pid: number | null = null

  private constructor(port: number) {
    this.endpoint = { host: '127.0.0.1', port }
  }

  static isInstalled(): boolean {
    try {
      rabbitmqScript('version')
      return true
    } catch {
      return false
    }
  }

  static async open(): Promise<RabbitServer> {
    const server = new RabbitServer(await freePort())
    await server.start()
    return server
  }

  logTail(): string {
    return ''
  }

  get pid(): number | null {
    return this.#pid
  }

  async start(): Promise<void> {
    const { port } = this.endpoint
    this.#pid = Number(rabbitmqScript('start', String(port), this.dataDirectory))
    await waitReady(this.endpoint, () => true)
  }

  stop(signal: StopSignal): Promise<void> {
    if (signal === 'kill') return Promise.reject(new Error('only a stop in order is offered'))
    if (this.#pid !== null) rabbitmqScript('stop', String(this.endpoint.port))
    this.#pid = null
    return Promise.resolve()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop('stop')
    rmSync(this.dataDirectory, { recursive: true, force: true })
  }
}

function rabbitmqScript(...args: readonly string[]): string {
  const stdio: ['ignore', 'pipe', 'ignore'] = ['ignore', 'pipe', 'ignore']
  return execFileSync(RABBITMQ_SCRIPT, args, { encoding: 'utf8', stdio }).trim()
}

/** Low enough for the two further ports that tools/rabbitmq.sh derives from it. */
async function freePort(): Promise<number> {
  for (let attempt = 0; attempt < 100; attempt++) {
    const port = await listenOnce(20_000 + Math.floor(Math.random() * 10_000))
    if (port !== null) return port
  }
  throw new Error('no free port from 20000 to 29999')
}

function listenOnce(port: number): Promise<number | null> {
  return new Promise((resolve) => {
    const probe = createServer()
    probe.once('error', () => resolve(null))
    probe.listen(port, '127.0.0.1', () => {
      const address = probe.address() as AddressInfo
      probe.close(() => resolve(address.port))
    })
  })
}
