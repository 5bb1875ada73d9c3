import assert from 'node:assert/strict'

import { scenario } from '../../support/amqp-scope.ts'
import type { RawClient } from '../../support/raw-client.ts'

function close(raw: RawClient, channel: number): void {
  raw.sendMethod(channel, {
    name: 'channel.close',
    replyCode: 200,
    replyText: '',
    classId: 0,
    methodId: 0,
  })
}

scenario('a channel number may be used again at once', async (scope) => {
  const raw = await scope.raw()
  for (let round = 0; round < 3; round += 1) {
    await raw.openChannel(1)
    close(raw, 1)
    await raw.method('channel.close-ok')
  }
  await raw.openChannel(1)
  raw.sendMethod(1, { name: 'queue.purge', queue: scope.name('missing') })
  assert.equal((await raw.channelClose(1)).code, 404)
  await raw.openChannel(1)
  raw.sendMethod(1, { name: 'basic.qos', prefetchCount: 1 })
  await raw.method('basic.qos-ok')
})

scenario('an error of one channel leaves the others alone', async (scope) => {
  const queue = await scope.queue()
  const raw = await scope.raw()
  await raw.openChannel(1)
  await raw.openChannel(2)
  raw.sendMethod(1, { name: 'queue.purge', queue: scope.name('missing') })
  await raw.channelClose(1)
  raw.sendMethod(2, { name: 'queue.purge', queue })
  await raw.method('queue.purge-ok')
})

scenario('what comes for a channel that the server closes is dropped', async (scope) => {
  const queue = await scope.queue()
  const raw = await scope.raw()
  await raw.openChannel(1)
  raw.sendMethod(1, { name: 'queue.purge', queue: scope.name('missing') })
  raw.sendPublish(1, { key: queue }, 'dropped')
  raw.sendMethod(1, { name: 'queue.purge', queue })
  await raw.channelClose(1)
  await raw.openChannel(1)
  raw.sendMethod(1, { name: 'queue.purge', queue })
  assert.equal((await raw.method('queue.purge-ok')).messageCount, 0)
})

scenario('channel.flow active is answered, inactive is not implemented', async (scope) => {
  const raw = await scope.raw()
  await raw.openChannel(1)
  raw.sendMethod(1, { name: 'channel.flow', active: true })
  assert.equal((await raw.method('channel.flow-ok')).active, true)
  raw.sendMethod(1, { name: 'channel.flow', active: false })
  assert.deepEqual(await raw.connectionClose(), {
    code: 540,
    text: 'NOT_IMPLEMENTED - active=false',
    method: 'channel.flow',
  })
})

scenario('many channels of one connection work side by side', async (scope) => {
  const queue = await scope.queue()
  const raw = await scope.raw()
  const count = 50
  for (let channel = 1; channel <= count; channel += 1) {
    raw.sendMethod(channel, { name: 'channel.open' })
  }
  for (let channel = 1; channel <= count; channel += 1) await raw.method('channel.open-ok')
  for (let channel = 1; channel <= count; channel += 1) {
    raw.sendMethod(channel, { name: 'confirm.select' })
  }
  for (let channel = 1; channel <= count; channel += 1) await raw.method('confirm.select-ok')
  for (let channel = 1; channel <= count; channel += 1) {
    raw.sendPublish(channel, { key: queue }, `${channel}`)
  }
  for (let channel = 1; channel <= count; channel += 1) {
    assert.equal((await raw.method('basic.ack')).deliveryTag, 1)
  }
  assert.equal((await scope.channel.checkQueue(queue)).messageCount, count)
})
