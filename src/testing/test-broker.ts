import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { systemClock } from '../lib/clock.ts'
import { SeededRandom } from '../lib/random.ts'
import { silentLog } from '../server/log.ts'
import { openBroker, type OpenParts } from '../server/open-broker.ts'
import type { ListenerName } from '../server/protocol-ports.ts'
import type { RunningBroker } from '../server/running-broker.ts'
import { MEMORY, resolveConfig } from '../server/server-config.ts'
import { FaultyDisk } from '../storage/disk-faulty.ts'
import { LossyNetwork, type Speaker } from './lossy-network.ts'
import { settle } from './settle.ts'
import { type MortalClock, TestClock } from './test-clock.ts'
import { TestDestination } from './test-destination.ts'
import { TestDisk } from './test-disk.ts'
import { waitFor } from './wait-for.ts'

/** What a test broker can be told. Everything has a default. */
export interface TestBrokerOptions {
  /** `memory`: on a disk in memory that can crash and fill up. `disk`: in a temporary directory. */
  readonly data?: 'memory' | 'disk'
  /** Ports on loopback, 0 for a free one, false for off. Default: every protocol, no TLS, no HTTP. */
  readonly listen?: Readonly<Partial<Record<ListenerName, number | false>>>
  /** What the broker's clock shows at first, in milliseconds since the epoch. Default 2026-01-01. */
  readonly startMs?: number
  /** Chance, such as what a power cut leaves of unsynced writes. Default 1. */
  readonly seed?: number
}

/** See `TestBroker.crash`. */
export type CrashPoint = 'now' | 'before-sync' | 'after-sync'

const LOOPBACK = '127.0.0.1'
const START_MS = Date.UTC(2026, 0, 1)
const STOP_TIMEOUT_MS = 1000

/** One life of the broker: from a start to the stop or crash that ends it. */
interface Life {
  readonly running: RunningBroker
  readonly parts: OpenParts
  readonly clock: MortalClock
}

/**
 * Starts the broker that `waystation start` starts, in this process, on free ports of loopback and
 * with a clock of the test's. User `guest` has password `guest`. Throws `StartupError`.
 */
export async function startTestBroker(options: TestBrokerOptions = {}): Promise<TestBroker> {
  return TestBroker.start(options)
}

/** A broker under test: its time, its disk, its destinations and its misfortunes. */
export class TestBroker implements AsyncDisposable {
  readonly clock: TestClock
  readonly #directory: string | null
  readonly #listen: Partial<Record<ListenerName, number | false>>
  readonly #random: SeededRandom
  readonly #testDisk: TestDisk
  readonly #network = new LossyNetwork()
  #disk: FaultyDisk = new FaultyDisk()
  #life: Life | null = null

  private constructor(options: TestBrokerOptions, directory: string | null) {
    this.#directory = directory
    this.#listen = { ...options.listen }
    this.#random = new SeededRandom(options.seed ?? 1)
    this.#testDisk = new TestDisk(() => this.#disk)
    this.clock = new TestClock(options.startMs ?? START_MS, async () => this.settle())
  }

  static async start(options: TestBrokerOptions): Promise<TestBroker> {
    const onDisk = options.data === 'disk'
    const directory = onDisk ? await mkdtemp(path.join(tmpdir(), 'waystation-test-')) : null
    const broker = new TestBroker(options, directory)
    await broker.#open()
    return broker
  }

  /** The port of a listener, the same after a restart; throws when it is off. */
  port(name: ListenerName = 'amqp'): number {
    return this.#alive().running.port(name)
  }

  /** Such as `amqp://127.0.0.1:40001`; throws when the listener is off. */
  url(name: ListenerName = 'amqp'): string {
    return this.#alive().running.url(name)
  }

  /** The disk and what may go wrong with it; throws with `data: 'disk'`, which is a real one. */
  get disk(): TestDisk {
    this.#assertInMemory()
    return this.#testDisk
  }

  destination(name: string, vhost = '/'): TestDestination {
    return new TestDestination(name, () => {
      return this.#life?.parts.broker.vhost(vhost)?.destination(name)
    })
  }

  /** Names of all queues and streams, sorted. */
  destinations(vhost = '/'): string[] {
    const destinations = this.#alive().parts.broker.vhost(vhost)?.destinations() ?? []
    return Array.from(destinations, ({ name }) => name).toSorted()
  }

