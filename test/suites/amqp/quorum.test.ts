import assert from 'node:assert/strict'

import {
  arriving,
  drain,
  drainMessages,
  eventually,
  getOne,
  headersOf,
  Inbox,
  publish,
  send,
  text,
  untilReady,
} from '../../support/amqp-messages.ts'
import { scenario, type Scope } from '../../support/amqp-scope.ts'

async function quorum(scope: Scope, args: Readonly<Record<string, unknown>> = {}): Promise<string> {
  return scope.queue({ arguments: { 'x-queue-type': 'quorum', ...args } }, 'quorum')
}

scenario('a quorum queue takes, gives and settles as others do', async (scope) => {
  const queue = await quorum(scope)
  await send(scope.channel, queue, ['a', 'b', 'c'])
  const inbox = await Inbox.open(scope.channel, queue)
  const messages = await inbox.take(3)
  assert.deepEqual(messages.map(text), ['a', 'b', 'c'])
  scope.channel.ackAll()
  await scope.channel.cancel(inbox.tag)
  assert.deepEqual(await drain(scope.channel, queue), [])
})

scenario('x-delivery-count counts what was put back', async (scope) => {
  const queue = await quorum(scope)
  await send(scope.channel, queue, ['a'])
  const counts: unknown[] = []
  for (let round = 0; round < 3; round += 1) {
    await untilReady(scope.channel, queue, 1)
    const message = await getOne(scope.channel, queue)
    counts.push([headersOf(message)['x-delivery-count'], message.fields.redelivered])
    scope.channel.nack(message)
  }
  assert.deepEqual(counts, [
    [undefined, false],
    [1, true],
    [2, true],
  ])
})

scenario('above the delivery limit a message is dead-lettered', async (scope) => {
  const dead = await scope.queue()
  const queue = await quorum(scope, {
    'x-delivery-limit': 2,
    'x-dead-letter-exchange': '',
    'x-dead-letter-routing-key': dead,
  })
  await send(scope.channel, queue, ['poison'])
  let deliveries = 0
  await scope.channel.consume(queue, (message) => {
    deliveries += 1
    if (message !== null) scope.channel.nack(message)
  })
  const message = await arriving(scope.channel, dead)
  assert.equal(deliveries, 3)
  const headers = headersOf(message)
  assert.equal(headers['x-first-death-reason'], 'delivery_limit')
  assert.equal(headers['x-first-death-queue'], queue)
})

scenario('without a dead-letter exchange the delivery limit drops', async (scope) => {
  const queue = await quorum(scope, { 'x-delivery-limit': 1 })
  await send(scope.channel, queue, ['poison'])
  let deliveries = 0
  await scope.channel.consume(queue, (message) => {
    deliveries += 1
    if (message !== null) scope.channel.nack(message)
  })
  await eventually(async () => (deliveries === 2 ? true : null), 'second delivery')
  await untilReady(scope.channel, queue, 0)
})

scenario('the default delivery limit is 20', async (scope) => {
  const dead = await scope.queue()
  const queue = await quorum(scope, {
    'x-dead-letter-exchange': '',
    'x-dead-letter-routing-key': dead,
  })
  await send(scope.channel, queue, ['poison'])
  let deliveries = 0
  await scope.channel.consume(queue, (message) => {
    deliveries += 1
    if (message !== null) scope.channel.nack(message)
  })
  await arriving(scope.channel, dead)
  assert.equal(deliveries, 21)
})

const REFUSED_PROPERTIES = [
  [{ durable: false }, 'non-durable'],
  [{ exclusive: true }, 'exclusive-owner'],
  [{ autoDelete: true }, 'auto-delete'],
] as const

for (const type of ['quorum', 'stream']) {
  for (const [options, property] of REFUSED_PROPERTIES) {
    scenario(`a ${type} queue must not be ${property}`, async (scope) => {
      const name = scope.name('bad')
      await scope.refused(
        (channel) => channel.assertQueue(name, { ...options, arguments: { 'x-queue-type': type } }),
        {
          scope: 'channel',
          code: 406,
          text: `PRECONDITION_FAILED - invalid property '${property}' for queue '${name}' in vhost '/'`,
          method: 'queue.declare',
        },
      )
    })
  }
}

