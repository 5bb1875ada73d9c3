import { SeededRandom } from '../../src/lib/random.ts'
import { RawClient } from '../support/raw-client.ts'
import { openTarget, type Target } from '../support/target.ts'
import { BrokerProcess } from '../support/broker-process.ts'
import { BrokerWatch } from './broker-watch.ts'
import { ControlConnection } from './control-connection.ts'
import { heldBytes, openInspector } from './held-memory.ts'
import { caseSeed, ONLY_CASE, replayHint, scaled } from './fuzz-settings.ts'
import { Draw } from './sessions.ts'

const LANES = 8
const HEALTH_EVERY = 50

export interface Cases {
  /** How many, before `WAYSTATION_FUZZ_RUNS` multiplies them. */
  readonly count: number
  /** One case; what it throws is a finding. `note` says what it does, for the report. */
  readonly run: (draw: Draw, note: (text: string) => void) => Promise<void>
}

/** A broker of its own under attack, with an honest connection beside the hostile ones. */
export class FuzzArena implements AsyncDisposable {
  readonly target: Target
  readonly control: ControlConnection
  /** null when the target is not a process of ours. */
  readonly watch: BrokerWatch | null
  /** Where the inspector of that process listens; null like it. */
  readonly #inspector: string | null

  private constructor(target: Target, control: ControlConnection, inspector: string | null) {
    this.target = target
    this.control = control
    this.watch = target.process === null ? null : new BrokerWatch(target.process)
    this.#inspector = inspector
  }

  static async open(label: string): Promise<FuzzArena> {
    const target = await openArenaTarget()
    const control = await ControlConnection.open(target, label)
    const inspector = target.process === null ? null : await openInspector(target.process)
    return new FuzzArena(target, control, inspector)
  }

  /** Runs the cases a few at a time and looks after the broker meanwhile. */
  async run({ count, run }: Cases): Promise<void> {
    const total = scaled(count)
    let next = ONLY_CASE ?? 0
    const end = ONLY_CASE === null ? total : ONLY_CASE + 1
    const lane = async (): Promise<void> => {
      while (next < end) {
        const index = next++
        let what = ''
        try {
          await run(new Draw(new SeededRandom(caseSeed(index))), (text) => {
            what = text
          })
        } catch (cause) {
          next = end
          const reason = cause instanceof Error ? cause.message : String(cause)
          throw new Error(`${reason}\n${replayHint(index)}\n${what}`, { cause })
        }
        if (index % HEALTH_EVERY === HEALTH_EVERY - 1) await this.checkHealth()
      }
    }
    try {
      await Promise.all(Array.from({ length: LANES }, lane))
    } finally {
      next = end
    }
    await this.checkHealth()
  }

  /** The process lives and has no faults to report, and the honest client gets on. */
  async checkHealth(): Promise<void> {
    this.watch?.checkHealth()
    await this.control.progress()
  }

  /** Deletes whatever the cases left, so that only what leaks stays. */
  async deleteLeftovers(): Promise<void> {
    const { watch } = this
    if (watch === null) return
    const own = /^control\./
    const client = await RawClient.open(this.target)
    await client.openChannel(1)
    for (const queue of (await watch.queueNames()).filter((name) => !own.test(name))) {
      client.sendMethod(1, { name: 'queue.delete', queue })
      await client.method('queue.delete-ok')
    }
    client.destroy()
  }

  /** What the broker holds without what the cases left, in bytes; 0 for one that is not ours. */
  async heldBytes(): Promise<number> {
    if (this.watch === null || this.#inspector === null) return 0
    await this.deleteLeftovers()
    await this.watch.untilConnections(1, 15_000)
    return heldBytes(this.#inspector)
  }

  /**
   * Fails unless the control connection is the only one left and the broker holds at most
   * `growthBytesMax` more than `beforeBytes`.
   */
  async checkNothingLeft(beforeBytes: number, growthBytesMax: number): Promise<void> {
    const grown = (await this.heldBytes()) - beforeBytes
    if (grown <= growthBytesMax) return
    const mib = (bytes: number): string => `${(bytes / 1048576).toFixed(0)} MiB`
    throw new Error(`the broker holds ${mib(grown)} more, allowed are ${mib(growthBytesMax)}`)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await this.control[Symbol.asyncDispose]()
    } finally {
      await this.target.process?.[Symbol.asyncDispose]()
    }
  }
}

/** The broker that was named by the environment, or one that logs nothing but its own faults. */
async function openArenaTarget(): Promise<Target> {
  if (process.env['WAYSTATION_TEST_TARGET']) return openTarget()
  const broker = new BrokerProcess({
    args: ['--log-level', 'error', '--log-format', 'json'],
    nodeFlags: ['--inspect-port=0'],
  })
  await broker.start()
  const url = `amqp://guest:guest@127.0.0.1:${broker.port}`
  return {
    url,
    host: '127.0.0.1',
    port: broker.port,
    user: 'guest',
    password: 'guest',
    process: broker,
  }
}
