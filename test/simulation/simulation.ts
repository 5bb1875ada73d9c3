import assert from 'node:assert/strict'
import { type MessageDraft } from '../../src/model/message-draft.ts'
import type { ScheduleOrder } from '../../src/model/schedule-order.ts'
import { PUBLISH, Queue } from '../../src/broker/index.ts'
import { SeededRandom } from '../../src/lib/random.ts'
import { Client, type Held, Taker } from './clients.ts'
import { draftOf, hasId } from './message-text.ts'
import { ModelQueue } from './model-queue.ts'
import {
  DEDUPLICATION_MS,
  DELAYED,
  FANOUT,
  KEYED,
  QUEUE_KINDS,
  STREAM,
  type QueueKind,
  queueSpec,
} from './queue-kinds.ts'
import { SLACK_BYTES, World, bindingTo } from './world.ts'

const CLIENTS = 3
/** So few that they meet. */
const SCHEDULE_IDS = 6
/** Of those taken in last, any may be sent again. */
const TAKEN_MAX = 40
const NO_ORDER: ScheduleOrder = { atMs: 0, id: null, cancels: null, cron: null, zone: null }

/** What may happen, and how often beside the others. */
const ACTIONS: readonly (readonly [
  weight: number,
  act: (run: Simulation) => Promise<void> | void,
])[] = [
  [30, (run) => run.publishSome()],
  [30, (run) => run.settleSome()],
  [4, (run) => run.cancelDelayed()],
  [8, (run) => run.publishAgain()],
  [12, (run) => run.consume()],
  [8, (run) => run.resume()],
  [4, (run) => run.cancel()],
  [2, (run) => run.disconnect()],
  [5, (run) => run.get()],
  [3, (run) => run.purge()],
  [5, (run) => run.transact()],
  [8, (run) => run.declare()],
  [3, (run) => run.delete()],
  [5, (run) => run.bind()],
  [2, (run) => run.unbind()],
  [20, (run) => run.world.turns(1 + run.random.integer(4))],
  [10, (run) => run.passTime(run.random.integer(100))],
  [6, (run) => run.passTime(600)],
  [2, (run) => run.passTime(2500)],
  [5, (run) => run.world.audit()],
  [3, (run) => run.crashSoon()],
  [1, (run) => run.crashNow()],
  [1, (run) => run.stop()],
]
const WEIGHT_SUM = ACTIONS.reduce((sum, [weight]) => sum + weight, 0)

/** Publishes everything: what has no publisher is not traced. */
const CLIENT = {
  protocol: 'none',
  connectionId: 1,
  connection: 'client',
  user: null,
  clientId: null,
}

/** One run: a world, some clients, and chance. */
export class Simulation {
  readonly random: SeededRandom
  readonly world: World
  crashCount = 0
  #clients: Client[] = []
  /** Gets that wait for a message to be read. */
  #getCount = 0

  constructor(seed: number) {
    this.random = new SeededRandom(seed)
    this.world = new World(new SeededRandom(seed ^ 0x5eed))
  }

  async run(actionCount: number): Promise<void> {
    this.#renewClients()
    await this.world.start()
    for (let left = actionCount; left > 0; left--) {
      await this.#act()
      this.world.check()
      if (this.world.disk.hasHalted) await this.crashNow()
    }
    this.world.disk.changesLeft = Infinity
    await this.#end()
  }