const REFUSED_ARGUMENTS = [
  ['quorum', { 'x-max-priority': 3 }],
  ['quorum', { 'x-queue-mode': 'lazy' }],
  ['quorum', { 'x-max-age': '7D' }],
  ['stream', { 'x-max-length': 5 }],
  ['stream', { 'x-overflow': 'drop-head' }],
  ['stream', { 'x-message-ttl': 1000 }],
  ['stream', { 'x-dead-letter-exchange': '' }],
] as const

for (const [type, args] of REFUSED_ARGUMENTS) {
  const [name] = Object.keys(args)
  scenario(`a ${type} queue does not know ${name}`, async (scope) => {
    const queue = scope.name('bad')
    await scope.refused(
      (channel) => channel.assertQueue(queue, { arguments: { 'x-queue-type': type, ...args } }),
      {
        scope: 'channel',
        code: 406,
        text:
          `PRECONDITION_FAILED - invalid arg '${name}' for queue '${queue}' in vhost '/' ` +
          `of queue type rabbit_${type}_queue`,
        method: 'queue.declare',
      },
    )
  })
}

scenario('a bad dead-letter strategy is refused', async (scope) => {
  const name = scope.name('bad')
  await scope.refused(
    (channel) =>
      channel.assertQueue(name, {
        arguments: { 'x-queue-type': 'quorum', 'x-dead-letter-strategy': 'sometimes' },
      }),
    {
      scope: 'channel',
      code: 406,
      text: `PRECONDITION_FAILED - invalid arg 'x-dead-letter-strategy' for queue '${name}' in vhost '/': invalid_dlx_strategy`,
    },
  )
})

scenario('a global prefetch is refused for a quorum queue', async (scope) => {
  const queue = await quorum(scope)
  await scope.refused(
    async (channel) => {
      await channel.prefetch(5, true)
      await channel.consume(queue, () => {})
    },
    {
      scope: 'connection',
      code: 540,
      text: `NOT_IMPLEMENTED - queue '${queue}' in vhost '/' does not support global qos`,
      method: '',
    },
  )
})

scenario('drop-head and reject-publish work on quorum queues', async (scope) => {
  const head = await quorum(scope, { 'x-max-length': 2 })
  await send(scope.channel, head, ['a', 'b', 'c'])
  await untilReady(scope.channel, head, 2)
  assert.deepEqual(await drain(scope.channel, head), ['b', 'c'])
  const rejecting = await quorum(scope, { 'x-max-length': 1, 'x-overflow': 'reject-publish' })
  await eventually(async () => {
    // RabbitMQ notices a full quorum queue a little late.
    const confirm = await publish(scope.channel, '', rejecting, 'x')
    return confirm === 'nack' ? true : null
  }, 'nack')
})

scenario('messages of a quorum queue expire', async (scope) => {
  const queue = await quorum(scope, { 'x-message-ttl': 50 })
  await send(scope.channel, queue, ['a'])
  await untilReady(scope.channel, queue, 0)
})

scenario('high priorities of a quorum queue overtake normal ones', async (scope) => {
  const queue = await quorum(scope)
  for (let index = 0; index < 3; index += 1) {
    await send(scope.channel, queue, [`normal-${index}`], { priority: 4 })
  }
  for (let index = 0; index < 3; index += 1) {
    await send(scope.channel, queue, [`high-${index}`], { priority: 5 })
  }
  const order = (await drainMessages(scope.channel, queue)).map(text)
  assert.deepEqual(order.toSorted(), [
    'high-0',
    'high-1',
    'high-2',
    'normal-0',
    'normal-1',
    'normal-2',
  ])
  assert.deepEqual(
    order.filter((body) => body.startsWith('high')),
    ['high-0', 'high-1', 'high-2'],
  )
  assert.ok(order.indexOf('high-2') < order.indexOf('normal-2'), order.join(' '))
})

scenario('with a single active consumer of a quorum queue the others wait', async (scope) => {
  const queue = await quorum(scope, { 'x-single-active-consumer': true })
  const first = await Inbox.open(await scope.open(), queue)
  const second = await Inbox.open(await scope.open(), queue)
  await send(scope.channel, queue, ['a'])
  assert.equal(text(await first.next()), 'a')
  await second.idle()
  await first.channel.close()
  assert.equal(text(await second.next()), 'a')
})
