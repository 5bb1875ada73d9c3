import assert from 'node:assert/strict'

import { eventually, send } from '../../support/amqp-messages.ts'
import { scenario } from '../../support/amqp-scope.ts'

scenario('an exclusive queue is locked for every other connection', async (scope) => {
  const queue = await scope.queue({ exclusive: true, durable: false })
  const expected = {
    scope: 'channel',
    code: 405,
    text:
      `RESOURCE_LOCKED - cannot obtain exclusive access to locked queue '${queue}' in vhost '/'. ` +
      'It could be originally declared on another connection or the exclusive property value ' +
      'does not match that of the original declaration.',
  } as const
  await scope.refused(
    (channel) => channel.assertQueue(queue, { exclusive: true, durable: false }),
    {
      ...expected,
      method: 'queue.declare',
    },
  )
  await scope.refused((channel) => channel.checkQueue(queue), {
    ...expected,
    method: 'queue.declare',
  })
  await scope.refused((channel) => channel.consume(queue, () => {}), {
    ...expected,
    method: 'basic.consume',
  })
  await scope.refused((channel) => channel.get(queue), { ...expected, method: 'basic.get' })
  await scope.refused((channel) => channel.purgeQueue(queue), {
    ...expected,
    method: 'queue.purge',
  })
  await scope.refused((channel) => channel.deleteQueue(queue), {
    ...expected,
    method: 'queue.delete',
  })
  await scope.refused((channel) => channel.bindQueue(queue, 'amq.direct', 'k'), {
    ...expected,
    method: 'queue.bind',
  })
  // Of a binding that is not there nothing is checked: unbinding it succeeds.
  await scope.channel.bindQueue(queue, 'amq.direct', 'k')
  await scope.refused((channel) => channel.unbindQueue(queue, 'amq.direct', 'k'), {
    ...expected,
    method: 'queue.unbind',
  })
})

scenario('publishing to an exclusive queue of another connection is allowed', async (scope) => {
  const queue = await scope.queue({ exclusive: true, durable: false })
  const other = await scope.open(await scope.connect())
  await send(other, queue, ['hello'])
  assert.equal((await scope.channel.checkQueue(queue)).messageCount, 1)
})

scenario('its own connection may declare an exclusive queue again', async (scope) => {
  const queue = await scope.queue({ exclusive: true })
  const second = await scope.open()
  await second.assertQueue(queue, { exclusive: true })
  await scope.refused((channel) => channel.assertQueue(queue), { code: 405 }, second)
})

scenario('an exclusive queue goes with its connection', async (scope) => {
  const owner = await scope.connect()
  const queue = scope.name('exclusive')
  await (await scope.open(owner)).assertQueue(queue, { exclusive: true, durable: true })
  await owner.close()
  await eventually(async () => {
    const channel = await scope.open(await scope.connect())
    return channel.checkQueue(queue).then(
      () => null,
      (error: { code?: number }) => (error.code === 404 ? true : null),
    )
  }, 'end of the exclusive queue')
})
