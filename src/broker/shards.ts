import type { Engine, Log } from '../engine/contract.ts'
import type { Turn } from '../lib/turn.ts'
import { BindingLog } from './binding-log.ts'
import { CommitCycle } from './commit-cycle.ts'
import type { BrokerLimits } from './limits.ts'
import { Owners } from './owners.ts'
import { Shard } from './shard.ts'
import { StateTable } from './state-table.ts'
import type { Partition } from './topics/partition.ts'
import { RunWriter } from './topics/run-writer.ts'

/** Numbers of transient destinations start here; durable ones are far below. */
const TRANSIENT_ID_FIRST = 0x8000_0000

const PARTITION_LOG_PREFIX = 'stream.'
/** States whose key goes on with the number of a topic. */
const TOPIC_STATES = ['partition/', 'outlet/'] as const

/**
 * The logs of the broker: one for durable queues, one for transient ones, one for bindings, one for
 * small states, one for each partition.
 */
export class Shards {
  readonly cycle: CommitCycle
  readonly durable: Shard
  readonly transient: Shard
  readonly snapshotLog: Log
  readonly state: StateTable
  readonly bindings: BindingLog
  readonly limits: BrokerLimits
  /** Whose stored messages are counted. */
  readonly owners: Owners = new Owners()
  /** For all partitions. */
  readonly writer: RunWriter
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
      readonly bindings: Log
    },
  ) {
    const { limits, cycle, durable, transient, snapshots, state, bindings } = options
    this.limits = limits
    this.writer = new RunWriter(limits.entryBytes)
    this.#engine = engine
    this.#epoch = epoch
    this.cycle = cycle
    this.state = state
    this.bindings = new BindingLog(bindings, cycle, limits)
    const { owners } = this
    this.durable = new Shard(durable, this.cycle, { durable: true, limits, owners })
    this.transient = new Shard(transient, this.cycle, { durable: false, limits, owners })
    this.snapshotLog = snapshots
  }

  static async open(engine: Engine, turn: Turn, limits: BrokerLimits): Promise<Shards> {
    const { epoch } = await engine.leases.acquire('broker')
    const [durable, snapshots, transient, stateLog, bindings] = await Promise.all([
      engine.openLog('queues', { epoch }),
      engine.openLog('queues.snapshots', { epoch }),
      engine.openLog('transient', { epoch, volatile: true }),
      engine.openLog('state', { epoch }),
      engine.openLog('bindings', { epoch }),
    ])
    const cycle = new CommitCycle(engine, turn)
    const state = await StateTable.load(stateLog, cycle, limits)
    const logs = { durable, transient, snapshots, bindings }
    return new Shards(engine, epoch, { limits, cycle, state, ...logs })
  }

  takeTransientId(): number {
    return this.#nextTransientId++
  }

  /** `volatile`: it is never synced and gone after a restart. */
  openPartitionLog(topicId: number, index: number, volatile: boolean): Promise<Log> {
    return this.#engine.openLog(partitionLogName(topicId, index), { epoch: this.#epoch, volatile })
  }

  /** A durable log that belongs to a partition. */
  openLog(name: string): Promise<Log> {
    return this.#engine.openLog(name, { epoch: this.#epoch })
  }

  /** Nothing happens when it is not there. */
  deleteLog(name: string): Promise<void> {
    return this.#engine.deleteLog(name)
  }

  async deletePartitionLogs({ log, source }: Partition): Promise<void> {
    if (source.clean !== null) await this.#engine.deleteLog(source.clean.name)
    await this.#engine.deleteLog(log.name)
  }

  /** Deletes what there is of partitions that are gone: a crash may have come between the two. */
  async deleteLostPartitions(known: Iterable<Partition>): Promise<void> {
    const names = new Set<string>()
    const topics = new Set<string>()
    for (const { log, topicId, source } of known) {
      names.add(log.name)
      if (source.clean !== null) names.add(source.clean.name)
      topics.add(String(topicId))
    }
    for (const prefix of TOPIC_STATES) {
      for (const [key] of [...this.state.entries(prefix)]) {
        if (!topics.has(key.split('/')[1]!)) this.state.delete(key)
      }
    }
    for (const name of await this.#engine.listLogs()) {
      if (!name.startsWith(PARTITION_LOG_PREFIX) || names.has(name)) continue
      await this.#engine.deleteLog(name)
    }
  }
}

function partitionLogName(topicId: number, index: number): string {
  return index === 0
    ? `${PARTITION_LOG_PREFIX}${topicId}`
    : `${PARTITION_LOG_PREFIX}${topicId}.${index}`
}
