import assert from 'node:assert/strict'

import {
  arriving,
  drain,
  eventually,
  getOne,
  headersOf,
  drainMessages,
  publish,
  send,
  text,
  untilReady,
} from '../../support/amqp-messages.ts'
import { scenario } from '../../support/amqp-scope.ts'

scenario('drop-head keeps the newest messages', async (scope) => {
  const queue = await scope.queue({ maxLength: 3 })
  await send(scope.channel, queue, ['a', 'b', 'c', 'd', 'e'])
  assert.deepEqual(await drain(scope.channel, queue), ['c', 'd', 'e'])
})

scenario('only ready messages count', async (scope) => {
  const queue = await scope.queue({ maxLength: 2 })
  await send(scope.channel, queue, ['a', 'b'])
  await getOne(scope.channel, queue)
  await getOne(scope.channel, queue)
  await send(scope.channel, queue, ['c', 'd'])
  assert.deepEqual(await drain(scope.channel, queue), ['c', 'd'])
})

scenario('bytes of bodies count for max-length-bytes', async (scope) => {
  const queue = await scope.queue({ arguments: { 'x-max-length-bytes': 10 } })
  await send(scope.channel, queue, ['aaaa', 'bbbb', 'cccc'], { headers: { large: 'x'.repeat(99) } })
  assert.deepEqual(await drain(scope.channel, queue), ['bbbb', 'cccc'])
  await send(scope.channel, queue, ['x'.repeat(11)])
  assert.deepEqual(await drain(scope.channel, queue), [])
})

scenario('the smaller of both limits counts', async (scope) => {
  const queue = await scope.queue({ maxLength: 2, arguments: { 'x-max-length-bytes': 100 } })
  await send(scope.channel, queue, ['a', 'b', 'c'])
  assert.deepEqual(await drain(scope.channel, queue), ['b', 'c'])
})

scenario('drop-head sends what it drops to the dead-letter exchange', async (scope) => {
  const dead = await scope.queue()
  const queue = await scope.queue({
    maxLength: 1,
    deadLetterExchange: '',
    deadLetterRoutingKey: dead,
  })
  await send(scope.channel, queue, ['a', 'b', 'c'])
  const messages = await eventually(async () => {
    const found = await drainMessages(scope.channel, dead)
    return found.length > 0 ? found : null
  }, 'dead letters')
  assert.equal(text(messages[0]!), 'a')
  assert.equal(headersOf(messages[0]!)['x-first-death-reason'], 'maxlen')
})

scenario('reject-publish refuses the newest with a nack', async (scope) => {
  const queue = await scope.queue({ maxLength: 2, overflow: 'reject-publish' })
  await send(scope.channel, queue, ['a', 'b'])
  assert.equal(await publish(scope.channel, '', queue, 'c'), 'nack')
  assert.equal(text(await getOne(scope.channel, queue)), 'a')
  assert.equal(await publish(scope.channel, '', queue, 'd'), 'ack')
  assert.deepEqual(await drain(scope.channel, queue), ['b', 'd'])
})

scenario(
  'one full queue of several makes the publish a nack, the others keep it',
  async (scope) => {
    const exchange = await scope.exchange('fanout')
    const full = await scope.queue({ maxLength: 1, overflow: 'reject-publish' })
    const roomy = await scope.queue()
    await scope.channel.bindQueue(full, exchange, '')
    await scope.channel.bindQueue(roomy, exchange, '')
    assert.equal(await publish(scope.channel, exchange, '', 'a'), 'ack')
    assert.equal(await publish(scope.channel, exchange, '', 'b'), 'nack')
    assert.deepEqual(await drain(scope.channel, full), ['a'])
    assert.deepEqual(await drain(scope.channel, roomy), ['a', 'b'])
  },
)

scenario('reject-publish does not dead-letter what it refuses', async (scope) => {
  const dead = await scope.queue()
  const queue = await scope.queue({
    maxLength: 1,
    overflow: 'reject-publish',
    deadLetterExchange: '',
    deadLetterRoutingKey: dead,
  })
  await send(scope.channel, queue, ['a'])
  assert.equal(await publish(scope.channel, '', queue, 'b'), 'nack')
  assert.deepEqual(await drain(scope.channel, dead), [])
})

scenario('reject-publish-dlx refuses and dead-letters the newest', async (scope) => {
  const dead = await scope.queue()
  const queue = await scope.queue({
    maxLength: 1,
    overflow: 'reject-publish-dlx',
    deadLetterExchange: '',
    deadLetterRoutingKey: dead,
  })
  await send(scope.channel, queue, ['a'])
  assert.equal(await publish(scope.channel, '', queue, 'b'), 'nack')
  const [message] = await eventually(async () => {
    const found = await drainMessages(scope.channel, dead)
    return found.length > 0 ? found : null
  }, 'a dead letter')
  assert.equal(text(message!), 'b')
  assert.equal(headersOf(message!)['x-first-death-reason'], 'maxlen')
  assert.deepEqual(await drain(scope.channel, queue), ['a'])
})

scenario('max-length 0 takes nothing without a ready consumer', async (scope) => {
  const queue = await scope.queue({ maxLength: 0 })
  await send(scope.channel, queue, ['a'])
  assert.deepEqual(await drain(scope.channel, queue), [])
})

scenario('dead letters and transactions keep a queue within its bytes too', async (scope) => {
  const dropped = await scope.queue()
  const small = await scope.queue({
    arguments: { 'x-max-length-bytes': 10 },
    deadLetterExchange: '',
    deadLetterRoutingKey: dropped,
  })
  const source = await scope.queue({ deadLetterExchange: '', deadLetterRoutingKey: small })
  await send(scope.channel, small, ['aaaa', 'bbbb'])
  await send(scope.channel, source, ['cccc'])
  scope.channel.nack(await getOne(scope.channel, source), false, false)
  assert.equal(text(await arriving(scope.channel, dropped)), 'aaaa')
  assert.deepEqual(await drain(scope.channel, small), ['bbbb', 'cccc'])
  const raw = await scope.raw()
  await raw.openChannel(1)
  raw.sendMethod(1, { name: 'tx.select' })
  await raw.method('tx.select-ok')
  for (const body of ['aaaa', 'bbbb', 'cccc', 'dddd']) raw.sendPublish(1, { key: small }, body)
  raw.sendMethod(1, { name: 'tx.commit' })
  await raw.method('tx.commit-ok')
  await untilReady(scope.channel, small, 2)
  assert.deepEqual(await drain(scope.channel, small), ['cccc', 'dddd'])
})

scenario('what is put back counts again: drop-head drops, reject-publish keeps', async (scope) => {
  const dropping = await scope.queue({ maxLength: 1 })
  const rejecting = await scope.queue({ maxLength: 1, overflow: 'reject-publish' })
  for (const queue of [dropping, rejecting]) {
    await send(scope.channel, queue, ['a'])
    const held = await getOne(scope.channel, queue)
    await send(scope.channel, queue, ['b'])
    scope.channel.nack(held)
  }
  await untilReady(scope.channel, rejecting, 2)
  assert.deepEqual(await drain(scope.channel, rejecting), ['a', 'b'])
  assert.deepEqual(await drain(scope.channel, dropping), ['b'])
})
