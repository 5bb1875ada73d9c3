import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { probeAmqp } from '../../src/load/connection.ts'
import type { Endpoint } from '../../src/load/raw-socket.ts'
import { freePort, type Server, type StopSignal, waitReady } from './server.ts'

const RABBITMQ_SCRIPT = fileURLToPath(new URL('../../tools/rabbitmq.sh', import.meta.url))

/** The RabbitMQ that tools/rabbitmq.sh installed, with a fresh data directory. */
export class RabbitServer implements Server {
  readonly endpoint: Endpoint
  readonly dataDirectory: string = mkdtempSync(join(tmpdir(), 'rabbitmq-bench-'))
  readonly stopSignals: readonly StopSignal[] = ['stop']
  version = ''
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
    this.version = await waitReady(this.endpoint, probeAmqp, () => true)
  }

  stop(signal: StopSignal): Promise<void> {
    if (signal === 'kill') return Promise.reject(new Error('only a stop in order is offered'))
    if (this.#pid !== null) rabbitmqScript('stop', String(this.endpoint.port))
    this.#pid = null
    return Promise.resolve()
  }

  renew(): Promise<void> {
    return Promise.reject(new Error('its queues are deleted instead'))
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
