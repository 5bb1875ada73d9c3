import assert from 'node:assert/strict'

import { send } from '../../support/amqp-messages.ts'
import { scenario } from '../../support/amqp-scope.ts'

scenario('a queue is declared, declared again, and looked at passively', async (scope) => {
  const name = scope.name('declare')
  const first = await scope.channel.assertQueue(name, { durable: true })
  assert.deepEqual({ ...first }, { queue: name, messageCount: 0, consumerCount: 0 })
  await send(scope.channel, name, ['a', 'b'])
  await scope.channel.consume(name, () => {}, { noAck: false, consumerTag: 'c' })
  await scope.channel.cancel('c')
  await scope.channel.recover()
  const again = await scope.channel.assertQueue(name, { durable: true })
  assert.equal(again.messageCount, 2)
  assert.equal((await scope.channel.checkQueue(name)).messageCount, 2)
})

scenario(
  'message count is of ready messages only, consumer count of all consumers',
  async (scope) => {
    const queue = await scope.queue()
    await send(scope.channel, queue, ['a', 'b', 'c'])
    await scope.channel.prefetch(1)
    await scope.channel.consume(queue, () => {})
    const seen = await scope.channel.checkQueue(queue)
    assert.deepEqual([seen.messageCount, seen.consumerCount], [2, 1])
  },
)

scenario(
  'an empty name makes the server choose one, and stands for the last one later',
  async (scope) => {
    const { queue } = await scope.channel.assertQueue('', { exclusive: true })
    assert.match(queue, /^amq\.gen-[A-Za-z0-9_-]{22}$/)
    const raw = await scope.raw()
    await raw.openChannel(1)
    raw.sendMethod(1, { name: 'queue.declare', queue: '', exclusive: true, arguments: new Map() })
    const named = (await raw.method('queue.declare-ok')).queue
    raw.sendMethod(1, {
      name: 'queue.bind',
      queue: '',
      exchange: 'amq.direct',
      routingKey: '',
      arguments: new Map(),
    })
    await raw.method('queue.bind-ok')
    raw.sendPublish(1, { exchange: 'amq.direct', key: named }, 'by the queue name as key')
    raw.sendMethod(1, { name: 'basic.get', queue: '', noAck: true })
    assert.equal((await raw.method('basic.get-ok')).routingKey, named)
    assert.equal((await raw.content()).body.toString(), 'by the queue name as key')
    raw.sendMethod(1, { name: 'queue.delete', queue: '' })
    assert.equal((await raw.method('queue.delete-ok')).messageCount, 0)
  },
)

scenario('an empty name without a queue declared before is refused', async (scope) => {
  const raw = await scope.raw()
  await raw.openChannel(1)
  raw.sendMethod(1, { name: 'queue.purge', queue: '' })
  assert.deepEqual(await raw.channelClose(1), {
    code: 404,
    text: 'NOT_FOUND - no previously declared queue',
    method: 'queue.purge',
  })
  await raw.openChannel(1)
  raw.sendMethod(1, { name: 'basic.get', queue: '' })
  assert.equal((await raw.channelClose(1)).method, 'basic.get')
})

scenario('nowait is not answered, and its errors still close the channel', async (scope) => {
  const name = scope.name('nowait')
  const raw = await scope.raw()
  await raw.openChannel(1)
  raw.sendMethod(1, { name: 'queue.declare', queue: name, nowait: true, arguments: new Map() })
  raw.sendMethod(1, { name: 'queue.purge', queue: name })
  await raw.method('queue.purge-ok')
  raw.sendMethod(1, {
    name: 'queue.declare',
    queue: name,
    durable: true,
    nowait: true,
    arguments: new Map(),
  })
  assert.equal((await raw.channelClose(1)).code, 406)
})

scenario('a missing queue is refused by every method that needs it', async (scope) => {
  const name = scope.name('missing')
  const text = `NOT_FOUND - no queue '${name}' in vhost '/'`
  const expected = { scope: 'channel', code: 404, text } as const
  await scope.refused((channel) => channel.checkQueue(name), {
    ...expected,
    method: 'queue.declare',
  })
  await scope.refused((channel) => channel.consume(name, () => {}), {
    ...expected,
    method: 'basic.consume',
  })
  await scope.refused((channel) => channel.get(name), { ...expected, method: 'basic.get' })
  await scope.refused((channel) => channel.purgeQueue(name), { ...expected, method: 'queue.purge' })
  await scope.refused((channel) => channel.bindQueue(name, 'amq.direct', 'k'), {
    ...expected,
    method: 'queue.bind',
  })
})

