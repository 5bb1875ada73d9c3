import assert from 'node:assert/strict'

import { drain, getOne, Inbox, send, text, untilReady } from '../../support/amqp-messages.ts'
import { scenario } from '../../support/amqp-scope.ts'

scenario('ack removes, single and multiple', async (scope) => {
  const queue = await scope.queue()
  await send(scope.channel, queue, ['a', 'b', 'c', 'd'])
  const channel = await scope.open()
  const inbox = await Inbox.open(channel, queue)
  const messages = await inbox.take(4)
  channel.ack(messages[1]!)
  channel.ack(messages[2]!, true)
  await channel.close()
  assert.deepEqual(await drain(scope.channel, queue), ['d'])
})

scenario('tag 0 with multiple acknowledges all', async (scope) => {
  const queue = await scope.queue()
  await send(scope.channel, queue, ['a', 'b', 'c'])
  const channel = await scope.open()
  const inbox = await Inbox.open(channel, queue)
  await inbox.take(3)
  channel.ackAll()
  await channel.close()
  assert.deepEqual(await drain(scope.channel, queue), [])
})

scenario('nack and reject put back or drop', async (scope) => {
  const queue = await scope.queue()
  await send(scope.channel, queue, ['a', 'b', 'c', 'd'])
  const channel = await scope.open()
  const messages = []
  for (let index = 0; index < 4; index += 1) messages.push(await getOne(channel, queue))
  const [a, b, c, d] = messages
  channel.nack(a!, false, true)
  channel.nack(b!, false, false)
  channel.reject(c!, true)
  channel.reject(d!, false)
  await untilReady(scope.channel, queue, 2)
  const back = [await getOne(scope.channel, queue), await getOne(scope.channel, queue)]
  assert.deepEqual(back.map(text), ['a', 'c'])
  assert.deepEqual(
    back.map((message) => message.fields.redelivered),
    [true, true],
  )
})

scenario('nack multiple takes all up to the tag', async (scope) => {
  const queue = await scope.queue()
  await send(scope.channel, queue, ['a', 'b', 'c'])
  const inbox = await Inbox.open(scope.channel, queue)
  const messages = await inbox.take(3)
  await scope.channel.cancel(inbox.tag)
  scope.channel.nack(messages[1]!, true, true)
  await untilReady(scope.channel, queue, 2)
  assert.deepEqual(await drain(scope.channel, queue), ['a', 'b'])
  scope.channel.nackAll(true)
  await untilReady(scope.channel, queue, 1)
  assert.deepEqual(await drain(scope.channel, queue), ['c'])
})

scenario('what is put back returns to its place', async (scope) => {
  const queue = await scope.queue()
  await send(scope.channel, queue, ['a', 'b', 'c', 'd', 'e'])
  const channel = await scope.open()
  const a = await getOne(channel, queue)
  const b = await getOne(channel, queue)
  const c = await getOne(channel, queue)
  channel.ack(b)
  channel.nack(c)
  channel.nack(a)
  await untilReady(scope.channel, queue, 4)
  assert.deepEqual(await drain(scope.channel, queue), ['a', 'c', 'd', 'e'])
})

scenario('a closed channel or connection gives its deliveries back, in order', async (scope) => {
  const queue = await scope.queue()
  await send(scope.channel, queue, ['a', 'b', 'c'])
  const channel = await scope.open()
  for (let index = 0; index < 3; index += 1) await getOne(channel, queue)
  await channel.close()
  await untilReady(scope.channel, queue, 3)
  const raw = await scope.raw()
  await raw.openChannel(1)
  raw.sendMethod(1, { name: 'basic.get', queue })
  assert.equal((await raw.method('basic.get-ok')).redelivered, true)
  await raw.content()
  raw.destroy()
  await untilReady(scope.channel, queue, 3)
  assert.deepEqual(await drain(scope.channel, queue), ['a', 'b', 'c'])
})

for (const method of ['basic.ack', 'basic.nack', 'basic.reject'] as const) {
  scenario(`${method} of an unknown tag is refused`, async (scope) => {
    const raw = await scope.raw()
    await raw.openChannel(1)
    raw.sendMethod(1, { name: method, deliveryTag: 42 })
    assert.deepEqual(await raw.channelClose(1), {
      code: 406,
      text: 'PRECONDITION_FAILED - unknown delivery tag 42',
      method,
    })
  })
}

scenario('a tag may be settled once', async (scope) => {
  const queue = await scope.queue()
  await send(scope.channel, queue, ['a'])
  await scope.refused(
    async (channel) => {
      const message = await getOne(channel, queue)
      channel.ack(message)
      channel.ack(message)
    },
    {
      scope: 'channel',
      code: 406,
      text: 'PRECONDITION_FAILED - unknown delivery tag 1',
      method: 'basic.ack',
    },
  )
})

scenario('a delivery without acknowledgement has no tag to settle', async (scope) => {
  const queue = await scope.queue()
  await send(scope.channel, queue, ['a'])
  await scope.refused(
    async (channel) => {
      const message = await channel.get(queue, { noAck: true })
      assert.ok(message !== false)
      channel.ack(message)
    },
    { scope: 'channel', code: 406, text: 'PRECONDITION_FAILED - unknown delivery tag 1' },
  )
})

scenario('a tag of another channel is unknown', async (scope) => {
  const queue = await scope.queue()
  await send(scope.channel, queue, ['a'])
  const message = await getOne(scope.channel, queue)
  await scope.refused((channel) => channel.ack(message), { scope: 'channel', code: 406 })
})

scenario('multiple with tag 0 and nothing delivered is fine', async (scope) => {
  const channel = await scope.open()
  channel.ackAll()
  channel.nackAll()
  await channel.close()
})

scenario('recover puts everything of the channel back', async (scope) => {
  const queue = await scope.queue()
  await send(scope.channel, queue, ['a', 'b'])
  const channel = await scope.open()
  const inbox = await Inbox.open(channel, queue)
  await inbox.take(2)
  await channel.recover()
  const again = await inbox.take(2)
  assert.deepEqual(again.map(text), ['a', 'b'])
  assert.deepEqual(
    again.map((message) => [message.fields.redelivered, message.fields.deliveryTag]),
    [
      [true, 3],
      [true, 4],
    ],
  )
})

scenario('recover-async is not answered', async (scope) => {
  const queue = await scope.queue()
  await send(scope.channel, queue, ['a'])
  const raw = await scope.raw()
  await raw.openChannel(1)
  raw.sendMethod(1, { name: 'basic.get', queue })
  await raw.method('basic.get-ok')
  await raw.content()
  raw.sendMethod(1, { name: 'basic.recover-async', requeue: true })
  raw.sendMethod(1, { name: 'basic.get', queue })
  assert.equal((await raw.method('basic.get-ok')).redelivered, true)
})

scenario('recover without requeue is not implemented', async (scope) => {
  const raw = await scope.raw()
  await raw.openChannel(1)
  raw.sendMethod(1, { name: 'basic.recover', requeue: false })
  assert.deepEqual(await raw.connectionClose(), {
    code: 540,
    text: 'NOT_IMPLEMENTED - requeue=false',
    method: 'basic.recover',
  })
})

scenario('acknowledged messages of a deleted queue harm nobody', async (scope) => {
  const queue = await scope.queue()
  await send(scope.channel, queue, ['a', 'b'])
  const channel = await scope.open()
  const a = await getOne(channel, queue)
  const b = await getOne(channel, queue)
  await scope.channel.deleteQueue(queue)
  channel.ack(a)
  channel.nack(b)
  await channel.close()
})
