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
import type { Consumer, DeliverySink, StoredMessage } from './index.ts'

const DELAY_MS = 100
const ATTEMPTS_MAX = 2
const CONSUMERS = 3

/** A message as the model has it; `holder`: null ready, a number: that consumer, else `held`. */
interface Message {
  readonly key: string
  readonly sequence: number
  holder: number | 'getter' | 'held' | null
  offset: number
  attempts: number
}

const number = (max: number): fc.Arbitrary<number> => fc.nat(max)
const action = fc.oneof(
  fc.record({ kind: fc.constant('publish' as const), key: number(4), count: number(4) }),
  fc.record({ kind: fc.constant('join' as const), at: number(CONSUMERS - 1), credit: number(3) }),
  fc.record({ kind: fc.constant('leave' as const), at: number(CONSUMERS - 1) }),
  fc.record({ kind: fc.constant('settle' as const), which: number(50), fate: number(5) }),
  fc.record({ kind: fc.constant('settle' as const), which: number(50), fate: number(5) }),
  fc.record({ kind: fc.constant('rush' as const), which: number(50), key: number(4) }),
  fc.record({ kind: fc.constant('get' as const) }),
  fc.record({ kind: fc.constant('wait' as const), ms: number(250) }),
  fc.record({ kind: fc.constant('purge' as const) }),
  fc.record({ kind: fc.constant('restart' as const) }),
)
/** Long ones: short ones meet nothing of interest. */
const history = fc.array(action, { maxLength: 80, size: 'max' })
type Action = typeof action extends fc.Arbitrary<infer T> ? T : never

/** Lives, as a plain list in order of arrival, and checks each delivery against it. */
class World {
  readonly live: Message[] = []
  /** One of the key came back: the rest may wait until all that is out is settled. */
  readonly mayWait: Set<string> = new Set()
  readonly consumers: ({ consumer: Consumer; credit: number } | null)[] = [null, null, null]
  failure: Error | null = null
  rig: BrokerRig
  readonly #limits: typeof LIMITS
  #sent = 0

  constructor(rig: BrokerRig, limits: typeof LIMITS) {
    this.rig = rig
    this.#limits = limits
  }

  get queue(): NonNullable<ReturnType<BrokerRig['vhost']['destination']>> {
    return this.rig.vhost.destination('q')!
  }

  /** A sink may not throw: what was wrong is told at the end of the step. */
  arrived(body: string, holder: number | 'getter', offset: number): void {
    try {
      this.#arrived(body, holder, offset)
    } catch (error) {
      this.failure ??= error as Error
    }
  }

  /** Only such as have no key may overtake others. */
  #arrived(body: string, holder: number | 'getter', offset: number): void {
    const message = this.live.find(({ key, sequence }) => `${key}:${sequence}` === body)
    assert.ok(message !== undefined, `${body} was given out after its end`)
    assert.equal(message.holder, null, `${body} was given out twice`)
    if (message.key !== '') {
      let isBefore = true
      for (const other of this.live) {
        if (other === message) isBefore = false
        if (other === message || other.key !== message.key) continue
        if (!isBefore) {
          const isOut = other.holder !== null && other.holder !== 'held'
          assert.ok(!isOut, `${body} came again beside ${other.key}:${other.sequence}`)
          continue
        }
        assert.equal(other.holder, holder, `${body} overtook ${other.key}:${other.sequence}`)
        assert.equal(typeof other.holder, 'number')
      }
    }
    message.holder = holder
    message.offset = offset
  }

  join(at: number, credit: number): void {
    if (this.consumers[at] !== null) return
    const sink: DeliverySink = {
      deliver: (consumer: Consumer, message: StoredMessage, offset: number) => {
        const body = message.data.toString('utf8', message.bodyStart, message.bodyEnd)
        this.arrived(body, at, offset)
        const me = this.consumers[at]!
        if (--me.credit === 0) consumer.pause()
      },
      cancelled: () => {},
    }
    const consumer = this.queue.consume({
      sink,
      tag: 't',
      noAck: false,
      exclusive: false,
      priority: 0,
      owner: sink,
      arguments: new Map(),
    })
    this.consumers[at] = { consumer, credit }
    if (credit > 0) consumer.resume()
  }

  leave(at: number): void {
    const me = this.consumers[at]
    if (me === null || me === undefined) return
    this.consumers[at] = null
    me.consumer.cancel()
    for (const message of this.live) if (message.holder === at) this.back(message, false)
  }

  back(message: Message, isFailed: boolean): void {
    const { holder, offset } = message
    if (isFailed) message.attempts++
    if (message.attempts > ATTEMPTS_MAX) this.end(message)
    else {
      message.holder = isFailed ? 'held' : null
      this.mayWait.add(message.key)
    }
    if (isFailed) this.queue.fail(offset)
    else this.queue.release(offset)
    this.freed(message.key, holder)
  }

  end(message: Message): void {
    this.live.splice(this.live.indexOf(message), 1)
  }

  freed(key: string, holder: Message['holder']): void {
    if (!this.live.some((other) => other.key === key && other.holder !== null)) {
      this.mayWait.delete(key)
    }
    const me = typeof holder === 'number' ? this.consumers[holder] : null
    if (me === null || me === undefined) return
    me.credit++
    me.consumer.resume()
  }

  publish(key: number, count: number): void {
    for (let left = count; left > 0; left--) {
      const name = key === 0 ? '' : `k${key}`
      const message = {
        key: name,
        sequence: this.#sent++,
        holder: null,
        offset: -1,
        attempts: 0,
      }
      this.live.push(message)
      publish(
        this.rig.vhost,
        name === '' ? '' : 'amq.topic',
        name === '' ? 'q' : name,
        `${name}:${message.sequence}`,
      )
    }
  }

  settle(which: number, fate: number): void {
    const out = this.live.filter(({ holder }) => holder !== null && holder !== 'held')
    const message = out[which % Math.max(1, out.length)]
    if (message === undefined) return
    if (fate >= 4) this.back(message, fate === 4)
    else if (fate === 3) this.back(message, true)
    else {
      this.end(message)
      if (fate === 2) this.queue.reject(message.offset)
      else this.queue.accept(message.offset)
      this.freed(message.key, message.holder)
    }
  }

  get(): void {
    this.queue.get(false, (message, offset) => {
      if (message === null) return
      const body = message.data.toString('utf8', message.bodyStart, message.bodyEnd)
      this.arrived(body, 'getter', offset)
    })
  }

  wait(ms: number): void {
    // Time passes and every failure is over: how long each waits is another model's matter.
    for (const message of this.live) {
      if (message.holder === 'held') {
        message.holder = null
        this.mayWait.add(message.key)
        this.freed(message.key, null)
      }
    }
    this.rig.clock.advance(DELAY_MS + ms)
  }

  async restart(): Promise<void> {
    for (const [at] of this.consumers.entries()) this.leave(at)
    await turns(4)
    this.rig = await reopenBroker(this.rig, this.#limits)
    this.mayWait.clear()
    for (const message of this.live) if (message.holder === 'getter') message.holder = null
  }

  /** Whatever could go out did. */
  checkRest(): void {
    const ready = this.live.filter(({ holder }) => holder === null)
    assert.equal(this.queue.readyCount, ready.length)
    const withCredit = this.consumers.findIndex((me) => me !== null && me.credit > 0)
    for (const { key, sequence } of ready) {
      const out = this.live.filter((other) => other.key === key && other.holder !== null)
      if (key === '' || out.length === 0) assert.equal(withCredit, -1, `${key}:${sequence} waits`)
      else if (!this.mayWait.has(key) && out.every(({ holder }) => typeof holder === 'number')) {
        const me = this.consumers[out[0]!.holder as number]
        assert.ok((me?.credit ?? 0) === 0, `${key}:${sequence} waits for its consumer`)
      }
    }
  }
}

