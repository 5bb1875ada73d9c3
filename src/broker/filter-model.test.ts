import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  bindingSpec,
  type BrokerRig,
  openBroker,
  publish,
  queueSpec,
  reopenBroker,
  turns,
} from '../../test/support/broker-rig.ts'
import { type Consumer, type DeliverySink, MessageFilter, type StoredMessage } from './index.ts'

const DELAY_MS = 100
const CONSUMERS = 4
/** What consumers want, by the key that a message was published with; null: everything. */
const WANTS: readonly (readonly string[] | null)[] = [null, ['a'], ['b'], ['a', 'b'], ['z']]
const KEYS = ['a', 'b', 'c']

/** A message as the model has it; `holder`: null ready, a number: that consumer. */
interface Message {
  readonly key: string
  readonly priority: number
  readonly sequence: number
  holder: number | 'getter' | 'held' | null
  offset: number
}

interface Member {
  readonly consumer: Consumer
  readonly wants: readonly string[] | null
  readonly priority: number
  credit: number
}

interface Kind {
  readonly singleActive: boolean
  readonly prioritiesMax: number
  readonly filterReturnsMax: number
}

const number = (max: number): fc.Arbitrary<number> => fc.nat(max)
const action = fc.oneof(
  fc.record({
    kind: fc.constant('publish' as const),
    key: number(2),
    count: number(4),
    priority: number(2),
  }),
  fc.record({
    kind: fc.constant('join' as const),
    at: number(CONSUMERS - 1),
    credit: number(3),
    wants: number(WANTS.length - 1),
    priority: number(1),
  }),
  fc.record({ kind: fc.constant('leave' as const), at: number(CONSUMERS - 1) }),
  fc.record({ kind: fc.constant('settle' as const), which: number(50), fate: number(5) }),
  fc.record({ kind: fc.constant('settle' as const), which: number(50), fate: number(5) }),
  // In one turn: the queue has not given out yet what waits for this consumer.
  fc.record({ kind: fc.constant('rush' as const), which: number(50), key: number(2) }),
  fc.record({
    kind: fc.constant('returns' as const),
    which: fc.array(number(50), { maxLength: 5 }),
  }),
  fc.record({ kind: fc.constant('get' as const) }),
  fc.record({ kind: fc.constant('get' as const) }),
  fc.record({ kind: fc.constant('wait' as const) }),
  fc.record({ kind: fc.constant('purge' as const) }),
  fc.record({ kind: fc.constant('restart' as const) }),
)
const history = fc.array(action, { maxLength: 80, size: 'max' })
type Action = typeof action extends fc.Arbitrary<infer T> ? T : never

function wantsKey(wants: Member['wants'], key: string): boolean {
  return wants === null || wants.includes(key)
}

function filterOf(wants: Member['wants']): { filter?: MessageFilter } {
  if (wants === null) return {}
  const sql = `p.subject IN (${wants.map((key) => `'${key}'`).join(', ')})`
  return { filter: MessageFilter.of(new Map([['x-filter-sql', sql]]))! }
}

/** Keeps what is there as a plain list in order of arrival, and checks each delivery against it. */
class World {
  readonly live: Message[] = []
  readonly members: (Member | null)[] = Array.from({ length: CONSUMERS }, () => null)
  /** As they came; the first one is served where only one is. */
  readonly arrivals: Member[] = []
  failure: Error | null = null
  rig: BrokerRig
  readonly #kind: Kind
  #active: Member | null = null
  #sent = 0

  constructor(rig: BrokerRig, kind: Kind) {
    this.rig = rig
    this.#kind = kind
  }

  get queue(): NonNullable<ReturnType<BrokerRig['vhost']['destination']>> {
    return this.rig.vhost.destination('q')!
  }

