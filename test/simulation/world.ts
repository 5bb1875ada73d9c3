import assert from 'node:assert/strict'
import {
  Broker,
  type BrokerLog,
  type Consumer,
  type DeliverySink,
  MessageReader,
  Queue,
  type StoredMessage,
  Topic,
  type VirtualHost,
} from '../../src/broker/index.ts'
import { type EmbeddedEngine, openEmbeddedEngine } from '../../src/engine/embedded/index.ts'
import { ManualClock } from '../../src/lib/clock.ts'
import { SeededRandom } from '../../src/lib/random.ts'
import { Turn } from '../../src/lib/turn.ts'
import { FaultyDisk } from '../../src/storage/disk-faulty.ts'
import { adoptFound, type Found } from './crash-check.ts'
import { bodyFault, idOf, SIMULATED_FORM } from './message-text.ts'
import { Model, type Sighting } from './model.ts'
import { ModelQueue } from './model-queue.ts'
import { DELAYED, FANOUT, KEYED, QUEUE_KINDS, STREAM, queueSpec } from './queue-kinds.ts'

/** So many turns in which nothing happens are rest. A cold read takes about three. */
const REST_TURNS = 25
const TURNS_MAX = 20_000

const ENGINE_LIMITS = {
  segmentBytes: 24 * 1024,
  journalBytesMax: 32 * 1024,
  tailCacheBytesMax: 8 * 1024,
  readCacheBytesMax: 16 * 1024,
  readAheadBytes: 2048,
  diskFreeBytesMin: 0,
}

const BROKER_LIMITS = {
  extentBytes: 6 * 1024,
  transientExtentBytes: 4 * 1024,
  readAheadBytes: 2048,
  entryBytes: 2048,
  replayBytesMax: 24 * 1024,
  deadBytesMax: 12 * 1024,
  snapshotPieceBytes: 512,
}

/** Beyond what is alive: open segments, stretches and the journal. */
export const SLACK_BYTES: number = 8 * ENGINE_LIMITS.segmentBytes

