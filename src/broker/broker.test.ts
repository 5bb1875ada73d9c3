import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  bindingSpec,
  consume,
  exchangeSpec,
  openBroker,
  publish,
  queueSpec,
  reopenBroker,
  Taker,
  turns,
} from '../../test/support/broker-rig.ts'

test('messages wait in order, go out once and come back when released', async () => {
  const { vhost } = await openBroker()
  await vhost.declareQueue(queueSpec('q'))
  for (const body of ['a', 'b', 'c']) assert.equal(publish(vhost, '', 'q', body), 1)
  const queue = vhost.destination('q')!
  assert.equal(queue.readyCount, 3)
  const taker = new Taker()
  const consumer = consume(vhost, 'q', taker)
  await turns()
  assert.deepEqual(taker.bodies, ['a', 'b', 'c'])
  publish(vhost, '', 'q', 'd')
  assert.deepEqual(taker.bodies, ['a', 'b', 'c', 'd'])
  queue.accept(taker.got[0]!.offset)
  consumer.cancel()
  for (const delivery of taker.got.slice(1)) queue.release(delivery.offset)
  const second = new Taker()
  consume(vhost, 'q', second)
  await turns()
  assert.deepEqual(second.bodies, ['b', 'c', 'd'])
  assert.ok(second.got.every((delivery) => delivery.redelivered))
})

test('an unroutable message says so', async () => {
  const { vhost } = await openBroker()
  assert.equal(publish(vhost, '', 'nobody', 'x'), 0)
})

test('a restart brings back what was not settled, and nothing else', async () => {
  const first = await openBroker()
  await first.vhost.declareQueue(queueSpec('q'))
  await first.vhost.declareQueue(queueSpec('gone', {}, { exclusiveOwner: {} }))
  for (let n = 0; n < 100; n++) publish(first.vhost, '', 'q', `m${n}`)
  const taker = new Taker(50)
  consume(first.vhost, 'q', taker)
  await turns()
  for (const delivery of taker.got) {
    if (delivery.offset % 2 === 0) first.vhost.destination('q')!.accept(delivery.offset)
  }
  await turns()
  const second = await reopenBroker(first)
  const queue = second.vhost.destination('q')!
  assert.equal(second.vhost.destination('gone'), undefined)
  assert.equal(queue.readyCount, 75)
  const again = new Taker()
  consume(second.vhost, 'q', again)
  await turns()
  const expected: string[] = []
  for (let n = 0; n < 100; n++) if (n >= 50 || n % 2 === 1) expected.push(`m${n}`)
  assert.deepEqual(again.bodies, expected)
  assert.equal(again.got[0]!.redelivered, true)
  assert.equal(again.got.at(-1)!.redelivered, false)
})

test('what dies is dead-lettered with its story, and a cycle of expiry ends', async () => {
  const { vhost, clock } = await openBroker()
  await vhost.declareQueue(
    queueSpec('work', { deadLetterExchange: '', deadLetterRoutingKey: 'dead' }),
  )
  await vhost.declareQueue(
    queueSpec('dead', { messageTtlMs: 50, deadLetterExchange: '', deadLetterRoutingKey: 'work' }),
  )
  publish(vhost, '', 'work', 'x')
  const taker = new Taker(1)
  const consumer = consume(vhost, 'work', taker)
  await turns()
  vhost.destination('work')!.reject(taker.got[0]!.offset)
  await turns()
  assert.equal(vhost.destination('dead')!.readyCount, 1)
  clock.advance(60)
  await turns()
  assert.equal(vhost.destination('dead')!.readyCount, 0)
  taker.credit = 1
  consumer.resume()
  await turns()
  assert.deepEqual(taker.got[1]!.deaths, ['dead:expired:1', 'work:rejected:1'])
})

test('the oldest give way when a queue is full, or the newest are refused', async () => {
  const { vhost } = await openBroker()
  await vhost.declareQueue(queueSpec('heads', { messagesMax: 2 }))
  await vhost.declareQueue(queueSpec('tails', { messagesMax: 2, overflow: 'reject' }))
  await vhost.declareQueue(queueSpec('bytes', { bytesMax: 5 }))
  for (const body of ['1', '22', '333']) {
    assert.equal(publish(vhost, '', 'heads', body), 1)
    assert.equal(publish(vhost, '', 'tails', body), body === '333' ? 2 : 1)
    publish(vhost, '', 'bytes', body)
  }
  await turns()
  for (const [name, expected] of [
    ['heads', ['22', '333']],
    ['tails', ['1', '22']],
    ['bytes', ['22', '333']],
  ] as const) {
    const taker = new Taker()
    consume(vhost, name, taker)
    await turns()
    assert.deepEqual(taker.bodies, expected, name)
  }
})