const LIMITS = { keyFollowersMax: 1000 }
const SETTINGS = { keyShared: true, retryDelayMs: DELAY_MS, attemptsMax: ATTEMPTS_MAX }

async function openWorld(limits: typeof LIMITS): Promise<World> {
  const rig = await openBroker({ limits })
  await rig.vhost.declareQueue(queueSpec('q', SETTINGS))
  await rig.vhost.bind(bindingSpec('amq.topic', 'q', { key: '#' }))
  return new World(rig, limits)
}

async function run(world: World, step: Action): Promise<void> {
  if (step.kind === 'publish') world.publish(step.key, step.count)
  else if (step.kind === 'join') world.join(step.at, step.credit + 1)
  else if (step.kind === 'leave') world.leave(step.at)
  else if (step.kind === 'settle') world.settle(step.which, step.fate)
  else if (step.kind === 'rush') {
    // In one turn: the queue has not given out yet what waits for this consumer.
    world.settle(step.which, 0)
    world.publish(step.key, 2)
  } else if (step.kind === 'get') world.get()
  else if (step.kind === 'wait') world.wait(step.ms)
  else if (step.kind === 'purge') {
    world.queue.purge()
    for (const message of world.live.slice()) {
      if (message.holder === 'held') world.mayWait.add(message.key)
      if (message.holder === null || message.holder === 'held') world.end(message)
    }
    for (const { key } of world.live) world.freed(key, null)
    for (const key of [...world.mayWait]) world.freed(key, null)
  } else await world.restart()
  await turns(5)
  if (world.failure !== null) throw world.failure
}

/** Everything comes, in order, when nobody fails any more. */
async function drain(world: World): Promise<void> {
  for (let round = 0; world.live.length > 0; round++) {
    assert.ok(round < 2000, 'the rest does not come')
    world.join(0, 2)
    world.wait(0)
    await turns(5)
    if (world.failure !== null) throw world.failure
    for (const message of world.live.slice()) {
      if (message.holder !== null && message.holder !== 'held') {
        world.end(message)
        world.queue.accept(message.offset)
        world.freed(message.key, message.holder)
      }
    }
  }
}

// Consumers come and go, messages fail, come back and end in any order, and the broker restarts.
test('a key-shared queue gives each key in order to one consumer at a time, and never idles', async () => {
  await fc.assert(
    fc.asyncProperty(history, async (actions) => {
      const world = await openWorld(LIMITS)
      for (const step of actions) {
        await run(world, step)
        world.checkRest()
      }
      await drain(world)
      assert.equal(world.queue.followerCount, 0)
      assert.deepEqual(world.rig.broker.checkSpace(), [])
      await world.rig.broker.close()
    }),
    { numRuns: 60 },
  )
})

test('with more followers than it may have, a key-shared queue waits and loses nothing', async () => {
  await fc.assert(
    fc.asyncProperty(history, async (actions) => {
      const world = await openWorld({ keyFollowersMax: 2 })
      for (const step of actions) {
        await run(world, step)
        assert.ok(world.queue.followerCount <= 2 + CONSUMERS * 4)
      }
      await drain(world)
      await world.rig.broker.close()
    }),
    { numRuns: 30 },
  )
})
