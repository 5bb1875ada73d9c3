import { CommitCycle } from '../../src/broker/commit-cycle.ts'
import { type BrokerLimits, DEFAULT_LIMITS } from '../../src/broker/limits.ts'
import { StateTable } from '../../src/broker/state-table.ts'
import { TimerIndex } from '../../src/broker/timer-index.ts'
import type { Engine } from '../../src/engine/contract.ts'
import { openEmbeddedEngine } from '../../src/engine/embedded/index.ts'
import { ManualClock } from '../../src/lib/clock.ts'
import { Turn } from '../../src/lib/turn.ts'
import { FaultyDisk } from '../../src/storage/disk-faulty.ts'

/** A state table and what it stands on, without a broker, in virtual time. */
export class StateWorld {
  readonly disk: FaultyDisk
  readonly clock: ManualClock
  readonly engine: Engine
  readonly epoch: number
  readonly cycle: CommitCycle
  readonly timers: TimerIndex
  readonly limits: BrokerLimits
  state!: StateTable

  private constructor(parts: Pick<StateWorld, 'disk' | 'clock' | 'engine' | 'epoch' | 'limits'>) {
    this.disk = parts.disk
    this.clock = parts.clock
    this.engine = parts.engine
    this.epoch = parts.epoch
    this.limits = parts.limits
    this.cycle = new CommitCycle(parts.engine, new Turn())
    this.timers = new TimerIndex(parts.clock)
  }

  static async open(
    given: {
      disk?: FaultyDisk
      clock?: ManualClock
      limits?: Partial<BrokerLimits>
      engineLimits?: { readonly segmentBytes: number; readonly journalBytesMax: number }
    } = {},
  ): Promise<StateWorld> {
    const { disk = new FaultyDisk(), clock = new ManualClock() } = given
    const engine = await openEmbeddedEngine({ disk, clock, ...given.engineLimits })
    const { epoch } = await engine.leases.acquire('broker')
    const limits = { ...DEFAULT_LIMITS, ...given.limits }
    const world = new StateWorld({ disk, clock, engine, epoch, limits })
    const log = await engine.openLog('state', { epoch })
    world.state = await StateTable.load(log, world.cycle, limits)
    return world
  }

  now(): number {
    return this.clock.now()
  }

  async close(): Promise<void> {
    this.timers.close()
    await this.engine.close()
  }
}