test('priorities go first, and consumers of a higher priority too', async () => {
  const { vhost } = await openBroker()
  await vhost.declareQueue(queueSpec('q', {}, { prioritiesMax: 5 }))
  for (const priority of [1, 5, 3, 200]) publish(vhost, '', 'q', `p${priority}`, { priority })
  const low = new Taker()
  const high = new Taker(2)
  consume(vhost, 'q', low, { noAck: true, priority: 1 })
  consume(vhost, 'q', high, { noAck: true, priority: 9 })
  await turns()
  assert.deepEqual(high.bodies, ['p5', 'p200'])
  assert.deepEqual(low.bodies, ['p3', 'p1'])
})

test('a single active consumer hands over when it leaves', async () => {
  const { vhost } = await openBroker()
  await vhost.declareQueue(queueSpec('q', {}, { singleActive: true }))
  const [one, two] = [new Taker(), new Taker()]
  const first = consume(vhost, 'q', one)
  consume(vhost, 'q', two)
  publish(vhost, '', 'q', 'a')
  await turns()
  assert.deepEqual([one.bodies, two.bodies], [['a'], []])
  first.cancel()
  vhost.destination('q')!.release(one.got[0]!.offset)
  publish(vhost, '', 'q', 'b')
  await turns()
  assert.deepEqual(two.bodies, ['a', 'b'])
})

test('beyond the attempts allowed a message is dead-lettered', async () => {
  const { vhost } = await openBroker()
  const settings = { attemptsMax: 2, deadLetterExchange: '', deadLetterRoutingKey: 'dead' }
  await vhost.declareQueue(queueSpec('q', settings, { countsAttempts: true }))
  await vhost.declareQueue(queueSpec('dead'))
  const taker = new Taker()
  consume(vhost, 'q', taker)
  publish(vhost, '', 'q', 'x')
  for (let attempt = 0; attempt < 3; attempt++) {
    await turns()
    assert.equal(taker.got.length, attempt + 1)
    assert.equal(taker.got[attempt]!.attempts, attempt)
    vhost.destination('q')!.fail(taker.got[attempt]!.offset)
  }
  await turns()
  const dead = new Taker()
  consume(vhost, 'dead', dead)
  await turns()
  assert.deepEqual(dead.got[0]!.deaths, ['q:delivery_limit:1'])
})

test('a delayed exchange holds messages back, also over a restart', async () => {
  const first = await openBroker()
  const { clock } = first
  await first.vhost.declareExchange(exchangeSpec('later', { delayed: true }))
  await first.vhost.declareQueue(queueSpec('q'))
  await first.vhost.bind(bindingSpec('later', 'q', { key: 'k' }))
  publish(first.vhost, 'later', 'k', 'late', { delayMs: 5000 })
  publish(first.vhost, 'later', 'k', 'soon', { delayMs: 1000 })
  publish(first.vhost, 'later', 'k', 'now')
  clock.advance(1000)
  await turns()
  assert.equal(first.vhost.destination('q')!.readyCount, 2)
  const second = await reopenBroker(first)
  clock.advance(4000)
  await turns()
  const taker = new Taker()
  consume(second.vhost, 'q', taker)
  await turns()
  assert.deepEqual(taker.bodies, ['now', 'soon', 'late'])
})

test('a deleted queue tells its consumers and gives its bindings back', async () => {
  const { vhost } = await openBroker()
  await vhost.declareQueue(queueSpec('q'))
  await vhost.bind(bindingSpec('amq.fanout', 'q'))
  const taker = new Taker()
  consume(vhost, 'q', taker)
  assert.equal(publish(vhost, 'amq.fanout', '', 'x'), 1)
  await vhost.deleteDestination('q', { ifUnused: false, ifEmpty: false })
  assert.equal(taker.cancelledCount, 1)
  assert.equal(publish(vhost, 'amq.fanout', '', 'x'), 0)
  assert.deepEqual([...vhost.bindings()], [])
})

test('a broker with nothing to do does nothing, whatever its queues are limited by', async () => {
  const { vhost } = await openBroker()
  const limits = [
    {},
    { messagesMax: 1 },
    { bytesMax: 5 },
    { messageTtlMs: 1000 },
    { bytesMax: 5, overflow: 'reject' as const },
  ]
  for (const [at, settings] of limits.entries()) {
    await vhost.declareQueue(queueSpec(`q${at}`, settings))
    await turns()
    assert.equal(vhost.turn.isIdle, true, `new: ${JSON.stringify(settings)}`)
    for (const body of ['one', 'two']) publish(vhost, '', `q${at}`, body)
    await turns()
    assert.equal(vhost.turn.isIdle, true, `with messages: ${JSON.stringify(settings)}`)
    const taker = new Taker()
    consume(vhost, `q${at}`, taker, { noAck: true })
    await turns()
    assert.equal(vhost.destination(`q${at}`)!.readyCount, 0)
    assert.equal(vhost.turn.isIdle, true, `without: ${JSON.stringify(settings)}`)
  }
})
