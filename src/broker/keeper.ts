import type { Log } from '../engine/contract.ts'
import type { BrokerLog } from './broker-log.ts'
import type { CommitCycle, Stager } from './commit-cycle.ts'
import { Compactor } from './compactor.ts'
import type { OffsetRange } from './extents.ts'
import type { BrokerLimits } from './limits.ts'
import type { Recovery } from './recovery.ts'
import type { Shard } from './shard.ts'
import { appendSnapshot, encodeSnapshot } from './snapshot.ts'
import type { TimerIndex, TimerTarget } from './timer-index.ts'

const TICK_MS = 500
/** A restart replays no more than this many times what the snapshot itself takes. */
const REPLAY_PER_SNAPSHOT = 8

/**
 * Keeps the durable shard small: takes snapshots so that a restart is quick, gives dead space
 * back, and has the last survivors of nearly dead stretches moved.
 */
export class Keeper implements Stager, TimerTarget {
  staged = false
  readonly #shard: Shard
  readonly #snapshotLog: Log
  readonly #cycle: CommitCycle
  readonly #timers: TimerIndex
  readonly #now: () => number
  readonly #log: BrokerLog
  readonly #limits: BrokerLimits
  readonly #compactor: Compactor
  #timer = 0
  #replayFrom: number
  #snapshotBytes = 0
  #bytesAtSnapshot = 0
  #bytesAtTick = 0
  #running: Promise<void> | null = null

  constructor(options: {
    readonly shard: Shard
    readonly snapshotLog: Log
    readonly cycle: CommitCycle
    readonly timers: TimerIndex
    readonly now: () => number
    readonly log: BrokerLog
    readonly recovery: Recovery
    readonly limits: BrokerLimits
  }) {
    this.#shard = options.shard
    this.#snapshotLog = options.snapshotLog
    this.#cycle = options.cycle
    this.#timers = options.timers
    this.#now = options.now
    this.#log = options.log
    this.#replayFrom = options.recovery.replayFrom
    // Or restarts in a row would replay more and more.
    this.#bytesAtSnapshot = -options.recovery.replayedBytes
    this.#limits = options.limits
    this.#compactor = new Compactor(options.shard)
  }

  start(): void {
    this.#timer = this.#timers.schedule(this.#now() + TICK_MS, this)
  }

  onTimer(): void {
    this.start()
    if (this.#running !== null) return
    const appended = this.#shard.appendedBytes
    const idle = appended === this.#bytesAtTick
    this.#bytesAtTick = appended
    if (this.#isDue(appended - this.#bytesAtSnapshot, idle)) this.#run(this.snapshot())
    else {
      const range = this.#shard.extents.nearlyDead(this.#replayFrom, 1 / 8)
      if (range !== null) this.#run(this.#compactor.evacuate(range))
    }
  }

  /** Stores the state of every queue; afterwards only later records are replayed. */
  async snapshot(): Promise<void> {
    const shard = this.#shard
    shard.stage()
    const replayFrom = shard.log.nextOffset
    shard.extents.close(replayFrom)
    // Taken before the snapshot and discarded after it is stored: what dies later may be settled
    // by records that are not on the disk yet.
    const dead = shard.extents.takeDead(replayFrom)
    const snapshot = encodeSnapshot(shard, replayFrom)
    this.#bytesAtSnapshot = shard.appendedBytes
    this.#snapshotBytes = snapshot.length
    // What it stands on must be on the device before it is.
    this.#cycle.requireSync()
    await this.#committed()
    const first = this.#snapshotLog.nextOffset
    appendSnapshot(this.#snapshotLog, snapshot, this.#limits.snapshotPieceBytes)
    this.#cycle.requireSync()
    await this.#committed()
    this.#snapshotLog.discard(this.#snapshotLog.startOffset, first)
    this.#replayFrom = replayFrom
    this.#discard(dead)
  }

  /** Ends the timer, waits for what runs and takes a last snapshot, so that a start is quick. */
  async close(): Promise<void> {
    this.#timers.cancel(this.#timer)
    await this.#running
    this.#shard.stage()
    if (this.#shard.appendedBytes !== this.#bytesAtSnapshot) await this.snapshot()
    // Whatever else was gathered, such as messages of streams, is stored too.
    else await this.#committed()
  }

  /** The snapshot log takes its entries outside of turns, so there is nothing to gather. */
  stage(): void {}

  #isDue(bytesSince: number, idle: boolean): boolean {
    const { replayBytesMax, deadBytesMax } = this.#limits
    if (bytesSince > Math.max(replayBytesMax, REPLAY_PER_SNAPSHOT * this.#snapshotBytes)) {
      return true
    }
    const deadBytes = this.#shard.extents.deadBytes()
    if (deadBytes === 0) return false
    return idle || deadBytes > Math.max(deadBytesMax, REPLAY_PER_SNAPSHOT * this.#snapshotBytes)
  }

  #run(work: Promise<void>): void {
    this.#running = work
      .catch((error: unknown) => {
        this.#log.error({ err: error }, 'the store could not be tidied up; it goes on growing')
      })
      .then(() => {
        this.#running = null
      })
  }

  #discard(ranges: readonly OffsetRange[]): void {
    for (const { start, end } of ranges) this.#shard.log.discard(start, end)
  }

  #committed(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#cycle.touch(this)
      this.#cycle.onCommit({
        committed: (_ticket, error) => {
          if (error === null) resolve()
          else reject(error)
        },
      })
    })
  }
}
