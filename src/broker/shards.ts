import type { Engine, Log } from '../engine/contract.ts'
import type { Turn } from '../lib/turn.ts'
import { CommitCycle } from './commit-cycle.ts'
import type { BrokerLimits } from './limits.ts'
import { Shard } from './shard.ts'
import { StateTable } from './state-table.ts'

/** Numbers of transient destinations start here; durable ones are far below. */
const TRANSIENT_ID_FIRST = 0x8000_0000

const STREAM_LOG_PREFIX = 'stream.'

/**
 * The logs of the broker: one for durable queues, one for transient ones, one for small states,
 * one for each stream.
 */
export class Shards {
  readonly cycle: CommitCycle
  readonly durable: Shard
  readonly transient: Shard
  readonly snapshotLog: Log
  readonly state: StateTable
  readonly limits: BrokerLimits
  readonly #engine: Engine
  readonly #epoch: number
  #nextTransientId = TRANSIENT_ID_FIRST

  private constructor(
    engine: Engine,
    epoch: number,
    options: {
      readonly limits: BrokerLimits
      readonly cycle: CommitCycle
      readonly durable: Log
      readonly transient: Log
      readonly snapshots: Log
      readonly state: StateTable
    },
  ) {
    const { limits, cycle, durable, transient, snapshots, state } = options
    this.limits = limits
    this.#engine = engine
    this.#epoch = epoch
    this.cycle = cycle
    this.state = state
    this.durable = new Shard(durable, this.cycle, { durable: true, limits })
    this.transient = new Shard(transient, this.cycle, { durable: false, limits })
    this.snapshotLog = snapshots
  }

  static async open(engine: Engine, turn: Turn, limits: BrokerLimits): Promise<Shards> {
    const { epoch } = await engine.leases.acquire('broker')
    const [durable, snapshots, transient, stateLog] = await Promise.all([
      engine.openLog('queues', { epoch }),
      engine.openLog('queues.snapshots', { epoch }),
      engine.openLog('transient', { epoch, volatile: true }),
      engine.openLog('state', { epoch }),
    ])
    const cycle = new CommitCycle(engine, turn)
    const state = await StateTable.load(stateLog, cycle, limits)
    return new Shards(engine, epoch, { limits, cycle, durable, snapshots, transient, state })
  }

  takeTransientId(): number {
    return this.#nextTransientId++
  }

  openStreamLog(id: number, volatile: boolean): Promise<Log> {
    return this.#engine.openLog(streamLogName(id), { epoch: this.#epoch, volatile })
  }

  async deleteStreamLog(log: Log): Promise<void> {
    await this.#engine.deleteLog(log.name)
  }

  /** Deletes the logs of streams that are gone: a crash may have come between the two. */
  async deleteLostStreams(known: readonly { readonly id: number }[]): Promise<void> {
    const names = new Set(known.map(({ id }) => streamLogName(id)))
    for (const name of await this.#engine.listLogs()) {
      if (name.startsWith(STREAM_LOG_PREFIX) && !names.has(name)) await this.#engine.deleteLog(name)
    }
  }
}

function streamLogName(id: number): string {
  return `${STREAM_LOG_PREFIX}${id}`
}
