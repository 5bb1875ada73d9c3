import type { Engine, EngineState } from '../engine/contract.ts'
import type { Clock } from '../lib/clock.ts'
import type { RandomSource } from '../lib/random.ts'
import type { Turn } from '../lib/turn.ts'
import { BrokerError } from '../model/errors.ts'
import { alterDestination, type DestinationChange } from './alter-destination.ts'
import type { ArgumentDialect } from './argument-dialect.ts'
import type { NativeForm } from '../model/native-form.ts'
import type { Calendar } from './calendar.ts'
import type { BindingSpec } from './binding.ts'
import type { BrokerLog } from './broker-log.ts'
import type { CommitListener } from './commit-cycle.ts'
import { Flows } from './flow/index.ts'
import { Keeper } from './keeper.ts'
import { type BrokerLimits, DEFAULT_LIMITS } from './limits.ts'
import { Metadata } from './metadata.ts'
import { LOW_ON_DISK, type Pressure } from './pressure.ts'
import { recoverShard } from './recovery.ts'
import { Redrives } from './redrives.ts'
import type { SessionListener } from './sessions.ts'
import { Shards } from './shards.ts'
import { checkSpace } from './space-check.ts'
import type { StateTable } from './state-table.ts'
import { TimerIndex } from './timer-index.ts'
import type { Partition } from './topics/partition.ts'
import { TopicCleaner } from './topics/topic-cleaner.ts'
import { Queue } from './queue.ts'
import { Topic } from './topics/topic.ts'
import { Tracer } from './tracing/tracer.ts'
import { VirtualHost, type VhostOptions } from './virtual-host.ts'

export const DEFAULT_VHOST = '/'

/** What publishers are told, in RabbitMQ's words where it has some; the log has the details. */
const ALARMS: Readonly<Record<EngineState, string | null>> = {
  ready: null,
  'low-space': LOW_ON_DISK,
  full: LOW_ON_DISK,
  failed: 'the store failed',
}

const NO_CALENDAR: Calendar = {
  parse: () => {
    throw new RangeError('this broker has no calendar, and so no recurring schedules')
  },
}

export interface BrokerOptions {
  /** Stays the caller's: closed by them, after the broker. */
  readonly engine: Engine
  readonly clock: Clock
  readonly random: RandomSource
  readonly turn: Turn
  readonly log: BrokerLog
  /** Reads cron expressions. Default: none, and recurring schedules are refused. */
  readonly calendar?: Calendar
  /** For tests: what is not given has its default. */
  readonly limits?: Partial<BrokerLimits>
}

/** Everything that is not a protocol: virtual hosts and what stands in them, on one engine. */
export class Broker {
  readonly pressure: Pressure
  readonly timers: TimerIndex
  readonly turn: Turn
  readonly clock: Clock
  readonly random: RandomSource
  readonly redrives: Redrives
  readonly tracer: Tracer
  /** Limits of users and virtual hosts. */
  readonly flows: Flows
  /** Small values that are stored with whatever else a turn brings. */
  readonly state: StateTable
  readonly #options: BrokerOptions
  readonly #shards: Shards
  readonly #metadata: Metadata
  readonly #forms: Map<number, NativeForm> = new Map()
  readonly #dialects: Set<ArgumentDialect> = new Set()
  readonly #vhosts: Map<string, VirtualHost> = new Map()
  readonly #vhostListeners: ((vhost: VirtualHost) => void)[] = []
  readonly #sessionListeners: Set<SessionListener> = new Set()
  /** Virtual hosts that are being deleted, by name. */
  readonly #leaving: Map<string, Promise<unknown>> = new Map()
  #keeper: Keeper | null = null
  #cleaner: TopicCleaner | null = null

  private constructor(options: BrokerOptions, shards: Shards) {
    this.#options = options
    this.#shards = shards
    this.state = shards.state
    this.pressure = shards.cycle.pressure
    this.turn = options.turn
    this.clock = options.clock
    this.random = options.random
    this.timers = new TimerIndex(options.clock)
    this.redrives = new Redrives({
      state: shards.state,
      log: options.log,
      vhost: (name) => this.#vhosts.get(name),
    })
    this.tracer = new Tracer({
      random: options.random,
      timers: this.timers,
      now: () => options.clock.now(),
      cycle: shards.cycle,
    })
    const { owners, limits } = shards
    const { consumerCountMax } = limits
    this.flows = new Flows(options.clock, options.log, { owners, consumerCountMax })
    this.#metadata = new Metadata(options.engine.kv, options.engine.capabilities.kvOpsMax)
  }