  async #act(): Promise<void> {
    let pick = this.random.integer(WEIGHT_SUM)
    for (const [weight, act] of ACTIONS) {
      if (pick < weight) {
        await act(this)
        return
      }
      pick -= weight
    }
  }

  // --- publishing ---

  publishSome(): void {
    const { random } = this
    const key = this.#anyName()
    const goal = random.integer(10)
    for (let left = 1 + random.integer(goal === 0 ? 40 : 8); left > 0; left--) {
      if (goal < 5) this.#publish('', key)
      else if (goal === 5) this.#publish(KEYED, `k${random.integer(4)}`)
      else if (goal < 8) this.#publish(FANOUT, '')
      else if (goal === 8) this.#publishDelayed()
      else this.#publishToStream()
    }
  }

  #publish(exchange: string, key: string): void {
    const { world, random } = this
    const { model } = world
    const targets = model.route(exchange, key)
    const refusing = targets.filter((target) => target.refuses)
    const id = model.takeId()
    const draft = draftOf(id, { exchange, key, size: this.#size() })
    draft.persistent = random.integer(5) > 0
    draft.priority = random.integer(6)
    const maySetTtl = targets.every(
      ({ kind }) => (kind.settings.overflow ?? 'drop-head') === 'drop-head',
    )
    if (maySetTtl && random.integer(8) === 0) draft.ttlMs = [0, 80, 1000][random.integer(3)]!
    const facts = {
      id,
      size: draft.bodyEnd,
      priority: draft.priority,
      ttlMs: draft.ttlMs,
      delayMs: 0,
      orderKey: exchange === KEYED ? key : '',
    }
    for (const target of targets) {
      if (!refusing.includes(target)) model.publish(target, { ...facts, origin: target.name })
    }
    for (const { kind, name } of refusing) {
      if (kind.settings.overflow !== 'reject-dead-letter') continue
      const deaths = [{ queue: name, reason: 'maxlen' as const }]
      model.publish(model.queues.get('dead')!, { ...facts, ttlMs: -1, origin: name, deaths })
    }
    const result = this.#hand(exchange, key, draft)
    const expected =
      refusing.length > 0
        ? PUBLISH.REJECTED
        : targets.length > 0
          ? PUBLISH.ROUTED
          : PUBLISH.UNROUTED
    assert.equal(result, expected, `publishing ${id} to '${exchange}' with key '${key}'`)
    if (draft.persistent && hasId(id)) {
      const taken = { id, size: facts.size, timeMs: world.clock.now(), ticket: world.broker.ticket }
      for (const target of targets) {
        if (target.kind.settings.deduplicationWindowMs !== undefined) target.taken.push(taken)
        if (target.taken.length > TAKEN_MAX) target.taken.shift()
      }
    }
    world.note(draft.persistent && targets.some((target) => target.isStored))
  }

  #publishDelayed(): void {
    const { world, random } = this
    const id = world.model.takeId()
    const draft = draftOf(id, { exchange: DELAYED, key: '', size: this.#size() })
    draft.persistent = random.integer(5) > 0
    draft.delayMs = random.integer(3) === 0 ? 0 : 1 + random.integer(2000)
    const facts = { id, size: draft.bodyEnd, priority: 0, ttlMs: -1, delayMs: draft.delayMs }
    const target = draft.delayMs > 0 ? 'delayed' : world.model.queues.get('later')!
    const scheduleId = draft.delayMs > 0 && random.integer(3) === 0 ? this.#anyScheduleId() : null
    if (scheduleId !== null) {
      // One that is due may be gone, so it is left alone.
      const before = world.model.waitingAs(scheduleId)
      if (before !== null && before.dueMs <= world.clock.now()) return
      if (before !== null) world.model.settled(before)
      draft.schedule = { ...NO_ORDER, id: scheduleId }
    }
    const token = world.model.publish(target, { ...facts, origin: 'later' })
    token.scheduleId = scheduleId
    assert.equal(this.#hand(DELAYED, '', draft), PUBLISH.ROUTED)
    world.note(draft.persistent)
  }

  /** What waits under an id and is not due never comes. */
  cancelDelayed(): void {
    const { world } = this
    const scheduleId = this.#anyScheduleId()
    const token = world.model.waitingAs(scheduleId)
    if (token !== null && token.dueMs <= world.clock.now()) return
    if (token !== null) world.model.settled(token)
    const draft = draftOf(0, { exchange: DELAYED, key: '', size: 4 })
    draft.schedule = { ...NO_ORDER, cancels: scheduleId }
    const expected = token === null ? PUBLISH.UNROUTED : PUBLISH.ROUTED
    assert.equal(this.#hand(DELAYED, '', draft), expected, `cancelling ${scheduleId}`)
    world.note(token !== null)
  }

  /** A publisher that does not know that it was answered: nothing comes of it. */
  publishAgain(): void {
    const { world, random } = this
    const held = world.model.queues.get('once')
    const known = (held?.taken ?? []).filter(({ ticket, timeMs }) => {
      return ticket <= world.promisedSynced && world.clock.now() - timeMs < DEDUPLICATION_MS
    })
    if (known.length === 0) return
    const { id, size } = known[random.integer(known.length)]!
    const draft = draftOf(id, { exchange: '', key: 'once', size })
    draft.persistent = true
    assert.equal(this.#hand('', 'once', draft), PUBLISH.ROUTED)
    // Nothing is stored for it.
    world.note(false)
  }

  #anyScheduleId(): string {
    return `s${this.random.integer(SCHEDULE_IDS)}`
  }

  /** Of what was taken in, that will be known after a crash which surely was stored. */
  #keepKnown(): void {
    const { model, promisedSynced } = this.world
    for (const held of [...model.queues.values(), ...model.deleted]) {
      const stored = held.taken.filter(({ ticket }) => ticket <= promisedSynced)
      held.taken = stored.map((taken) => ({ ...taken, ticket: 0 }))
    }
  }

  #publishLater(): void {
    const { model } = this.world
    const id = model.takeId()
    const draft = draftOf(id, { exchange: '', key: 'later', size: 8 })
    draft.persistent = true
    const facts = { id, size: draft.bodyEnd, priority: 0, ttlMs: -1, delayMs: 0 }
    model.publish(model.queues.get('later')!, { ...facts, origin: 'later' })
    assert.equal(this.#hand('', 'later', draft), PUBLISH.ROUTED)
  }

  #publishToStream(): void {
    const { world } = this
    const id = world.model.takeId()
    const draft = draftOf(id, { exchange: '', key: STREAM, size: this.#size() })
    draft.persistent = true
    world.model.stream.push({ id, ticket: world.broker.ticket })
    assert.equal(this.#hand('', STREAM, draft), PUBLISH.ROUTED)
    // A power cut may take what another log was written and not synced before; the model knows one
    // order of commits, so this commit is one of both logs.
    this.#publishLater()
    world.note(true)
  }

  #hand(exchange: string, key: string, draft: MessageDraft): number {
    const { vhost } = this.world
    draft.actor = CLIENT
    return vhost.publish(vhost.route(vhost.exchange(exchange)!, key), draft)
  }

  #size(): number {
    const { random } = this
    const size = random.integer(24)
    if (size === 0) return 2000 + random.integer(4000)
    return 4 + random.integer(size < 12 ? 60 : 900)
  }

  // --- settling ---

  settleSome(): void {
    const client = this.#anyClient()
    const many = this.random.integer(4) === 0
    for (let left = 1 + this.random.integer(many ? 30 : 5); left > 0; left--) {
      const held = this.#takeHold(client)
      if (held === null) return
      this.#settle(held, this.random.integer(10))
    }
  }

  #takeHold(client: Client): Held | null {
    const { holds } = client
    if (holds.length === 0) return null
    const inOrder = this.random.integer(3) > 0
    return holds.splice(inOrder ? 0 : this.random.integer(holds.length), 1)[0]!
  }

  #settle(held: Held, how: number): void {
    const { world } = this
    const { token, queue, offset, taker } = held
    // What came of a queue that is deleted is settled for nothing.
    const counts = token.place === held.held && !held.held.isDeleteAsked
    if (how < 6) {
      if (counts) world.model.settled(token)
      queue.accept(offset)
    } else if (how < 7) {
      if (counts) world.model.released(token)
      queue.release(offset)
    } else if (how < 9) {
      if (counts) world.model.failed(token)
      queue.fail(offset)
    } else {
      if (counts) world.model.dies(token, 'rejected')
      queue.reject(offset)
    }
    world.note(counts && how !== 6 && held.held.isStored && (how < 7 || how === 9))
    this.#giveCredit(taker)
  }

  #giveCredit(taker: Taker | null): void {
    if (taker === null) return
    taker.settledOne()
    if (taker.consumer !== null && this.random.integer(8) > 0) taker.consumer.resume()
  }

  // --- consuming ---

  consume(): void {
    const { world, random } = this
    const client = this.#anyClient()
    const held = this.#anyQueue()
    if (held === null || client.takers.size > 4) return
    const queue = this.#queueOf(held)
    const credit = random.integer(4) === 0 ? Infinity : 1 + random.integer(6)
    const noAck = random.integer(5) === 0
    const taker = new Taker(world, client, { held, queue, credit, noAck })
    const consumer = queue.consume({
      sink: taker,
      tag: 'taker',
      noAck,
      exclusive: false,
      priority: random.integer(3),
      owner: client,
      arguments: new Map(),
      // Some are given no more than so much in a second.
      ...(credit % 3 === 0 ? { rates: { messages: 10 * credit } } : {}),
    })
    taker.consumer = consumer
    client.takers.add(taker)
    if (random.integer(6) > 0) consumer.resume()
  }

  resume(): void {
    for (const taker of this.#anyClient().takers) {
      if (taker.noAck) taker.credit = Math.max(taker.credit, 1 + this.random.integer(6))
      if (taker.credit > 0) taker.consumer?.resume()
    }
  }

  cancel(): void {
    const takers = [...this.#anyClient().takers]
    if (takers.length > 0) this.#cancel(takers[this.random.integer(takers.length)]!)
  }

  #cancel(taker: Taker): void {
    const { consumer, client } = taker
    client.takers.delete(taker)
    taker.consumer = null
    if (consumer === null) return
    const name = consumer.destination.name
    const held = this.world.model.queues.get(name)
    const isLast = consumer.destination.consumerCount === 1
    if (held?.kind.isAutoDelete === true && isLast) this.world.model.deleteAsked(held)
    consumer.cancel()
  }

  disconnect(): void {
    const { model, broker } = this.world
    const at = this.random.integer(CLIENTS)
    const client = this.#clients[at]!
    this.#clients[at] = new Client()
    for (const taker of [...client.takers]) this.#cancel(taker)
    for (const held of client.holds) this.#settle({ ...held, taker: null }, 6)
    for (const held of [...model.queues.values()]) {
      if (!held.kind.isExclusive) continue
      const owner = this.#queueOf(held).exclusiveOwner
      if (owner === client) model.deleteAsked(held)
    }
    broker.connectionClosed(client)
  }

  get(): void {
    const { world, random } = this
    const held = this.#anyQueue()
    if (held === null) return
    const client = this.#anyClient()
    const queue = this.#queueOf(held)
    const noAck = random.integer(3) === 0
    const { life } = world
    this.#getCount++
    queue.get(noAck, (message, offset, redelivered, attempts) => {
      world.events++
      if (life === world.life) this.#getCount--
      if (message === null || life !== world.life) return
      try {
        const seen = world.sightingOf(queue.name, message, { offset, redelivered, attempts })
        const token = world.model.handedOut(held, seen, { settles: noAck, holder: {} })
        if (!noAck) client.holds.push({ token, held, queue, offset, taker: null })
      } catch (error) {
        world.fail(error)
      }
    })
  }

  purge(): void {
    const held = this.#anyQueue()
    if (held === null || held.kind.isFixed || !held.isCertain(this.world.clock.now())) return
    const purged = this.#queueOf(held).purge()
    assert.equal(purged, this.world.model.purged(held))
    this.world.note(purged > 0 && held.isStored)
  }

  transact(): void {
    const { broker } = this.world
    broker.beginAtomic()
    try {
      for (let left = 1 + this.random.integer(8); left > 0; left--) {
        if (this.random.integer(2) === 0) this.#publish('', this.#anyName())
        else {
          const held = this.#takeHold(this.#anyClient())
          if (held !== null) this.#settle(held, this.random.integer(10))
        }
      }
    } finally {
      broker.endAtomic()
    }
  }

  // --- topology ---

  declare(): void {
    const { world, random } = this
    const { model, vhost, life } = world
    const absent = QUEUE_KINDS.filter(({ name }) => !model.queues.has(name))
    if (absent.length === 0) return
    const kind: QueueKind = absent[random.integer(absent.length)]!
    const declared = vhost.declareQueue(queueSpec(kind, this.#anyClient()))
    const held = new ModelQueue(kind, (vhost.destination(kind.name) as Queue).id)
    model.queues.set(kind.name, held)
    this.#follow(declared, () => {
      if (life === world.life) held.isDeclared = true
    })
    if (random.integer(2) === 0) this.#bind(held)
  }

  delete(): void {
    const { world } = this
    const held = this.#anyQueue()
    if (held === null || held.kind.isFixed) return
    const { life } = world
    world.model.deleteAsked(held)
    const options = { ifUnused: false, ifEmpty: false }
    this.#follow(world.vhost.deleteDestination(held.name, options), () => {
      if (life === world.life) held.isDeleted = true
    })
  }

  bind(): void {
    const held = this.#anyQueue()
    if (held !== null && !held.kind.isFixed) this.#bind(held)
  }

  #bind(held: ModelQueue): void {
    const { model, vhost } = this.world
    const binding = model.bindings.get(held.name) ?? { isStored: false, isUnbindAsked: false }
    if (binding.isUnbindAsked) return
    model.bindings.set(held.name, binding)
    this.#follow(vhost.bind(bindingTo(held.name, FANOUT)), () => {
      binding.isStored = true
    })
  }

  unbind(): void {
    const { model, vhost } = this.world
    const names = [...model.bindings.keys()]
    if (names.length === 0) return
    const name = names[this.random.integer(names.length)]!
    const binding = model.bindings.get(name)!
    binding.isUnbindAsked = true
    this.#follow(vhost.unbind(bindingTo(name, FANOUT)), () => {
      if (model.bindings.get(name) === binding) model.bindings.delete(name)
    })
  }

  #follow(work: Promise<unknown>, done: () => void): void {
    work.then(
      () => {
        this.world.events++
        done()
      },
      (error: unknown) => this.world.fail(error),
    )
  }

  // --- time and disaster ---

  async passTime(spanMs: number): Promise<void> {
    // What was published in this turn gets its time when the turn ends.
    await this.world.turns(1)
    this.world.clock.advance(spanMs)
  }

  crashSoon(): void {
    const { disk } = this.world
    if (disk.changesLeft === Infinity) disk.changesLeft = 1 + this.random.integer(60)
  }

  async crashNow(): Promise<void> {
    this.crashCount++
    this.#keepKnown()
    await this.world.crash(this.random.integer(2) === 0)
    this.#renewClients()
  }

  async stop(): Promise<void> {
    for (const at of this.#clients.keys()) {
      void at
      this.disconnect()
    }
    this.#leaveAll()
    // A get that is answered when nobody listens any more takes its message away.
    while (this.#getCount > 0 && !this.world.disk.hasHalted) await this.world.turns(1)
    this.#keepKnown()
    await this.world.stop()
    this.#renewClients()
  }

  #leaveAll(): void {
    for (const client of this.#clients) {
      for (const taker of [...client.takers]) this.#cancel(taker)
    }
  }

  #renewClients(): void {
    this.#getCount = 0
    this.#clients = Array.from({ length: CLIENTS }, () => new Client())
  }

  /** Everything is consumed; then little may be left on the disk. */
  async #end(): Promise<void> {
    const { world } = this
    await world.audit()
    this.#leaveAll()
    for (const client of this.#clients) {
      for (const held of client.holds) this.#settle({ ...held, taker: null }, 6)
    }
    this.#renewClients()
    await this.passTime(5000)
    await world.audit()
    if (world.disk.hasHalted) await this.crashNow()
    for (const held of [...world.model.queues.values()]) {
      if (this.random.integer(4) > 0) this.#drain(held)
    }
    await world.audit()
    for (let tick = 0; tick < 12; tick++) {
      await this.passTime(600)
      await world.rest()
    }
    this.#checkSpace()
    await this.stop()
    await world.audit()
    await world.crash(true)
  }

  #drain(held: ModelQueue): void {
    const queue = this.#queueOf(held)
    const taker = new Taker(this.world, this.#clients[0]!, {
      held,
      queue,
      credit: Infinity,
      noAck: true,
    })
    taker.consumer = queue.consume({
      sink: taker,
      tag: 'drain',
      noAck: true,
      exclusive: false,
      priority: 0,
      owner: taker,
      arguments: new Map(),
    })
    taker.consumer.resume()
  }

  #checkSpace(): void {
    const { world } = this
    let alive = 0
    for (const { place, size } of world.model.tokens.values())
      if (place !== 'gone') alive += size + 200
    for (const entry of world.model.stream) {
      void entry
      alive += 6500
    }
    const stored = world.storedBytes
    assert.ok(
      stored <= 2 * alive + SLACK_BYTES,
      `${stored} bytes are stored for ${alive} that are alive`,
    )
  }

  #anyClient(): Client {
    return this.#clients[this.random.integer(CLIENTS)]!
  }

  #anyName(): string {
    return QUEUE_KINDS[this.random.integer(QUEUE_KINDS.length)]!.name
  }

  /** Mostly one that is there. */
  #anyQueue(): ModelQueue | null {
    return this.world.model.queues.get(this.#anyName()) ?? null
  }

  #queueOf(held: ModelQueue): Queue {
    const queue = this.world.vhost.destination(held.name)
    assert.ok(queue instanceof Queue && queue.id === held.id, `${held.label} is gone`)
    return queue
  }
}