  /**
   * Resolves when the broker has nothing left to do: what came is stored and answered, what waits
   * for a consumer is with it. Clients that answer at once are waited for, others are not.
   */
  async settle(): Promise<void> {
    if (this.#life !== null) await settle(this.#life.parts)
  }

  /** Resolves when `condition` holds; rejects after `timeoutMs` of real time (default 5000). */
  async waitFor(
    condition: () => boolean | Promise<boolean>,
    { timeoutMs, what = 'the condition' }: { timeoutMs?: number; what?: string } = {},
  ): Promise<void> {
    await waitFor(condition, {
      timeoutMs,
      expected: () => what,
      found: () => 'that it does not hold',
    })
  }

  /** Closes every connection without a word, as a network does that fails. */
  cutConnections(): void {
    for (const listener of this.#alive().parts.listeners) listener.cutConnections()
  }

  /**
   * Lets all that one side says on the connections of now be lost, until they are cut: a consumer's
   * ack that never arrives, or a confirm of what is on disk that the publisher never sees.
   */
  lose(speaker: Speaker): void {
    this.#alive()
    this.#network.lose(speaker)
  }

  /**
   * Ends the broker in the middle of what it does and starts it on what its disk holds: after
   * `kill` (as kill -9) all that was written, after `power-cut` all that was synced and of the rest
   * what chance leaves. Connections are lost, ports stay the same. `downMs` (default 0) passes by its
   * clock before the start.
   *
   * `at` is when: `now` (default), or at the next sync of a file, so that the test goes on and makes
   * one: `before-sync`, when bytes are written but not safe, or `after-sync`, when they are safe but
   * nobody was told. What makes new files, such as the first message, has syncs for these too.
   */
  async crash(
    how: 'kill' | 'power-cut' = 'kill',
    { downMs = 0, at = 'now' }: { downMs?: number; at?: CrashPoint } = {},
  ): Promise<void> {
    this.#assertInMemory()
    this.#alive()
    if (at !== 'now') await this.#nextSync(at === 'before-sync' ? 'before' : 'after')
    const { parts, clock } = this.#alive()
    const found = how === 'kill' ? this.#disk.killed() : this.#disk.powerCut(this.#random)
    // What the dead one still does is answered by nobody, so none of it is confirmed.
    this.#disk.changesLeft = 0
    clock.die()
    this.cutConnections()
    await Promise.all(parts.listeners.map(async (listener) => listener.close(0)))
    // Its timers are the machine's, and would keep the process of the test.
    parts.rpcCore.close()
    this.#life = null
    this.#disk = found
    await this.clock.advance(downMs)
    await this.#open()
  }

  /** Stops in order and starts again on the same data and ports. */
  async restart(): Promise<void> {
    await this.#close()
    await this.#open()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#close()
    if (this.#directory !== null) await rm(this.#directory, { recursive: true, force: true })
  }

  async #nextSync(moment: 'before' | 'after'): Promise<void> {
    const disk = this.#disk
    await new Promise<void>((resolve) => {
      disk.onHalt = resolve
      disk.haltAtSync = moment
    })
  }

  async #open(): Promise<void> {
    const config = resolveConfig(
      {
        data: this.#directory ?? MEMORY,
        listen: Object.fromEntries(
          Object.entries(this.#listen).map(([name, port]) => {
            return [name, port === false ? null : { host: LOOPBACK, port }]
          }),
        ),
        stopTimeout: STOP_TIMEOUT_MS,
        // The memory of the process is the test's.
        limits: { memoryHighWatermark: 0 },
      },
      {
        data: MEMORY,
        isOnByDefault: ({ name, available, tls }) => available && !tls && name !== 'http',
        defaultPort: () => 0,
      },
    )
    const clock = this.clock.forOneLife()
    let parts: OpenParts | undefined
    const running = await openBroker(config, {
      clock,
      connectionClock: systemClock,
      random: this.#random,
      log: silentLog,
      ...(this.#directory === null ? { disk: this.#disk } : {}),
      carry: (protocol) => this.#network.carry(protocol),
      onOpen: (opened) => {
        parts = opened
      },
    })
    for (const { name, address } of running.listeners) this.#listen[name] = address.port
    this.#life = { running, parts: parts!, clock }
  }

  async #close(): Promise<void> {
    const life = this.#life
    this.#life = null
    // A full disk would keep the broker from storing what it has begun.
    if (this.#directory === null) this.#disk.freeSpaceBytes = Infinity
    await life?.running.close()
    life?.clock.die()
  }

  #alive(): Life {
    if (this.#life === null) throw new Error('the broker is closed')
    return this.#life
  }

  #assertInMemory(): void {
    if (this.#directory !== null) {
      throw new Error("a real disk does not break on demand: start with data: 'memory'")
    }
  }
}
