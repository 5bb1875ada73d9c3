import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'

import type { Options } from 'amqplib'

import {
  arriving,
  drain,
  getOne,
  headersOf,
  publish,
  readyCount,
  send,
  text,
  untilReady,
} from '../../support/amqp-messages.ts'
import { scenario, type Scope } from '../../support/amqp-scope.ts'

interface Pair {
  readonly queue: string
  readonly dead: string
  readonly exchange: string
}

/** A queue whose dead letters go by a fanout exchange to another queue. */
async function deadLettering(scope: Scope, options: Options.AssertQueue = {}): Promise<Pair> {
  const exchange = await scope.exchange('fanout', {}, 'dlx')
  const dead = await scope.queue({}, 'dead')
  await scope.channel.bindQueue(dead, exchange, '')
  const queue = await scope.queue({ deadLetterExchange: exchange, ...options }, 'src')
  return { queue, dead, exchange }
}

function deathsOf(message: Parameters<typeof headersOf>[0]): Record<string, unknown>[] {
  return (headersOf(message)['x-death'] ?? []) as Record<string, unknown>[]
}

scenario('a rejected message is dead-lettered with its story', async (scope) => {
  const { queue, dead } = await deadLettering(scope)
  const before = Math.floor(Date.now() / 1000)
  await send(scope.channel, queue, ['bad'], { headers: { mine: 1 }, messageId: 'm' })
  scope.channel.nack(await getOne(scope.channel, queue), false, false)
  const message = await arriving(scope.channel, dead)
  assert.equal(text(message), 'bad')
  assert.equal(message.properties.messageId, 'm')
  assert.equal(message.fields.routingKey, queue)
  assert.equal(message.fields.redelivered, false)
  const { 'x-death': deaths, ...headers } = headersOf(message)
  assert.deepEqual(headers, {
    mine: 1,
    'x-first-death-exchange': '',
    'x-first-death-queue': queue,
    'x-first-death-reason': 'rejected',
    'x-last-death-exchange': '',
    'x-last-death-queue': queue,
    'x-last-death-reason': 'rejected',
  })
  const [death, ...others] = deaths as Record<string, unknown>[]
  assert.deepEqual(others, [])
  const { time, ...rest } = death!
  assert.deepEqual(
    { ...rest },
    {
      count: 1,
      reason: 'rejected',
      queue,
      exchange: '',
      'routing-keys': [queue],
    },
  )
  const { '!': type, value } = time as { '!': string; value: number }
  assert.equal(type, 'timestamp')
  assert.ok(value >= before && value <= before + 10, `time ${value}, before ${before}`)
})

scenario('reject and nack with requeue do not dead-letter', async (scope) => {
  const { queue, dead } = await deadLettering(scope)
  await send(scope.channel, queue, ['a'])
  scope.channel.reject(await getOne(scope.channel, queue), true)
  await untilReady(scope.channel, queue, 1)
  assert.equal(await readyCount(scope.channel, dead), 0)
})

scenario('an expired message loses its expiration and keeps it in its story', async (scope) => {
  const { queue, dead } = await deadLettering(scope)
  await send(scope.channel, queue, ['old'], { expiration: 30 })
  const message = await arriving(scope.channel, dead)
  assert.equal(message.properties.expiration, undefined)
  const [death] = deathsOf(message)
  assert.equal(death?.['reason'], 'expired')
  assert.equal(death['original-expiration'], '30')
})

scenario('a queue TTL dead-letters too, without an original expiration', async (scope) => {
  const { queue, dead } = await deadLettering(scope, { messageTtl: 30 })
  await send(scope.channel, queue, ['old'])
  const [death] = deathsOf(await arriving(scope.channel, dead))
  assert.equal(death?.['reason'], 'expired')
  assert.ok(!('original-expiration' in death))
})

scenario('x-dead-letter-routing-key replaces the key', async (scope) => {
  const exchange = await scope.exchange('direct', {}, 'dlx')
  const dead = await scope.queue()
  await scope.channel.bindQueue(dead, exchange, 'buried')
  const queue = await scope.queue({ deadLetterExchange: exchange, deadLetterRoutingKey: 'buried' })
  await send(scope.channel, queue, ['a'], { headers: { CC: ['other'] } })
  scope.channel.nack(await getOne(scope.channel, queue), false, false)
  const message = await arriving(scope.channel, dead)
  assert.equal(message.fields.routingKey, 'buried')
  assert.equal(message.fields.exchange, exchange)
  assert.deepEqual(deathsOf(message)[0]?.['routing-keys'], [queue, 'other'])
  // The header is kept, but its keys count no more.
  assert.deepEqual(headersOf(message)['CC'], ['other'])
})

scenario('without a key of its own, CC keys count for the dead letter again', async (scope) => {
  const exchange = await scope.exchange('direct', {}, 'dlx')
  const byCc = await scope.queue()
  await scope.channel.bindQueue(byCc, exchange, 'copy')
  const queue = await scope.queue({ deadLetterExchange: exchange })
  await send(scope.channel, queue, ['a'], { headers: { CC: ['copy'], BCC: ['blind'] } })
  scope.channel.nack(await getOne(scope.channel, queue), false, false)
  const message = await arriving(scope.channel, byCc)
  assert.equal(message.fields.routingKey, queue)
  assert.deepEqual(headersOf(message)['CC'], ['copy'])
  assert.deepEqual(deathsOf(message)[0]?.['routing-keys'], [queue, 'copy'])
})