  /** Opens what the engine holds and rebuilds every queue; rejects with `EngineError`. */
  static async open(options: BrokerOptions): Promise<Broker> {
    const limits = { ...DEFAULT_LIMITS, ...options.limits }
    const shards = await Shards.open(options.engine, options.turn, limits)
    const broker = new Broker(options, shards)
    await broker.#recover()
    return broker
  }

  /** The ticket of the commit that belongs to this turn. */
  get ticket(): number {
    return this.#shards.cycle.ticket
  }

  /** Bytes that queues take on disk and transient ones in memory; streams count their own. */
  get storedBytes(): number {
    const { durable, transient, snapshotLog } = this.#shards
    return durable.log.storedBytes + transient.log.storedBytes + snapshotLog.storedBytes
  }

  /** Where the accounts of stored bytes differ from what queues hold; empty when all is well. */
  checkSpace(): string[] {
    return [...checkSpace(this.#shards.durable), ...checkSpace(this.#shards.transient)]
  }

  /** Tells `listener` when what this turn brought is stored; once per listener and ticket. */
  onCommit(listener: CommitListener): number {
    return this.#shards.cycle.onCommit(listener)
  }

  /** The commit of this turn is answered only when it is on the device. */
  requireSync(): void {
    this.#shards.cycle.requireSync()
  }

  /** Tells `listener` of sessions that end, in all virtual hosts. */
  watchSessions(listener: SessionListener): void {
    this.#sessionListeners.add(listener)
  }

  /** Until `endAtomic`, publishes and settlements of durable queues are stored all or none. */
  beginAtomic(): void {
    this.#shards.durable.beginHold()
  }

  endAtomic(): void {
    this.#shards.durable.endHold()
  }

  /** Makes the headers of a protocol's messages readable; before messages of it come. */
  registerForm(form: NativeForm): void {
    this.#forms.set(form.id, form)
    // Of those that were stored before, some may wait to be read.
    for (const topic of this.#topics()) topic.readOn()
  }

  /** Makes the arguments known that destinations are declared with in a protocol. */
  registerDialect(dialect: ArgumentDialect): void {
    this.#dialects.add(dialect)
  }

  /** Changes a destination while it lives and holds messages; resolves when that is stored. */
  async alter(vhost: VirtualHost, name: string, change: DestinationChange): Promise<Queue | Topic> {
    const { limits } = this.#shards
    return alterDestination({ vhost, dialects: this.#dialects, limits }, name, change)
  }

  vhost(name: string): VirtualHost | undefined {
    return this.#vhosts.get(name)
  }

  vhosts(): Iterable<VirtualHost> {
    return this.#vhosts.values()
  }

  /** Tells `listener` of each virtual host that is there, and of each that will come. */
  eachVhost(listener: (vhost: VirtualHost) => void): void {
    this.#vhostListeners.push(listener)
    for (const vhost of this.#vhosts.values()) listener(vhost)
  }

  /** Gives the one that is there, if it is. */
  async createVhost(name: string): Promise<VirtualHost> {
    // What is still being deleted would take the new one with it.
    while (this.#leaving.has(name)) await this.#leaving.get(name)
    const existing = this.#vhosts.get(name)
    if (existing !== undefined) {
      await this.#metadata.settled()
      return existing
    }
    const ids = { delayId: this.#metadata.takeId(), retainedId: this.#metadata.takeId() }
    const vhost = new VirtualHost(name, ids, this.#vhostOptions())
    this.#vhosts.set(name, vhost)
    for (const tell of this.#vhostListeners) tell(vhost)
    await this.#metadata.putVhost({ name, ...ids, declareMismatch: 'fail', limits: {} })
    return vhost
  }

  /** Deletes it with all that stands in it. `NOT_FOUND` when it is not there. */
  async deleteVhost(name: string): Promise<void> {
    const vhost = this.#vhosts.get(name)
    if (vhost === undefined) throw new BrokerError('NOT_FOUND', `no vhost '${name}'`)
    this.#vhosts.delete(name)
    this.flows.forgetVhost(name)
    const deletion = vhost.dispose().then(() => this.#metadata.deleteVhost(name))
    const ended = deletion.then(
      () => this.#leaving.delete(name),
      () => this.#leaving.delete(name),
    )
    this.#leaving.set(name, ended)
    await deletion
  }

  /** Deletes what was exclusive to a connection that is gone. */
  connectionClosed(owner: object): void {
    for (const vhost of this.#vhosts.values()) vhost.connectionClosed(owner)
  }

  /** Stores what is gathered and a last snapshot. Protocols are closed before. */
  async close(): Promise<void> {
    try {
      await this.#metadata.settled()
      await Promise.allSettled([this.#shards.bindings.settled()])
      await this.#cleaner?.close()
      for (const partition of this.#partitions()) partition.snapshot()
      await this.#keeper?.close()
    } finally {
      // Not before: the snapshot asks when each delayed message is due.
      this.timers.close()
      for (const vhost of this.#vhosts.values()) {
        for (const queue of vhost.destinations()) if (queue instanceof Queue) queue.stop()
      }
      this.#shards.cycle.close()
      this.#options.engine.onState(null)
    }
  }

  async #recover(): Promise<void> {
    const stored = await this.#metadata.load()
    for (const known of stored) {
      const vhost = new VirtualHost(known.name, known, this.#vhostOptions())
      this.#vhosts.set(known.name, vhost)
      await vhost.restore(known)
    }
    await this.#restoreBindings()
    await this.#shards.deleteLostPartitions(this.#partitions())
    const recovery = await recoverShard(this.#shards.durable, this.#shards.snapshotLog)
    for (const vhost of this.#vhosts.values()) await vhost.retained.load()
    for (const vhost of this.#vhosts.values()) vhost.recovered()
    this.redrives.restore()
    await this.createVhost(DEFAULT_VHOST)
    this.#keeper = new Keeper({
      shard: this.#shards.durable,
      snapshotLog: this.#shards.snapshotLog,
      cycle: this.#shards.cycle,
      timers: this.timers,
      now: () => this.clock.now(),
      log: this.#options.log,
      recovery,
      limits: this.#shards.limits,
    })
    this.#keeper.start()
    this.#cleaner = new TopicCleaner({
      cycle: this.#shards.cycle,
      limits: this.#shards.limits,
      forms: this.#forms,
      now: () => this.clock.now(),
      openLog: (name) => this.#shards.openLog(name),
      deleteLog: (name) => this.#shards.deleteLog(name),
      timers: this.timers,
      log: this.#options.log,
      topics: () => this.#topics(),
    })
    this.#cleaner.start()
    this.#watchEngine()
  }

  async #restoreBindings(): Promise<void> {
    const vhosts = new Map<number, VirtualHost>()
    for (const vhost of this.#vhosts.values()) vhosts.set(vhost.delays.id, vhost)
    const left = await this.#shards.bindings.replay(
      // Of a virtual host that is gone: its number never comes back.
      ({ kind, vhostId, spec }) => vhosts.get(vhostId)?.bindingSet.restore(kind, spec) ?? 'same',
      () => this.#storedBindings(),
    )
    for (const vhost of vhosts.values()) vhost.bindingSet.restored()
    const [first] = left
    if (first === undefined) return
    const fields = { count: left.length, binding: first.spec }
    this.#options.log.warn(fields, 'stored bindings between things that are gone are left out')
  }

  *#storedBindings(): Iterable<{ readonly vhostId: number; readonly spec: BindingSpec }> {
    for (const vhost of this.#vhosts.values()) {
      const vhostId = vhost.delays.id
      for (const spec of vhost.bindingSet.stored()) yield { vhostId, spec }
    }
  }

  *#topics(): Iterable<Topic> {
    for (const vhost of this.#vhosts.values()) {
      for (const destination of vhost.destinations()) {
        if (destination instanceof Topic) yield destination
      }
    }
  }

  *#partitions(): Iterable<Partition> {
    for (const topic of this.#topics()) yield* topic.partitions
  }

  #watchEngine(): void {
    const { engine, log } = this.#options
    engine.onState((state, reason) => {
      if (state === 'ready') log.info({ state }, reason)
      else log.error({ state }, reason)
      this.pressure.setAlarm(ALARMS[state])
    })
    this.pressure.setAlarm(ALARMS[engine.state])
  }

  #vhostOptions(): VhostOptions {
    const { turn, clock, random, log } = this.#options
    return {
      turn,
      clock,
      random,
      log,
      timers: this.timers,
      tracer: this.tracer,
      flows: this.flows,
      metadata: this.#metadata,
      shards: this.#shards,
      pressure: this.pressure,
      forms: this.#forms,
      sessionListeners: this.#sessionListeners,
      calendar: this.#options.calendar ?? NO_CALENDAR,
    }
  }
}
