import assert from 'node:assert/strict'

import { drain, Inbox, send, text, untilReady } from '../../support/amqp-messages.ts'
import { scenario } from '../../support/amqp-scope.ts'

scenario('a consumer gets what waits and what comes, in order', async (scope) => {
  const queue = await scope.queue()
  await send(scope.channel, queue, ['a', 'b'])
  const inbox = await Inbox.open(scope.channel, queue, { noAck: true })
  await send(scope.channel, queue, ['c'])
  const messages = await inbox.take(3)
  assert.deepEqual(messages.map(text), ['a', 'b', 'c'])
  assert.deepEqual(
    messages.map((message) => message.fields.deliveryTag),
    [1, 2, 3],
  )
  assert.deepEqual(
    { ...messages[0]!.fields },
    {
      consumerTag: inbox.tag,
      deliveryTag: 1,
      redelivered: false,
      exchange: '',
      routingKey: queue,
    },
  )
})

scenario('the server names a consumer that has no tag', async (scope) => {
  const queue = await scope.queue()
  const { consumerTag } = await scope.channel.consume(queue, () => {})
  assert.match(consumerTag, /^amq\.ctag-[A-Za-z0-9_-]{22}$/)
})

scenario('consume-ok comes before the first delivery', async (scope) => {
  const queue = await scope.queue()
  await send(scope.channel, queue, ['a'])
  const raw = await scope.raw()
  await raw.openChannel(1)
  raw.sendMethod(1, { name: 'basic.consume', queue, consumerTag: 't', arguments: new Map() })
  assert.equal((await raw.method('basic.consume-ok')).consumerTag, 't')
  assert.equal((await raw.method('basic.deliver')).consumerTag, 't')
})

scenario('a consumer tag in use is refused on the connection', async (scope) => {
  const queue = await scope.queue()
  await scope.refused(
    async (channel) => {
      await channel.consume(queue, () => {}, { consumerTag: 'twice' })
      await channel.consume(queue, () => {}, { consumerTag: 'twice' })
    },
    {
      scope: 'connection',
      code: 530,
      text: "NOT_ALLOWED - attempt to reuse consumer tag 'twice'",
      // RabbitMQ blames no method here.
      method: '',
    },
  )
})

scenario('the same tag on two channels, and again after cancel, is fine', async (scope) => {
  const queue = await scope.queue()
  const second = await scope.open()
  await scope.channel.consume(queue, () => {}, { consumerTag: 'same' })
  await second.consume(queue, () => {}, { consumerTag: 'same' })
  await second.cancel('same')
  await second.consume(queue, () => {}, { consumerTag: 'same' })
})

scenario('exclusive consumers stand alone', async (scope) => {
  const queue = await scope.queue()
  const expected = {
    scope: 'channel',
    code: 403,
    text: `ACCESS_REFUSED - queue '${queue}' in vhost '/' in exclusive use`,
    method: 'basic.consume',
  } as const
  const { consumerTag } = await scope.channel.consume(queue, () => {}, { exclusive: true })
  await scope.refused((channel) => channel.consume(queue, () => {}), expected)
  await scope.refused((channel) => channel.consume(queue, () => {}, { exclusive: true }), expected)
  await scope.channel.cancel(consumerTag)
  await scope.channel.consume(queue, () => {})
  await scope.refused((channel) => channel.consume(queue, () => {}, { exclusive: true }), expected)
})

scenario('cancel stops deliveries and leaves unacknowledged ones alone', async (scope) => {
  const queue = await scope.queue()
  await send(scope.channel, queue, ['a'])
  const inbox = await Inbox.open(scope.channel, queue)
  const message = await inbox.next()
  await scope.channel.cancel(inbox.tag)
  await send(scope.channel, queue, ['b'])
  await inbox.idle()
  assert.equal((await scope.channel.checkQueue(queue)).messageCount, 1)
  scope.channel.ack(message)
  assert.deepEqual(await drain(scope.channel, queue), ['b'])
})

scenario('cancelling an unknown tag succeeds', async (scope) => {
  assert.equal((await scope.channel.cancel('unknown')).consumerTag, 'unknown')
})

scenario('the server cancels consumers of a deleted queue', async (scope) => {
  const queue = await scope.queue()
  const inbox = await Inbox.open(scope.channel, queue)
  await (await scope.open()).deleteQueue(queue)
  await inbox.until(() => inbox.cancelled, 'cancellation')
})

scenario('consumers take turns', async (scope) => {
  const queue = await scope.queue()
  const one = await Inbox.open(scope.channel, queue, { noAck: true })
  const two = await Inbox.open(await scope.open(await scope.connect()), queue, { noAck: true })
  await send(
    scope.channel,
    queue,
    Array.from({ length: 20 }, (_value, index) => String(index)),
  )
  await one.until(() => one.all.length + two.all.length === 20, '20 deliveries')
  assert.deepEqual([one.all.length, two.all.length], [10, 10])
})

scenario('a higher consumer priority gets all while it can take it', async (scope) => {
  const queue = await scope.queue()
  const low = await Inbox.open(await scope.open(), queue, { priority: -1 })
  const high = await scope.open()
  await high.prefetch(2)
  const first = await Inbox.open(high, queue, { priority: 5 })
  await send(scope.channel, queue, ['a', 'b', 'c', 'd'])
  assert.deepEqual((await first.take(2)).map(text), ['a', 'b'])
  assert.deepEqual((await low.take(2)).map(text), ['c', 'd'])
  first.channel.ackAll()
  await send(scope.channel, queue, ['e'])
  assert.equal(text(await first.next()), 'e')
})

