import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { PORTS } from '../../src/server/protocol-ports.ts'
import { nowMs, sleep } from '../../src/load/clock.ts'
import { freePort } from '../load/server.ts'

const REPOSITORY = fileURLToPath(new URL('../..', import.meta.url))
const KAFKA_SCRIPT = join(REPOSITORY, 'tools/kafka.sh')
const READY_WITHIN_MS = 120_000
const POLL_MS = 5
const LOG_TAIL_CHARS = 2_000

/** ApiVersions, version 0, as the first request of a connection. */
const API_VERSIONS: Buffer = Buffer.from('0000000a00120000' + '00000001' + 'ffff', 'hex')

/** A broker that speaks Kafka, in a process of its own, on a data directory of its own. */
export interface KafkaBroker extends AsyncDisposable {
  readonly name: string
  readonly port: number
  readonly pid: number
  /** Starts it on what its data directory holds; resolves to how long it took to answer. */
  start(): Promise<number>
  stop(): Promise<void>
  logTail(): string
}

/** Waystation from this tree, with no other protocol than Kafka. */
export class WaystationBroker implements KafkaBroker {
  readonly name = 'waystation'
  readonly port: number
  readonly #directory: string = mkdtempSync(join(tmpdir(), 'waystation-bench-'))
  readonly #logFile: string = join(this.#directory, 'broker.log')
  #child: ChildProcess | null = null

  private constructor(port: number) {
    this.port = port
  }

  static async open(): Promise<WaystationBroker> {
    return new WaystationBroker(await freePort())
  }

  get pid(): number {
    return this.#child?.pid ?? 0
  }

  logTail(): string {
    return readFileSync(this.#logFile, 'utf8').slice(-LOG_TAIL_CHARS)
  }

  async start(): Promise<number> {
    const others = PORTS.filter(({ name, available }) => available && name !== 'kafka')
    const listen = [`kafka=127.0.0.1:${this.port}`, ...others.map(({ name }) => `${name}=off`)]
    const args = ['start', '--log-level', 'warn', '--data', join(this.#directory, 'data')]
    const command = [join(REPOSITORY, 'src/cli/main.ts'), ...args]
    const log = openSync(this.#logFile, 'a')
    const startedMs = nowMs()
    const child = spawn(
      process.execPath,
      [...command, ...listen.flatMap((one) => ['--listen', one])],
      { stdio: ['ignore', log, log] },
    )
    closeSync(log)
    this.#child = child
    await answers(this.port, () => child.exitCode === null && child.signalCode === null)
    return nowMs() - startedMs
  }

  async stop(): Promise<void> {
    const child = this.#child
    this.#child = null
    if (child === null || child.exitCode !== null || child.signalCode !== null) return
    await new Promise((resolve) => {
      child.once('exit', resolve)
      child.kill('SIGTERM')
    })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
    rmSync(this.#directory, { recursive: true, force: true })
  }
}

/** The Kafka that tools/kafka.sh installed; `settings` are added to those it comes with. */
export class ApacheBroker implements KafkaBroker {
  readonly name: string
  readonly port: number
  readonly #settings: readonly string[]
  readonly #directory: string = mkdtempSync(join(tmpdir(), 'waystation-bench-kafka-'))
  #pid = 0

  private constructor(name: string, port: number, settings: readonly string[]) {
    this.name = name
    this.port = port
    this.#settings = settings
  }

  static async open(name: string, settings: readonly string[]): Promise<ApacheBroker> {
    return new ApacheBroker(name, await freePort(), settings)
  }

  /** The installed version, or null. */
  static async version(): Promise<string | null> {
    // The script fails when there is none, and that is all it could fail for.
    return kafkaScript('version').catch(() => null)
  }

  get pid(): number {
    return this.#pid
  }

  logTail(): string {
    return readFileSync(join(this.#directory, 'console.log'), 'utf8').slice(-LOG_TAIL_CHARS)
  }

  /** At the first start the script also formats the directory, so that time means nothing. */
  async start(): Promise<number> {
    const startedMs = nowMs()
    this.#pid = Number(
      await kafkaScript('start', String(this.port), this.#directory, ...this.#settings),
    )
    return nowMs() - startedMs
  }

  async stop(): Promise<void> {
    if (this.#pid !== 0) await kafkaScript('stop', this.#directory)
    this.#pid = 0
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop()
    rmSync(this.#directory, { recursive: true, force: true })
  }
}

async function kafkaScript(...args: readonly string[]): Promise<string> {
  const { stdout } = await promisify(execFile)(KAFKA_SCRIPT, args, { encoding: 'utf8' })
  return stdout.trim()
}

async function answers(port: number, isAlive: () => boolean): Promise<void> {
  const deadlineMs = nowMs() + READY_WITHIN_MS
  while (!(await answersOnce(port))) {
    if (!isAlive()) throw new Error('the broker ended while starting')
    if (nowMs() > deadlineMs) throw new Error('the broker does not get ready')
    await sleep(POLL_MS)
  }
}

function answersOnce(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    const done = (isReady: boolean): void => {
      socket.destroy()
      resolve(isReady)
    }
    socket.once('connect', () => socket.write(API_VERSIONS))
    socket.once('data', () => done(true))
    socket.once('error', () => done(false))
    socket.once('close', () => done(false))
  })
}
