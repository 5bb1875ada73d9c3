import { spawn, type ChildProcess } from 'node:child_process'
import { closeSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { nowMs, sleep } from '../../src/load/clock.ts'
import type { Endpoint } from '../../src/load/raw-socket.ts'

/** In order, or as a crash would. */
export type StopSignal = 'stop' | 'kill'

/** A broker that the bench runs or, with no process id, one it was pointed at. */
export interface Server extends AsyncDisposable {
  readonly endpoint: Endpoint
  readonly pid: number | null
  readonly dataDirectory: string | null
  /** Product and version, as the probe of its last start found them. */
  readonly version: string
  /** The ways to end it that `stop` offers. */
  readonly stopSignals: readonly StopSignal[]
  /** Starts it on what its data directory holds; resolves when clients are served. */
  start(): Promise<void>
  stop(signal: StopSignal): Promise<void>
  /** Starts it anew, with nothing in memory or on disk. */
  renew(): Promise<void>
  /** The last warnings and errors it logged, to print beside a failure. */
  logTail(): string
}

/** Resolves with product and version when a client is served, rejects while none is. */
export type Probe = (endpoint: Endpoint) => Promise<string>

/** How to run a broker that is one process. */
export interface Program {
  readonly command: string
  /** May write what the program needs into its data directory, which is there and empty. */
  args(endpoint: Endpoint, dataDirectory: string): readonly string[]
  readonly probe: Probe
}

const LOG_TAIL_LINES = 5
const READY_TIMEOUT_MS = 120_000

/** Resolves with what the probe says once it succeeds. */
export async function waitReady(
  endpoint: Endpoint,
  probe: Probe,
  alive: () => boolean,
): Promise<string> {
  const deadline = nowMs() + READY_TIMEOUT_MS
  for (;;) {
    try {
      return await probe(endpoint)
    } catch (cause) {
      if (!alive()) throw new Error('the broker ended while starting', { cause })
      if (nowMs() > deadline) throw new Error('the broker does not get ready', { cause })
      await sleep(5)
    }
  }
}

/** A broker that already runs elsewhere; it can be loaded, but not measured or restarted. */
export async function externalServer(endpoint: Endpoint, probe: Probe): Promise<Server> {
  const refuse = (): Promise<void> => Promise.reject(new Error('not started by this bench'))
  return {
    endpoint,
    pid: null,
    dataDirectory: null,
    version: await probe(endpoint),
    stopSignals: [],
    start: refuse,
    stop: refuse,
    renew: refuse,
    logTail: () => '',
    [Symbol.asyncDispose]: () => Promise.resolve(),
  }
}

/** A broker that is one process, with a fresh data directory below the temporary one. */
export class ProcessServer implements Server {
  readonly endpoint: Endpoint
  readonly dataDirectory: string
  readonly stopSignals: readonly StopSignal[] = ['stop', 'kill']
  version = ''
  readonly #directory: string = mkdtempSync(join(tmpdir(), 'waystation-bench-'))
  readonly #logFile: string = join(this.#directory, 'broker.log')
  readonly #program: Program
  #child: ChildProcess | null = null

  private constructor(port: number, program: Program) {
    this.endpoint = { host: '127.0.0.1', port }
    this.dataDirectory = join(this.#directory, 'data')
    this.#program = program
    mkdirSync(this.dataDirectory)
  }

  static async open(program: Program): Promise<ProcessServer> {
    const server = new ProcessServer(await freePort(), program)
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
    const { command, probe } = this.#program
    const args = this.#program.args(this.endpoint, this.dataDirectory)
    const log = openSync(this.#logFile, 'a')
    const child = spawn(command, args, { stdio: ['ignore', log, log] })
    closeSync(log)
    this.#child = child
    const alive = (): boolean => child.exitCode === null && child.signalCode === null
    this.version = await waitReady(this.endpoint, probe, alive)
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

  async renew(): Promise<void> {
    await this.stop('kill')
    rmSync(this.dataDirectory, { recursive: true, force: true })
    mkdirSync(this.dataDirectory)
    await this.start()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop('stop')
    rmSync(this.#directory, { recursive: true, force: true })
  }
}

/** Low enough for the further ports that tools/rabbitmq.sh and tools/kafka.sh derive from it. */
export async function freePort(): Promise<number> {
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
