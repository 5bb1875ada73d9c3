import assert from 'node:assert/strict'

import { drain, readyCount, send, untilReady } from '../../support/amqp-messages.ts'
import { scenario, type Scope } from '../../support/amqp-scope.ts'
import type { RawClient } from '../../support/raw-client.ts'

async function transacted(scope: Scope): Promise<RawClient> {
  const raw = await scope.raw()
  await raw.openChannel(1)
  raw.sendMethod(1, { name: 'tx.select' })
  await raw.method('tx.select-ok')
  return raw
}

scenario('publishes wait for commit', async (scope) => {
  const queue = await scope.queue()
  const raw = await transacted(scope)
  raw.sendPublish(1, { key: queue }, 'a')
  raw.sendPublish(1, { key: queue }, 'b')
  raw.sendMethod(1, { name: 'queue.declare', queue, passive: true, arguments: new Map() })
  assert.equal((await raw.method('queue.declare-ok')).messageCount, 0)
  raw.sendMethod(1, { name: 'tx.commit' })
  await raw.method('tx.commit-ok')
  assert.deepEqual(await drain(scope.channel, queue), ['a', 'b'])
})

scenario('rollback drops publishes', async (scope) => {
  const queue = await scope.queue()
  const raw = await transacted(scope)
  raw.sendPublish(1, { key: queue }, 'dropped')
  raw.sendMethod(1, { name: 'tx.rollback' })
  await raw.method('tx.rollback-ok')
  raw.sendPublish(1, { key: queue }, 'kept')
  raw.sendMethod(1, { name: 'tx.commit' })
  await raw.method('tx.commit-ok')
  assert.deepEqual(await drain(scope.channel, queue), ['kept'])
})

scenario('acknowledgements wait for commit, rollback takes them back', async (scope) => {
  const queue = await scope.queue()
  await send(scope.channel, queue, ['a', 'b'])
  const raw = await transacted(scope)
  for (const tag of [1, 2]) {
    raw.sendMethod(1, { name: 'basic.get', queue })
    assert.equal((await raw.method('basic.get-ok')).deliveryTag, tag)
    await raw.content()
  }
  raw.sendMethod(1, { name: 'basic.ack', deliveryTag: 1 })
  raw.sendMethod(1, { name: 'tx.rollback' })
  await raw.method('tx.rollback-ok')
  // The deliveries are still unacknowledged: they may be settled anew.
  raw.sendMethod(1, { name: 'basic.ack', deliveryTag: 1 })
  raw.sendMethod(1, { name: 'basic.nack', deliveryTag: 2, requeue: true })
  assert.equal(await readyCount(scope.channel, queue), 0)
  raw.sendMethod(1, { name: 'tx.commit' })
  await raw.method('tx.commit-ok')
  await untilReady(scope.channel, queue, 1)
  assert.deepEqual(await drain(scope.channel, queue), ['b'])
})

scenario('a closed channel rolls back', async (scope) => {
  const queue = await scope.queue()
  const raw = await transacted(scope)
  raw.sendPublish(1, { key: queue }, 'gone')
  raw.sendMethod(1, {
    name: 'channel.close',
    replyCode: 200,
    replyText: '',
    classId: 0,
    methodId: 0,
  })
  await raw.method('channel.close-ok')
  assert.equal(await readyCount(scope.channel, queue), 0)
})

scenario('an unroutable mandatory publish is returned at commit', async (scope) => {
  const raw = await transacted(scope)
  raw.sendPublish(1, { exchange: 'amq.direct', key: 'nowhere', mandatory: true }, 'back')
  raw.sendMethod(1, { name: 'tx.commit' })
  assert.equal((await raw.method('basic.return')).replyCode, 312)
  await raw.content()
  await raw.method('tx.commit-ok')
})

scenario('commit and rollback need select', async (scope) => {
  for (const name of ['tx.commit', 'tx.rollback'] as const) {
    const raw = await scope.raw()
    await raw.openChannel(1)
    raw.sendMethod(1, { name })
    assert.deepEqual(await raw.channelClose(1), {
      code: 406,
      text: 'PRECONDITION_FAILED - channel is not transactional',
      method: name,
    })
  }
})

scenario('a channel is transactional or confirming, not both', async (scope) => {
  const raw = await transacted(scope)
  raw.sendMethod(1, { name: 'confirm.select' })
  assert.deepEqual(await raw.channelClose(1), {
    code: 406,
    text: 'PRECONDITION_FAILED - cannot switch from tx to confirm mode',
    method: 'confirm.select',
  })
  await raw.openChannel(1)
  raw.sendMethod(1, { name: 'confirm.select' })
  await raw.method('confirm.select-ok')
  raw.sendMethod(1, { name: 'tx.select' })
  assert.deepEqual(await raw.channelClose(1), {
    code: 406,
    text: 'PRECONDITION_FAILED - cannot switch from confirm to tx mode',
    method: 'tx.select',
  })
})