scenario('a consumer priority that is no integer is refused', async (scope) => {
  const queue = await scope.queue()
  await scope.refused(
    (channel) => channel.consume(queue, () => {}, { arguments: { 'x-priority': 'high' } }),
    {
      scope: 'channel',
      code: 406,
      text: `PRECONDITION_FAILED - invalid arg 'x-priority' for queue '${queue}' in vhost '/': "expected integer, got longstr"`,
      method: 'basic.consume',
    },
  )
})

scenario('with a single active consumer the others wait for its end', async (scope) => {
  const queue = await scope.queue({ arguments: { 'x-single-active-consumer': true } })
  const first = await Inbox.open(await scope.open(), queue)
  const second = await Inbox.open(await scope.open(), queue)
  await send(scope.channel, queue, ['a', 'b'])
  assert.deepEqual((await first.take(2)).map(text), ['a', 'b'])
  await second.idle()
  await first.channel.close()
  const again = await second.take(2)
  assert.deepEqual(again.map(text), ['a', 'b'])
  assert.deepEqual(
    again.map((message) => message.fields.redelivered),
    [true, true],
  )
})

scenario('exclusive consume and a single active consumer exclude each other', async (scope) => {
  const queue = await scope.queue({ arguments: { 'x-single-active-consumer': true } })
  await scope.refused((channel) => channel.consume(queue, () => {}, { exclusive: true }), {
    scope: 'channel',
    code: 403,
    method: 'basic.consume',
  })
})

scenario('no-local is accepted and does nothing', async (scope) => {
  const queue = await scope.queue()
  const inbox = await Inbox.open(scope.channel, queue, { noLocal: true, noAck: true })
  await send(scope.channel, queue, ['own'])
  assert.equal(text(await inbox.next()), 'own')
})

scenario('get shows what is left, and tells an empty queue', async (scope) => {
  const queue = await scope.queue()
  await send(scope.channel, queue, ['a', 'b', 'c'])
  const first = await scope.channel.get(queue)
  assert.ok(first !== false)
  assert.deepEqual([text(first), first.fields.messageCount], ['a', 2])
  assert.deepEqual(await drain(scope.channel, queue), ['b', 'c'])
  assert.equal(await scope.channel.get(queue), false)
  scope.channel.nack(first)
  await untilReady(scope.channel, queue, 1)
})

scenario('a prefetch limit holds per consumer', async (scope) => {
  const queue = await scope.queue()
  await send(scope.channel, queue, ['a', 'b', 'c', 'd', 'e'])
  const channel = await scope.open()
  await channel.prefetch(2)
  const one = await Inbox.open(channel, queue)
  const [a] = await one.take(2)
  await one.idle()
  const two = await Inbox.open(channel, queue)
  assert.deepEqual((await two.take(2)).map(text), ['c', 'd'])
  await two.idle()
  channel.ack(a!)
  assert.equal(text(await one.next()), 'e')
})

scenario('a new prefetch counts for new consumers only', async (scope) => {
  const queue = await scope.queue()
  const channel = await scope.open()
  await channel.prefetch(1)
  const one = await Inbox.open(channel, queue)
  await channel.prefetch(3)
  await send(scope.channel, queue, ['a', 'b', 'c', 'd', 'e'])
  assert.equal(text(await one.next()), 'a')
  await one.idle()
  const two = await Inbox.open(channel, queue)
  assert.deepEqual((await two.take(3)).map(text), ['b', 'c', 'd'])
  await two.idle()
})

scenario('a global prefetch is shared by the channel', async (scope) => {
  const one = await scope.queue()
  const two = await scope.queue()
  await send(scope.channel, one, ['a', 'b', 'c'])
  await send(scope.channel, two, ['x', 'y', 'z'])
  const channel = await scope.open()
  await channel.prefetch(3, true)
  const first = await Inbox.open(channel, one)
  const second = await Inbox.open(channel, two)
  await first.until(() => first.all.length + second.all.length === 3, 'three deliveries')
  await second.idle(30).catch(() => null)
  assert.equal(first.all.length + second.all.length, 3)
  channel.ack(first.all[0]!)
  await first.until(() => first.all.length + second.all.length === 4, 'one more delivery')
})

scenario('prefetch does not limit consumers without acknowledgement, nor get', async (scope) => {
  const queue = await scope.queue()
  await send(scope.channel, queue, ['a', 'b', 'c'])
  const channel = await scope.open()
  await channel.prefetch(1)
  const held = await channel.get(queue)
  assert.ok(held !== false)
  const inbox = await Inbox.open(channel, queue, { noAck: true })
  assert.deepEqual((await inbox.take(2)).map(text), ['b', 'c'])
})

scenario('a prefetch size is not implemented', async (scope) => {
  const raw = await scope.raw()
  await raw.openChannel(1)
  raw.sendMethod(1, { name: 'basic.qos', prefetchSize: 1000 })
  assert.deepEqual(await raw.connectionClose(), {
    code: 540,
    text: 'NOT_IMPLEMENTED - prefetch_size!=0 (1000)',
    method: 'basic.qos',
  })
})
