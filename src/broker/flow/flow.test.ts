import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import {
  bindingSpec,
  type BrokerRig,
  consume,
  openBroker,
  publish,
  queueSpec,
  reopenBroker,
  Taker,
  turns,
} from '../../../test/support/broker-rig.ts'
import type { Queue } from '../queue.ts'
import { PUBLISH } from '../route.ts'
import type { Flow, HeldBack } from './flow.ts'

interface Publisher {
  readonly flow: Flow
  /** What it was told last. */
  held: HeldBack | null
  /** Publishes so many bodies of 10 bytes, as one read would. */
  send(queue: string, count: number): number[]
}

function publisher({ broker, vhost }: BrokerRig, isConsumer = false): Publisher {
  const peer: Publisher = {
    held: null,
    flow: broker.flows.open(
      { user: 'ann', vhost: '/', owner: {}, connection: 'test' },
      { hasConsumers: () => isConsumer, heldBack: (held) => (peer.held = held) },
    ),
    send(queue, count) {
      peer.flow.begin()
      const results = Array.from({ length: count }, (_, n) =>
        publish(vhost, '', queue, `${n}`.padEnd(10)),
      )
      peer.flow.end()
      return results
    },
  }
  return peer
}

test('a user that publishes too fast waits until its rate is made up for', async () => {
  const rig = await openBroker()
  await rig.vhost.declareQueue(queueSpec('q'))
  rig.broker.flows.setUserLimits('ann', { 'publish-rate': 100 })
  const ann = publisher(rig)
  ann.send('q', 9)
  assert.equal(ann.held, null, 'a tenth of a second at once')
  ann.send('q', 101)
  assert.equal(ann.held!.reason, "publish rate of user 'ann' is 100/s, again in 1100 ms")
  assert.equal(ann.flow.heldBackBy, "publish rate of user 'ann' is 100/s")
  rig.clock.advance(1099)
  assert.notEqual(ann.held, null)
  rig.clock.advance(1)
  assert.equal(ann.held, null)
  assert.equal(rig.vhost.destination('q')!.readyCount, 110, 'what was read was taken')
})

test('a connection that publishes nothing is not held for others of its user', async () => {
  const rig = await openBroker()
  await rig.vhost.declareQueue(queueSpec('q'))
  rig.broker.flows.setUserLimits('ann', { 'publish-rate': 100 })
  const ann = publisher(rig)
  const other = publisher(rig)
  ann.send('q', 100)
  assert.notEqual(ann.held, null)
  other.send('q', 0)
  assert.equal(other.held, null)
  other.send('q', 1)
  assert.notEqual(other.held, null)
})

test('bytes have a rate of their own, and a virtual host and a queue have rates too', async () => {
  const rig = await openBroker()
  await rig.vhost.declareQueue(queueSpec('q', { publishRateMax: 10, rateBurstMs: 1000 }))
  await rig.vhost.declareQueue(queueSpec('other'))
  await rig.vhost.setLimits({ 'publish-rate-bytes': 1000 })
  const ann = publisher(rig)
  ann.send('other', 20)
  assert.match(ann.held!.reason, /^publish rate of vhost '\/' is 1000 B\/s, again in 200 ms$/)
  rig.clock.advance(200)
  assert.equal(ann.held, null)
  ann.send('q', 10)
  assert.match(ann.held!.reason, /^publish rate of queue 'q' is 10\/s, again in 1000 ms$/)
  assert.equal(
    rig.vhost.destination('q')!.heldBackBy,
    "publish rate of queue 'q' is 10/s, again in 100 ms",
  )
  rig.clock.advance(1000)
  assert.equal(ann.held, null)
})

test('a queue that blocks holds publishers back until there is room', async () => {
  const rig = await openBroker()
  const { vhost, clock } = rig
  await vhost.declareQueue(queueSpec('q', { messagesMax: 10, overflow: 'block' }))
  const ann = publisher(rig)
  assert.deepEqual(new Set(ann.send('q', 15)), new Set([PUBLISH.ROUTED]))
  assert.equal(
    ann.held!.reason,
    "queue 'q' is full, it may hold 10 messages, again when there is room",
  )
  clock.advance(60_000)
  assert.notEqual(ann.held, null)
  const taker = new Taker()
  consume(vhost, 'q', taker, { noAck: true })
  await turns()
  assert.equal(taker.got.length, 15)
  clock.advance(20)
  assert.equal(ann.held, null)
})

test('whoever consumes from a full queue that blocks is refused, for it must be read', async () => {
  const rig = await openBroker()
  const { vhost } = rig
  await vhost.declareQueue(queueSpec('q', { messagesMax: 2, overflow: 'block' }))
  const ann = publisher(rig)
  const consumer = vhost.destination('q')!.consume({
    sink: new Taker(),
    tag: 't',
    noAck: false,
    exclusive: false,
    priority: 0,
    owner: ann.flow.names.owner,
    arguments: new Map(),
  })
  assert.deepEqual(ann.send('q', 3), [PUBLISH.ROUTED, PUBLISH.ROUTED, PUBLISH.REJECTED])
  assert.equal(ann.held, null)
  consumer.cancel()
})