  run(step: Action): void {
    if (step.kind === 'publish') this.publish(step.key, step.count, step.priority)
    else if (step.kind === 'join') this.join(step)
    else if (step.kind === 'leave') this.leave(step.at)
    else if (step.kind === 'settle') this.settle(step.which, step.fate)
    else if (step.kind === 'returns') {
      for (const which of step.which) this.settle(which, 4)
    } else if (step.kind === 'rush') {
      this.settle(step.which, 0)
      this.publish(step.key, 2, 0)
    } else if (step.kind === 'get') this.get()
    else if (step.kind === 'wait') this.wait()
    else if (step.kind === 'purge') this.purge()
  }

  mayBeServed(member: Member): boolean {
    return member.credit > 0 && (!this.#kind.singleActive || member === this.#active)
  }

  /** A sink may not throw: what was wrong is told at the end of the step. */
  arrived(body: string, holder: number | 'getter', offset: number): void {
    try {
      this.#arrived(body, holder, offset)
    } catch (error) {
      this.failure ??= error as Error
    }
  }

  #arrived(body: string, holder: number | 'getter', offset: number): void {
    const message = this.live.find(({ sequence }) => `${sequence}` === body)
    assert.ok(message !== undefined, `${body} was given out after its end`)
    assert.equal(message.holder, null, `${body} was given out twice`)
    const member = holder === 'getter' ? null : this.members[holder]!
    const wants = member?.wants ?? null
    assert.ok(wantsKey(wants, message.key), `${body} is not wanted`)
    if (member !== null) {
      assert.ok(this.mayBeServed(member), `${body} went to one that takes nothing`)
      for (const other of this.arrivals) {
        const isAhead = other.priority > member.priority && this.mayBeServed(other)
        assert.ok(!isAhead || !wantsKey(other.wants, message.key), `${body} was another's`)
      }
    }
    for (const other of this.live) {
      if (other.holder !== null || !wantsKey(wants, other.key)) continue
      const isBefore =
        other.priority > message.priority ||
        (other.priority === message.priority && other.sequence < message.sequence)
      assert.ok(!isBefore, `${body} overtook ${other.sequence}`)
    }
    message.holder = holder
    message.offset = offset
  }

  join(step: Extract<Action, { kind: 'join' }>): void {
    const { at } = step
    if (this.members[at] !== null) return
    const sink: DeliverySink = {
      deliver: (consumer: Consumer, message: StoredMessage, offset: number) => {
        this.arrived(message.data.toString('utf8', message.bodyStart, message.bodyEnd), at, offset)
        if (--this.members[at]!.credit === 0) consumer.pause()
      },
      cancelled: () => {},
    }
    const wants = WANTS[step.wants]!
    const { priority } = step
    const consumer = this.queue.consume({
      ...{ sink, tag: 't', noAck: false, exclusive: false, priority, owner: sink },
      arguments: new Map(),
      ...filterOf(wants),
    })
    const member: Member = { consumer, wants, priority, credit: step.credit + 1 }
    this.members[at] = member
    this.arrivals.push(member)
    this.#active ??= member
    consumer.resume()
  }