/** A broker in virtual time on a disk that forgets, beside the model of what it should hold. */
export class World {
  readonly model: Model = new Model()
  readonly random: SeededRandom
  broker!: Broker
  vhost!: VirtualHost
  clock: ManualClock = new ManualClock()
  disk: FaultyDisk = new FaultyDisk()
  /** Grows with every life of the broker: what belongs to an old one is not listened to. */
  life = 0
  /** The first thing that went wrong inside a callback. */
  failure: unknown = null
  events = 0
  #engine!: EmbeddedEngine
  #promised = 0
  #promisedSynced = 0
  readonly #synced: Set<number> = new Set()
  #registered = 0
  readonly #log: BrokerLog = {
    info: () => {},
    warn: (fields, text) => this.fail(new Error(text, { cause: fields })),
    error: (fields, text) => this.fail(new Error(text, { cause: fields })),
  }

  constructor(random: SeededRandom) {
    this.random = random
    this.model.now = () => this.clock.now()
    this.model.ticket = () => this.broker.ticket
  }

  fail(error: unknown): void {
    if (!this.disk.hasHalted) this.failure ??= error
  }

  check(): void {
    if (this.failure instanceof Error) throw this.failure
    if (this.failure !== null) throw new Error('the world failed', { cause: this.failure })
  }

  /** Opens the broker for the first time, with what stands in it for good. */
  async start(): Promise<void> {
    await this.#open()
    await this.vhost.declareExchange({
      name: DELAYED,
      type: 'direct',
      delayed: true,
      durable: true,
      autoDelete: false,
      internal: false,
      arguments: new Map(),
      alternateExchange: null,
    })
    for (const kind of QUEUE_KINDS) {
      if (!kind.isFixed) continue
      const queue = await this.vhost.declareQueue(queueSpec(kind, null))
      const held = new ModelQueue(kind, (queue as Queue).id)
      held.isDeclared = true
      this.model.queues.set(kind.name, held)
    }
    await this.vhost.declareQueue({
      ...queueSpec(QUEUE_KINDS[0]!, null),
      name: STREAM,
      profile: 'topic',
    })
    await this.vhost.bind(bindingTo('later', DELAYED))
    await this.vhost.bind({ ...bindingTo('keyed', KEYED), key: '#' })
    await this.rest()
  }

  /** The last commit that was answered and that no crash takes. */
  get promisedSynced(): number {
    return this.#promisedSynced
  }

  /** Says that something was done that the commit of this turn makes sure. */
  note(isSynced: boolean): void {
    const { broker } = this
    if (isSynced) this.#synced.add(broker.ticket)
    if (this.#registered === broker.ticket) return
    this.#registered = broker.ticket
    const life = this.life
    broker.onCommit({
      committed: (ticket, error) => {
        if (life !== this.life) return
        this.events++
        if (error !== null) {
          this.fail(error)
          return
        }
        if (ticket < this.#promised) this.fail(new Error(`commit ${ticket} answered too late`))
        this.#promised = ticket
        if (this.#synced.has(ticket)) this.#promisedSynced = ticket
      },
    })
  }

  async turns(count: number): Promise<void> {
    for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve))
    this.check()
  }

  /** Waits until nothing happens any more; false when the disk stopped answering. */
  async rest(): Promise<boolean> {
    let idle = 0
    let before = ''
    for (let turn = 0; idle < REST_TURNS; turn++) {
      assert.ok(turn < TURNS_MAX, 'the broker finds no rest')
      // A timer that is due already waits for the clock to be looked at.
      this.clock.advance(0)
      await this.turns(1)
      if (this.disk.hasHalted) return false
      const now = `${this.disk.changeCount} ${this.broker.ticket} ${this.events}`
      idle = now === before ? idle + 1 : 0
      before = now
    }
    return true
  }

  /** Compares the broker at rest with the model, whole. */
  async audit(): Promise<void> {
    if (!(await this.rest())) return
    assert.ok(this.vhost.turn.isIdle, 'the broker runs with nothing to do')
    for (const queue of this.#listed().values()) this.#checkCounts(queue)
    this.#checkBindings()
    this.checkSpace()
    const found = await this.#look()
    if (found === null) return
    this.model.compare(found.queues)
    const stream = this.model.stream.map((entry) => entry.id)
    assert.deepEqual(found.stream, stream, 'the stream holds something else')
    this.model.forget(this.#promised)
    this.checkSpace()
    this.check()
  }

  checkSpace(): void {
    assert.deepEqual(this.broker.checkSpace(), [])
    checkTraces(this.vhost)
  }

  /** The power goes, or the process is killed, at this very moment. */
  async crash(isPower: boolean): Promise<void> {
    const commits = {
      promised: isPower ? this.#promisedSynced : this.#promised,
      last: this.broker.ticket,
    }
    await this.#restart(isPower, commits)
  }

  /** Stops as an operator does; whatever was gathered is there afterwards. */
  async stop(): Promise<void> {
    const life = ++this.life
    // What its consumers were given meanwhile would be nobody's.
    const { broker, disk } = this
    const closed = (async (): Promise<void> => {
      await broker.close()
      await this.#engine.close()
    })()
    await orHalt(disk, closed)
    assert.equal(life, this.life)
    const last = broker.ticket
    const promised = disk.hasHalted ? this.#promised : last
    if (!disk.hasHalted) assert.equal(this.clock.timerCount, 0, 'a timer is left behind')
    await this.#restart(false, { promised, last })
  }

  /** Bytes on the disk. */
  get storedBytes(): number {
    let bytes = 0
    for (const path of this.disk.paths()) bytes += this.disk.bytesOf(path).length
    return bytes
  }

  async #restart(isPower: boolean, commits: { promised: number; last: number }): Promise<void> {
    this.check()
    const { random } = this
    this.disk.changesLeft = 0
    this.life++
    this.#promised = 0
    this.#promisedSynced = 0
    this.#synced.clear()
    this.#registered = 0
    for (;;) {
      this.disk = isPower ? this.disk.powerCut(random) : this.disk.killed()
      this.disk.syncTurns = random.integer(4)
      // The next crash may come before this start is over.
      if (random.integer(6) === 0) this.disk.changesLeft = 1 + random.integer(12)
      this.clock = new ManualClock(this.clock.now())
      await orHalt(this.disk, this.#open())
      if (!this.disk.hasHalted && (await this.rest())) {
        this.disk.changesLeft = Infinity
        const found = await this.#recovered(commits)
        if (found !== null) return
      }
      this.life++
      this.disk.changesLeft = 0
    }
  }

  async #recovered(commits: { promised: number; last: number }): Promise<Found | null> {
    const { model } = this
    this.#matchQueues()
    this.#matchBindings()
    this.checkSpace()
    const found = await this.#look()
    if (found === null) return null
    adoptFound(model, found, commits)
    this.checkSpace()
    return found
  }

  async #open(): Promise<void> {
    const { clock, disk, life } = this
    const engine = await openEmbeddedEngine({ disk, clock, ...ENGINE_LIMITS })
    const broker = await Broker.open({
      engine,
      clock,
      random: new SeededRandom(this.random.integer(1 << 30)),
      turn: new Turn(),
      log: this.#log,
      limits: BROKER_LIMITS,
    })
    broker.registerForm(SIMULATED_FORM)
    if (life !== this.life) return
    // All messages, which needs no chance: whatever a trace does, nothing else may change by it.
    broker.tracer.start({ vhost: null, sample: 1, forMs: Infinity, countMax: Infinity })
    this.#engine = engine
    this.broker = broker
    this.vhost = broker.vhost('/')!
  }

  /** Every queue of the broker with its counterpart; both have the same. */
  #listed(): Map<ModelQueue, Queue> {
    const listed = new Map<ModelQueue, Queue>()
    for (const queue of this.vhost.destinations()) {
      if (queue instanceof Topic) continue
      const held = this.model.queues.get(queue.name)
      assert.ok(held !== undefined, `queue '${queue.name}' should be gone`)
      assert.equal(queue.id, held.id, `queue '${queue.name}' is another one`)
      listed.set(held, queue)
    }
    for (const held of this.model.queues.values()) {
      assert.ok(listed.has(held), `${held.label} is gone`)
    }
    return listed
  }

  /** After a restart: which of the queues that may be there are there. */
  #matchQueues(): void {
    const { model } = this
    const candidates = [...model.queues.values(), ...model.deleted].filter((each) => each.isStored)
    const gone = new Set(candidates)
    model.queues.clear()
    model.deleted.clear()
    for (const queue of this.vhost.destinations()) {
      if (queue instanceof Topic) continue
      const held = candidates.find(({ name, id }) => name === queue.name && id === queue.id)
      assert.ok(held !== undefined, `queue '${queue.name}' (${queue.id}) came out of nowhere`)
      assert.ok(!held.isDeleted, `${held.label} was deleted and is back`)
      gone.delete(held)
      held.isDeclared = true
      held.isDeleteAsked = false
      model.queues.set(held.name, held)
    }
    for (const held of gone) {
      const isRight = held.isDeleteAsked || !held.isDeclared
      assert.ok(isRight, `${held.label} was declared and is gone`)
    }
  }

  #matchBindings(): void {
    const { model } = this
    const found = new Set(this.#boundNames())
    for (const [name, binding] of model.bindings) {
      const isStored = model.queues.get(name)?.isStored === true
      if (found.has(name) || binding.isUnbindAsked || !isStored) continue
      assert.ok(!binding.isStored, `the binding to '${name}' is gone`)
    }
    model.bindings.clear()
    for (const name of found) model.bindings.set(name, { isStored: true, isUnbindAsked: false })
  }

  #boundNames(): string[] {
    return [...this.vhost.bindings()]
      .filter(({ source }) => source === FANOUT)
      .map(({ target }) => target)
  }

  #checkBindings(): void {
    const wanted = [...this.model.bindings]
      .filter(([, { isUnbindAsked }]) => !isUnbindAsked)
      .map(([name]) => name)
    assert.deepEqual(this.#boundNames().toSorted(), wanted.toSorted())
  }

  #checkCounts(queue: Queue): void {
    const held = this.model.queues.get(queue.name)!
    const servable = queue.spec.singleActive
      ? [queue.activeConsumer].filter((consumer) => consumer !== null)
      : [...queue.consumers()]
    const idle = servable.filter((consumer) => consumer.ready)
    if (idle.length > 0) {
      // What waits for others of its key may wait beside a consumer that is idle.
      const readyCount = queue.readyCount - queue.followerCount
      assert.equal(readyCount, 0, `${held.label} has a consumer and forgot it`)
    }
    assert.equal(queue.unsettledCount, held.outCount, `${held.label} counts what is handed out`)
  }

  /** Takes everything that waits and puts it back; null when the disk stopped answering. */
  async #look(): Promise<Found | null> {
    // What expired behind another message dies when it is looked at, so the second look counts.
    const first = await this.#lookIntoAll()
    if (first === null || !(await this.rest())) return null
    const counts = new Map([...this.#listed()].map(([held, queue]) => [held, queue.readyCount]))
    const queues = await this.#lookIntoAll()
    if (queues === null) return null
    for (const [held, sightings] of queues) {
      assert.equal(counts.get(held), sightings.length, `${held.label} counts what waits`)
      for (const [at, seen] of sightings.entries()) {
        const before = first.get(held)!.find(({ offset }) => offset === seen.offset)
        sightings[at] = { ...seen, redelivered: before?.redelivered ?? false }
      }
    }
    const stream = await this.#readStream()
    if (stream === null || !(await this.rest())) return null
    return { queues, delayedCount: this.vhost.delays.count, stream }
  }

  async #lookIntoAll(): Promise<Map<ModelQueue, Sighting[]> | null> {
    const queues = new Map<ModelQueue, Sighting[]>()
    for (const [held, queue] of this.#listed()) {
      const sightings = await this.#lookInto(queue)
      if (sightings === null) return null
      queues.set(held, sightings)
    }
    return queues
  }

  /** What is ready, without taking it: what waits for others of its key cannot be taken. */
  async #readReady(queue: Queue): Promise<Sighting[] | null> {
    const offsets: number[] = []
    queue.visitLive(0, Number.MAX_SAFE_INTEGER, (start, count) => {
      for (let offset = start; offset < start + count; offset++) {
        if (queue.isReady(offset)) offsets.push(offset)
      }
    })
    const sightings: Sighting[] = []
    const reader = new MessageReader(queue.shard, () => {})
    for (const offset of offsets.toSorted((one, other) => one - other)) {
      while (!reader.isLoading && !reader.look(offset)) {
        for (let turn = 0; reader.isLoading; turn++) {
          assert.ok(turn < 1000, `message ${offset} of ${queue.name} is not read`)
          await this.turns(1)
          if (this.disk.hasHalted) return null
        }
      }
      if (!queue.isReady(offset)) continue
      const attempts = queue.attemptsOf(offset)
      const given = { offset, redelivered: false, attempts }
      sightings.push(this.sightingOf(queue.name, reader.view, given))
    }
    return sightings
  }

  async #lookInto(queue: Queue): Promise<Sighting[] | null> {
    if (queue.keySharing !== null) return this.#readReady(queue)
    const sightings: Sighting[] = []
    for (;;) {
      let isDone = false
      let found: Sighting | null = null
      queue.get(false, (message, offset, redelivered, attempts) => {
        isDone = true
        if (message === null) return
        found = this.sightingOf(queue.name, message, { offset, redelivered, attempts })
      })
      for (let turn = 0; !isDone; turn++) {
        assert.ok(turn < 1000, `a get from ${queue.name} is not answered`)
        await this.turns(1)
        if (this.disk.hasHalted) return null
      }
      if (found === null) break
      sightings.push(found)
    }
    this.check()
    for (const { offset } of sightings) queue.release(offset)
    await this.turns(1)
    assert.equal(queue.readyCount, sightings.length, `'${queue.name}' counts what came back`)
    return sightings
  }

  async #readStream(): Promise<number[] | null> {
    const ids: number[] = []
    const sink: DeliverySink = {
      deliver: (_consumer, message) => {
        this.events++
        ids.push(this.sightingOf(STREAM, message, NOTHING_SEEN).id)
      },
      cancelled: () => {},
    }
    const consumer: Consumer = this.vhost.destination(STREAM)!.consume({
      sink,
      tag: 'reader',
      noAck: true,
      exclusive: false,
      priority: 0,
      owner: ids,
      startAt: { kind: 'first' },
      arguments: new Map(),
    })
    consumer.resume()
    const isResting = await this.rest()
    consumer.cancel()
    return isResting ? ids : null
  }

  /** What a message shows of itself; fails where it is not as it was sent. */
  sightingOf(
    queue: string,
    message: StoredMessage,
    given: { offset: number; redelivered: boolean; attempts: number },
  ): Sighting {
    const id = idOf(message)
    const fault = bodyFault(message)
    if (fault !== null) this.fail(new Error(`message ${id} in '${queue}' ${fault}`))
    const { deaths = [], firstDeath = null } = message.annotations ?? {}
    const reasons = deaths.map((death) => death.reason)
    return { id, origin: firstDeath?.queue ?? queue, reasons, ...given }
  }
}

const NOTHING_SEEN = { offset: 0, redelivered: false, attempts: 0 }

/** Waits for `work`, or until the disk answers no more. */
async function orHalt(disk: FaultyDisk, work: Promise<void>): Promise<void> {
  const halt = new Promise<void>((resolve) => {
    disk.onHalt = resolve
    // It tells of that once, and that may have been before anybody asked.
    if (disk.hasHalted) resolve()
  })
  await Promise.race([work, halt])
}

export function bindingTo(target: string, source: string): Parameters<VirtualHost['bind']>[0] {
  return { source, target, targetKind: 'destination', key: '', arguments: new Map() }
}

/** Of a log, only what some queue still holds is followed. */
function checkTraces(vhost: VirtualHost): void {
  const queues = [...vhost.destinations()].filter((queue) => queue instanceof Queue)
  for (const shard of new Set(queues.map((queue) => queue.shard))) {
    const members = [...shard.members.values()]
    shard.traced?.visit((offset) => {
      if (members.some((member) => member.isLive(offset))) return
      assert.fail(`the message at ${offset} is settled and still traced`)
    })
  }
}