test('where the overflow says so, what comes too fast is refused, or passed over', async () => {
  const rig = await openBroker()
  const { vhost, clock } = rig
  await vhost.declareQueue(queueSpec('refuses', { publishRateMax: 20, overflow: 'reject' }))
  await vhost.declareQueue(queueSpec('samples', { publishRateMax: 20, overflow: 'sample' }))
  const ann = publisher(rig)
  assert.deepEqual(ann.send('refuses', 3), [PUBLISH.ROUTED, PUBLISH.ROUTED, PUBLISH.REJECTED])
  assert.equal(
    rig.broker.flows.takeRefusal(),
    "publish rate of queue 'refuses' is 20/s, again in 50 ms",
  )
  assert.deepEqual(new Set(ann.send('samples', 50)), new Set([PUBLISH.ROUTED]))
  assert.equal(ann.held, null)
  const { intake, readyCount } = vhost.destination('samples')!
  assert.deepEqual([readyCount, intake.totals], [2, { refused: 0, passedOver: 48 }])
  clock.advance(50)
  assert.deepEqual(ann.send('refuses', 2), [PUBLISH.ROUTED, PUBLISH.REJECTED])
})

test('a sample of a flood keeps messages of all of it, and the queue is never full', async () => {
  const rig = await openBroker()
  const { vhost } = rig
  const queue = await vhost.declareQueue(queueSpec('q', { messagesMax: 100, overflow: 'sample' }))
  const ann = publisher(rig)
  ann.send('q', 50)
  assert.equal(queue.readyCount, 50, 'up to half of the limit all are kept')
  // Consumers take one of ten.
  let longest = 0
  for (let round = 0; round < 500; round++) {
    ann.send('q', 100)
    longest = Math.max(longest, queue.readyCount)
    const consumer = consume(vhost, 'q', new Taker(10), { noAck: true })
    await turns(3)
    consumer.cancel()
  }
  assert.ok(longest < 100, `${longest} at most`)
  const kept = 50 + 500 * 100 - queue.intake.totals.passedOver
  assert.ok(kept > 500 * 10 && kept < 500 * 10 + 200, `${kept} were kept`)
  // Ten times as many again, and nobody takes any.
  ann.send('q', 100_000)
  assert.ok(queue.readyCount <= 100)
})

test('a queue gives out no faster than its rate, and a rest saves up no more than a burst', async () => {
  const rig = await openBroker()
  const { vhost, clock } = rig
  const settings = { consumeRateMax: 100, rateBurstMs: 20 }
  const queue = await vhost.declareQueue(queueSpec('q', settings))
  for (let n = 0; n < 1000; n++) publish(vhost, '', 'q', `${n}`)
  const taker = new Taker()
  consume(vhost, 'q', taker, { noAck: true })
  const counts: number[] = []
  for (let window = 0; window < 20; window++) {
    const before = taker.got.length
    for (let ms = 0; ms < 100; ms++) {
      clock.advance(1)
      await turns(2)
    }
    counts.push(taker.got.length - before)
  }
  assert.deepEqual(counts, [11, ...Array<number>(19).fill(10)])
  assert.deepEqual(
    taker.bodies,
    Array.from({ length: 201 }, (_, n) => `${n}`),
  )
  assert.equal(queue.heldBackBy, "consume rate of queue 'q' is 100/s")
  queue.applySettings({})
  queue.consumers()
  await turns()
  assert.equal(taker.got.length, 1000)
  await vhost.declareQueue(queueSpec('idle', settings))
  const idle = new Taker()
  consume(vhost, 'idle', idle, { noAck: true })
  clock.advance(60_000)
  for (let n = 0; n < 10; n++) publish(vhost, '', 'idle', `${n}`)
  await turns()
  assert.equal(idle.got.length, 2)
  assert.notEqual(clock.timerCount, 0)
  await rig.broker.close()
  assert.equal(clock.timerCount, 0, 'a process need not live on for what would pass next')
})