scenario('deleting what is not there, and unbinding it, succeeds', async (scope) => {
  const name = scope.name('missing')
  assert.equal((await scope.channel.deleteQueue(name)).messageCount, 0)
  await scope.channel.deleteExchange(name)
  const queue = await scope.queue()
  await scope.channel.unbindQueue(queue, 'amq.direct', 'never bound')
  await scope.channel.unbindExchange('amq.fanout', 'amq.direct', 'never bound')
})

scenario(
  'delete tells the number of messages; if-empty and if-unused hold it back',
  async (scope) => {
    const queue = await scope.queue()
    await send(scope.channel, queue, ['a', 'b', 'c'])
    await scope.refused((channel) => channel.deleteQueue(queue, { ifEmpty: true }), {
      scope: 'channel',
      code: 406,
      text: `PRECONDITION_FAILED - queue '${queue}' in vhost '/' not empty`,
      method: 'queue.delete',
    })
    const { consumerTag } = await scope.channel.consume(queue, () => {})
    await scope.refused((channel) => channel.deleteQueue(queue, { ifUnused: true }), {
      scope: 'channel',
      code: 406,
      text: `PRECONDITION_FAILED - queue '${queue}' in vhost '/' in use`,
      method: 'queue.delete',
    })
    await scope.channel.cancel(consumerTag)
    await scope.channel.recover()
    assert.equal((await scope.channel.deleteQueue(queue, { ifUnused: true })).messageCount, 3)
  },
)

scenario('purge drops ready messages and leaves unacknowledged ones', async (scope) => {
  const queue = await scope.queue()
  await send(scope.channel, queue, ['a', 'b', 'c'])
  const held = await scope.channel.get(queue)
  assert.ok(held !== false)
  assert.equal((await scope.channel.purgeQueue(queue)).messageCount, 2)
  scope.channel.nack(held)
  const back = await scope.channel.get(queue)
  assert.ok(back !== false)
  assert.deepEqual([back.content.toString(), back.fields.redelivered], ['a', true])
})

scenario('names that start with amq. are reserved', async (scope) => {
  await scope.refused((channel) => channel.assertQueue('amq.mine'), {
    scope: 'channel',
    code: 403,
    text: "ACCESS_REFUSED - queue name 'amq.mine' contains reserved prefix 'amq.*'",
    method: 'queue.declare',
  })
  await scope.refused((channel) => channel.checkQueue('amq.mine'), {
    code: 404,
    text: "NOT_FOUND - no queue 'amq.mine' in vhost '/'",
  })
})

scenario(
  'another durability, auto-delete or exclusivity is refused with both values',
  async (scope) => {
    const queue = await scope.queue({ durable: true })
    const text = (name: string, received: string, current: string): string =>
      `PRECONDITION_FAILED - inequivalent arg '${name}' for queue '${queue}' in vhost '/': ` +
      `received '${received}' but current is '${current}'`
    await scope.refused((channel) => channel.assertQueue(queue, { durable: false }), {
      scope: 'channel',
      code: 406,
      text: text('durable', 'false', 'true'),
      method: 'queue.declare',
    })
    await scope.refused((channel) => channel.assertQueue(queue, { autoDelete: true }), {
      code: 406,
      text: text('auto_delete', 'true', 'false'),
    })
    await scope.refused((channel) => channel.assertQueue(queue, { exclusive: true }), {
      code: 405,
    })
  },
)

scenario('a passive declare looks at the name only', async (scope) => {
  const queue = await scope.queue({ durable: true, maxLength: 3 })
  const raw = await scope.raw()
  await raw.openChannel(1)
  raw.sendMethod(1, {
    name: 'queue.declare',
    queue,
    passive: true,
    autoDelete: true,
    arguments: new Map([['x-max-length', 77]]),
  })
  assert.equal((await raw.method('queue.declare-ok')).queue, queue)
})

scenario(
  'an auto-delete queue goes with its last consumer, not before the first',
  async (scope) => {
    const queue = await scope.queue({ autoDelete: true, durable: false })
    const second = await scope.open()
    await scope.channel.consume(queue, () => {}, { consumerTag: 'one' })
    await second.consume(queue, () => {}, { consumerTag: 'two' })
    await scope.channel.cancel('one')
    assert.equal((await scope.channel.checkQueue(queue)).consumerCount, 1)
    await second.close()
    await scope.refused((channel) => channel.checkQueue(queue), { code: 404 })
  },
)

scenario('queue.delete of one queue leaves its namesake exchange alone', async (scope) => {
  const name = scope.name('both')
  await scope.channel.assertQueue(name)
  await scope.channel.assertExchange(name, 'fanout')
  await scope.channel.deleteQueue(name)
  await scope.channel.checkExchange(name)
})