  leave(at: number): void {
    const member = this.members[at]
    if (member === null || member === undefined) return
    this.members[at] = null
    this.arrivals.splice(this.arrivals.indexOf(member), 1)
    if (this.#active === member) {
      this.#active = null
      for (const next of this.arrivals) {
        if (this.#active === null || next.priority > this.#active.priority) this.#active = next
      }
    }
    member.consumer.cancel()
    for (const message of this.live) {
      if (message.holder !== at) continue
      message.holder = null
      this.queue.release(message.offset)
    }
  }

  publish(key: number, count: number, priority: number): void {
    for (let left = count; left > 0; left--) {
      const sequence = this.#sent++
      const level = Math.min(priority, this.#kind.prioritiesMax)
      const message = { key: KEYS[key]!, priority: level, sequence, holder: null, offset: -1 }
      this.live.push(message)
      publish(this.rig.vhost, 'amq.topic', message.key, `${sequence}`, { priority })
    }
  }

  settle(which: number, fate: number): void {
    const out = this.live.filter(({ holder }) => holder !== null && holder !== 'held')
    const message = out[which % Math.max(1, out.length)]
    if (message === undefined) return
    const { holder, offset } = message
    if (fate <= 2) {
      this.live.splice(this.live.indexOf(message), 1)
      if (fate === 2) this.queue.reject(offset)
      else this.queue.accept(offset)
    } else if (fate === 3) {
      message.holder = 'held'
      this.queue.fail(offset)
    } else {
      message.holder = null
      this.queue.release(offset)
    }
    const member = typeof holder === 'number' ? this.members[holder] : null
    if (member === null || member === undefined) return
    member.credit++
    member.consumer.resume()
  }

  get(): void {
    this.queue.get(false, (message, offset) => {
      if (message === null) return
      const body = message.data.toString('utf8', message.bodyStart, message.bodyEnd)
      this.arrived(body, 'getter', offset)
    })
  }

  wait(): void {
    for (const message of this.live) if (message.holder === 'held') message.holder = null
    // One at a time they come back: which of them is first is another model's matter.
    this.rig.clock.advance(DELAY_MS * 2)
  }

  purge(): void {
    this.queue.purge()
    for (const message of this.live.slice()) {
      if (message.holder !== null && message.holder !== 'held') continue
      this.live.splice(this.live.indexOf(message), 1)
    }
  }

  async restart(): Promise<void> {
    for (const [at] of this.members.entries()) this.leave(at)
    await turns(4)
    this.rig = await reopenBroker(this.rig, limitsOf(this.#kind))
    for (const message of this.live) if (message.holder === 'getter') message.holder = null
  }

  /** Whatever somebody wants and can take went out. */
  checkRest(): void {
    const ready = this.live.filter(({ holder }) => holder === null)
    assert.equal(this.queue.readyCount, ready.length)
    for (const member of this.arrivals) {
      if (!this.mayBeServed(member)) continue
      const waiting = ready.find(({ key }) => wantsKey(member.wants, key))
      assert.equal(waiting, undefined, 'a message waits that somebody wants')
    }
  }
}

function limitsOf({ filterReturnsMax }: Kind): { filterReturnsMax: number } {
  return { filterReturnsMax }
}

async function openWorld(kind: Kind): Promise<World> {
  const rig = await openBroker({ limits: limitsOf(kind) })
  const { singleActive, prioritiesMax } = kind
  const settings = { retryDelayMs: DELAY_MS }
  await rig.vhost.declareQueue(queueSpec('q', settings, { singleActive, prioritiesMax }))
  await rig.vhost.bind(bindingSpec('amq.topic', 'q', { key: '#' }))
  return new World(rig, kind)
}

/** Everything comes when somebody comes who wants everything. */
async function drain(world: World): Promise<void> {
  for (let round = 0; world.live.length > 0; round++) {
    assert.ok(round < 2000, 'the rest does not come')
    for (const at of world.members.keys()) world.leave(at)
    world.wait()
    world.join({ kind: 'join', at: 0, credit: 9, wants: 0, priority: 0 })
    await turns(5)
    if (world.failure !== null) throw world.failure
    while (world.live.some(({ holder }) => holder !== null && holder !== 'held')) {
      world.settle(0, 0)
    }
  }
}

const kinds = fc.record({
  singleActive: fc.boolean(),
  prioritiesMax: fc.constantFrom(0, 2),
  filterReturnsMax: fc.constantFrom(1, 10_000),
})

// Consumers with and without filters come and go, messages fail, come back and end in any order.
test('each consumer gets what it wants, in order and as soon as it can take it, and nothing else', async () => {
  await fc.assert(
    fc.asyncProperty(kinds, history, async (kind, actions) => {
      const world = await openWorld(kind)
      for (const step of actions) {
        if (step.kind === 'restart') await world.restart()
        else world.run(step)
        await turns(5)
        if (world.failure !== null) throw world.failure
        world.checkRest()
      }
      await drain(world)
      assert.deepEqual(world.rig.broker.checkSpace(), [])
      await world.rig.broker.close()
    }),
    { numRuns: 150 },
  )
})