// Messages come whenever they like, alone or many at once; some are given out as they come.
test('in no window has a consumer, or a queue, more than its rate and one message', async () => {
  const arrivals = fc.array(fc.tuple(fc.nat(60), fc.integer({ min: 1, max: 40 })), {
    minLength: 20,
    maxLength: 60,
  })
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 5, max: 3000 }),
      fc.boolean(),
      arrivals,
      async (rate, isOwn, all) => {
        const rig = await openBroker()
        const { vhost, clock } = rig
        await vhost.declareQueue(queueSpec('q', isOwn ? {} : { consumeRateMax: rate }))
        const times: number[] = []
        const sink = { deliver: () => void times.push(clock.monotonicMs()), cancelled: () => {} }
        consume(vhost, 'q', sink, { noAck: true, ...(isOwn ? { rates: { messages: rate } } : {}) })
        for (const [spanMs, count] of all) {
          for (let ms = 0; ms < spanMs; ms += 4) {
            clock.advance(4)
            await turns(1)
          }
          for (let n = 0; n < count; n++) publish(vhost, '', 'q', 'x')
          await turns(1)
        }
        for (const [first, fromMs] of times.entries()) {
          for (let last = first; last < times.length; last++) {
            const spanMs = Math.max(100, times[last]! - fromMs)
            const allowed = Math.ceil((rate * spanMs) / 1000) + 1
            assert.ok(last - first < allowed, `${last - first + 1} in ${spanMs} ms at ${rate}/s`)
          }
        }
        await rig.broker.close()
      },
    ),
    { numRuns: 30 },
  )
})

test('a consumer has a rate, and so have all of a user together', async () => {
  const rig = await openBroker()
  const { vhost, clock, broker } = rig
  await vhost.declareQueue(queueSpec('q'))
  for (let n = 0; n < 1000; n++) publish(vhost, '', 'q', `${n}`)
  const slow = new Taker()
  const { flow } = publisher(rig)
  const consumer = consume(vhost, 'q', slow, { noAck: true, flow, rates: { messages: 10 } })
  for (let ms = 0; ms < 1000; ms += 10) {
    clock.advance(10)
    await turns(2)
  }
  assert.equal(slow.got.length, 10)
  assert.match(consumer.heldBackBy!, /^consume rate of consumer '.*' is 10\/s$/)
  consumer.cancel()
  broker.flows.setUserLimits('ann', { 'consume-rate': 50, 'rate-burst': 20 })
  const takers = [new Taker(), new Taker()]
  for (const taker of takers) consume(vhost, 'q', taker, { noAck: true, flow })
  for (let ms = 0; ms < 2000; ms += 10) {
    clock.advance(10)
    await turns(2)
  }
  const taken = takers.map(({ got }) => got.length)
  assert.ok(taken[0]! + taken[1]! <= 102, taken.join())
  assert.ok(taken[0]! + taken[1]! >= 98, taken.join())
  assert.equal(clock.timerCount <= 4, true, 'one timer for each that waits')
})

test('a full virtual host holds publishers, and refuses those that consume', async () => {
  const rig = await openBroker()
  const { vhost, clock } = rig
  await vhost.declareQueue(queueSpec('a'))
  await vhost.declareQueue(queueSpec('b'))
  await vhost.setLimits({ 'max-length': 20 })
  const ann = publisher(rig)
  const both = publisher(rig, true)
  ann.send('a', 10)
  ann.send('b', 9)
  assert.equal(ann.held, null)
  ann.send('b', 2)
  assert.match(ann.held!.reason, /^vhost '\/' is full, it may hold 20 messages, again when/)
  assert.deepEqual(both.send('a', 1), [PUBLISH.REJECTED])
  assert.match(rig.broker.flows.takeRefusal()!, /is full/)
  vhost.destination('a')!.purge()
  clock.advance(40)
  assert.equal(ann.held, null)
  assert.deepEqual(both.send('a', 1), [PUBLISH.ROUTED])
})

