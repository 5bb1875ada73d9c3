import assert from 'node:assert/strict'

import { drain, getOne, send, untilReady } from '../../support/amqp-messages.ts'
import { scenario } from '../../support/amqp-scope.ts'

scenario('higher priorities come first, equal ones in order', async (scope) => {
  const queue = await scope.queue({ maxPriority: 5 })
  for (const [body, priority] of [
    ['low-1', 1],
    ['high-1', 5],
    ['middle', 3],
    ['low-2', 1],
    ['high-2', 5],
  ] as const) {
    await send(scope.channel, queue, [body], { priority })
  }
  await send(scope.channel, queue, ['none'])
  assert.deepEqual(await drain(scope.channel, queue), [
    'high-1',
    'high-2',
    'middle',
    'low-1',
    'low-2',
    'none',
  ])
})

scenario('a priority above the maximum counts as the maximum', async (scope) => {
  const queue = await scope.queue({ maxPriority: 5 })
  await send(scope.channel, queue, ['max'], { priority: 5 })
  await send(scope.channel, queue, ['above'], { priority: 200 })
  await send(scope.channel, queue, ['four'], { priority: 4 })
  assert.deepEqual(await drain(scope.channel, queue), ['max', 'above', 'four'])
})

scenario('without x-max-priority the property changes nothing', async (scope) => {
  const queue = await scope.queue()
  await send(scope.channel, queue, ['a'], { priority: 1 })
  await send(scope.channel, queue, ['b'], { priority: 9 })
  assert.deepEqual(await drain(scope.channel, queue), ['a', 'b'])
})

scenario('what is put back keeps its priority and place', async (scope) => {
  const queue = await scope.queue({ maxPriority: 3 })
  await send(scope.channel, queue, ['a', 'b'], { priority: 2 })
  const first = await getOne(scope.channel, queue)
  await send(scope.channel, queue, ['urgent'], { priority: 3 })
  scope.channel.nack(first)
  await untilReady(scope.channel, queue, 3)
  assert.deepEqual(await drain(scope.channel, queue), ['urgent', 'a', 'b'])
})

// The head is what would be delivered next: RabbitMQ drops the highest priority to make room.
scenario('drop-head of a priority queue drops what is at its head', async (scope) => {
  const queue = await scope.queue({ maxPriority: 3, maxLength: 2 })
  await send(scope.channel, queue, ['low'], { priority: 0 })
  await send(scope.channel, queue, ['high'], { priority: 3 })
  await send(scope.channel, queue, ['middle'], { priority: 2 })
  assert.deepEqual(await drain(scope.channel, queue), ['middle', 'low'])
})
