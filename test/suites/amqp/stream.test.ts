import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'

import type { ConsumeMessage } from 'amqplib'

import { headersOf, Inbox, send, text } from '../../support/amqp-messages.ts'
import { scenario, type Scope } from '../../support/amqp-scope.ts'

async function stream(scope: Scope, args: Readonly<Record<string, unknown>> = {}): Promise<string> {
  return scope.queue({ arguments: { 'x-queue-type': 'stream', ...args } }, 'stream')
}

async function reader(scope: Scope, queue: string, offset?: unknown): Promise<Inbox> {
  const channel = await scope.open()
  await channel.prefetch(100)
  const args = offset === undefined ? {} : { 'x-stream-offset': offset }
  return Inbox.open(channel, queue, { arguments: args })
}

function offsetOf(message: ConsumeMessage): unknown {
  return headersOf(message)['x-stream-offset']
}

const BODIES = Array.from({ length: 10 }, (_value, index) => `m${index}`)

scenario('first reads all, again and again, with offsets', async (scope) => {
  const queue = await stream(scope)
  await send(scope.channel, queue, BODIES)
  for (let round = 0; round < 2; round += 1) {
    const inbox = await reader(scope, queue, 'first')
    const messages = await inbox.take(10)
    assert.deepEqual(messages.map(text), BODIES)
    assert.deepEqual(messages.map(offsetOf), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    inbox.channel.ackAll()
    await inbox.channel.close()
  }
})

scenario('next is the default and reads what comes', async (scope) => {
  const queue = await stream(scope)
  await send(scope.channel, queue, BODIES)
  const plain = await reader(scope, queue)
  const next = await reader(scope, queue, 'next')
  await plain.idle()
  await send(scope.channel, queue, ['new'])
  assert.equal(text(await plain.next()), 'new')
  const message = await next.next()
  assert.deepEqual([text(message), offsetOf(message)], ['new', 10])
})

scenario('a number reads from that offset on', async (scope) => {
  const queue = await stream(scope)
  await send(scope.channel, queue, BODIES)
  const inbox = await reader(scope, queue, 4)
  assert.deepEqual((await inbox.take(6)).map(text), BODIES.slice(4))
  const beyond = await reader(scope, queue, 12)
  await send(scope.channel, queue, ['ten', 'eleven', 'twelve'])
  assert.equal(text(await beyond.next()), 'twelve')
})

scenario('last reads from the last chunk on', async (scope) => {
  const queue = await stream(scope)
  await send(scope.channel, queue, BODIES)
  await sleep(50)
  await send(scope.channel, queue, ['end'])
  const inbox = await reader(scope, queue, 'last')
  await inbox.until(() => inbox.all.some((message) => text(message) === 'end'), 'the end')
})

scenario('a timestamp reads from about that time on', async (scope) => {
  const queue = await stream(scope)
  await send(scope.channel, queue, ['old'])
  await sleep(1_100)
  const seconds = Math.floor(Date.now() / 1000)
  await sleep(20)
  await send(scope.channel, queue, ['new'])
  const since = await reader(scope, queue, { '!': 'timestamp', value: seconds })
  assert.equal(text(await since.next()), 'new')
  const all = await reader(scope, queue, { '!': 'timestamp', value: seconds - 3600 })
  assert.deepEqual((await all.take(2)).map(text), ['old', 'new'])
})

scenario('a span reads from that long ago', async (scope) => {
  const queue = await stream(scope)
  await send(scope.channel, queue, ['a', 'b'])
  const inbox = await reader(scope, queue, '1h')
  assert.deepEqual((await inbox.take(2)).map(text), ['a', 'b'])
})

scenario('acknowledgement is credit: without it the prefetch is all that comes', async (scope) => {
  const queue = await stream(scope)
  await send(scope.channel, queue, BODIES)
  const channel = await scope.open()
  await channel.prefetch(3)
  const inbox = await Inbox.open(channel, queue, { arguments: { 'x-stream-offset': 'first' } })
  const messages = await inbox.take(3)
  await inbox.idle()
  channel.ack(messages[2]!, true)
  assert.deepEqual((await inbox.take(3)).map(text), ['m3', 'm4', 'm5'])
})

scenario('a stream is consumed with acknowledgement and prefetch only', async (scope) => {
  const queue = await stream(scope)
  await scope.refused(
    async (channel) => {
      await channel.prefetch(10)
      await channel.consume(queue, () => {}, { noAck: true })
    },
    {
      scope: 'connection',
      code: 540,
      text: `NOT_IMPLEMENTED - automatic acknowledgement not supported by stream queue '${queue}' in vhost '/'`,
      method: '',
    },
  )
  await scope.refused((channel) => channel.consume(queue, () => {}), {
    scope: 'channel',
    code: 406,
    text: `PRECONDITION_FAILED - consumer prefetch count is not set for stream queue '${queue}' in vhost '/'`,
    method: 'basic.consume',
  })
  await scope.refused((channel) => channel.get(queue), {
    scope: 'connection',
    code: 540,
    text: `NOT_IMPLEMENTED - basic.get not supported by stream queues queue '${queue}' in vhost '/'`,
    method: '',
  })
  await scope.refused((channel) => channel.purgeQueue(queue), {
    scope: 'connection',
    code: 540,
    text: `NOT_IMPLEMENTED - queue.purge not supported by stream queues queue '${queue}' in vhost '/'`,
    method: '',
  })
})

scenario('a bad offset is refused', async (scope) => {
  const queue = await stream(scope)
  await scope.refused(
    async (channel) => {
      await channel.prefetch(10)
      await channel.consume(queue, () => {}, { arguments: { 'x-stream-offset': 'middle' } })
    },
    // RabbitMQ 4.0 ends with an internal error; a refusal of the argument is what is meant.
    scope.isRabbit
      ? { scope: 'connection', code: 541 }
      : { scope: 'channel', code: 406, method: 'basic.consume' },
  )
})

scenario('bad stream arguments are refused', async (scope) => {
  const name = scope.name('bad')
  const text = `PRECONDITION_FAILED - invalid arg 'x-max-age' for queue '${name}' in vhost '/': `
  await scope.refused(
    (channel) =>
      channel.assertQueue(name, { arguments: { 'x-queue-type': 'stream', 'x-max-age': '7Q' } }),
    { scope: 'channel', code: 406, text: `${text}invalid_max_age` },
  )
  await scope.refused(
    (channel) =>
      channel.assertQueue(name, { arguments: { 'x-queue-type': 'stream', 'x-max-age': 5 } }),
    { scope: 'channel', code: 406, text: `${text}{unacceptable_type,byte}` },
  )
})

scenario('several readers each see everything', async (scope) => {
  const queue = await stream(scope, { 'x-max-age': '7D', 'x-max-length-bytes': 20_000_000 })
  const inboxes = [await reader(scope, queue, 'first'), await reader(scope, queue, 'first')]
  await send(scope.channel, queue, BODIES)
  for (const inbox of inboxes) {
    assert.deepEqual((await inbox.take(10)).map(text), BODIES)
  }
})

scenario('binding routes to a stream, headers and properties are kept', async (scope) => {
  const queue = await stream(scope)
  const exchange = await scope.exchange('topic')
  await scope.channel.bindQueue(queue, exchange, 'a.#')
  scope.channel.publish(exchange, 'a.b', Buffer.from('x'), {
    headers: { mine: 'kept' },
    messageId: 'm',
  })
  const message = await (await reader(scope, queue, 'first')).next()
  assert.equal(headersOf(message)['mine'], 'kept')
  assert.deepEqual(
    [message.properties.messageId, message.fields.exchange, message.fields.routingKey],
    ['m', exchange, 'a.b'],
  )
})