test('what a user has stored is counted wherever it is, and outlives a restart', async () => {
  let rig = await openBroker()
  const limits = { 'max-length': 12, 'max-length-bytes': 1000 }
  const prepare = (): Publisher => {
    rig.broker.flows.setUserLimits('ann', limits)
    return publisher(rig)
  }
  const stored = (): number => rig.broker.flows.owners.of('ann').messages
  const queue = (name: string) => rig.vhost.destination(name) as Queue
  await rig.vhost.declareQueue(queueSpec('dead'))
  const settings = { deadLetterExchange: '', deadLetterRoutingKey: 'dead' }
  await rig.vhost.declareQueue(queueSpec('a', settings))
  await rig.vhost.declareQueue(queueSpec('b', {}, { durable: false }))
  for (const name of ['a', 'b']) await rig.vhost.bind(bindingSpec('amq.fanout', name))
  // Of nobody, and so of no limit.
  for (let n = 0; n < 20; n++) publish(rig.vhost, '', 'a', 'x')
  let ann = prepare()
  ann.send('a', 4)
  ann.send('b', 2)
  assert.equal(stored(), 6)
  rig.clock.advance(1000)
  rig = await reopenBroker(rig)
  ann = prepare()
  await turns()
  assert.equal(stored(), 4, 'what is transient is gone')
  assert.equal(rig.broker.flows.owners.of('ann').bytes, 40)
  // Dead letters are still hers.
  const taker = new Taker()
  const consumer = consume(rig.vhost, 'a', taker)
  await turns()
  for (const { offset } of taker.got.slice(20, 22)) queue('a').reject(offset)
  await turns()
  assert.deepEqual([queue('dead').readyCount, stored()], [2, 4])
  for (const { offset } of taker.got.slice(22)) queue('a').accept(offset)
  for (const { offset } of taker.got.slice(0, 20)) queue('a').accept(offset)
  await turns()
  assert.equal(stored(), 2)
  consumer.cancel()
  rig = await reopenBroker(rig)
  ann = prepare()
  await turns()
  assert.equal(stored(), 2)
  // In one read she may run over; then she waits until there is room.
  assert.deepEqual(new Set(ann.send('a', 11)), new Set([PUBLISH.ROUTED]))
  assert.match(
    ann.held!.reason,
    /^user 'ann' has as much stored as it may, 12 messages, again when there is room$/,
  )
  const both = publisher(rig, true)
  assert.deepEqual(both.send('a', 1), [PUBLISH.REJECTED])
  assert.equal(
    rig.broker.flows.takeRefusal(),
    "user 'ann' has as much stored as it may, 12 messages",
  )
  queue('dead').purge()
  rig.clock.advance(40)
  assert.equal(ann.held, null)
  await rig.vhost.deleteDestination('a', { ifUnused: false, ifEmpty: false })
  assert.equal(stored(), 0)
  await rig.broker.close()
})

test('bytes that a user has stored are limited, and held messages and moves change nothing', async () => {
  let rig = await openBroker({ limits: { extentBytes: 4096, deadBytesMax: 4096 } })
  rig.broker.flows.setUserLimits('ann', { 'max-length-bytes': 2000 })
  await rig.vhost.declareQueue(queueSpec('q', { retryDelayMs: 5000 }))
  const ann = publisher(rig)
  ann.send('q', 150)
  for (let n = 0; n < 400; n++) publish(rig.vhost, '', 'q', 'x'.repeat(100))
  const taker = new Taker()
  const consumer = consume(rig.vhost, 'q', taker)
  await turns()
  const queue = rig.vhost.destination('q') as Queue
  for (const { offset } of taker.got.slice(0, 3)) queue.fail(offset)
  for (const { offset } of taker.got.slice(3, 149)) queue.accept(offset)
  for (const { offset } of taker.got.slice(150)) queue.accept(offset)
  consumer.cancel()
  const owner = rig.broker.flows.owners.of('ann')
  // Their stretch is nearly dead, and what lives is moved.
  for (let round = 0; round < 20; round++) {
    rig.clock.advance(1000)
    await turns(4)
  }
  assert.deepEqual([owner.messages, owner.bytes], [4, 40])
  rig = await reopenBroker(rig)
  const after = rig.broker.flows.owners.of('ann')
  assert.deepEqual([after.messages, after.bytes], [4, 40])
  const reader = new Taker()
  consume(rig.vhost, 'q', reader)
  await turns()
  assert.deepEqual(
    reader.bodies.map((body) => body.trim()),
    ['0', '1', '2', '149'],
    'what was moved is what it was',
  )
  for (const { offset } of reader.got) (rig.vhost.destination('q') as Queue).accept(offset)
  assert.equal(after.messages, 0)
  assert.deepEqual(rig.broker.checkSpace(), [])
  await rig.broker.close()
})

test('connections and queues are counted, and the limits outlive a restart', async () => {
  const rig = await openBroker()
  await rig.vhost.setLimits({ 'max-connections': 2, 'max-queues': 1 })
  const { vhost, broker } = await reopenBroker(rig)
  assert.deepEqual(vhost.limits, { 'max-connections': 2, 'max-queues': 1 })
  await vhost.declareQueue(queueSpec('one'))
  await vhost.declareQueue(queueSpec('one'))
  await assert.rejects(vhost.declareQueue(queueSpec('two')), {
    code: 'LIMIT_EXCEEDED',
    message: "cannot declare queue 'two': queue limit in vhost '/' (1) is reached",
  })
  broker.flows.setUserLimits('bob', { 'max-connections': 1 })
  const peer = { hasConsumers: () => false, heldBack: () => {} }
  const open = (user: string): Flow =>
    broker.flows.open({ user, vhost: '/', owner: {}, connection: 'test' }, peer)
  const first = open('bob')
  assert.throws(() => open('bob'), {
    code: 'NOT_ALLOWED',
    message: "connection refused for user 'bob': user connection limit (1) is reached",
  })
  open('ann')
  assert.throws(() => open('ann'), {
    code: 'NOT_ALLOWED',
    message: "access to vhost '/' refused for user 'ann': connection limit (2) is reached",
  })
  first.close()
  first.close()
  open('bob')
})
