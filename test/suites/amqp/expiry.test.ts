import assert from 'node:assert/strict'
import { setTimeout as sleep } from 'node:timers/promises'

import {
  drain,
  eventually,
  getOne,
  Inbox,
  send,
  text,
  untilReady,
} from '../../support/amqp-messages.ts'
import { scenario } from '../../support/amqp-scope.ts'

const SHORT_MS = 60

scenario('a queue TTL ends messages', async (scope) => {
  const queue = await scope.queue({ messageTtl: SHORT_MS })
  await send(scope.channel, queue, ['a', 'b'])
  await untilReady(scope.channel, queue, 2)
  await untilReady(scope.channel, queue, 0)
})

scenario('a message TTL ends that message', async (scope) => {
  const queue = await scope.queue()
  await send(scope.channel, queue, ['short'], { expiration: SHORT_MS })
  await send(scope.channel, queue, ['long'], { expiration: 60_000 })
  await send(scope.channel, queue, ['none'])
  await sleep(SHORT_MS * 2)
  assert.deepEqual(await drain(scope.channel, queue), ['long', 'none'])
})

scenario('the smaller of both TTLs counts', async (scope) => {
  const queue = await scope.queue({ messageTtl: SHORT_MS })
  await send(scope.channel, queue, ['a'], { expiration: 60_000 })
  await untilReady(scope.channel, queue, 0)
  const slow = await scope.queue({ messageTtl: 60_000 })
  await send(scope.channel, slow, ['a'], { expiration: SHORT_MS })
  await untilReady(scope.channel, slow, 0)
})

scenario('TTL 0 reaches a ready consumer and nobody else', async (scope) => {
  const queue = await scope.queue({ messageTtl: 0 })
  await send(scope.channel, queue, ['nobody waits'])
  assert.deepEqual(await drain(scope.channel, queue), [])
  const inbox = await Inbox.open(scope.channel, queue, { noAck: true })
  await send(scope.channel, queue, ['at once'])
  assert.equal(text(await inbox.next()), 'at once')
  const plain = await scope.queue()
  await send(scope.channel, plain, ['nobody waits'], { expiration: 0 })
  assert.deepEqual(await drain(scope.channel, plain), [])
})

scenario('a delivered message does not expire, a returned one does', async (scope) => {
  const queue = await scope.queue({ messageTtl: SHORT_MS })
  await send(scope.channel, queue, ['held'])
  const held = await getOne(scope.channel, queue)
  await sleep(SHORT_MS * 2)
  scope.channel.nack(held)
  await untilReady(scope.channel, queue, 0)
  assert.equal(await scope.channel.get(queue), false)
})

scenario('an unused queue expires', async (scope) => {
  const queue = await scope.queue({ expires: 150 })
  await eventually(async () => {
    const channel = await scope.open()
    // Looking passively does not keep it alive... and neither may this test's own polling.
    await sleep(200)
    return channel.get(queue).then(
      () => null,
      (error: { code?: number }) => (error.code === 404 ? true : null),
    )
  }, 'end of the queue')
})

scenario('a consumer keeps a queue from expiring; its end starts the time anew', async (scope) => {
  const queue = await scope.queue({ expires: 150 })
  const inbox = await Inbox.open(scope.channel, queue, { noAck: true })
  await sleep(300)
  await send(scope.channel, queue, ['still here'])
  assert.equal(text(await inbox.next()), 'still here')
  await scope.channel.cancel(inbox.tag)
  await sleep(400)
  await scope.refused((channel) => channel.checkQueue(queue), { code: 404 })
})

scenario('declaring again starts the time anew', async (scope) => {
  const queue = await scope.queue({ expires: 250 })
  for (let round = 0; round < 4; round += 1) {
    await sleep(100)
    await scope.channel.assertQueue(queue, { expires: 250 })
  }
  await sleep(500)
  await scope.refused((channel) => channel.checkQueue(queue), { code: 404 })
})

scenario('messages do not leave an expired queue as dead letters', async (scope) => {
  const dead = await scope.queue()
  const queue = await scope.queue({
    expires: 100,
    deadLetterExchange: '',
    deadLetterRoutingKey: dead,
  })
  await send(scope.channel, queue, ['a'])
  await sleep(300)
  assert.deepEqual(await drain(scope.channel, dead), [])
})