scenario('a missing dead-letter exchange drops', async (scope) => {
  const queue = await scope.queue({ deadLetterExchange: scope.name('absent') })
  await send(scope.channel, queue, ['a'])
  scope.channel.nack(await getOne(scope.channel, queue), false, false)
  await send(scope.channel, queue, ['b'])
  assert.deepEqual(await drain(scope.channel, queue), ['b'])
})

scenario('x-death counts per queue and reason, newest first', async (scope) => {
  const first = scope.name('first')
  const second = scope.name('second')
  await scope.channel.assertQueue(first, { deadLetterExchange: '', deadLetterRoutingKey: second })
  await scope.channel.assertQueue(second, { deadLetterExchange: '', deadLetterRoutingKey: first })
  await send(scope.channel, first, ['round and round'])
  for (let round = 0; round < 2; round += 1) {
    for (const queue of [first, second]) {
      await untilReady(scope.channel, queue, 1)
      scope.channel.nack(await getOne(scope.channel, queue), false, false)
    }
  }
  const message = await arriving(scope.channel, first)
  const story = deathsOf(message).map(({ count, queue, reason }) => [count, queue, reason])
  assert.deepEqual(story, [
    [2, second, 'rejected'],
    [2, first, 'rejected'],
  ])
  const headers = headersOf(message)
  assert.deepEqual([headers['x-first-death-queue'], headers['x-last-death-queue']], [first, second])
})

scenario('one queue and two reasons are two entries', async (scope) => {
  const queue = scope.name('loop')
  await scope.channel.assertQueue(queue, { deadLetterExchange: '', deadLetterRoutingKey: queue })
  await send(scope.channel, queue, ['a'], { expiration: 30 })
  scope.channel.nack(await getOne(scope.channel, queue), false, false)
  await untilReady(scope.channel, queue, 1)
  const again = await getOne(scope.channel, queue)
  assert.deepEqual(
    deathsOf(again).map(({ count, reason }) => [count, reason]),
    [[1, 'rejected']],
  )
})

scenario('a circle of expiries alone is dropped in the end', async (scope) => {
  const first = scope.name('first')
  const second = scope.name('second')
  const both = { messageTtl: 20, deadLetterExchange: '' }
  await scope.channel.assertQueue(first, { ...both, deadLetterRoutingKey: second })
  await scope.channel.assertQueue(second, { ...both, deadLetterRoutingKey: first })
  await send(scope.channel, first, ['a'])
  await sleep(150)
  assert.equal(await readyCount(scope.channel, first), 0)
  assert.equal(await readyCount(scope.channel, second), 0)
  await sleep(50)
  assert.equal(
    (await readyCount(scope.channel, first)) + (await readyCount(scope.channel, second)),
    0,
  )
})

scenario('a client’s own x-death is not taken for a story', async (scope) => {
  const { queue, dead } = await deadLettering(scope)
  const forged = [{ count: 5, reason: 'rejected', queue, exchange: '', 'routing-keys': ['x'] }]
  await send(scope.channel, queue, ['a'], { headers: { 'x-death': forged } })
  scope.channel.nack(await getOne(scope.channel, queue), false, false)
  const message = await arriving(scope.channel, dead)
  assert.equal(deathsOf(message)[0]?.['count'], 1)
})

scenario('all of nack multiple is dead-lettered in order', async (scope) => {
  const { queue, dead } = await deadLettering(scope)
  await send(scope.channel, queue, ['a', 'b', 'c'])
  const channel = await scope.open()
  for (let index = 0; index < 3; index += 1) await getOne(channel, queue)
  channel.nackAll(false)
  await untilReady(scope.channel, dead, 3)
  assert.deepEqual(await drain(scope.channel, dead), ['a', 'b', 'c'])
})

scenario('purged and deleted messages are not dead-lettered', async (scope) => {
  const { queue, dead } = await deadLettering(scope)
  await send(scope.channel, queue, ['a'])
  await scope.channel.purgeQueue(queue)
  await send(scope.channel, queue, ['b'])
  await scope.channel.deleteQueue(queue)
  await publish(scope.channel, '', dead, 'mark')
  assert.deepEqual(await drain(scope.channel, dead), ['mark'])
})

scenario('a dead letter goes to every queue the exchange routes it to', async (scope) => {
  const { queue, dead, exchange } = await deadLettering(scope)
  const second = await scope.queue()
  await scope.channel.bindQueue(second, exchange, '')
  await send(scope.channel, queue, ['a'])
  scope.channel.nack(await getOne(scope.channel, queue), false, false)
  assert.equal(text(await arriving(scope.channel, dead)), 'a')
  assert.equal(text(await arriving(scope.channel, second)), 'a')
})
